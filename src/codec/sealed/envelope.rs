//! The sealed form.
//!
//! ```text
//! format 02 | name of the key, 4 bytes | nonce, 24 bytes | ciphertext | tag, 16 bytes
//! ```
//!
//! Authenticated with it, and not stored: see [`associated_data`].

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, Tag, XChaCha20Poly1305, XNonce};

use super::super::plain::SEALED;
use super::key::{KEY_NAME_BYTES, KeyName, SealingKey};
use super::ring::KeyRing;
use super::{Binding, CodecError};
use crate::token::fill_random;

/// The format and the name of the key.
const HEAD_BYTES: usize = 1 + KEY_NAME_BYTES;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// How many bytes longer the sealed form is: whole groups of three.
pub(super) const OVERHEAD: usize = HEAD_BYTES + NONCE_BYTES + TAG_BYTES;

pub(super) fn seal(
    purpose: &[u8],
    plain: &[u8],
    key: &SealingKey,
    binding: Binding<'_>,
) -> Result<Vec<u8>, CodecError> {
    // 192 random bits do not repeat, however many records a key seals.
    let mut nonce = [0; NONCE_BYTES];
    fill_random(&mut nonce)?;
    let head = head(key.name());
    let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
    for part in [&head[..], &nonce, plain] {
        sealed.extend_from_slice(part);
    }
    let tag = cipher(key)
        .encrypt_inout_detached(
            &XNonce::from(nonce),
            &associated_data(purpose, head, binding),
            (&mut sealed[HEAD_BYTES + NONCE_BYTES..]).into(),
        )
        .map_err(|_| "the record is too long to be sealed")?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// What was sealed, if one of the keys has sealed it for this very purpose and binding.
pub(super) fn open(purpose: &[u8], stored: &[u8], keys: &KeyRing, binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
    let cut_off = "the sealed record is cut off";
    let (head, rest) = stored.split_first_chunk::<HEAD_BYTES>().ok_or(cut_off)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(cut_off)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(cut_off)?;
    let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
    let [_, name @ ..] = *head;
    let mut known = false;
    for key in keys.named(KeyName(name)) {
        known = true;
        let mut plain = ciphertext.to_vec();
        let associated = associated_data(purpose, *head, binding);
        if cipher(key).decrypt_inout_detached(&nonce, &associated, (&mut plain[..]).into(), &tag).is_ok() {
            return Ok(plain);
        }
    }
    Err(if known {
        "the sealed record was changed, or was sealed for another session or user".into()
    } else {
        format!("the record is sealed with the key {}, which is not in the key ring", KeyName(name)).into()
    })
}

fn head(key: KeyName) -> [u8; HEAD_BYTES] {
    let mut head = [SEALED; HEAD_BYTES];
    head[1..].copy_from_slice(&key.0);
    head
}

/// What it is sealed for. No purpose begins another, and the parts behind it but the last have a fixed or a stated length: so
/// no two agree.
fn associated_data(purpose: &[u8], head: [u8; HEAD_BYTES], binding: Binding<'_>) -> Vec<u8> {
    let namespace = binding.namespace.as_bytes();
    [
        purpose,
        &head,
        binding.id.as_bytes(),
        &(namespace.len() as u64).to_le_bytes(),
        namespace,
        &[u8::from(binding.user.is_some())],
        binding.user.unwrap_or_default().as_bytes(),
    ]
    .concat()
}

/// Made for every record: that costs little, and the key stays in one place.
fn cipher(key: &SealingKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}
