//! Looks after a session for somebody who outlives a request.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Unit, jitter};
use crate::token::SessionId;

/// Looks again and again whether a unit's session has ended for those who hold its token, until it has or this is dropped.
///
/// A task of its own, and not a part of the future that waits for it: that one may be dropped and made anew faster than a
/// look takes.
#[derive(Debug)]
pub(crate) struct Watch {
    over: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Watch {
    pub(crate) fn start(unit: &Arc<Unit>, id: SessionId, interval: Duration) -> Self {
        let (tell, over) = watch::channel(false);
        let task = tokio::spawn(look_until_over(unit.clone(), id, interval, tell));
        Self { over, task: task.abort_handle() }
    }

    pub(crate) async fn over(&self) {
        if self.over.clone().wait_for(|over| *over).await.is_err() {
            // The runtime is being shut down, and who waits with it.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn look_until_over(unit: Arc<Unit>, id: SessionId, interval: Duration, tell: watch::Sender<bool>) {
    let mut announcements = unit.engine.endings.listen(id);
    // First a look, because the session may have ended before anybody listened. In a task of its own: a store that panics
    // ends this look and not the watch.
    while !tokio::spawn(unit.clone().is_over()).await.unwrap_or(false) {
        // Many who came at once are not to look at once.
        let wait = interval.saturating_sub(jitter(interval / 10));
        let _ = tokio::time::timeout(wait, announcements.hear()).await;
    }
    tell.send_replace(true);
}
