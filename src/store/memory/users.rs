//! Which sessions a user has.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::token::SessionId;

const SHARDS: usize = 16;

/// Follows the records: whoever changes one holds the lock of its shard, so that both change in one order.
#[derive(Default)]
pub(super) struct Users {
    shards: [Mutex<HashMap<Arc<str>, HashSet<SessionId>>>; SHARDS],
    hasher: std::hash::RandomState,
}

impl Users {
    pub(super) fn add(&self, user: &Arc<str>, id: SessionId) {
        self.shard(user).entry(user.clone()).or_default().insert(id);
    }

    pub(super) fn remove(&self, user: &str, id: SessionId) {
        let mut shard = self.shard(user);
        if let Some(ids) = shard.get_mut(user) {
            ids.remove(&id);
            if ids.is_empty() {
                shard.remove(user);
                if shard.capacity() > 64 && shard.len() < shard.capacity() / 4 {
                    let room = shard.len() * 2;
                    shard.shrink_to(room);
                }
            }
        }
    }

    pub(super) fn of(&self, user: &str) -> Vec<SessionId> {
        self.shard(user).get(user).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
    }

    fn shard(&self, user: &str) -> MutexGuard<'_, HashMap<Arc<str>, HashSet<SessionId>>> {
        let hash = self.hasher.hash_one(user);
        #[allow(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        let shard = &self.shards[hash as usize % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
