//! The store in the process's own memory.

mod expiry;
mod shard;
mod users;

use std::cmp::Ordering::{Equal, Greater, Less};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::yield_now;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version,
};
use expiry::Queue;
use shard::{Shard, Taken};
use users::Users;

/// Shards keep writers on different sessions out of each other's way. Not a power of two: maps have room for powers of two, and
/// so many shards of a store that is as full as it may be by default fill theirs to four fifths. With 64 it would be the half.
const SHARDS: usize = 80;

/// How many expired records a `create` clears away at most: more than one, so that they cannot pile up, and few, so that
/// no request pays for the expiry of many.
const CLEARED_PER_CREATE: usize = 2;

/// How many expired records are deleted while a shard is locked, and before others have their turn: some 100 microseconds of
/// work.
const DELETED_PER_LOCK: usize = 128;

/// Keeps sessions in memory, for one process.
///
/// Fast, exact and bounded: records are invisible from the millisecond on at which they expire, and no write leaves the
/// store with more than it was told to hold, unless others are being created at this instant and nothing else is left to make room:
/// then the next write does. When it is full, the record that would expire soonest makes room, those without a user before
/// those with one: a crowd of visitors does not log anybody out, and a new login is never refused.
///
/// Clones share one store.
///
/// | | |
/// |---|---|
/// | survives a restart | no |
/// | several machines | no, nor several processes |
/// | user index | yes |
/// | what can be lost | everything when the process ends; what expires soonest when the store is full |
///
/// Expired records give their memory back when records are created, little by little. Start a
/// [sweeper](crate::SessionManager::start_sweeper) if there may be hours without new sessions, or if you want to be told of each
/// ([`SessionEvent::Expired`](crate::SessionEvent::Expired)): as soon as it has looked for the first time, expired records are
/// left to it. Only a full store evicts them before.
///
/// # Example: at most 10,000 sessions and 16 MiB
///
/// ```
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let store = MemoryStore::new().max_entries(10_000).max_bytes(16 << 20);
/// let layer = SessionLayer::new(store.clone());
/// assert_eq!(store.len(), 0);
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    shards: Box<[Slot]>,
    users: Users,
    entries: AtomicUsize,
    bytes: AtomicUsize,
    max_entries: AtomicUsize,
    max_bytes: AtomicUsize,
    /// Whether somebody asks for what has expired. From then on it is left to them, who may want to tell of each record.
    is_swept: AtomicBool,
    /// The shard from which on that is looked for next.
    next_swept: AtomicUsize,
}

/// A shard, and when its first records expire, so that the fullest store finds what to evict without locking all of it.
#[derive(Default)]
struct Slot {
    shard: Mutex<Shard>,
    soonest: [expiry::Hint; 2],
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Room for 1,048,576 sessions and 1 GiB.
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            shards: (0..SHARDS).map(|_| Slot::default()).collect(),
            users: Users::default(),
            entries: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_entries: AtomicUsize::new(1 << 20),
            max_bytes: AtomicUsize::new(1 << 30),
            is_swept: AtomicBool::new(false),
            next_swept: AtomicUsize::new(0),
        }))
    }

    /// How many sessions it holds at most, for all clones; at least one. A lower bound than before takes effect at the next
    /// write.
    #[must_use]
    pub fn max_entries(self, entries: usize) -> Self {
        self.0.max_entries.store(entries.max(1), Ordering::Relaxed);
        self
    }

    /// How many bytes it holds at most, for all clones: an estimate of what the records take, their data counted to the
    /// byte. A lower bound than before takes effect at the next write. A record that is larger than this is refused.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        self.0.max_bytes.store(bytes, Ordering::Relaxed);
        self
    }

    /// How many sessions it holds now, those included that have expired and were not cleared away yet.
    pub fn len(&self) -> usize {
        self.0.entries.load(Ordering::Relaxed)
    }

    /// Whether it holds no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes it holds now, by the estimate of [`max_bytes`](Self::max_bytes).
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn slot(&self, id: SessionId) -> &Slot {
        &self.shards[shard_of(id)]
    }

    /// Counts a record as held.
    fn reserve(&self, size: usize) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(size, Ordering::Relaxed);
    }

    /// Evicts until the store holds no more than it may. No shard may be locked by the caller.
    fn make_room(&self, now: Timestamp) {
        while self.is_over() && self.evict_one(now) {}
    }

    fn is_over(&self) -> bool {
        let over = |held: &AtomicUsize, most: &AtomicUsize| held.load(Ordering::Relaxed) > most.load(Ordering::Relaxed);
        over(&self.entries, &self.max_entries) || over(&self.bytes, &self.max_bytes)
    }

    fn release(&self, size: usize) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    fn check_size(&self, size: usize) -> Result<(), StoreError> {
        let limit = self.max_bytes.load(Ordering::Relaxed);
        if size > limit { Err(StoreError::too_large(size, limit)) } else { Ok(()) }
    }

    /// Evicts a record: one that has expired, else the one that would expire soonest, records without a user first. `false`
    /// if there is none.
    fn evict_one(&self, now: Timestamp) -> bool {
        let [anonymous, logged_in] = Queue::ALL;
        self.evict_soonest(logged_in, now)
            || self.evict_soonest(anonymous, Timestamp::MAX)
            || self.evict_soonest(logged_in, Timestamp::MAX)
    }

    /// Evicts the record of a queue that expires first, if that is not later than `until`.
    fn evict_soonest(&self, queue: Queue, until: Timestamp) -> bool {
        // A hint may be too early, never too late: whoever finds it wrong corrects it, and looks again who is first.
        while let Some((hint, slot)) = self.soonest(queue).filter(|(hint, _)| *hint <= until) {
            let mut shard = slot.lock();
            let evicted = shard.pop_soonest(queue, hint);
            slot.update_hints(&shard);
            if let Some(taken) = evicted {
                self.forget(taken);
                return true;
            }
        }
        false
    }

    fn soonest(&self, queue: Queue) -> Option<(Timestamp, &Slot)> {
        let hints = self.shards.iter().map(|slot| (slot.soonest[queue as usize].get(), slot));
        hints.filter_map(|(hint, slot)| Some((hint?, slot))).min_by_key(|(hint, _)| *hint)
    }

    /// Settles the accounts for a record that was taken out. The lock of its shard is held.
    fn forget(&self, taken: Taken) {
        self.release(taken.size);
        if let Some(user) = taken.user {
            self.users.remove(&user, taken.id);
        }
    }

    /// Clears away some records that have expired, unless somebody sweeps.
    fn clear_expired(&self, shard: &mut Shard, now: Timestamp) {
        if self.is_swept.load(Ordering::Relaxed) {
            return;
        }
        let mut due = || Queue::ALL.into_iter().find_map(|queue| shard.pop_soonest(queue, now));
        let mut cleared = 0;
        while cleared < CLEARED_PER_CREATE
            && let Some(taken) = due()
        {
            self.forget(taken);
            cleared += 1;
        }
        if cleared > 0 {
            shard.give_memory_back();
        }
    }

    /// Deletes those of these records of one shard that have expired. How many.
    fn delete_expired_in(&self, slot: &Slot, ids: &[SessionId], now: Timestamp) -> usize {
        let (mut shard, mut deleted) = (slot.lock(), 0);
        for id in ids {
            if shard.get(*id).is_some_and(|entry| entry.expires_at <= now)
                && let Some(taken) = shard.remove(*id)
            {
                self.forget(taken);
                deleted += 1;
            }
        }
        shard.drop_leading_items(now);
        shard.give_memory_back();
        slot.update_hints(&shard);
        deleted
    }
}

fn shard_of(id: SessionId) -> usize {
    let [.., one, other] = *id.as_bytes();
    usize::from(u16::from_le_bytes([one, other])) % SHARDS
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Shard> {
        // No code that can panic runs between two states of a shard that do not fit together.
        self.shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn expired(&self, now: Timestamp, limit: usize) -> Vec<ExpiredRecord> {
        let mut shard = self.lock();
        let found = shard.expired(now, limit).collect();
        self.update_hints(&shard);
        found
    }

    /// By the hints, which may be too early, and never too late.
    fn may_have_expired(&self, now: Timestamp) -> bool {
        self.soonest.iter().any(|hint| hint.get().is_some_and(|soonest| soonest <= now))
    }

    fn update_hints(&self, shard: &Shard) {
        for queue in Queue::ALL {
            self.soonest[queue as usize].set(shard.first_expiry(queue));
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for MemoryStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (store, size) = (&*self.0, shard::size_of(record));
        store.check_size(size)?;
        let slot = store.slot(record.id);
        store.reserve(size);
        if store.is_over() {
            // Nobody is evicted for a record that is not stored.
            if slot.lock().has_live(record.id, now) {
                store.release(size);
                return Ok(CreateOutcome::Exists);
            }
            store.make_room(now);
        }
        let mut shard = slot.lock();
        store.clear_expired(&mut shard, now);
        if shard.has_live(record.id, now) {
            store.release(size);
            return Ok(CreateOutcome::Exists);
        }
        if let Some(expired) = shard.remove(record.id) {
            store.forget(expired);
        }
        shard.insert(record);
        if let Some(user) = &record.user {
            store.users.add(user, record.id);
        }
        slot.update_hints(&shard);
        Ok(CreateOutcome::Created)
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let shard = self.0.slot(id).lock();
        Ok(shard.get(id).filter(|entry| now < entry.expires_at).map(|entry| entry.to_record(id)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let (store, size) = (&*self.0, shard::size_of(record));
        store.check_size(size)?;
        let slot = store.slot(record.id);
        let mut shard = slot.lock();
        let old = match shard.replace(record, expected, now) {
            Ok(old) => old,
            Err(outcome) => return Ok(outcome),
        };
        // What all threads write to is written only if it changes.
        match size.cmp(&old.size) {
            Greater => drop(store.bytes.fetch_add(size - old.size, Ordering::Relaxed)),
            Less => drop(store.bytes.fetch_sub(old.size - size, Ordering::Relaxed)),
            Equal => {}
        }
        if old.user != record.user {
            if let Some(user) = &old.user {
                store.users.remove(user, record.id);
            }
            if let Some(user) = &record.user {
                store.users.add(user, record.id);
            }
        }
        slot.update_hints(&shard);
        drop(shard);
        store.make_room(now);
        Ok(SaveOutcome::Saved)
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let slot = self.0.slot(id);
        let mut shard = slot.lock();
        if let Err(outcome) = shard.set_expiry(id, expected, expires_at, now) {
            return Ok(outcome);
        }
        slot.update_hints(&shard);
        Ok(SaveOutcome::Saved)
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        let slot = self.0.slot(id);
        let mut shard = slot.lock();
        if let Some(taken) = shard.remove(id) {
            self.0.forget(taken);
            slot.update_hints(&shard);
        }
        Ok(())
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.0.is_swept.store(true, Ordering::Relaxed);
        // Not where the last call has begun: who waits for that shard gets it before its next records are deleted.
        let (later, first) = self.0.shards.split_at(self.0.next_swept.fetch_add(1, Ordering::Relaxed) % SHARDS);
        let mut found = Vec::new();
        for slot in first.iter().chain(later).filter(|slot| slot.may_have_expired(now)) {
            found.extend(slot.expired(now, limit - found.len()));
            if found.len() == limit {
                break;
            }
            yield_now().await;
        }
        Ok(found)
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        let mut deleted = 0;
        // As they were found: shard by shard.
        for ids in ids.chunk_by(|one, next| std::ptr::eq(self.0.slot(*one), self.0.slot(*next))) {
            for ids in ids.chunks(DELETED_PER_LOCK) {
                deleted += self.0.delete_expired_in(self.0.slot(ids[0]), ids, now);
                yield_now().await;
            }
        }
        Ok(deleted)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }
}

#[async_trait]
impl Inventory for MemoryStore {
    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
        // Shard by shard, in each of them by the id.
        let mut after = Page::after(bookmark);
        let first = after.map_or(0, shard_of);
        let mut page = Page::default();
        for slot in &self.0.shards[first..] {
            page.records.extend(slot.lock().records_after(after.take(), limit - page.records.len()));
            if page.records.len() >= limit {
                break;
            }
        }
        page.next = Page::behind(page.records.last().map(|record| record.id), page.records.len(), limit);
        Ok(page)
    }
}

#[async_trait]
impl UserIndex for MemoryStore {
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let live = |id: SessionId| {
            let shard = self.0.slot(id).lock();
            let entry = shard.get(id)?;
            (now < entry.expires_at && entry.user().map(|user| &**user) == Some(user)).then(|| entry.to_record(id))
        };
        Ok(self.0.users.of(user).into_iter().filter_map(live).collect())
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.len())
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
