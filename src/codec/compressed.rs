//! LZ4 over another codec.
//!
//! Stored is the byte `01`, the length of what was compressed in four bytes, the lowest first, and an LZ4 block.

use std::borrow::Cow;

use lz4_flex::block;

use super::plain::COMPRESSED;
use super::{Binding, Codec, CodecError, JsonCodec};

/// Below this hardly anything is won.
const WORTHWHILE: usize = 512;

/// What is longer is stored as it is, so that there is a bound on what reading may unfold.
const UNFOLDED_MAX: usize = 16 << 20;

/// No LZ4 block unfolds to more than this many times its own length: a byte stands for 255 at most.
const RATIO_MAX: usize = 255;

/// The tag and the length.
const HEAD: usize = 5;

/// Compresses with LZ4 what another codec has made (feature `compression`). For sizes see [`Codec`].
///
/// What would not get smaller is stored as the other codec made it; so is all that is shorter than 512 bytes, and what is
/// longer than 16 MiB.
///
/// Bytes that would unfold to more than that, or to another length than they say, are refused as corrupt before anything is
/// allocated for them.
///
/// To encrypt as well, compress first and encrypt the result: what is encrypted does not get smaller. The size of what is
/// stored then says something about the contents.
///
/// # Example: compressed MessagePack
///
/// ```
/// # #[cfg(feature = "message-pack")] {
/// use cloakroom::{CompressedCodec, MemoryStore, MessagePackCodec, SessionLayer, SessionManager};
///
/// let manager = SessionManager::new(MemoryStore::new()).codec(CompressedCodec::new(MessagePackCodec));
/// let layer = SessionLayer::with_manager(manager);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct CompressedCodec<C = JsonCodec>(C);

impl<C: Codec> CompressedCodec<C> {
    /// Compresses what this codec makes.
    pub const fn new(inner: C) -> Self {
        Self(inner)
    }
}

impl<C: Codec> Codec for CompressedCodec<C> {
    fn encode(&self, document: Vec<u8>, binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        let encoded = self.0.encode(document, binding)?;
        let already = encoded.first() == Some(&COMPRESSED);
        if already || !(WORTHWHILE..=UNFOLDED_MAX).contains(&encoded.len()) {
            return Ok(encoded);
        }
        let compressed = compress(&encoded)?;
        Ok(if compressed.len() < encoded.len() { compressed } else { encoded })
    }

    fn decode<'a>(&self, stored: &'a [u8], binding: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError> {
        if stored.first() != Some(&COMPRESSED) {
            return self.0.decode(stored, binding);
        }
        let encoded = decompress(stored)?;
        Ok(Cow::Owned(self.0.decode(&encoded, binding)?.into_owned()))
    }
}

fn compress(encoded: &[u8]) -> Result<Vec<u8>, CodecError> {
    let length = u32::try_from(encoded.len())?;
    let mut stored = vec![0; HEAD + block::get_maximum_output_size(encoded.len())];
    stored[0] = COMPRESSED;
    stored[1..HEAD].copy_from_slice(&length.to_le_bytes());
    let end = HEAD + block::compress_into(encoded, &mut stored[HEAD..])?;
    stored.truncate(end);
    Ok(stored)
}

pub(super) fn decompress(stored: &[u8]) -> Result<Vec<u8>, CodecError> {
    let Some((&[COMPRESSED, a, b, c, d], packed)) = stored.split_first_chunk::<HEAD>() else {
        return Err("the compressed record is cut off".into());
    };
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))?;
    if length > UNFOLDED_MAX || length > packed.len().saturating_mul(RATIO_MAX) {
        return Err("the compressed record says that it is longer than it can be".into());
    }
    let unfolded = block::decompress(packed, length).map_err(|_| "the compressed record is damaged")?;
    if unfolded.len() != length {
        return Err("the compressed record is not as long as it says".into());
    }
    Ok(unfolded)
}
