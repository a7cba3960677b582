//! The order in which records expire.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::clock::Timestamp;
use crate::token::SessionId;

/// Which queue a record stands in: a full store evicts from the first one as long as there is anybody in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queue {
    Anonymous = 0,
    LoggedIn = 1,
}

impl Queue {
    pub(super) const ALL: [Self; 2] = [Self::Anonymous, Self::LoggedIn];

    pub(super) fn of(user: Option<&Arc<str>>) -> Self {
        if user.is_some() { Self::LoggedIn } else { Self::Anonymous }
    }
}

/// Ids by the time at which they expire, or did when they were put in.
///
/// For each record there is an item that is not late. It may be early, if the expiry has been moved since: that is put right
/// when its turn comes. And there may be others, of records that were deleted or have been moved.
#[derive(Default)]
pub(super) struct ExpiryQueue(BinaryHeap<Reverse<(Timestamp, SessionId)>>);

impl ExpiryQueue {
    pub(super) fn push(&mut self, at: Timestamp, id: SessionId) {
        // By an eighth, and not by as much again: a queue is copied more often, and is never half empty.
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(self.0.len() / 8 + 16);
        }
        self.0.push(Reverse((at, id)));
    }

    pub(super) fn first(&self) -> Option<(Timestamp, SessionId)> {
        self.0.peek().map(|Reverse(item)| *item)
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    /// In no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Timestamp, SessionId)> {
        self.0.iter().map(|Reverse(item)| *item)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn shrink(&mut self) {
        self.0.shrink_to(self.0.len() * 2);
    }
}

impl FromIterator<(Timestamp, SessionId)> for ExpiryQueue {
    fn from_iter<I: IntoIterator<Item = (Timestamp, SessionId)>>(items: I) -> Self {
        Self(items.into_iter().map(Reverse).collect())
    }
}

/// When the first record of a queue expires, to be read without a lock.
pub(super) struct Hint(AtomicI64);

const NEVER: i64 = i64::MAX;
const LATEST: i64 = i64::MAX - 1;

impl Default for Hint {
    fn default() -> Self {
        Self(AtomicI64::new(NEVER))
    }
}

impl Hint {
    pub(super) fn get(&self) -> Option<Timestamp> {
        match self.0.load(Ordering::Relaxed) {
            NEVER => None,
            LATEST => Some(Timestamp::MAX),
            millis => Some(Timestamp::from_millis(millis)),
        }
    }

    pub(super) fn set(&self, at: Option<Timestamp>) {
        // A record that never expires is still to be found when there is no room left.
        let millis = at.map_or(NEVER, |at| at.as_millis().min(LATEST));
        if self.0.load(Ordering::Relaxed) != millis {
            self.0.store(millis, Ordering::Relaxed);
        }
    }
}
