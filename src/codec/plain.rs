//! The forms that do not authenticate, told apart by their first byte. Every codec that writes one of them reads all.

use std::borrow::Cow;

use super::CodecError;

/// The first byte of what is compressed. JSON does not begin with it, nor does a map of MessagePack.
pub(super) const COMPRESSED: u8 = 0x01;

/// The first byte of what is sealed, which none of these forms begins with.
pub(super) const SEALED: u8 = 0x02;

enum Form {
    MessagePack,
    Compressed,
    Sealed,
    /// JSON, or something that will turn out to be none.
    Json,
}

impl Form {
    fn of(stored: &[u8]) -> Self {
        match stored.first() {
            Some(0x80..=0x8f | 0xde | 0xdf) => Self::MessagePack,
            Some(&COMPRESSED) => Self::Compressed,
            Some(&SEALED) => Self::Sealed,
            _ => Self::Json,
        }
    }
}

/// Whether it takes a key to read it.
pub(crate) fn is_sealed(stored: &[u8]) -> bool {
    matches!(Form::of(stored), Form::Sealed)
}

/// The document from any of the forms.
pub(super) fn decode(stored: &[u8]) -> Result<Cow<'_, [u8]>, CodecError> {
    match Form::of(stored) {
        Form::Json => Ok(Cow::Borrowed(stored)),
        Form::MessagePack => from_message_pack(stored).map(Cow::Owned),
        Form::Sealed => Err("the record is sealed: a `SealedCodec` with its key opens it".into()),
        Form::Compressed => {
            let inner = decompress(stored)?;
            match Form::of(&inner) {
                Form::Json => Ok(Cow::Owned(inner)),
                Form::MessagePack => from_message_pack(&inner).map(Cow::Owned),
                // A small record could otherwise unfold several times.
                Form::Compressed | Form::Sealed => {
                    Err("the record is compressed twice, or sealed and then compressed".into())
                }
            }
        }
    }
}

#[cfg(feature = "message-pack")]
fn from_message_pack(stored: &[u8]) -> Result<Vec<u8>, CodecError> {
    super::message_pack::to_json(stored)
}

#[cfg(not(feature = "message-pack"))]
fn from_message_pack(_: &[u8]) -> Result<Vec<u8>, CodecError> {
    Err("the record is MessagePack: turn on the feature `message-pack` to read it".into())
}

#[cfg(feature = "compression")]
fn decompress(stored: &[u8]) -> Result<Vec<u8>, CodecError> {
    super::compressed::decompress(stored)
}

#[cfg(not(feature = "compression"))]
fn decompress(_: &[u8]) -> Result<Vec<u8>, CodecError> {
    Err("the record is compressed: turn on the feature `compression` to read it".into())
}
