//! How a record's document becomes the bytes of a store, and back.

#[cfg(feature = "compression")]
mod compressed;
mod json;
#[cfg(feature = "message-pack")]
mod message_pack;
mod plain;
#[cfg(feature = "sealed")]
mod sealed;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

#[cfg(feature = "compression")]
pub use compressed::CompressedCodec;
pub use json::JsonCodec;
#[cfg(feature = "message-pack")]
pub use message_pack::MessagePackCodec;
#[cfg(feature = "sealed")]
pub use sealed::{KeyRing, SealedCodec, SealingKey};

pub(crate) use plain::is_sealed;

use crate::token::SessionId;

/// Which record a document belongs to. A codec that authenticates binds its bytes to it, so that they open nowhere else.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Binding<'a> {
    /// The namespace of the application.
    pub namespace: &'a str,
    /// The id of the session.
    pub id: SessionId,
    /// Who is logged in: a column of the record, which stores search by and others may write to.
    pub user: Option<&'a str>,
}

/// Turns a record's document, which is JSON text, into the bytes that a store keeps, and back.
///
/// Codecs are the engine's, not a store's: the same works on every store. A store that keeps sessions in this process asks for
/// no bytes, and has no use for one.
///
/// # Which one
///
/// | codec | feature | first byte | when it pays |
/// |---|---|---|---|
/// | [`JsonCodec`], the default | | `{` | what is stored can be read with the store's own tools |
/// | `MessagePackCodec` | `message-pack` | `80` to `8f`, `de`, `df` | many numbers and short keys; other tools than this crate still read it |
/// | `CompressedCodec` | `compression` | `01` | sessions of some KiB: lists of things that are alike, long texts |
/// | `SealedCodec` | `sealed` | `02` | the store, its backups or the way to it are not trusted |
///
/// The bytes of a visitor to a shop, as a store gets them, with 6 and with 650 things in the cart:
///
/// | | 6 things | 650 things |
/// |---|---|---|
/// | `JsonCodec` | 1,025 | 64,490 |
/// | `MessagePackCodec` | 818 | 49,506 |
/// | `CompressedCodec` over JSON | 725 | 18,092 |
/// | `CompressedCodec` over MessagePack | 629 | 15,255 |
///
/// LZ4 takes about a microsecond for the first and 40 for the second, there and back: little beside a call to a store.
///
/// # Changing the codec
///
/// The first byte of the stored form tells the codecs apart, and every one of the table reads what the others have written,
/// except for what is sealed. So a change logs nobody out: what was written before is read, and gets the new form when it is saved the next time.
///
/// While some processes run with the old settings and some with the new ones, each has to read what the other writes. In
/// this order they do:
///
/// 1. Roll out everywhere a build that has the feature of the new codec, and still writes with the old one.
/// 2. Give the new codec to [`SessionManager::codec`](crate::SessionManager::codec), and roll that out.
///
/// To a process without the feature the record cannot be read: the visitor is anonymous there and an event says why, but
/// the record stays as it is. On the way back the order is the other way round: first the codec, later the feature.
///
/// A codec that authenticates must not read the plain forms: whoever can write to the store would have
/// them accepted. That is why each codec decides for itself what it reads, and why `SealedCodec` has steps of its own.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The bytes for the store.
    ///
    /// # Errors
    ///
    /// Whatever keeps the document from being encoded. Nothing is stored then.
    fn encode(&self, document: Vec<u8>, binding: Binding<'_>) -> Result<Vec<u8>, CodecError>;

    /// The document from the bytes of the store.
    ///
    /// # Errors
    ///
    /// If the bytes are not what [`encode`](Self::encode) made for this binding, or what another codec made that this one
    /// reads as well. The session then counts as corrupt. The error's text must not show what is stored.
    fn decode<'a>(&self, stored: &'a [u8], binding: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError>;
}

/// What a codec could not do.
pub type CodecError = Box<dyn StdError + Send + Sync>;

impl<C: Codec + ?Sized> Codec for Box<C> {
    fn encode(&self, document: Vec<u8>, binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        (**self).encode(document, binding)
    }

    fn decode<'a>(&self, stored: &'a [u8], binding: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError> {
        (**self).decode(stored, binding)
    }
}

#[cfg(all(test, feature = "message-pack", feature = "compression"))]
mod tests;
