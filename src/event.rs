//! What happens to sessions, told to the operator.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::{ErrorKind, SessionError, StoreError, StoreErrorKind};
use crate::token::SessionId;

/// Something that the operator of an application may want to know.
///
/// Given to the hook of [`SessionLayer::on_event`](crate::SessionLayer::on_event), and written to `tracing` with the feature
/// of that name. Events show public ids, never tokens or secrets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A request showed several tokens under one name: two that are both good, or more than are looked up. It was taken for
    /// anonymous, and nothing was ended. Somebody may be planting cookies.
    #[non_exhaustive]
    AmbiguousToken {
        /// How many different tokens it showed; those beyond the fifth are not counted.
        tokens: usize,
    },
    /// A record cannot be read. It was taken for absent, and left as it is.
    #[non_exhaustive]
    Corrupt {
        /// Whose record it is.
        id: SessionId,
        /// What is wrong with it.
        cause: String,
    },
    /// The store answered with the record of another session. It was not served. This should be looked into at once.
    #[non_exhaustive]
    WrongRecord {
        /// The session that was asked for.
        id: SessionId,
    },
    /// A session was ended from outside: revoked, or one more than the policy allows its user
    /// ([`SessionPolicy::max_sessions`](crate::SessionPolicy::max_sessions)).
    #[non_exhaustive]
    Revoked {
        /// The session.
        id: SessionId,
    },
    /// A secret that the timer has replaced was shown after its grace: it was stolen, or the new one was
    /// ([`SessionPolicy::rotate_every`](crate::SessionPolicy::rotate_every)). This should be looked into.
    #[non_exhaustive]
    Replayed {
        /// The session.
        id: SessionId,
        /// Whether the session was ended ([`SessionPolicy::on_replay`](crate::SessionPolicy::on_replay)).
        ended: bool,
    },
    /// The changes of a request were dropped, because its session had ended in the meantime or its secret had been replaced.
    #[non_exhaustive]
    Dropped {
        /// The session, if the request had one.
        id: Option<SessionId>,
        /// Why.
        reason: DropReason,
    },
    /// The changes of a request were lost to a store failure, and the policy lets the answer go out all the same
    /// ([`SessionPolicy::best_effort`](crate::SessionPolicy::best_effort)).
    #[non_exhaustive]
    Lost {
        /// The session, if the request had one.
        id: Option<SessionId>,
        /// What failed.
        cause: String,
    },
    /// The changes of a request could not be stored, and it was told so.
    #[non_exhaustive]
    CommitFailed {
        /// The session, if the request had one.
        id: Option<SessionId>,
        /// How it failed.
        kind: ErrorKind,
        /// Why.
        cause: String,
    },
    /// Others saved the session before this request could; it did its changes again on theirs.
    #[non_exhaustive]
    Retried {
        /// The session.
        id: SessionId,
        /// How many times.
        retries: u32,
    },
    /// A call to the store failed.
    #[non_exhaustive]
    StoreFailed {
        /// The call, by the name of its method.
        operation: &'static str,
        /// How it failed.
        kind: StoreErrorKind,
        /// Why.
        cause: String,
    },
    /// A commit could not be finished, because the runtime was gone or a function of the application panicked in it.
    Abandoned,
    /// The sweeper has been through the store.
    #[non_exhaustive]
    Swept {
        /// How many expired records it deleted.
        deleted: usize,
        /// How long it took.
        took: Duration,
    },
}

/// Why the changes of a request were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// The session was destroyed or has expired.
    Ended,
    /// The secret that the request showed has been replaced, as at a login.
    SecretReplaced,
}

type Hook = dyn Fn(&SessionEvent) + Send + Sync;

/// Where events go.
#[derive(Clone, Default)]
pub(crate) struct Events(Option<Arc<Hook>>);

impl Events {
    pub(crate) fn to(hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Tells everybody. A hook that panics is not allowed to keep a session from being ended.
    pub(crate) fn emit(&self, event: &SessionEvent) {
        trace(event);
        if let Some(hook) = &self.0 {
            // The hook's own state is the hook's business; ours is not touched while it runs.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(event)));
        }
    }

    pub(crate) fn store_failed(&self, operation: &'static str, error: &StoreError) {
        self.emit(&SessionEvent::StoreFailed { operation, kind: error.kind(), cause: chain(error) });
    }

    pub(crate) fn commit_failed(&self, id: Option<SessionId>, error: &SessionError) {
        self.emit(&SessionEvent::CommitFailed { id, kind: error.kind(), cause: chain(error) });
    }

    pub(crate) fn lost(&self, id: Option<SessionId>, error: &SessionError) {
        self.emit(&SessionEvent::Lost { id, cause: chain(error) });
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Events(hook)" } else { "Events" })
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(feature = "tracing")]
fn trace(event: &SessionEvent) {
    match event {
        SessionEvent::WrongRecord { .. } | SessionEvent::Corrupt { .. } => tracing::error!(?event, "session"),
        SessionEvent::AmbiguousToken { .. }
        | SessionEvent::Replayed { .. }
        | SessionEvent::StoreFailed { .. }
        | SessionEvent::Lost { .. }
        | SessionEvent::CommitFailed { .. }
        | SessionEvent::Abandoned => tracing::warn!(?event, "session"),
        SessionEvent::Revoked { .. }
        | SessionEvent::Dropped { .. }
        | SessionEvent::Retried { .. }
        | SessionEvent::Swept { .. } => {
            tracing::debug!(?event, "session");
        }
    }
}

#[cfg(not(feature = "tracing"))]
fn trace(_: &SessionEvent) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_that_panics_panics_alone() {
        let events = Events::to(|_| panic!("a bug in the hook"));
        events.emit(&SessionEvent::Abandoned);
    }

    #[test]
    fn causes_are_told_down_to_the_last() {
        let error = SessionError::from(StoreError::unavailable("connection refused"));
        assert!(chain(&error).ends_with(": the session store is not reachable: connection refused"));
    }
}
