//! Which of the front's records are to be believed, and until when.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::record::Version;
use crate::token::SessionId;

/// Shards keep sessions out of each other's way: a write makes reads under way in its shard leave nothing behind.
const SHARDS: usize = 256;

/// How many entries a shard holds at most.
const ENTRIES_PER_SHARD: usize = (1 << 20) / SHARDS;

/// A record in the front that is to be believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) version: Version,
    /// The record's true expiry.
    pub(super) expires_at: Timestamp,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
}

impl Entry {
    fn holds_at(&self, now: Timestamp) -> bool {
        self.since <= now && now < self.until
    }
}

/// Proves when a read began. What is read is believed only if no write has ended since.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket(u64);

impl Ticket {
    /// Good for nothing.
    const VOID: Self = Self(u64::MAX);
}

#[derive(Default)]
struct Shard {
    entries: HashMap<SessionId, Entry>,
    /// Counts the ends of writes.
    writes: u64,
    /// How many writes are under way.
    under_way: usize,
    /// With this many entries it is time to look for those that are over.
    crowded: usize,
}

/// All entries.
pub(super) struct Trust(Box<[Mutex<Shard>]>);

impl Default for Trust {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Trust {
    fn shard(&self, id: SessionId) -> MutexGuard<'_, Shard> {
        let shard = &self.0[usize::from(id.as_bytes()[15]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: SessionId, now: Timestamp) -> Option<Entry> {
        self.shard(id).entries.get(&id).copied().filter(|entry| entry.holds_at(now))
    }

    /// Before the back is read.
    pub(super) fn ticket(&self, id: SessionId) -> Ticket {
        Ticket(self.shard(id).writes)
    }

    /// After what was read or written is in the front.
    pub(super) fn insert(&self, id: SessionId, entry: Entry, ticket: Ticket, now: Timestamp) {
        let mut shard = self.shard(id);
        // Of two reads under way the one that has seen more counts.
        let newer = |known: &Entry| known.holds_at(now) && known.version > entry.version;
        if shard.writes != ticket.0 || shard.entries.get(&id).is_some_and(newer) {
            return;
        }
        if shard.entries.len() >= shard.crowded.min(ENTRIES_PER_SHARD) {
            shard.entries.retain(|_, entry| entry.holds_at(now));
            shard.crowded = (2 * shard.entries.len()).max(16);
            let crowded = shard.crowded;
            if shard.entries.capacity() > 4 * crowded {
                shard.entries.shrink_to(crowded);
            }
        }
        if shard.entries.len() < ENTRIES_PER_SHARD || shard.entries.contains_key(&id) {
            shard.entries.insert(id, entry);
        }
    }

    /// The back has no such record any more.
    pub(super) fn forget(&self, id: SessionId) {
        self.shard(id).entries.remove(&id);
    }

    /// From here on the front's record is not believed, and nothing that is read before the end of the write will be.
    pub(super) fn begin_write(&self, id: SessionId) -> Write<'_> {
        let mut shard = self.shard(id);
        shard.entries.remove(&id);
        shard.under_way += 1;
        Write { trust: self, id, began_at: shard.writes }
    }
}

/// A write under way. Ends when it is dropped, too: a write that was cut short may have taken effect.
pub(super) struct Write<'a> {
    trust: &'a Trust,
    id: SessionId,
    began_at: u64,
}

impl Write<'_> {
    /// The back has answered. The ticket is for what was written.
    pub(super) fn end(self) -> Ticket {
        let ticket = self.bump();
        std::mem::forget(self);
        ticket
    }

    fn bump(&self) -> Ticket {
        let mut shard = self.trust.shard(self.id);
        shard.entries.remove(&self.id);
        // Of writes that overlap, the one that ends here last need not be the one that the back has done last.
        let alone = shard.writes == self.began_at && shard.under_way == 1;
        shard.writes += 1;
        shard.under_way -= 1;
        if alone { Ticket(shard.writes) } else { Ticket::VOID }
    }
}

impl Drop for Write<'_> {
    fn drop(&mut self) {
        self.bump();
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").finish_non_exhaustive()
    }
}
