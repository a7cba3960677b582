//! What the forms of a session show, so that those of other sites cannot pass for them.
//!
//! The key of a session's forms follows from the token, so that nothing has to be stored. Where it does not, because the
//! secret was replaced and the forms are to stay good, the record has the difference between the two: a mask, which says
//! nothing to those who do not have the token.

use std::fmt;
use std::iter::zip;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Token, base64url, fill_random};
use crate::error::SessionError;

/// 240 bits, which are whole groups of base64.
const KEY_BYTES: usize = 30;

/// What the forms of a session prove that they know. Wiped when dropped.
#[derive(Clone)]
pub(crate) struct CsrfKey([u8; KEY_BYTES]);

/// How a session's key differs from the one that follows from its token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CsrfMask([u8; KEY_BYTES]);

impl CsrfKey {
    pub(crate) fn generate() -> Result<Self, SessionError> {
        let mut key = Self([0; KEY_BYTES]);
        fill_random(&mut key.0)?;
        Ok(key)
    }

    pub(crate) fn of(token: &Token, mask: Option<&CsrfMask>) -> Self {
        let digest = Sha256::new_with_prefix(b"cloakroom: the key of the forms").chain_update(token.bytes());
        let mut digest: [u8; 32] = digest.finalize().into();
        let mut key = Self([0; KEY_BYTES]);
        key.0.copy_from_slice(&digest[..KEY_BYTES]);
        digest.zeroize();
        if let Some(mask) = mask {
            key.0 = xor(&key.0, &mask.0);
        }
        key
    }

    /// With this mask the key follows from another token.
    pub(crate) fn mask_for(&self, token: &Token) -> CsrfMask {
        CsrfMask(xor(&self.0, &Self::of(token, None).0))
    }

    /// A text that proves the knowledge of the key, another one at each call: in answers that are compressed the size would
    /// tell one that stays the same, bit by bit (BREACH).
    pub(crate) fn to_form(&self) -> Result<String, SessionError> {
        let mut bytes = Zeroizing::new([0; 2 * KEY_BYTES]);
        let (pad, body) = bytes.split_at_mut(KEY_BYTES);
        fill_random(pad)?;
        zip(body, zip(pad, &self.0)).for_each(|(body, (pad, key))| *body = *pad ^ key);
        Ok(base64url::encode(&*bytes))
    }

    /// Whether a text proves the knowledge of the key, in constant time.
    pub(crate) fn is_shown_by(&self, text: &[u8]) -> bool {
        let mut bytes = Zeroizing::new([0; 2 * KEY_BYTES]);
        if base64url::decode(text, &mut *bytes).is_none() {
            return false;
        }
        let (pad, body) = bytes.split_at_mut(KEY_BYTES);
        zip(&mut *body, pad).for_each(|(body, pad)| *body ^= *pad);
        self.0.ct_eq(body).into()
    }
}

impl CsrfMask {
    pub(crate) fn to_text(self) -> String {
        base64url::encode(&self.0)
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut mask = Self([0; KEY_BYTES]);
        base64url::decode(text.as_bytes(), &mut mask.0)?;
        Some(mask)
    }
}

fn xor(one: &[u8; KEY_BYTES], other: &[u8; KEY_BYTES]) -> [u8; KEY_BYTES] {
    std::array::from_fn(|place| one[place] ^ other[place])
}

impl Drop for CsrfKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for CsrfKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfKey(..)")
    }
}

impl fmt::Debug for CsrfMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CsrfMask(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn key() -> CsrfKey {
        CsrfKey::of(&Token::generate().unwrap(), None)
    }

    #[test]
    fn each_text_is_another_one_of_the_same_length_and_all_are_good() {
        let key = key();
        let texts: HashSet<_> = (0..100).map(|_| key.to_form().unwrap()).collect();
        assert_eq!(texts.len(), 100);
        assert!(texts.iter().all(|text| text.len() == 80 && key.is_shown_by(text.as_bytes())));
        let halves: HashSet<_> = texts.iter().flat_map(|text| [text[..40].to_owned(), text[40..].to_owned()]).collect();
        assert_eq!(halves.len(), 200, "neither half stays the same");
    }

    #[test]
    fn no_other_text_is_good() {
        let key = key();
        let text = key.to_form().unwrap();
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            assert!(!key.is_shown_by(&other), "{place}");
        }
        for other in ["", "A", &text[..76], &format!("{text}AAAA"), &"A".repeat(80), &self::key().to_form().unwrap()] {
            assert!(!key.is_shown_by(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn a_mask_carries_a_key_to_another_token_and_is_neither_key() {
        let (old, new) = (Token::generate().unwrap(), Token::generate().unwrap());
        let key = CsrfKey::of(&old, None);
        let mask = key.mask_for(&new);
        assert!(CsrfMask::from_text(&mask.to_text()) == Some(mask));
        assert!(CsrfKey::of(&new, Some(&mask)).is_shown_by(key.to_form().unwrap().as_bytes()));
        assert!(!CsrfKey::of(&new, None).is_shown_by(key.to_form().unwrap().as_bytes()));
        assert!(mask.0 != key.0 && mask.0 != CsrfKey::of(&new, None).0);
        assert_eq!(format!("{key:?} {mask:?}"), "CsrfKey(..) CsrfMask(..)");
    }
}
