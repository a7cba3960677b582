//! What the targets share.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Payload, Record, SaveOutcome, StoreError, Timestamp,
    UserIndex, Version,
};
use cloakroom::{SessionId, SessionManager, SessionStore, TokenChange};
use tokio::runtime::{Builder, Runtime};

/// Runs a future to its end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: RefCell<Runtime> =
            RefCell::new(Builder::new_current_thread().enable_time().build().expect("a runtime needs nothing here"));
    }
    RUNTIME.with_borrow_mut(|runtime| runtime.block_on(future))
}

/// A new session in which `name` is this one. Its token.
pub async fn be(manager: &SessionManager, name: &str) -> String {
    let session = manager.create();
    session.insert("name", name).unwrap();
    match manager.commit(&session).await.unwrap() {
        TokenChange::Issue(issued) => issued.token.expose().to_string(),
        other => panic!("a new session has a new token: {other:?}"),
    }
}

/// A store of one record, which the target may change. Like databases it keeps bytes.
#[derive(Clone, Debug, Default)]
pub struct Shelf(Arc<Mutex<Option<Record>>>);

impl Shelf {
    pub fn put(&self, record: Record) {
        *self.0.lock().unwrap() = Some(record);
    }

    pub fn record(&self) -> Option<Record> {
        self.0.lock().unwrap().clone()
    }

    fn replace(&self, expected: Version, new: impl FnOnce(&mut Record)) -> SaveOutcome {
        match &mut *self.0.lock().unwrap() {
            None => SaveOutcome::Gone,
            Some(record) if record.version != expected => SaveOutcome::Conflict,
            Some(record) => {
                new(record);
                SaveOutcome::Saved
            }
        }
    }
}

fn in_bytes(record: &Record) -> Result<Record, StoreError> {
    Ok(Record { payload: Payload::from_bytes(record.payload.to_bytes()?), ..record.clone() })
}

#[async_trait]
impl SessionStore for Shelf {
    async fn create(&self, record: &Record, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.put(in_bytes(record)?);
        Ok(CreateOutcome::Created)
    }

    async fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.record())
    }

    async fn save(&self, record: &Record, expected: Version, _: Timestamp) -> Result<SaveOutcome, StoreError> {
        let new = in_bytes(record)?;
        Ok(self.replace(expected, |old| *old = new))
    }

    async fn touch(
        &self,
        _: SessionId,
        expected: Version,
        expires_at: Timestamp,
        _: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        Ok(self.replace(expected, |record| record.expires_at = expires_at))
    }

    async fn delete(&self, _: SessionId) -> Result<(), StoreError> {
        *self.0.lock().unwrap() = None;
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
