//! The store that keeps nothing.

use async_trait::async_trait;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, SessionId, SessionStore, StoreError,
    Timestamp, UserIndex, Version,
};

/// Keeps nothing: every request starts with an empty session.
///
/// For tests of what does not depend on sessions, and for switching sessions off without changing a handler. What a
/// request writes is there until that request ends; the client gets a cookie that nobody knows the next time.
///
/// | | |
/// |---|---|
/// | survives a restart | no |
/// | several machines | yes, in that none of them keeps anything |
/// | user index | no |
/// | what can be lost | everything, always |
#[derive(Clone, Copy, Debug, Default)]
pub struct NoopStore;

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for NoopStore {
    async fn create(&self, _: &Record, _: Timestamp) -> Result<CreateOutcome, StoreError> {
        Ok(CreateOutcome::Created)
    }

    async fn load(&self, _: SessionId, _: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn save(&self, _: &Record, _: Version, _: Timestamp) -> Result<SaveOutcome, StoreError> {
        Ok(SaveOutcome::Gone)
    }

    async fn touch(&self, _: SessionId, _: Version, _: Timestamp, _: Timestamp) -> Result<SaveOutcome, StoreError> {
        Ok(SaveOutcome::Gone)
    }

    async fn delete(&self, _: SessionId) -> Result<(), StoreError> {
        Ok(())
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
