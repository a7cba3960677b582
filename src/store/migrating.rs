//! A change of store under running sessions.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Payload, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version, load_fresh,
};
use crate::record::TOMBSTONE;

/// A tombstone's version, which no save or touch ever expects. Fits into a signed 64-bit column, and into a double.
const TOMBSTONE_VERSION: Version = 1 << 52;

/// How long a tombstone stays at least. It outlives every request that may still carry a copy from the old store.
const TOMBSTONE_LIFE: Duration = Duration::from_hours(24);

/// How many moves are remembered whose last step has to be done again.
const UNFINISHED_MAX: usize = 10_000;

/// How often a record is put into the new store. It takes more than one if another request moves the same session meanwhile, or
/// ends it.
const TRIES: usize = 32;

/// Takes sessions from one store to another while they are in use, and logs nobody out.
///
/// New sessions go to the new store. A session that is found in the old one is served from there, and moved when it is
/// next saved or touched. Sessions that nobody uses stay and expire where they are: when the longest [absolute
/// lifetime](crate::SessionPolicy::absolute) has passed since the last process was switched over, the old store holds
/// nothing any more, and `new` can be used without this wrapper.
///
/// | | |
/// |---|---|
/// | survives a restart | as the stores inside |
/// | several machines | if both stores can, and all processes use this wrapper |
/// | user index | if both stores have one |
/// | what can be lost | as the stores inside |
///
/// # What it does to the stores
///
/// A session is copied into the new store with its version, then deleted in the old one, then saved in the new one. It
/// is in one of them at any time, and the new one decides from the moment on that it has it.
///
/// What the new store has counts. So it has to be empty at the beginning: of copies that were made while the application used the
/// old store alone, those that are out of date would be served.
///
/// Logging out leaves a *tombstone* in the new store before anything else: a record without data that keeps out every
/// late copy of the session. It stays until the session would have expired, at least for a day. The sweeper, or the
/// store's own clean-up, removes it like any record that has expired. It is never served; who asks the new store alone,
/// after the migration, for a session that was logged out finds a record that cannot be read, and treats it as none.
///
/// The new store is none of these itself: what that has buried could not be told from what is occupied. The old one may be.
///
/// A session that is in the new store costs what it costs there, except to end it (four or five calls), to create and to
/// lose a race (one more each). An unknown id is looked for three times.
///
/// # What is not guaranteed during a migration
///
/// - A process that still uses the old store alone does not see what was moved or is new: to it those visitors are not
///   logged in. Switch all processes over at once.
/// - If a process dies between the copy and the deletion in the old store, the old copy stays there until its own expiry. So
///   does that of every session which `cloakroom migrate` copies meanwhile, unless it is logged out. Nobody sees it while the
///   new store has the session, nor after a logout. Only when the session *expires* in the new store before the time that
///   its old copy bears is the copy served again, as it was when it was copied. This takes a session whose expiry was moved
///   to an earlier time.
/// - Of such an old copy [`SessionEvent::Expired`](crate::SessionEvent::Expired) may be told while the session lives on in the
///   new store.
/// - A new store that may evict sessions, such as Memcached, may evict tombstones as well.
///
/// # Example: from one store to another
///
/// ```
/// use cloakroom::store::MigratingStore;
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let (old, new) = (MemoryStore::new(), MemoryStore::new());
/// let layer = SessionLayer::new(MigratingStore::new(old, new));
/// ```
#[derive(Clone, Debug)]
pub struct MigratingStore<Old, New> {
    old: Old,
    new: New,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The time that a caller has named last, for `delete`, which is told none.
    time: AtomicI64,
    /// Sessions that were copied and perhaps not deleted in the old store.
    unfinished: Mutex<HashSet<SessionId>>,
}

impl Shared {
    fn unfinished(&self) -> MutexGuard<'_, HashSet<SessionId>> {
        self.unfinished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Old: SessionStore, New: SessionStore> MigratingStore<Old, New> {
    /// Sessions go from `old` to `new`.
    pub fn new(old: Old, new: New) -> Self {
        let shared = Shared { time: AtomicI64::new(0), unfinished: Mutex::default() };
        Self { old, new, shared: Arc::new(shared) }
    }

    fn see(&self, now: Timestamp) {
        self.shared.time.store(now.as_millis(), Ordering::Relaxed);
    }

    async fn find(&self, id: SessionId, now: Timestamp, reading: Reading) -> Result<Option<Record>, StoreError> {
        self.see(now);
        let mut found = reading.load(&self.new, id, now).await?;
        if found.is_some() {
            self.finish_if_unfinished(id).await;
        } else {
            found = reading.load(&self.old, id, now).await?;
        }
        if found.is_none() {
            // It may have been moved between the two looks.
            found = reading.load(&self.new, id, now).await?;
        }
        Ok(found.filter(|record| !is_tombstone(record)))
    }

    /// Copies the live record from the old store into the new one, if it has the expected version. Whoever is told
    /// `Saved` finds in the new store what is true: this copy, another request's, or a tombstone.
    async fn fetch_over(&self, id: SessionId, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        // Not there either: it never was, or another request has moved it between the two looks.
        let Some(record) = self.old.load(id, now).await? else { return Ok(SaveOutcome::Saved) };
        if record.version != expected {
            return Ok(SaveOutcome::Conflict);
        }
        {
            let mut unfinished = self.shared.unfinished();
            if unfinished.len() < UNFINISHED_MAX {
                unfinished.insert(id);
            }
        }
        for _ in 0..TRIES {
            if self.new.create(&record, now).await? == CreateOutcome::Created {
                // The old copy goes before anything is saved on the new one, so that it is never out of date.
                self.finish(id).await?;
                return Ok(SaveOutcome::Saved);
            }
            // It may be the last copy: on the word of a `create` alone it does not go.
            if self.new.load(id, now).await?.is_some() {
                self.finish_quietly(id).await;
                return Ok(SaveOutcome::Saved);
            }
        }
        Err(occupied())
    }

    /// Deletes in the old store what the new one has.
    async fn finish(&self, id: SessionId) -> Result<(), StoreError> {
        self.old.delete(id).await?;
        self.shared.unfinished().remove(&id);
        Ok(())
    }

    /// As [`finish`](Self::finish), for requests that do not depend on it. If it fails it is done another time.
    async fn finish_quietly(&self, id: SessionId) {
        let _ = self.finish(id).await;
    }

    /// Only for a session that the new store has: an unfinished move may not have come that far.
    async fn finish_if_unfinished(&self, id: SessionId) {
        let is_unfinished = self.shared.unfinished().contains(&id);
        if is_unfinished {
            self.finish_quietly(id).await;
        }
    }

    /// Brings moves to their end that have stopped halfway.
    async fn finish_some(&self, now: Timestamp, limit: usize) -> Result<(), StoreError> {
        let unfinished: Vec<_> = self.shared.unfinished().iter().take(limit).copied().collect();
        for id in unfinished {
            // Also those that were never copied are listed, if their mover was cut short.
            if self.new.load(id, now).await?.is_some() {
                self.finish(id).await?;
            } else if self.old.load(id, now).await?.is_none() {
                self.shared.unfinished().remove(&id);
            }
        }
        Ok(())
    }

    /// What has expired in the new store. Tombstones are no sessions: they are deleted at once, and nobody is told.
    async fn expired_in_new(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        loop {
            let found = self.new.expired(now, limit).await?;
            let (tombstones, sessions): (Vec<_>, Vec<_>) =
                found.into_iter().partition(|record| record.version == TOMBSTONE_VERSION);
            let ids: Vec<_> = tombstones.iter().map(|tombstone| tombstone.id).collect();
            if ids.is_empty() || self.new.delete_expired(&ids, now).await? == 0 {
                return Ok(sessions);
            }
        }
    }

    /// A conflict with a tombstone is none: the session is gone.
    async fn unless_buried(
        &self,
        id: SessionId,
        outcome: SaveOutcome,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        if outcome == SaveOutcome::Conflict && self.new.load(id, now).await?.is_some_and(|found| is_tombstone(&found)) {
            return Ok(SaveOutcome::Gone);
        }
        Ok(outcome)
    }

    /// Sees to it that the new store has a tombstone under this id.
    async fn bury(&self, id: SessionId) -> Result<(), StoreError> {
        let now = Timestamp::from_millis(self.shared.time.load(Ordering::Relaxed));
        let mut expires_at = now.saturating_add(TOMBSTONE_LIFE);
        // What late copies are made of.
        if let Some(record) = self.old.load(id, now).await? {
            expires_at = expires_at.max(record.expires_at);
        }
        for _ in 0..TRIES {
            if let Some(record) = self.new.load(id, now).await? {
                if is_tombstone(&record) {
                    return Ok(());
                }
                expires_at = expires_at.max(record.expires_at);
                // Not replaced by a save: the tombstone's version would be one that a writer may come to expect.
                self.new.delete(id).await?;
            }
            let payload = Payload::from_bytes(TOMBSTONE);
            let tombstone = Record { id, version: TOMBSTONE_VERSION, user: None, expires_at, payload };
            if self.new.create(&tombstone, now).await? == CreateOutcome::Created {
                return Ok(());
            }
        }
        Err(occupied())
    }
}

fn occupied() -> StoreError {
    StoreError::unavailable("again and again the new store had no live record under an id, and took none either")
}

/// How a record is to be read.
#[derive(Clone, Copy)]
enum Reading {
    Any,
    Fresh,
}

impl Reading {
    async fn load(
        self,
        store: &impl SessionStore,
        id: SessionId,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        match self {
            Self::Any => store.load(id, now).await,
            Self::Fresh => load_fresh(store, id, now).await,
        }
    }
}

fn is_tombstone(record: &Record) -> bool {
    // Payloads that live in this process are encoded by `to_bytes`: hardly any other comes that far.
    record.version == TOMBSTONE_VERSION && record.payload.to_bytes().is_ok_and(|bytes| bytes == TOMBSTONE)
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Old: SessionStore, New: SessionStore> SessionStore for MigratingStore<Old, New> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.see(now);
        if self.old.load(record.id, now).await?.is_some() {
            return Ok(CreateOutcome::Exists);
        }
        self.new.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.find(id, now, Reading::Any).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.see(now);
        let mut outcome = self.new.save(record, expected, now).await?;
        if outcome == SaveOutcome::Gone {
            outcome = match self.fetch_over(record.id, expected, now).await? {
                SaveOutcome::Saved => self.new.save(record, expected, now).await?,
                lost => return Ok(lost),
            };
        } else {
            self.finish_if_unfinished(record.id).await;
        }
        self.unless_buried(record.id, outcome, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.see(now);
        let mut outcome = self.new.touch(id, expected, expires_at, now).await?;
        if outcome == SaveOutcome::Gone {
            outcome = match self.fetch_over(id, expected, now).await? {
                SaveOutcome::Saved => self.new.touch(id, expected, expires_at, now).await?,
                lost => return Ok(lost),
            };
        } else {
            self.finish_if_unfinished(id).await;
        }
        let outcome = self.unless_buried(id, outcome, now).await?;
        if outcome == SaveOutcome::Saved && expires_at <= now {
            // It has ended, and no copy is to go on, nor one that is still on its way: what has expired would give up its place.
            self.delete(id).await?;
        }
        Ok(outcome)
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        // In this order: from the tombstone on no copy gets into the new store, and nobody looks into the old one.
        self.bury(id).await?;
        self.finish(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.see(now);
        self.finish_some(now, limit).await?;
        let mut found = self.expired_in_new(now, limit).await?;
        if found.len() < limit {
            found.append(&mut self.old.expired(now, limit - found.len()).await?);
        }
        Ok(found)
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.see(now);
        Ok(self.new.delete_expired(ids, now).await? + self.old.delete_expired(ids, now).await?)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        (self.old.user_index().is_some() && self.new.user_index().is_some()).then_some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        (self.old.fresh_reads().is_some() || self.new.fresh_reads().is_some()).then_some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Old: SessionStore, New: SessionStore> FreshReads for MigratingStore<Old, New> {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.find(id, now, Reading::Fresh).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Old: SessionStore, New: SessionStore> UserIndex for MigratingStore<Old, New> {
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        self.see(now);
        let (Some(old), Some(new)) = (self.old.user_index(), self.new.user_index()) else {
            return Err(StoreError::unsupported("finding the sessions of a user"));
        };
        // The old store first: what is moved in the meantime is then found in the new one.
        let in_old = old.records_of(user, now).await?;
        let mut records = new.records_of(user, now).await?;
        let in_new: HashSet<SessionId> = records.iter().map(|record| record.id).collect();
        for record in in_old {
            // Whatever the new store has decides: a tombstone, or the session as another user's by now.
            if !in_new.contains(&record.id) && self.new.load(record.id, now).await?.is_none() {
                records.push(record);
            }
        }
        Ok(records)
    }
}
