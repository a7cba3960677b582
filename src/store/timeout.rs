//! A deadline on every call to a store.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version, load_fresh,
};

/// Puts a deadline on every call to the store inside: a call that takes longer fails with
/// [`TimedOut`](super::StoreErrorKind::TimedOut), and whether it took effect is unknown.
///
/// Sessions have a deadline of their own for every call,
/// [`Limits::operation_timeout`](crate::Limits::operation_timeout). This wrapper is for code that calls a store
/// directly, for a [`user_index`](SessionStore::user_index), and for a store inside another one, such as the front of a
/// [`CachedStore`](super::CachedStore), that has to give up sooner than the whole.
///
/// | | |
/// |---|---|
/// | survives a restart | as the store inside |
/// | several machines | as the store inside |
/// | user index | as the store inside |
/// | what can be lost | as the store inside |
///
/// # Example: give up after a second
///
/// ```
/// use std::time::Duration;
///
/// use cloakroom::store::TimeoutStore;
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let store = TimeoutStore::new(MemoryStore::new(), Duration::from_secs(1));
/// let layer = SessionLayer::new(store);
/// ```
#[derive(Clone, Debug)]
pub struct TimeoutStore<S> {
    inner: S,
    limit: Duration,
}

impl<S> TimeoutStore<S> {
    /// No call to `inner` takes longer than `limit`.
    pub fn new(inner: S, limit: Duration) -> Self {
        Self { inner, limit }
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.limit, call).await.unwrap_or_else(|_| Err(StoreError::timed_out(self.limit)))
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> SessionStore for TimeoutStore<S> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.within(self.inner.create(record, now)).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.within(self.inner.load(id, now)).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.within(self.inner.save(record, expected, now)).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.within(self.inner.touch(id, expected, expires_at, now)).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.within(self.inner.delete(id)).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.within(self.inner.expired(now, limit)).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.within(self.inner.delete_expired(ids, now)).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.inner.user_index().is_some().then_some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        self.inner.fresh_reads().is_some().then_some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory().is_some().then_some(self)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> FreshReads for TimeoutStore<S> {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.within(load_fresh(&self.inner, id, now)).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> Inventory for TimeoutStore<S> {
    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
        match self.inner.inventory() {
            Some(inventory) => self.within(inventory.page(bookmark, limit)).await,
            None => Err(StoreError::unsupported("going through all records")),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> UserIndex for TimeoutStore<S> {
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        match self.inner.user_index() {
            Some(index) => self.within(index.records_of(user, now)).await,
            None => Err(StoreError::unsupported("finding the sessions of a user")),
        }
    }
}
