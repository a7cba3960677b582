//! A store that keeps bytes, as databases do, and lets a test spoil them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Payload, Record, SaveOutcome, StoreError, Timestamp,
    UserIndex, Version,
};
use cloakroom::{SessionId, SessionStore};

use super::gate::Gate;

/// Keeps every record as the bytes of its payload. Clones share one store.
#[derive(Clone, Debug, Default)]
pub struct BytesStore {
    rows: Arc<Mutex<HashMap<SessionId, Row>>>,
    save_gate: Arc<Mutex<Option<Gate>>>,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The id that the store answers with: the test may put another one here.
    pub id: SessionId,
    pub version: Version,
    pub user: Option<Arc<str>>,
    pub expires_at: Timestamp,
    pub bytes: Vec<u8>,
}

impl BytesStore {
    pub fn len(&self) -> usize {
        self.rows.lock().unwrap().len()
    }

    pub fn row(&self, id: SessionId) -> Option<Row> {
        self.rows.lock().unwrap().get(&id).cloned()
    }

    pub fn put(&self, key: SessionId, row: Row) {
        self.rows.lock().unwrap().insert(key, row);
    }

    /// Puts other bytes into a record.
    pub fn spoil(&self, id: SessionId, bytes: impl Into<Vec<u8>>) {
        self.rows.lock().unwrap().get_mut(&id).unwrap().bytes = bytes.into();
    }

    /// From now on every save waits at this gate before it is done.
    pub fn hold_saves_at(&self, gate: &Gate) {
        *self.save_gate.lock().unwrap() = Some(gate.clone());
    }

    /// Does something with the live record, if it has the expected version.
    fn replace(&self, id: SessionId, expected: Version, now: Timestamp, change: impl FnOnce(&mut Row)) -> SaveOutcome {
        match self.rows.lock().unwrap().get_mut(&id).filter(|row| now < row.expires_at) {
            None => SaveOutcome::Gone,
            Some(row) if row.version != expected => SaveOutcome::Conflict,
            Some(row) => {
                change(row);
                SaveOutcome::Saved
            }
        }
    }
}

fn row_of(record: &Record) -> Result<Row, StoreError> {
    let bytes = record.payload.to_bytes()?.to_vec();
    Ok(Row { id: record.id, version: record.version, user: record.user.clone(), expires_at: record.expires_at, bytes })
}

#[async_trait]
impl SessionStore for BytesStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let row = row_of(record)?;
        let mut rows = self.rows.lock().unwrap();
        if rows.get(&record.id).is_some_and(|row| now < row.expires_at) {
            return Ok(CreateOutcome::Exists);
        }
        rows.insert(record.id, row);
        Ok(CreateOutcome::Created)
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let to_record = |row: Row| Record {
            id: row.id,
            version: row.version,
            user: row.user,
            expires_at: row.expires_at,
            payload: Payload::from_bytes(row.bytes),
        };
        Ok(self.row(id).filter(|row| now < row.expires_at).map(to_record))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let gate = self.save_gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.pass().await;
        }
        let new = row_of(record)?;
        Ok(self.replace(record.id, expected, now, |row| *row = new))
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        Ok(self.replace(id, expected, now, |row| row.expires_at = expires_at))
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.rows.lock().unwrap().remove(&id);
        Ok(())
    }

    async fn expired(&self, _: Timestamp, _: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete_expired(&self, _: &[SessionId], _: Timestamp) -> Result<usize, StoreError> {
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
