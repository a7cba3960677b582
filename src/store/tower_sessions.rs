//! Stores that were written for the crate `tower-sessions`.

mod predecessor;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::sync::Mutex;
use tower_sessions_core::SessionStore as ForeignStore;
use tower_sessions_core::session::{Id as ForeignId, Record as ForeignRecord};
use tower_sessions_core::session_store::Error as ForeignError;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Payload, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version,
};

pub use predecessor::TowerSessionsPredecessor;

/// Locks keep writers of one session apart, and those of different ones mostly out of each other's way.
const LOCKS: usize = 256;

/// How much longer than the record the store inside keeps it: its clock is not the caller's, and must not decide.
const SLACK: Duration = Duration::from_mins(10);

/// The store inside is told no later date: databases and formats differ in what they take. 400 years.
const LIFE_MAX: Duration = Duration::from_hours(400 * 365 * 24);

/// Keeps sessions in a store that was written for `tower-sessions` 0.15 (`tower-sessions-core` 0.15).
///
/// For stores that this crate does not have. What it has itself is better: such a store cannot *compare and swap*.
///
/// | | |
/// |---|---|
/// | survives a restart | as the store inside |
/// | several machines | only with the loss that is described below |
/// | user index | no |
/// | what can be lost | as the store inside; with several processes, also updates and logouts |
///
/// # What is missing
///
/// A store for `tower-sessions` loads, saves and deletes, and its save overwrites whatever is there. This adapter
/// loads, compares the version and saves, one request of a session after the other. Within *one process* (clones are
/// one adapter) this keeps the whole contract: no update is lost, and what was logged out stays so.
///
/// *Two processes* do not see each other's steps. If both change one session within the same milliseconds, one of the
/// changes is lost although both were reported as saved. If one of them logs the session out between the other one's
/// look and its save, **the save brings the session back**. Send all requests of a session to one process, or use a
/// store that can compare and swap.
///
/// Each save, touch and new session is two calls to the store inside. Its errors say only in words what is wrong, so
/// all that is not about encoding counts as [`Unavailable`](super::StoreErrorKind::Unavailable).
///
/// Records of this crate and of `tower-sessions` itself do not understand each other: keep them in tables of their own. An application that
/// comes from there takes its sessions along with a [`TowerSessionsPredecessor`](super::TowerSessionsPredecessor).
///
/// Expired records are removed by the store's own deletion task, which has to be started as its docs say; a sweeper finds none,
/// and [`SessionEvent::Expired`](crate::SessionEvent::Expired) is never told.
///
/// # Example: any such store
///
/// ```
/// use cloakroom::SessionLayer;
/// use cloakroom::store::TowerSessionsStore;
///
/// fn layer(store: impl tower_sessions_core::SessionStore) -> SessionLayer {
///     SessionLayer::new(TowerSessionsStore::new(store))
/// }
/// ```
#[derive(Debug)]
pub struct TowerSessionsStore<S>(Arc<Shared<S>>);

#[derive(Debug)]
struct Shared<S> {
    inner: S,
    locks: Box<[Mutex<()>]>,
}

impl<S> Clone for TowerSessionsStore<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: ForeignStore> TowerSessionsStore<S> {
    /// Keeps sessions in `inner`. Only clones of what is returned are safe to use beside it in one process.
    pub fn new(inner: S) -> Self {
        let locks = (0..LOCKS).map(|_| Mutex::default()).collect();
        Self(Arc::new(Shared { inner, locks }))
    }

    /// Takes some steps while nobody else writes to the session. They are taken to their end even if the caller goes
    /// away: a save that is left halfway could take effect after the next one.
    async fn alone<T, F>(&self, id: SessionId, steps: impl FnOnce(Arc<Shared<S>>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let (shared, steps) = (self.0.clone(), steps(self.0.clone()));
        let to_the_end = tokio::spawn(async move {
            let _alone = shared.locks[usize::from(id.as_bytes()[15]) % LOCKS].lock().await;
            steps.await
        });
        to_the_end.await.unwrap_or_else(|panic| Err(StoreError::other(panic)))
    }
}

impl<S: ForeignStore> Shared<S> {
    async fn load(&self, id: SessionId) -> Result<Option<Record>, StoreError> {
        let found = self.inner.load(&foreign_id(id)).await.map_err(failure)?;
        found.map(|record| read(id, record)).transpose()
    }

    /// Whether the record is there, live, and of the expected version; if so, the record.
    async fn compare(
        &self,
        id: SessionId,
        expected: Version,
        now: Timestamp,
    ) -> Result<Result<Record, SaveOutcome>, StoreError> {
        Ok(match self.load(id).await? {
            Some(found) if !found.is_live(now) => Err(SaveOutcome::Gone),
            Some(found) if found.version != expected => Err(SaveOutcome::Conflict),
            Some(found) => Ok(found),
            None => Err(SaveOutcome::Gone),
        })
    }

    async fn save(&self, record: &Record, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.inner.save(&write(record, now)?).await.map_err(failure)?;
        Ok(SaveOutcome::Saved)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ForeignStore> SessionStore for TowerSessionsStore<S> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (id, record) = (record.id, record.clone());
        self.alone(id, move |shared| async move {
            match shared.load(id).await? {
                Some(existing) if existing.is_live(now) => return Ok(CreateOutcome::Exists),
                Some(_) => shared.inner.delete(&foreign_id(id)).await.map_err(failure)?,
                None => {}
            }
            let mut foreign = write(&record, now)?;
            shared.inner.create(&mut foreign).await.map_err(failure)?;
            if foreign.id == foreign_id(id) {
                return Ok(CreateOutcome::Created);
            }
            // Another process was faster, and the store has chosen another id, as `tower-sessions` wants it.
            shared.inner.delete(&foreign.id).await.map_err(failure)?;
            Ok(CreateOutcome::Exists)
        })
        .await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.0.load(id).await?.filter(|record| record.is_live(now)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let (id, record) = (record.id, record.clone());
        self.alone(id, move |shared| async move {
            match shared.compare(id, expected, now).await? {
                Ok(_) => shared.save(&record, now).await,
                Err(outcome) => Ok(outcome),
            }
        })
        .await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.alone(id, move |shared| async move {
            match shared.compare(id, expected, now).await? {
                Ok(record) => shared.save(&Record { expires_at, ..record }, now).await,
                Err(outcome) => Ok(outcome),
            }
        })
        .await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.alone(id, move |shared| async move { shared.inner.delete(&foreign_id(id)).await.map_err(failure) }).await
    }

    async fn expired(&self, _: Timestamp, _: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete_expired(&self, _: &[SessionId], _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

/// The same 16 bytes.
fn foreign_id(id: SessionId) -> ForeignId {
    ForeignId(i128::from_be_bytes(*id.as_bytes()))
}

fn write(record: &Record, now: Timestamp) -> Result<ForeignRecord, StoreError> {
    let mut data: HashMap<String, Value> = HashMap::new();
    data.insert("version".to_owned(), record.version.into());
    data.insert("expires_at".to_owned(), record.expires_at.as_millis().into());
    if let Some(user) = &record.user {
        data.insert("user".to_owned(), (&**user).into());
    }
    data.insert("payload".to_owned(), BASE64.encode(record.payload.to_bytes()?).into());
    // By the clock of the store inside, which compares with this machine's, and not by the caller's.
    let life = record.expires_at.saturating_since(now).saturating_add(SLACK).min(LIFE_MAX);
    Ok(ForeignRecord { id: foreign_id(record.id), data, expiry_date: OffsetDateTime::from(SystemTime::now() + life) })
}

fn read(id: SessionId, record: ForeignRecord) -> Result<Record, StoreError> {
    let ForeignRecord { id: found_id, mut data, .. } = record;
    let missing = |field: &str| StoreError::corrupt(format!("the record has no {field} as this crate writes it"));
    let version = data.get("version").and_then(Value::as_u64).ok_or_else(|| missing("version"))?;
    let expires_at = data.get("expires_at").and_then(Value::as_i64).ok_or_else(|| missing("expiry"))?;
    let user = match data.remove("user") {
        None => None,
        Some(Value::String(user)) => Some(user.into()),
        Some(_) => return Err(missing("user")),
    };
    let payload = data.get("payload").and_then(Value::as_str).ok_or_else(|| missing("payload"))?;
    let payload = Payload::from_bytes(BASE64.decode(payload).map_err(StoreError::corrupt)?);
    if found_id != foreign_id(id) {
        return Err(StoreError::corrupt("the record is another session's"));
    }
    Ok(Record { id, version, user, expires_at: Timestamp::from_millis(expires_at), payload })
}

fn failure(error: ForeignError) -> StoreError {
    match error {
        ForeignError::Encode(_) => StoreError::other(error),
        ForeignError::Decode(_) => StoreError::corrupt(error),
        ForeignError::Backend(_) => StoreError::unavailable(error),
    }
}
