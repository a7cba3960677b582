//! Where records are kept: the contract ([`SessionStore`]) and the stores of this crate.

mod cached;
#[cfg(feature = "file")]
mod file;
#[cfg(feature = "memcached")]
mod memcached;
mod memory;
mod migrating;
mod noop;
mod predecessor;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
mod sql;
mod timeout;
#[cfg(feature = "tower-sessions")]
mod tower_sessions;
mod url;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

#[cfg(feature = "redis")]
pub use self::redis::RedisStore;
#[cfg(feature = "redis-sentinel")]
pub use self::redis::SentinelConnection;
pub use crate::clock::Timestamp;
pub use crate::error::{StoreError, StoreErrorKind};
pub use crate::record::{NoSummary, Payload, Record, RecordSummary, Version};
pub use crate::token::SessionId;
pub use cached::CachedStore;
#[cfg(feature = "file")]
pub use file::FileStore;
#[cfg(feature = "memcached")]
pub use memcached::{MemcachedServer, MemcachedStore};
pub use memory::MemoryStore;
pub use migrating::MigratingStore;
pub use noop::NoopStore;
pub use predecessor::{Inheritance, Predecessor};
#[cfg(feature = "mysql")]
pub use sql::MysqlStore;
#[cfg(feature = "postgres")]
pub use sql::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sql::SqliteStore;
pub use timeout::TimeoutStore;
#[cfg(feature = "tower-sessions")]
pub use tower_sessions::{TowerSessionsPredecessor, TowerSessionsStore};
pub use url::StoreUrl;

/// What became of [`SessionStore::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum CreateOutcome {
    /// The record is stored.
    Created,
    /// There is a live record with this id already, or one that cannot be read. It was not touched.
    Exists,
}

/// What became of [`SessionStore::save`] or [`SessionStore::touch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum SaveOutcome {
    /// The record is stored.
    Saved,
    /// The stored record has another version than the expected one. Nothing was written.
    Conflict,
    /// There is no live record with this id: never was, deleted, or expired. Nothing was written.
    Gone,
}

/// A record that has expired and is still stored: what [`SessionStore::expired`] finds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "stores build it column by column, as they build a `Record`")]
pub struct ExpiredRecord {
    /// Which one.
    pub id: SessionId,
    /// Its version.
    pub version: Version,
    /// Who was logged in.
    pub user: Option<Arc<str>>,
}

/// Keeps records.
///
/// # Contract
///
/// Correctness rests on five operations and on nothing else; `expired` and `delete_expired` clean up. No locks, no transactions across calls.
///
/// **Atomic.** Each operation on one record happens as a whole or not at all, and operations on one record happen one
/// after another. `save` and `touch` compare the version and write in *one* step that no other writer can come between.
///
/// **Final.** When `delete` has returned, no `save` or `touch` of an earlier version brings the record back, however long
/// it was on its way. The same holds for a record that has expired.
///
/// **Time.** `now` is the time of the caller, which tests may set. A record is live while `now < expires_at`, to the
/// millisecond; a store's own time-to-live may only clean up later than that, never decide.
///
/// **Outcomes are values.** A lost race or a missing record is no error. An error of the kinds `Unavailable` and
/// `TimedOut` means that a write may or may not have taken effect; the caller finds out by loading again.
///
/// **Exact.** Ids are compared byte by byte. The payload's bytes come back as they went in.
///
/// **What may be lost** when the store's process or machine dies is the store's own promise, to be stated in its docs.
///
/// **Cancellation.** A call whose future is dropped may have taken effect or not, but leaves the store able to answer the
/// next call correctly.
///
/// Implementations are used as [`Arc<dyn SessionStore>`](Arc); `Box` and `Arc` of a store are stores themselves. The trait
/// is written with [`async_trait`](macro@async_trait).
#[async_trait]
pub trait SessionStore: fmt::Debug + Send + Sync + 'static {
    /// Stores a new record. Insert only: an existing live record with this id is never overwritten. One that has expired and
    /// is still stored gives up its place, and nobody is told that it has expired. Whoever uses an id again sees to it that no
    /// write of the former record is still on its way.
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError>;

    /// The live record with this id.
    ///
    /// A record that cannot be read is an error of the kind [`Corrupt`](StoreErrorKind::Corrupt) and stays stored.
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError>;

    /// Replaces the live record of the same id, user and expiry included, if its version is `expected`.
    ///
    /// `record.version` is `expected + 1`, or more where a copy of a session is brought up to date. The user index follows in the
    /// same step, or in one that heals itself.
    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError>;

    /// Moves the expiry of the live record, earlier or later, if its version is `expected`. Version, user and payload stay.
    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError>;

    /// Deletes the record, if there is one. Once this has returned the record is gone for good.
    async fn delete(&self, id: SessionId) -> Result<(), StoreError>;

    /// At most `limit` records that are not live at `now` and are still stored, in no particular order: fewer only if there are
    /// no more. They stay as they are, so that whoever sweeps can tell of each before it is deleted. A store that cleans up by
    /// itself finds none.
    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError>;

    /// Deletes those of these records that are not live at `now`, and returns how many it did delete. What is live, or was
    /// deleted by others, is passed over.
    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError>;

    /// The sessions of a user, for stores that can find them. `None` is for those that cannot.
    fn user_index(&self) -> Option<&dyn UserIndex>;

    /// Reads that see everything, for stores whose [`load`](Self::load) may answer with what others have replaced since,
    /// as one with a cache or a replica may. `None` is for those whose `load` sees everything itself.
    ///
    /// A request whose token the record does not know is a stranger only if a fresh read says so as well.
    fn fresh_reads(&self) -> Option<&dyn FreshReads>;

    /// All that is stored, for tools and administrators. `None` is for stores that cannot go through what they keep.
    fn inventory(&self) -> Option<&dyn Inventory>;
}

/// The ability of a store to find records by their user.
#[async_trait]
pub trait UserIndex: Send + Sync {
    /// All live records of this user, in no particular order. Users are compared byte by byte.
    ///
    /// A record that was created, saved or deleted before this call is in the result or not accordingly.
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError>;
}

/// The ability of a store to read past what it keeps itself.
#[async_trait]
pub trait FreshReads: Send + Sync {
    /// The live record as it was when this was called, or later.
    ///
    /// As [`SessionStore::load`] in everything else.
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError>;
}

/// The ability of a store to go through all that it keeps, page by page.
///
/// ```
/// use cloakroom::SessionStore;
/// use cloakroom::store::StoreError;
///
/// async fn count(store: &impl SessionStore) -> Result<Option<usize>, StoreError> {
///     let Some(inventory) = store.inventory() else { return Ok(None) };
///     let (mut count, mut bookmark) = (0, None);
///     loop {
///         let page = inventory.page(bookmark.as_ref(), 1_000).await?;
///         count += page.records.len();
///         bookmark = page.next;
///         if bookmark.is_none() {
///             return Ok(Some(count));
///         }
///     }
/// }
/// # let store = cloakroom::MemoryStore::new();
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(count(&store)).unwrap();
/// ```
#[async_trait]
pub trait Inventory: Send + Sync {
    /// The next page, from the beginning or from where the last one said. In no particular order.
    ///
    /// Pages have about `limit` records, live or not: some have fewer or more, and one may be empty though it is not the last. What
    /// is stored from the first page to the last is on at least one of them, and may be on two; what comes or goes meanwhile may
    /// be on one or not.
    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError>;
}

/// A part of what a store keeps: see [`Inventory`].
#[derive(Clone, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "stores build it")]
pub struct Page {
    /// Live or not. Also what is stored like sessions and is none: its id is no UUID v4.
    pub records: Vec<Record>,
    /// Those that the store cannot read.
    pub unreadable: Vec<SessionId>,
    /// Where the next page begins, for this store to understand. `None` if this was the last one.
    pub next: Option<Bytes>,
}

impl Page {
    /// The bookmark of stores that have their records in an order: behind this one. `None` if fewer were found than were asked for.
    fn behind(last: Option<SessionId>, found: usize, limit: usize) -> Option<Bytes> {
        last.filter(|_| found >= limit).map(|id| Bytes::copy_from_slice(id.as_bytes()))
    }

    /// What such a bookmark says.
    fn after(bookmark: Option<&Bytes>) -> Option<SessionId> {
        bookmark.and_then(|id| id[..].try_into().ok()).map(SessionId::from_bytes)
    }
}

/// Loads a record that no cache has kept: what wrappers need for [`FreshReads`] of their own.
///
/// # Errors
///
/// Those of [`SessionStore::load`].
pub async fn load_fresh(
    store: &(impl SessionStore + ?Sized),
    id: SessionId,
    now: Timestamp,
) -> Result<Option<Record>, StoreError> {
    match store.fresh_reads() {
        Some(fresh) => fresh.load_fresh(id, now).await,
        None => store.load(id, now).await,
    }
}

macro_rules! forward_to_pointee {
    ($pointer:ident) => {
        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl<S: SessionStore + ?Sized> SessionStore for $pointer<S> {
            async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
                (**self).create(record, now).await
            }

            async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
                (**self).load(id, now).await
            }

            async fn save(
                &self,
                record: &Record,
                expected: Version,
                now: Timestamp,
            ) -> Result<SaveOutcome, StoreError> {
                (**self).save(record, expected, now).await
            }

            async fn touch(
                &self,
                id: SessionId,
                expected: Version,
                expires_at: Timestamp,
                now: Timestamp,
            ) -> Result<SaveOutcome, StoreError> {
                (**self).touch(id, expected, expires_at, now).await
            }

            async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
                (**self).delete(id).await
            }

            async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
                (**self).expired(now, limit).await
            }

            async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
                (**self).delete_expired(ids, now).await
            }

            fn user_index(&self) -> Option<&dyn UserIndex> {
                (**self).user_index()
            }

            fn fresh_reads(&self) -> Option<&dyn FreshReads> {
                (**self).fresh_reads()
            }

            fn inventory(&self) -> Option<&dyn Inventory> {
                (**self).inventory()
            }
        }
    };
}

forward_to_pointee!(Arc);
forward_to_pointee!(Box);
