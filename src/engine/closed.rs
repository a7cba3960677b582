//! Records that the engine keeps for itself: sessions that nobody can open, since their secrets were thrown away.

use sha2::{Digest as _, Sha256};

use super::{Engine, unique_name};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::SessionError;
use crate::record::{Contents, Decoded, Payload, Record, Version};
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
            namespace: self.terms.namespace.clone(),
            name: self.terms.name.clone(),
            id,
            user: None,
            created_at: self.clock.now(),
            deadline: expires_at,
            end_by: None,
            idle: None,
            bond: None,
            csrf: None,
            persistent: false,
            logged_in_at: None,
            label: None,
            digest: self.terms.digester.digest(&Token::generate()?),
            secret_since: None,
            superseded: Vec::new(),
            unknown: None,
            write: unique_name()?,
            data,
        };
        let payload = Payload::from(Decoded::new(contents, self.terms.codec.clone()));
        Ok(Record { id, version, user: None, expires_at, payload })
    }

    /// The same in every process, and no session's: those are random.
    pub(super) fn id_of(&self, purpose: &str, what: &str) -> SessionId {
        let mut hash = Sha256::new();
        for part in [purpose, &self.terms.namespace, self.terms.name.as_str(), what] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let hash: [u8; 32] = hash.finalize().into();
        SessionId::not_random(std::array::from_fn(|place| hash[place]))
    }
}
