//! What a store has to do, and one in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::BuildHasherDefault;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;

use super::Done;
use super::data::Data;
use crate::floor::store::AsItIs;

/// A snapshot: it shares its data with whoever else has loaded it.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) version: u64,
    pub(super) digest: [u8; 32],
    pub(super) idle_until: SystemTime,
    pub(super) ends: SystemTime,
    pub(super) data: Arc<Data>,
}

/// An error of a store is a 503 in the making.
#[async_trait]
pub(super) trait Store: Send + Sync {
    /// Whether it is new. What is there already stays.
    async fn create(&self, id: u128, record: Record) -> Done<bool>;

    async fn load(&self, id: u128) -> Done<Option<Record>>;

    /// Replaces the version before this one, if that is still there: whether it was.
    async fn save(&self, id: u128, record: Record) -> Done<bool>;
}

#[derive(Default)]
pub(super) struct InMemory(Mutex<HashMap<u128, Record, BuildHasherDefault<AsItIs>>>);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, HashMap<u128, Record, BuildHasherDefault<AsItIs>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for InMemory {
    async fn create(&self, id: u128, record: Record) -> Done<bool> {
        match self.lock().entry(id) {
            Entry::Occupied(_) => Ok(false),
            Entry::Vacant(place) => {
                place.insert(record);
                Ok(true)
            }
        }
    }

    async fn load(&self, id: u128) -> Done<Option<Record>> {
        Ok(self.lock().get(&id).cloned())
    }

    async fn save(&self, id: u128, record: Record) -> Done<bool> {
        let mut records = self.lock();
        let Some(kept) = records.get_mut(&id).filter(|kept| kept.version + 1 == record.version) else {
            return Ok(false);
        };
        let old = std::mem::replace(kept, record);
        drop(records);
        drop(old); // Its data go without the lock.
        Ok(true)
    }
}
