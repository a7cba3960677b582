//! The store of one request whose client holds the whole record.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::text;
use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::record::{Payload, Record, Version};
use crate::store::{CreateOutcome, ExpiredRecord, FreshReads, Inventory, SaveOutcome, SessionStore, UserIndex};
use crate::token::SessionId;

/// Nobody else writes to it, so that versions begin anew with every request.
const VERSION: Version = 1;

#[derive(Debug)]
pub(super) struct RecordStore {
    record: Mutex<Option<Record>>,
    longest_text: usize,
}

impl RecordStore {
    pub(super) fn new(record: Option<Record>, longest_text: usize) -> Self {
        Self { record: Mutex::new(record), longest_text }
    }

    /// What the client is to hold.
    pub(super) fn to_bytes(&self) -> Result<Bytes, StoreError> {
        self.record().as_ref().map_or_else(|| Ok(Bytes::new()), |record| write(record).map(Bytes::from))
    }

    fn keep(&self, record: &Record) -> Result<(), StoreError> {
        // Its bytes are asked for here and once more at the end, and the codec once.
        let record = Record { payload: Payload::from_bytes(record.payload.to_bytes()?), ..record.clone() };
        text::check(write(&record)?.len(), self.longest_text)?;
        *self.record() = Some(record);
        Ok(())
    }

    fn record(&self) -> MutexGuard<'_, Option<Record>> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for RecordStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        if self.record().as_ref().is_some_and(|held| held.is_live(now)) {
            return Ok(CreateOutcome::Exists);
        }
        self.keep(record).map(|()| CreateOutcome::Created)
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        match &*self.record() {
            Some(record) if record.id == id => Ok(Some(record.clone()).filter(|record| record.is_live(now))),
            _ => Err(out_of_reach()),
        }
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        match &*self.record() {
            Some(held) if held.id == record.id && held.is_live(now) => {
                if held.version != expected {
                    return Ok(SaveOutcome::Conflict);
                }
            }
            _ => return Ok(SaveOutcome::Gone),
        }
        self.keep(record).map(|()| SaveOutcome::Saved)
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        match &mut *self.record() {
            Some(held) if held.id == id && held.is_live(now) => {
                if held.version != expected {
                    return Ok(SaveOutcome::Conflict);
                }
                held.expires_at = expires_at;
                Ok(SaveOutcome::Saved)
            }
            _ => Ok(SaveOutcome::Gone),
        }
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.record().take_if(|held| held.id == id).map(drop).ok_or_else(out_of_reach)
    }

    async fn expired(&self, _now: Timestamp, _limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete_expired(&self, _ids: &[SessionId], _now: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

fn out_of_reach() -> StoreError {
    StoreError::unsupported("sessions that their clients hold can be reached in their own requests only")
}

/// ```text
/// expiry in milliseconds, 8 bytes | length of the user's name, 2 bytes, 0 if there is none | name | payload
/// ```
fn write(record: &Record) -> Result<Vec<u8>, StoreError> {
    let user = record.user.as_deref().unwrap_or_default();
    let length = u16::try_from(user.len()).map_err(|_| StoreError::too_large(user.len(), usize::from(u16::MAX)))?;
    let payload = record.payload.to_bytes()?;
    let expires_at = record.expires_at.as_millis().to_le_bytes();
    Ok([&expires_at[..], &length.to_le_bytes(), user.as_bytes(), &payload].concat())
}

/// The record of a session; `None` if this is none.
pub(super) fn read(bytes: &[u8], id: SessionId) -> Option<Record> {
    let (expires_at, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (user, payload) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
    let user = std::str::from_utf8(user).ok()?;
    Some(Record {
        id,
        version: VERSION,
        user: (!user.is_empty()).then(|| Arc::from(user)),
        expires_at: Timestamp::from_millis(i64::from_le_bytes(*expires_at)),
        payload: Payload::from_bytes(payload.to_vec()),
    })
}
