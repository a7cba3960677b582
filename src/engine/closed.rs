//! Records that the engine keeps for itself: sessions that nobody can open, since their secrets were thrown away.

use sha2::{Digest as _, Sha256};

use super::{Engine, unique_name};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::SessionError;
use crate::record::{Contents, Decoded, Extras, Payload, Record, Version};
use crate::token::{SessionId, Token};

impl Engine {
    pub(super) fn closed_record(
        &self,
        id: SessionId,
        version: Version,
        expires_at: Timestamp,
        data: Data,
    ) -> Result<Record, SessionError> {
        let contents = Contents {
            origin: self.terms.origin.clone(),
            id,
            created_at: self.clock.now(),
            deadline: expires_at,
            persistent: false,
            digest: self.terms.digester.digest(&Token::generate()?),
            write: unique_name()?,
            extras: Extras::default(),
            data: data.into(),
        };
        let payload = Payload::from(Decoded::from(contents));
        Ok(Record { id, version, user: None, expires_at, payload })
    }

    /// The same in every process, and no session's: those are random.
    pub(super) fn id_of(&self, purpose: &str, what: &str) -> SessionId {
        let (origin, mut hash) = (&self.terms.origin, Sha256::new());
        for part in [purpose, &origin.namespace, origin.name.as_str(), what] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        SessionId::not_random(std::array::from_fn(|place| hash[place]))
    }
}
