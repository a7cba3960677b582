//! Records that a store keeps and cannot read ([`SealedCodec`]).

mod envelope;
mod key;
mod ring;

use std::borrow::Cow;

pub use key::SealingKey;
pub use ring::KeyRing;

use super::plain::SEALED;
use super::{Binding, Codec, CodecError, JsonCodec};

/// Nothing else that is ever sealed with the same key may be taken for a record.
const PURPOSE: &[u8] = b"cloakroom: the record of a session";

/// Encrypts and authenticates records, by keys that are not in the store (feature `sealed`).
///
/// Whoever reads the store, its backups or the wire to it sees no data, and whoever writes to it cannot make a record, change
/// one, or put the contents of one into another: XChaCha20-Poly1305 with a new random nonce for every write, bound to what the
/// record is for, the namespace, the session's id and its user. A record that does not open counts as corrupt: it is
/// reported ([`SessionEvent::Corrupt`](crate::SessionEvent::Corrupt)), never served, and left as it is.
///
/// # Example: keys from the environment
///
/// ```
/// use cloakroom::{KeyRing, SealedCodec, SessionLayer, SessionManager, SessionStore};
///
/// fn sessions(store: impl SessionStore) -> Result<SessionLayer, Box<dyn std::error::Error>> {
///     let keys: KeyRing = std::env::var("SESSION_SEALING_KEYS")?.parse()?;
///     let manager = SessionManager::new(store).codec(SealedCodec::new(keys));
///     Ok(SessionLayer::with_manager(manager))
/// }
/// ```
///
/// # What it does not hide, and does not prevent
///
/// * The id, the version, the user and the expiry are columns of their own, for stores to search by: they can be read.
///   The user is authenticated all the same. Whoever writes to the store can move the expiry, but not
///   beyond the deadline, which is inside.
/// * Whoever writes to the store can delete a record, and can put back the record that was there before, as a whole: a
///   logout, or a secret that was replaced, is undone by that, until the deadline. No codec can tell; it takes a store that others
///   cannot write to.
/// * The length shows. [Compressed](Self::over) records say by it how well their contents compress: if a visitor can have
///   text of his own stored next to something that he must not know, and see the length, do not compress (this is what
///   CRIME, CVE-2012-4929, is about).
/// * A store in this process, such as [`MemoryStore`](crate::MemoryStore), asks for no bytes, so that nothing is sealed there.
///
/// # Changing keys
///
/// The first key of the [`KeyRing`] seals, all of them open. In this order nobody is logged out:
///
/// 1. Put the new key last, everywhere: `old, new`. Now every process opens what it will seal.
/// 2. Put it first, everywhere: `new, old`. Records get it when they are saved the next time.
/// 3. Leave the old key out when no record is left that it has sealed: after the absolute lifetime of sessions, or
///    400 days where [`remember`](crate::Session::remember) is used.
///
/// If a key has become known, leave it out at once: its sessions are over.
///
/// # From plain records to sealed ones, and back
///
/// A plain record is refused, because whoever can write to the store can write one. Sessions that exist already
/// survive the change in these steps, each rolled out everywhere before the next:
///
/// 1. [`insecure_writing_plain_records`](Self::insecure_writing_plain_records): sealed ones can be read from now on.
/// 2. [`insecure_accepting_plain_records`](Self::insecure_accepting_plain_records) instead: sealed ones are written.
/// 3. Neither, when the absolute lifetime of sessions has passed.
///
/// One process, or a deployment that stops all before it starts any, can begin with step 2. The way back is the reverse.
///
/// # The bytes
///
/// The byte `02`, 4 bytes that name the key, 24 bytes of nonce, and what another codec has made, encrypted, with a tag of 16 bytes:
/// 45 more than without.
#[derive(Clone, Debug)]
#[must_use]
pub struct SealedCodec<C = JsonCodec> {
    keys: KeyRing,
    inner: C,
    plain_records: PlainRecords,
}

/// What becomes of records that are not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PlainRecords {
    Refused,
    Accepted,
    Written,
}

impl SealedCodec {
    /// Seals JSON. A single [`SealingKey`] is a ring as well.
    pub fn new(keys: impl Into<KeyRing>) -> Self {
        Self { keys: keys.into(), inner: JsonCodec, plain_records: PlainRecords::Refused }
    }
}

impl<C: Codec> SealedCodec<C> {
    /// Seals what this codec makes.
    ///
    /// ```
    /// # #[cfg(feature = "message-pack")] {
    /// use cloakroom::{MessagePackCodec, SealedCodec, SealingKey};
    ///
    /// let codec = SealedCodec::new(SealingKey::generate()?).over(MessagePackCodec);
    /// # }
    /// # Ok::<_, cloakroom::SessionError>(())
    /// ```
    pub fn over<D: Codec>(self, inner: D) -> SealedCodec<D> {
        SealedCodec { keys: self.keys, inner, plain_records: self.plain_records }
    }

    /// Reads plain records as well, as far as the codec inside does, so that sessions from before survive. Until this is
    /// turned off again whoever can write to the store can write sessions.
    pub fn insecure_accepting_plain_records(self) -> Self {
        Self { plain_records: PlainRecords::Accepted, ..self }
    }

    /// Reads both, and writes plain records still: for the time in which other processes cannot read sealed ones. Nothing is
    /// kept secret yet.
    pub fn insecure_writing_plain_records(self) -> Self {
        Self { plain_records: PlainRecords::Written, ..self }
    }
}

impl<C: Codec> Codec for SealedCodec<C> {
    fn encode(&self, document: Vec<u8>, binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        let encoded = self.inner.encode(document, binding)?;
        match self.plain_records {
            PlainRecords::Written => Ok(encoded),
            PlainRecords::Refused | PlainRecords::Accepted => self.keys.seal(PURPOSE, &encoded, binding),
        }
    }

    fn decode<'a>(&self, stored: &'a [u8], binding: Binding<'_>) -> Result<Cow<'a, [u8]>, CodecError> {
        if stored.first() == Some(&SEALED) {
            let encoded = self.keys.open(PURPOSE, stored, binding)?;
            return Ok(Cow::Owned(self.inner.decode(&encoded, binding)?.into_owned()));
        }
        match self.plain_records {
            PlainRecords::Refused => Err("the record is not sealed".into()),
            PlainRecords::Accepted | PlainRecords::Written => self.inner.decode(stored, binding),
        }
    }
}

#[cfg(test)]
mod tests;
