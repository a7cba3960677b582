//! How a record's document becomes the bytes of a store, and back.

mod json;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

pub use json::JsonCodec;

use crate::token::SessionId;

/// Which record a document belongs to. A codec that authenticates binds its bytes to it, so that they open nowhere else.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Binding<'a> {
    /// The namespace of the application.
    pub namespace: &'a str,
    /// The id of the session.
    pub id: SessionId,
}

/// Turns a record's document, which is JSON text, into the bytes that a store keeps, and back.
///
/// The first byte of the stored form tells the codecs apart: `{` is [`JsonCodec`]. Codecs are the engine's, not a
/// store's: the same works on every store.
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
    /// If the bytes are not what [`encode`](Self::encode) made for this binding. The session then counts as corrupt.
    fn decode<'a>(&self, stored: &'a [u8], binding: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError>;
}

/// What a codec could not do.
pub type CodecError = Box<dyn StdError + Send + Sync>;
