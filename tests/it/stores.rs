//! Every store keeps the same contract, against its real server.

mod cached;
mod file;
mod memcached;
mod memory;
mod migrating;
pub mod mysql;
pub mod postgres;
mod redis;
mod redis_cluster;
mod redis_sentinel;
mod slow_index;
mod sql;
mod sqlite;
mod timeout;
mod tower_sessions;

use async_trait::async_trait;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, StoreError, Timestamp, UserIndex, Version,
};
use cloakroom::{MemoryStore, Session, SessionId, SessionManager, SessionStore, Token, TokenChange};

use crate::support::gate::Gate;

pub use tower_sessions::ForeignStore;

/// A session with the counter `n` at 0.
async fn new_session(manager: &SessionManager) -> Token {
    let session = manager.create();
    session.insert("n", 0).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
}

/// Each load waits at the gate once it has seen the record, before it answers.
#[derive(Clone, Debug)]
struct GatedLoads {
    inner: MemoryStore,
    gate: Gate,
}

#[async_trait]
impl SessionStore for GatedLoads {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.inner.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let found = self.inner.load(id, now).await;
        self.gate.pass().await;
        found
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.inner.save(record, expected, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.inner.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.inner.delete(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.inner.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.inner.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.inner.user_index()
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}
