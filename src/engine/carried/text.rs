//! The text that follows a token: base64url, in whole groups of three bytes.
//!
//! What is sealed is padded to that: the number of zeros, 1 byte, as many zeros, the contents.

use crate::codec::KeyRing;
use crate::error::StoreError;
use crate::token::{TOKEN_CHARS, base64url};

pub(super) fn pad(contents: &[u8]) -> Vec<u8> {
    let zeros = zeros(contents.len());
    let mut padded = Vec::with_capacity(1 + zeros + contents.len());
    padded.push(u8::try_from(zeros).expect("less than three"));
    padded.resize(1 + zeros, 0);
    padded.extend_from_slice(contents);
    padded
}

/// Whether the text of contents of this length, with the token before it, is one that clients keep.
pub(super) fn check(length: usize, longest: usize) -> Result<(), StoreError> {
    let size = TOKEN_CHARS + (KeyRing::OVERHEAD + 1 + zeros(length) + length) / 3 * 4;
    if size > longest { Err(StoreError::too_large(size, longest)) } else { Ok(()) }
}

fn zeros(length: usize) -> usize {
    2 - (KeyRing::OVERHEAD + length) % 3
}

pub(super) fn unpad(padded: &[u8]) -> Option<Vec<u8>> {
    let contents = 1 + usize::from(*padded.first()?);
    padded.get(contents..).map(<[u8]>::to_vec)
}

pub(super) fn encode(sealed: &[u8]) -> Box<str> {
    base64url::encode(sealed).into()
}

pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = vec![0; text.len() / 4 * 3];
    base64url::decode(text, &mut sealed)?;
    Some(sealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_any_length_come_back_and_fill_whole_groups() {
        for length in 0..100 {
            let contents = vec![7; length];
            let padded = pad(&contents);
            assert_eq!((KeyRing::OVERHEAD + padded.len()) % 3, 0, "{length}");
            assert_eq!(unpad(&padded).unwrap(), contents);
        }
        assert!(unpad(&[]).is_none());
        assert!(unpad(&[2, 0]).is_none());
    }

    #[test]
    fn the_size_that_is_checked_is_that_of_the_text() {
        for length in 0..20 {
            let sealed = vec![0; KeyRing::OVERHEAD + pad(&vec![7; length]).len()];
            let size = TOKEN_CHARS + encode(&sealed).len();
            assert!(check(length, size).is_ok());
            assert!(check(length, size - 1).is_err());
            assert_eq!(decode(encode(&sealed).as_bytes()).unwrap(), sealed);
        }
    }
}
