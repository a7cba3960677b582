//! The URL-safe alphabet of base64 (RFC 4648 section 5), for whole groups of three bytes.
//!
//! No padding and no spare bits: every text has one meaning, and every meaning one text. Nothing is looked up by the bytes
//! of a secret, so that the time tells nothing about them.

/// The text of `bytes`, whose number is a multiple of three.
pub(crate) fn encode(bytes: &[u8]) -> String {
    debug_assert_eq!(bytes.len() % 3, 0, "whole groups only");
    let mut text = String::with_capacity(bytes.len() / 3 * 4);
    for group in bytes.chunks_exact(3) {
        let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
        for shift in [18, 12, 6, 0] {
            text.push(char::from(character((bits >> shift & 63).to_le_bytes()[0])));
        }
    }
    text
}

/// Reads `text` into `bytes`; `None` if it is not exactly the text of as many.
pub(crate) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() / 4 * 3 != bytes.len() || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut foreign = 0;
    for (group, bytes) in text.chunks_exact(4).zip(bytes.chunks_exact_mut(3)) {
        let mut bits = 0;
        for character in group {
            let value = value(*character);
            foreign |= value >> 8;
            bits = bits << 6 | u32::from(value & 63);
        }
        bytes.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    (foreign == 0).then_some(())
}

/// The character for six bits, found by arithmetic.
fn character(value: u8) -> u8 {
    // Each step adds the distance between two runs of the alphabet, if the value lies behind the first of them.
    let behind = |last: u8| 0_u8.wrapping_sub(last.wrapping_sub(value) >> 7);
    (b'A' + value)
        .wrapping_add(behind(25) & (b'a' - b'Z' - 1))
        .wrapping_sub(behind(51) & (b'z' - b'0' + 1))
        .wrapping_sub(behind(61) & (b'9' - b'-' + 1))
        .wrapping_add(behind(62) & (b'_' - b'-' - 1))
}

/// The six bits for a character; the upper byte is not zero for one that is not of the alphabet.
fn value(character: u8) -> u16 {
    let character = u16::from(character);
    // All ones if the character lies within a run, else zero.
    let within = |first: u8, last: u8| {
        let below = character.wrapping_sub(u16::from(first)) >> 15;
        let above = u16::from(last).wrapping_sub(character) >> 15;
        (below | above).wrapping_sub(1)
    };
    // One more than the value if the character lies within the run, else zero.
    let run = |first: u8, last: u8, value: u16| {
        within(first, last) & character.wrapping_sub(u16::from(first)).wrapping_add(value + 1)
    };
    let found =
        run(b'A', b'Z', 0) | run(b'a', b'z', 26) | run(b'0', b'9', 52) | run(b'-', b'-', 62) | run(b'_', b'_', 63);
    // 1 to 64 if found in one of the runs, 0 if not: which becomes 0xffff.
    found.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    #[test]
    fn each_value_has_its_character_and_no_other() {
        for byte in 0..=255_u8 {
            let expected = ALPHABET.iter().position(|it| *it == byte);
            match expected {
                Some(place) => assert_eq!(usize::from(value(byte)), place),
                None => assert_ne!(value(byte) >> 8, 0, "{byte}"),
            }
        }
        for (place, expected) in (0..).zip(ALPHABET) {
            assert_eq!(character(place), *expected);
        }
    }

    #[test]
    fn the_examples_of_rfc_4648() {
        assert_eq!(encode(b"foobar"), "Zm9vYmFy");
        assert_eq!(encode(&[0xfb, 0xff, 0xbf]), "-_-_");
        let mut bytes = [0; 6];
        decode(b"Zm9vYmFy", &mut bytes).unwrap();
        assert_eq!(&bytes, b"foobar");
    }

    #[test]
    fn other_texts_are_none() {
        let mut bytes = [0; 3];
        for text in ["", "Zm9", "Zm9vZ", "Zm9=", "Zm+v", "Zm/v", "Zm v", "Zm\u{e9}"] {
            assert!(decode(text.as_bytes(), &mut bytes).is_none(), "{text:?}");
        }
    }
}
