//! A part of the memory store: the records whose ids fall into it, and the order in which they expire.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::expiry::{ExpiryQueue, Queue};
use crate::clock::Timestamp;
use crate::record::{Payload, Record, Version};
use crate::store::{ExpiredRecord, SaveOutcome};
use crate::token::SessionId;

/// What an entry takes beside its payload: its place in the map and in the queue.
const ENTRY_BYTES: usize = 128;

/// An estimate of the memory that a record takes.
pub(super) fn size_of(record: &Record) -> usize {
    ENTRY_BYTES + record.user.as_ref().map_or(0, |user| user.len()) + record.payload.size_hint()
}

#[derive(Default)]
pub(super) struct Shard {
    entries: HashMap<SessionId, Entry, BuildHasherDefault<IdHasher>>,
    queues: [ExpiryQueue; 2],
}

pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) user: Option<Arc<str>>,
    pub(super) expires_at: Timestamp,
    payload: Payload,
    size: usize,
    /// The one item in a queue that stands for this entry. It is early if the expiry has moved since.
    queued: (Queue, Timestamp),
}

/// What is left of a record that was taken out.
pub(super) struct Taken {
    pub(super) id: SessionId,
    pub(super) user: Option<Arc<str>>,
    pub(super) size: usize,
}

impl Entry {
    pub(super) fn to_record(&self, id: SessionId) -> Record {
        Record {
            id,
            version: self.version,
            user: self.user.clone(),
            expires_at: self.expires_at,
            payload: self.payload.clone(),
        }
    }

    fn queue(&self) -> Queue {
        Queue::of(self.user.as_ref())
    }
}

impl Shard {
    pub(super) fn get(&self, id: SessionId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// At most so many records, in the order of their ids: those that come after this one.
    pub(super) fn records_after(&self, after: Option<SessionId>, limit: usize) -> Vec<Record> {
        let mut ids: Vec<_> = self.entries.keys().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
        ids.sort_unstable();
        ids.truncate(limit);
        ids.into_iter().filter_map(|id| Some(self.get(id)?.to_record(id))).collect()
    }

    /// What a write of the version behind `expected` would meet.
    pub(super) fn compare(&self, id: SessionId, expected: Version, now: Timestamp) -> SaveOutcome {
        match self.get(id) {
            Some(entry) if now < entry.expires_at && entry.version == expected => SaveOutcome::Saved,
            Some(entry) if now < entry.expires_at => SaveOutcome::Conflict,
            _ => SaveOutcome::Gone,
        }
    }

    pub(super) fn insert(&mut self, record: &Record, size: usize) {
        let queued = (Queue::of(record.user.as_ref()), record.expires_at);
        self.entries.insert(
            record.id,
            Entry {
                version: record.version,
                user: record.user.clone(),
                expires_at: record.expires_at,
                payload: record.payload.clone(),
                size,
                queued,
            },
        );
        self.queues[queued.0 as usize].push(queued.1, record.id);
        self.drop_stale_items();
    }

    /// Puts a record in the place of its older version, and returns what that one was.
    pub(super) fn replace(&mut self, record: &Record, size: usize) -> Option<Taken> {
        let entry = self.entries.get_mut(&record.id)?;
        let old = Taken {
            id: record.id,
            user: std::mem::replace(&mut entry.user, record.user.clone()),
            size: std::mem::replace(&mut entry.size, size),
        };
        entry.version = record.version;
        entry.payload = record.payload.clone();
        self.set_expiry(record.id, record.expires_at);
        Some(old)
    }

    pub(super) fn set_expiry(&mut self, id: SessionId, expires_at: Timestamp) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.expires_at = expires_at;
        let (queue, at) = entry.queued;
        // An item that is too early corrects itself when its turn comes. One that is too late never would.
        if expires_at < at || entry.queue() != queue {
            entry.queued = (entry.queue(), expires_at);
            self.queues[entry.queue() as usize].push(expires_at, id);
            self.drop_stale_items();
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Taken> {
        let entry = self.entries.remove(&id)?;
        self.drop_stale_items();
        Some(Taken { id, user: entry.user, size: entry.size })
    }

    /// Takes out the record of a queue that expires first, if that is not later than `until`.
    pub(super) fn pop_soonest(&mut self, queue: Queue, until: Timestamp) -> Option<Taken> {
        let id = self.soonest(queue, until)?;
        self.queues[queue as usize].pop();
        self.remove(id)
    }

    /// The record of a queue that expires first, if that is not later than `until`. It stands first in its queue then: items
    /// that are out of date are put right on the way.
    fn soonest(&mut self, queue: Queue, until: Timestamp) -> Option<SessionId> {
        while let Some((at, id)) = self.queues[queue as usize].first().filter(|(at, _)| *at <= until) {
            match self.entries.get_mut(&id).filter(|entry| entry.queued == (queue, at)) {
                Some(entry) if entry.expires_at == at => return Some(id),
                Some(entry) => {
                    entry.queued.1 = entry.expires_at;
                    let expires_at = entry.expires_at;
                    self.queues[queue as usize].pop();
                    self.queues[queue as usize].push(expires_at, id);
                }
                None => self.queues[queue as usize].pop(),
            }
        }
        None
    }

    /// Drops what deleted records have left behind in front of the queues.
    pub(super) fn drop_leading_items(&mut self, until: Timestamp) {
        for queue in Queue::ALL {
            let _ = self.soonest(queue, until);
        }
    }

    /// Records that have expired, at most `limit`. They stay.
    pub(super) fn expired(&mut self, now: Timestamp, limit: usize) -> Vec<ExpiredRecord> {
        let mut found = Vec::new();
        for queue in Queue::ALL {
            if found.len() < limit && self.soonest(queue, now).is_some() {
                let due = self.queues[queue as usize].iter().filter(|(at, _)| *at <= now);
                let dead = due.filter_map(|(at, id)| {
                    let entry = self.entries.get(&id)?;
                    let is_dead = entry.queued == (queue, at) && entry.expires_at <= now;
                    is_dead.then(|| ExpiredRecord { id, version: entry.version, user: entry.user.clone() })
                });
                found.extend(dead.take(limit - found.len()));
            }
        }
        found
    }

    /// When the first record of a queue expires, or earlier.
    pub(super) fn first_expiry(&self, queue: Queue) -> Option<Timestamp> {
        self.queues[queue as usize].first().map(|(at, _)| at)
    }

    pub(super) fn give_memory_back(&mut self) {
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
            self.queues.iter_mut().for_each(ExpiryQueue::shrink);
        }
    }

    /// Deleted records leave their items behind. Once those are the majority, the queues are made anew, which costs each
    /// deletion a constant share.
    fn drop_stale_items(&mut self) {
        let items: usize = self.queues.iter().map(ExpiryQueue::len).sum();
        if items <= 64 + 2 * self.entries.len() {
            return;
        }
        for queue in Queue::ALL {
            let entries = &self.entries;
            self.queues[queue as usize]
                .retain(|at, id| entries.get(&id).is_some_and(|entry| entry.queued == (queue, at)));
        }
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[cfg(test)]
    pub(super) fn queue_items(&self) -> usize {
        self.queues.iter().map(ExpiryQueue::len).sum()
    }
}

/// Ids are random already, and clients cannot choose the ids that get into the map.
#[derive(Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.0 ^= word.try_into().map_or(0, u64::from_le_bytes);
        }
        for byte in words.remainder() {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
