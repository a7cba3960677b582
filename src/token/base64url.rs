//! The URL-safe alphabet of base64 (RFC 4648 section 5), for whole groups of three bytes.
//!
//! No padding and no spare bits: every text has one meaning, and every meaning one text. Nothing is looked up by the bytes
//! of a secret, so that the time tells nothing about them.

use std::iter::zip;

/// How many bytes are handled at once, and their characters: the compiler makes vector instructions of that.
const BYTES: usize = 48;
const CHARACTERS: usize = BYTES / 3 * 4;

/// The text of `bytes`, whose number is a multiple of three.
pub(crate) fn encode(bytes: &[u8]) -> String {
    debug_assert_eq!(bytes.len() % 3, 0, "whole groups only");
    let mut text = Vec::with_capacity(bytes.len() / 3 * 4);
    for bytes in bytes.chunks(BYTES) {
        let mut values = [0; CHARACTERS];
        for (values, group) in zip(values.chunks_exact_mut(4), bytes.chunks_exact(3)) {
            let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
            let spread = (bits & 0xfc_0000) << 6 | (bits & 0x3_f000) << 4 | (bits & 0xfc0) << 2 | bits & 0x3f;
            values.copy_from_slice(&spread.to_be_bytes());
        }
        text.extend_from_slice(&values.map(character)[..bytes.len() / 3 * 4]);
    }
    String::from_utf8(text).expect("the alphabet is ASCII")
}

/// Reads `text` into `bytes`; `None` if it is not exactly the text of as many.
pub(crate) fn decode(text: &[u8], bytes: &mut [u8]) -> Option<()> {
    if text.len() / 4 * 3 != bytes.len() || !text.len().is_multiple_of(4) {
        return None;
    }
    let mut all = 0;
    for (text, bytes) in zip(text.chunks(CHARACTERS), bytes.chunks_mut(BYTES)) {
        let mut characters = [b'A'; CHARACTERS];
        characters[..text.len()].copy_from_slice(text);
        let mut groups = [0; CHARACTERS / 4];
        for (group, values) in zip(&mut groups, characters.map(value).as_chunks().0) {
            let values = u32::from_le_bytes(*values);
            all |= values;
            *group = join(values);
        }
        for (bytes, group) in zip(bytes.as_chunks_mut::<3>().0, groups) {
            bytes.copy_from_slice(&group.to_le_bytes()[..3]);
        }
    }
    (all & 0xc0c0_c0c0 == 0).then_some(())
}

/// Four times six bits, each in a byte, as three bytes; the first comes lowest.
fn join(values: u32) -> u32 {
    let first = values << 2 & 0xfc | values >> 12 & 0x3;
    let second = values << 4 & 0xf000 | values >> 10 & 0xf00;
    let third = values << 6 & 0xc0_0000 | values >> 8 & 0x3f_0000;
    first | second | third
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

/// The six bits for a character; 255 for one that is not of the alphabet.
fn value(character: u8) -> u8 {
    // One more than the value if the character lies within the run, else zero.
    let run = |first: u8, last: u8, value: u8| {
        let place = character.wrapping_sub(first);
        let within = 0_u8.wrapping_sub(u8::from(place <= last - first));
        within & place.wrapping_add(value + 1)
    };
    let found =
        run(b'A', b'Z', 0) | run(b'a', b'z', 26) | run(b'0', b'9', 52) | run(b'-', b'-', 62) | run(b'_', b'_', 63);
    // 1 to 64 if found in one of the runs, 0 if not: which becomes 255.
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
                None => assert_eq!(value(byte), 255, "{byte}"),
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
    fn texts_of_any_length_read_back() {
        for length in (0..400).step_by(3) {
            let bytes: Vec<u8> = (0..=250).cycle().take(length).collect();
            let text = encode(&bytes);
            let mut again = vec![0; length];
            decode(text.as_bytes(), &mut again).unwrap();
            assert_eq!((text.len(), again), (length / 3 * 4, bytes));
            for place in 0..text.len() {
                let mut foreign = text.clone().into_bytes();
                foreign[place] = b'+';
                assert!(decode(&foreign, &mut vec![0; length]).is_none(), "{place} of {length}");
            }
        }
    }

    #[test]
    fn other_texts_are_none() {
        let mut bytes = [0; 3];
        for text in ["", "Zm9", "Zm9vZ", "Zm9=", "Zm+v", "Zm/v", "Zm v", "Zm\u{e9}"] {
            assert!(decode(text.as_bytes(), &mut bytes).is_none(), "{text:?}");
        }
    }
}
