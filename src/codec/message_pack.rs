//! MessagePack, as <https://github.com/msgpack/msgpack/blob/master/spec.md> has it.
//!
//! A document is stored as the map that it is, so that any tool for MessagePack reads it. What MessagePack has no form for is
//! stored as JSON text, in an extension of type 0: integers beyond 64 bits and decimals that are no `f64`, half a surrogate pair,
//! what is nested deeper than 128 levels. So everything comes back, and in the same order.

mod read;
mod write;

use std::borrow::Cow;

use super::{Binding, Codec, CodecError, plain};

pub(super) use read::to_json;

/// The type of the extension that holds JSON text.
const JSON_TEXT: i8 = 0;

/// Deeper levels are stored as JSON text. No session is nested so deep: [`Limits::depth`](crate::Limits::depth) ends at 127.
const DEPTH_MAX: usize = 128;

/// Stores documents as MessagePack, a binary form of JSON (feature `message-pack`). For sizes see [`Codec`].
///
/// What comes back means the same: keys keep their order, numbers their digits. Reads the other forms of [`Codec`]'s
/// table as well, as far as their features are turned on.
///
/// ```
/// use cloakroom::{MemoryStore, MessagePackCodec, SessionLayer, SessionManager};
///
/// let layer = SessionLayer::with_manager(SessionManager::new(MemoryStore::new()).codec(MessagePackCodec));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePackCodec;

impl Codec for MessagePackCodec {
    fn encode(&self, document: Vec<u8>, _: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        write::from_json(&document)
    }

    fn decode<'a>(&self, stored: &'a [u8], _: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError> {
        plain::decode(stored)
    }
}

#[cfg(test)]
mod tests;
