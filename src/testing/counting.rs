//! A store that counts what it is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::record::{Record, Version};
use crate::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, SaveOutcome, SessionStore, UserIndex, load_fresh,
};
use crate::token::SessionId;

/// Counts the calls to the store inside, but not those to its user index and its inventory. Clones share their counts, if the store inside is shared by its clones.
///
/// ```
/// use cloakroom::testing::{Calls, CountingStore};
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let store = CountingStore::new(MemoryStore::new());
/// let layer = SessionLayer::new(store.clone());
/// // ... requests that only read ...
/// assert_eq!(store.calls(), Calls { load: 0, ..Calls::default() });
/// ```
#[derive(Clone, Debug)]
pub struct CountingStore<S> {
    inner: S,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    create: AtomicUsize,
    load: AtomicUsize,
    save: AtomicUsize,
    touch: AtomicUsize,
    delete: AtomicUsize,
    expired: AtomicUsize,
    delete_expired: AtomicUsize,
}

/// How many times each operation was called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named after the operations")]
#[allow(clippy::exhaustive_structs, reason = "compared as a whole in tests")]
pub struct Calls {
    pub create: usize,
    pub load: usize,
    pub save: usize,
    pub touch: usize,
    pub delete: usize,
    pub expired: usize,
    pub delete_expired: usize,
}

impl<S> CountingStore<S> {
    /// Counts from zero.
    pub fn new(inner: S) -> Self {
        Self { inner, counts: Arc::default() }
    }

    /// The calls since the last [`reset`](Self::reset).
    pub fn calls(&self) -> Calls {
        let read = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        Calls {
            create: read(&self.counts.create),
            load: read(&self.counts.load),
            save: read(&self.counts.save),
            touch: read(&self.counts.touch),
            delete: read(&self.counts.delete),
            expired: read(&self.counts.expired),
            delete_expired: read(&self.counts.delete_expired),
        }
    }

    /// Counts from zero again, and returns what was counted.
    pub fn reset(&self) -> Calls {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::SeqCst);
        Calls {
            create: take(&self.counts.create),
            load: take(&self.counts.load),
            save: take(&self.counts.save),
            touch: take(&self.counts.touch),
            delete: take(&self.counts.delete),
            expired: take(&self.counts.expired),
            delete_expired: take(&self.counts.delete_expired),
        }
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::SeqCst);
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> SessionStore for CountingStore<S> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        count(&self.counts.create);
        self.inner.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        count(&self.counts.load);
        self.inner.load(id, now).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        count(&self.counts.save);
        self.inner.save(record, expected, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        count(&self.counts.touch);
        self.inner.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        count(&self.counts.delete);
        self.inner.delete(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        count(&self.counts.expired);
        self.inner.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        count(&self.counts.delete_expired);
        self.inner.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.inner.user_index()
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        self.inner.fresh_reads().is_some().then_some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> FreshReads for CountingStore<S> {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        count(&self.counts.load);
        load_fresh(&self.inner, id, now).await
    }
}
