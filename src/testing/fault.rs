//! A store that fails when it is told to.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::record::{Record, Version};
use crate::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, SaveOutcome, SessionStore, UserIndex, load_fresh,
};
use crate::token::SessionId;

/// An operation of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "named after the methods")]
pub enum Operation {
    Create,
    Load,
    Save,
    Touch,
    Delete,
    Expired,
    DeleteExpired,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The store cannot be reached: nothing happens to the record.
    Down,
    /// The operation is done, and its answer gets lost.
    AnswerLost,
    /// The operation is done after this time.
    Slow(Duration),
    /// The operation never ends.
    Never,
    /// The operation gives way to others this many times before it is done, and as often before it answers.
    Yield(usize),
    /// What was stored cannot be read.
    Corrupt,
    /// A failure that a second try will not mend.
    Broken,
}

/// Fails when it is told to. Clones share their faults.
///
/// ```
/// use cloakroom::testing::{Fault, FaultStore, Operation};
/// use cloakroom::{MemoryStore, SessionLayer};
///
/// let store = FaultStore::new(MemoryStore::new());
/// let layer = SessionLayer::new(store.clone());
/// store.always(Operation::Load, Fault::Down); // every page that needs its session answers 503
/// store.heal();
/// ```
#[derive(Clone)]
pub struct FaultStore<S> {
    inner: S,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    once: VecDeque<(Operation, Fault)>,
    always: Vec<(Operation, Fault)>,
}

impl<S> FaultStore<S> {
    /// Without faults so far.
    pub fn new(inner: S) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Lets the next call of an operation go wrong that has no fault planned yet.
    pub fn once(&self, operation: Operation, fault: Fault) {
        self.plan().once.push_back((operation, fault));
    }

    /// Lets every call of an operation go wrong.
    pub fn always(&self, operation: Operation, fault: Fault) {
        let mut plan = self.plan();
        plan.always.retain(|(planned, _)| *planned != operation);
        plan.always.push((operation, fault));
    }

    /// Lets every call of every operation go wrong. The user index and the inventory are none: they go on.
    pub fn everything(&self, fault: Fault) {
        use Operation::{Create, Delete, DeleteExpired, Expired, Load, Save, Touch};
        for operation in [Create, Load, Save, Touch, Delete, Expired, DeleteExpired] {
            self.always(operation, fault);
        }
    }

    /// Lets nothing go wrong any more.
    pub fn heal(&self) {
        *self.plan() = Plan::default();
    }

    /// The store inside.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fault(&self, operation: Operation) -> Option<Fault> {
        let mut plan = self.plan();
        if let Some(place) = plan.once.iter().position(|(planned, _)| *planned == operation) {
            return plan.once.remove(place).map(|(_, fault)| fault);
        }
        plan.always.iter().find(|(planned, _)| *planned == operation).map(|(_, fault)| *fault)
    }

    async fn run<T>(
        &self,
        operation: Operation,
        call: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        match self.fault(operation) {
            None => call.await,
            Some(Fault::Down) => Err(StoreError::unavailable("a test has cut the connection")),
            Some(Fault::AnswerLost) => {
                call.await?;
                Err(StoreError::unavailable("a test has cut the connection before the answer"))
            }
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                call.await
            }
            Some(Fault::Never) => std::future::pending().await,
            Some(Fault::Yield(times)) => {
                give_way(times).await;
                let result = call.await;
                give_way(times).await;
                result
            }
            Some(Fault::Corrupt) => Err(StoreError::corrupt("a test has scrambled the record")),
            Some(Fault::Broken) => Err(StoreError::other("a test has dropped the table")),
        }
    }
}

async fn give_way(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> SessionStore for FaultStore<S> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.run(Operation::Create, self.inner.create(record, now)).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.run(Operation::Load, self.inner.load(id, now)).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.run(Operation::Save, self.inner.save(record, expected, now)).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.run(Operation::Touch, self.inner.touch(id, expected, expires_at, now)).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.run(Operation::Delete, self.inner.delete(id)).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.run(Operation::Expired, self.inner.expired(now, limit)).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.run(Operation::DeleteExpired, self.inner.delete_expired(ids, now)).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.inner.user_index()
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        self.inner.fresh_reads().is_some().then_some(self)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.inner.inventory()
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: SessionStore> FreshReads for FaultStore<S> {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.run(Operation::Load, load_fresh(&self.inner, id, now)).await
    }
}

impl<S: fmt::Debug> fmt::Debug for FaultStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore").field("inner", &self.inner).field("plan", &*self.plan()).finish()
    }
}
