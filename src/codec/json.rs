//! Plain JSON: what you see in `psql` or `redis-cli` is what the session holds.

use std::borrow::Cow;

use super::{Binding, Codec, CodecError, plain};

/// Stores documents as they are: readable with the store's own tools. The default.
///
/// Reads the other forms of [`Codec`]'s table as well, as far as their features are turned on.
#[derive(Clone, Copy, Debug, Default)]
pub struct JsonCodec;

impl Codec for JsonCodec {
    fn encode(&self, document: Vec<u8>, _: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        Ok(document)
    }

    fn decode<'a>(&self, stored: &'a [u8], _: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError> {
        plain::decode(stored)
    }
}
