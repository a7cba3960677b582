//! A store that keeps nothing, with a user index that never answers.

use async_trait::async_trait;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, StoreError, Timestamp, UserIndex, Version,
};
use cloakroom::{NoopStore, SessionId, SessionStore};

#[derive(Clone, Debug)]
pub struct SlowIndex;

#[async_trait]
impl SessionStore for SlowIndex {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        NoopStore.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        NoopStore.load(id, now).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        NoopStore.save(record, expected, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        NoopStore.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        NoopStore.delete(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        NoopStore.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        NoopStore.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

#[async_trait]
impl UserIndex for SlowIndex {
    async fn records_of(&self, _: &str, _: Timestamp) -> Result<Vec<Record>, StoreError> {
        std::future::pending().await
    }
}
