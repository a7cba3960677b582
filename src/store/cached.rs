//! A fast store in front of a slow one.

mod trust;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, SessionId, SessionStore, StoreError,
    Timestamp, UserIndex, Version, load_fresh,
};
use trust::{Entry, Ticket, Trust};

/// Serves reads from a fast store, the front, while a slower one, the back, decides.
///
/// A record is served from the front for at most `staleness` after it was read from the back or written there. Every
/// write goes to the back, with the version that the writer has seen, and then to the front: what a request does to
/// outdated data is refused by the back, and done again on what is there. No update is lost.
///
/// A front that fails costs time, never a request: what it cannot give comes from the back. One that may hang needs a
/// [`TimeoutStore`](super::TimeoutStore) around it.
///
/// | | |
/// |---|---|
/// | survives a restart | as the back |
/// | several machines | as the back, but see below |
/// | user index | the back's |
/// | what can be lost | as the back; the front may lose everything at any time |
///
/// # What is out of date, and for how long
///
/// Through one `CachedStore` (clones are one) nothing is out of date that was done through it: once a
/// [`delete`](SessionStore::delete) has returned, the session is not served, and once a save has returned nothing older
/// is.
///
/// Another process may serve what it has for up to `staleness`: a session that was logged out here, its data, its user,
/// and a secret that was replaced. So with several processes keep the staleness at a second or less, or send all
/// requests of a session to one process.
///
/// A *new* secret is known everywhere at once: a token that what is cached does not recognize is looked up in the back
/// before its client is taken for a stranger. Nor does the cache stand between the store and
/// [`Session::reload`](crate::Session::reload), a save that is tried again, or the end of a
/// [`DetachedSession`](crate::DetachedSession).
///
/// The staleness is counted by the clock of the caller, from before the back is asked. If that clock goes back, the
/// back is asked.
///
/// # Memory
///
/// Besides the front, about 100 bytes for each session that was used within `staleness`, at most 1,048,576 of them;
/// others are read from the back.
///
/// # Example: memory in front of another store
///
/// ```
/// use std::time::Duration;
///
/// use cloakroom::store::CachedStore;
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// # let database = MemoryStore::new();
/// let front = MemoryStore::new().max_bytes(64 << 20);
/// let store = CachedStore::new(front, database, Duration::from_millis(500));
/// let layer = SessionLayer::new(store);
/// ```
#[derive(Clone, Debug)]
pub struct CachedStore<Front, Back> {
    front: Front,
    back: Back,
    staleness: Duration,
    /// What in the front is to be believed, and until when: the front's records bear the end of that time as their
    /// expiry, and their true expiry is kept here.
    trust: Arc<Trust>,
}

impl<Front: SessionStore, Back: SessionStore> CachedStore<Front, Back> {
    /// Serves reads from `front` that are at most `staleness` old.
    pub fn new(front: Front, back: Back, staleness: Duration) -> Self {
        Self { front, back, staleness, trust: Arc::default() }
    }

    fn entry(&self, version: Version, expires_at: Timestamp, now: Timestamp) -> Entry {
        Entry { version, expires_at, since: now, until: expires_at.min(now.saturating_add(self.staleness)) }
    }

    /// Puts into the front what was in the back at `now` or later, unless there was a write since the ticket was taken.
    async fn keep(&self, record: &Record, ticket: Ticket, now: Timestamp) {
        let entry = self.entry(record.version, record.expires_at, now);
        if entry.until <= now {
            return;
        }
        let copy = Record { expires_at: entry.until, ..record.clone() };
        let (id, front) = (record.id, &self.front);
        let kept = match front.create(&copy, now).await {
            Ok(CreateOutcome::Exists) => {
                front.delete(id).await.is_ok() && matches!(front.create(&copy, now).await, Ok(CreateOutcome::Created))
            }
            created => created.is_ok(),
        };
        if kept {
            self.trust.insert(id, entry, ticket, now);
        }
    }

    /// The front's record, if it is to be believed.
    async fn kept(&self, id: SessionId, now: Timestamp) -> Option<Record> {
        let entry = self.trust.get(id, now)?;
        let record = self.front.load(id, now).await.ok()??;
        // Another writer's copy may have come between.
        (record.version == entry.version).then_some(Record { expires_at: entry.expires_at, ..record })
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Front: SessionStore, Back: SessionStore> SessionStore for CachedStore<Front, Back> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let write = self.trust.begin_write(record.id);
        let outcome = self.back.create(record, now).await?;
        let ticket = write.end();
        if outcome == CreateOutcome::Created {
            self.keep(record, ticket, now).await;
        }
        Ok(outcome)
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        if let Some(record) = self.kept(id, now).await {
            return Ok(Some(record));
        }
        let ticket = self.trust.ticket(id);
        let found = self.back.load(id, now).await?;
        if let Some(record) = &found {
            self.keep(record, ticket, now).await;
        }
        Ok(found)
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let write = self.trust.begin_write(record.id);
        let outcome = self.back.save(record, expected, now).await?;
        let ticket = write.end();
        if outcome == SaveOutcome::Saved {
            self.keep(record, ticket, now).await;
        }
        Ok(outcome)
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let known = self.trust.get(id, now).is_some_and(|entry| entry.version == expected);
        let write = self.trust.begin_write(id);
        let outcome = self.back.touch(id, expected, expires_at, now).await?;
        let ticket = write.end();
        let entry = self.entry(expected, expires_at, now);
        // The back has just confirmed the version, so what the front has of it is up to date again.
        if outcome == SaveOutcome::Saved
            && known
            && now < entry.until
            && matches!(self.front.touch(id, expected, entry.until, now).await, Ok(SaveOutcome::Saved))
        {
            self.trust.insert(id, entry, ticket, now);
        }
        Ok(outcome)
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        let write = self.trust.begin_write(id);
        self.back.delete(id).await?;
        write.end();
        // Nobody believes it any more. This gives its memory back.
        let _ = self.front.delete(id).await;
        Ok(())
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        // Copies that are too old to be served. Nobody is told of them: their sessions live in the back. All of them now, for
        // whoever sweeps goes on only as long as the back finds something.
        while let Ok(copies) = self.front.expired(now, limit).await {
            let ids: Vec<_> = copies.iter().map(|copy| copy.id).collect();
            let deleted = self.front.delete_expired(&ids, now).await.unwrap_or(0);
            if ids.len() < limit || deleted == 0 {
                break;
            }
        }
        self.back.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.back.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.back.user_index()
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        Some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.back.inventory()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<Front: SessionStore, Back: SessionStore> FreshReads for CachedStore<Front, Back> {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let ticket = self.trust.ticket(id);
        let found = load_fresh(&self.back, id, now).await?;
        match &found {
            Some(record) => self.keep(record, ticket, now).await,
            None => self.trust.forget(id),
        }
        Ok(found)
    }
}
