//! A part of the memory store: the records whose ids fall into it, and the order in which they expire.

use std::collections::{BTreeMap, HashMap};
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
    size(record.user.as_ref(), &record.payload)
}

fn size(user: Option<&Arc<str>>, payload: &Payload) -> usize {
    ENTRY_BYTES + user.map_or(0, |user| user.len()) + payload.size_hint()
}

#[derive(Default)]
pub(super) struct Shard {
    entries: HashMap<SessionId, Entry, BuildHasherDefault<IdHasher>>,
    queues: [ExpiryQueue; 2],
}

/// As small as can be: the map keeps room for more of them than there are.
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) expires_at: Timestamp,
    user: Option<Box<Arc<str>>>,
    payload: Payload,
}

/// What is left of a record that was taken out.
pub(super) struct Taken {
    pub(super) id: SessionId,
    pub(super) user: Option<Arc<str>>,
    pub(super) size: usize,
}

impl Entry {
    fn new(record: &Record) -> Self {
        Self {
            version: record.version,
            expires_at: record.expires_at,
            user: record.user.clone().map(Box::new),
            payload: record.payload.clone(),
        }
    }

    pub(super) fn user(&self) -> Option<&Arc<str>> {
        self.user.as_deref()
    }

    pub(super) fn to_record(&self, id: SessionId) -> Record {
        Record {
            id,
            version: self.version,
            user: self.user().cloned(),
            expires_at: self.expires_at,
            payload: self.payload.clone(),
        }
    }

    fn queue(&self) -> Queue {
        Queue::of(self.user())
    }

    fn into_taken(self, id: SessionId) -> Taken {
        let size = size(self.user(), &self.payload);
        Taken { id, user: self.user.map(|user| *user), size }
    }
}

impl Shard {
    pub(super) fn get(&self, id: SessionId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    pub(super) fn has_live(&self, id: SessionId, now: Timestamp) -> bool {
        self.get(id).is_some_and(|entry| now < entry.expires_at)
    }

    /// At most so many records, in the order of their ids: those that come after this one.
    pub(super) fn records_after(&self, after: Option<SessionId>, limit: usize) -> Vec<Record> {
        let mut ids: Vec<_> = self.entries.keys().copied().filter(|id| after.is_none_or(|after| *id > after)).collect();
        ids.sort_unstable();
        ids.truncate(limit);
        ids.into_iter().filter_map(|id| Some(self.get(id)?.to_record(id))).collect()
    }

    /// What a write of the version behind `expected` meets: that version, or how the write ends.
    fn expected(&mut self, id: SessionId, expected: Version, now: Timestamp) -> Result<&mut Entry, SaveOutcome> {
        match self.entries.get_mut(&id) {
            Some(entry) if now < entry.expires_at && entry.version == expected => Ok(entry),
            Some(entry) if now < entry.expires_at => Err(SaveOutcome::Conflict),
            _ => Err(SaveOutcome::Gone),
        }
    }

    pub(super) fn insert(&mut self, record: &Record) {
        let entry = Entry::new(record);
        self.queues[entry.queue() as usize].push(entry.expires_at, record.id);
        self.entries.insert(record.id, entry);
        self.drop_stale_items();
    }

    /// Puts a record in the place of the version that is expected, and returns what that was.
    pub(super) fn replace(&mut self, record: &Record, expected: Version, now: Timestamp) -> Result<Taken, SaveOutcome> {
        let entry = self.expected(record.id, expected, now)?;
        let old = std::mem::replace(entry, Entry::new(record));
        if record.expires_at < old.expires_at || entry.queue() != old.queue() {
            self.queue_anew(record.id);
        }
        Ok(old.into_taken(record.id))
    }

    pub(super) fn set_expiry(
        &mut self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), SaveOutcome> {
        let entry = self.expected(id, expected, now)?;
        let before = std::mem::replace(&mut entry.expires_at, expires_at);
        if expires_at < before {
            self.queue_anew(id);
        }
        Ok(())
    }

    /// An item that is early is put right when its turn comes. One that is late, or in the other queue, never would be.
    fn queue_anew(&mut self, id: SessionId) {
        if let Some(entry) = self.entries.get(&id) {
            self.queues[entry.queue() as usize].push(entry.expires_at, id);
            self.drop_stale_items();
        }
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Taken> {
        let entry = self.entries.remove(&id)?;
        self.drop_stale_items();
        Some(entry.into_taken(id))
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
            let entry = self.entries.get(&id).filter(|entry| entry.queue() == queue && at <= entry.expires_at);
            if entry.is_some_and(|entry| entry.expires_at == at) {
                return Some(id);
            }
            self.queues[queue as usize].pop();
            if let Some(early) = entry {
                self.queues[queue as usize].push(early.expires_at, id);
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
    pub(super) fn expired(&mut self, now: Timestamp, limit: usize) -> impl Iterator<Item = ExpiredRecord> {
        // Several items may stand for one record.
        let mut found = BTreeMap::new();
        for queue in Queue::ALL {
            if found.len() < limit && self.soonest(queue, now).is_some() {
                let due = self.queues[queue as usize].iter().filter(|(at, _)| *at <= now);
                let entries = due.filter_map(|(_, id)| Some((id, self.entries.get(&id)?)));
                for (id, entry) in entries.filter(|(_, entry)| entry.expires_at <= now) {
                    if found.len() == limit {
                        break;
                    }
                    found.insert(id, ExpiredRecord { id, version: entry.version, user: entry.user().cloned() });
                }
            }
        }
        found.into_values()
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

    /// Deleted records leave their items behind, and so do those that have been moved. Once these are the majority, the
    /// queues are made anew, which costs each a constant share.
    fn drop_stale_items(&mut self) {
        let items: usize = self.queues.iter().map(ExpiryQueue::len).sum();
        if items <= 64 + 2 * self.entries.len() {
            return;
        }
        for queue in Queue::ALL {
            let entries = self.entries.iter().filter(|(_, entry)| entry.queue() == queue);
            self.queues[queue as usize] = entries.map(|(id, entry)| (entry.expires_at, *id)).collect();
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
