//! Deletes what has expired, and tells of it.

use tokio::task::yield_now;

use super::Engine;
use crate::error::StoreError;
use crate::event::SessionEvent;

/// What one step of a sweep came to.
pub(crate) struct Swept {
    pub(crate) deleted: usize,
    /// Whether there may be more to delete.
    pub(crate) is_more: bool,
}

impl Engine {
    /// Tells of records that have expired, at most `limit`, and deletes them. In this order: whoever dies in between tells of
    /// them again, and no session expires untold.
    pub(crate) async fn sweep(&self, limit: usize) -> Result<Swept, StoreError> {
        let now = self.clock.now();
        let found = self.call("expired", self.store().expired(now, limit)).await?;
        if found.is_empty() {
            return Ok(Swept { deleted: 0, is_more: false });
        }
        let ids: Vec<_> = found.iter().map(|record| record.id).collect();
        // The seats of a user are stored as records too, and are no session.
        for record in found.into_iter().filter(|record| record.id.is_random()) {
            self.events.emit(SessionEvent::Expired { id: record.id, user: record.user });
            if self.events.has_hook() {
                // It is waited for on this thread, which others need in between.
                yield_now().await;
            }
        }
        let deleted = self.call("delete_expired", self.store().delete_expired(&ids, now)).await?;
        // Where another sweeper was faster in everything, the rest is left to it.
        Ok(Swept { deleted, is_more: deleted > 0 && ids.len() >= limit })
    }
}
