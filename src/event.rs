//! What happens to sessions, told to the operator.

mod hook;
mod listeners;
mod metrics;
mod throttle;
mod trace;

use std::sync::Arc;
use std::time::Duration;

use crate::error::{ErrorKind, StoreErrorKind};
use crate::token::SessionId;

pub(crate) use listeners::{Events, chain};
pub(crate) use metrics::Stopwatch;

/// Something that the operator of an application may want to know.
///
/// Given to the hook of [`SessionLayer::on_event`](crate::SessionLayer::on_event), written to `tracing` with the feature of that
/// name, and counted with the feature `metrics`. What has changed the store is told when it is stored, not when it is asked for,
/// and once. Events show public ids, never tokens, secrets or data.
///
/// The chapter *Events* of the guide has all of them in a table, with their levels and the names of the metrics.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// A session was stored for the first time.
    #[non_exhaustive]
    Created {
        /// The session.
        id: SessionId,
    },
    /// A request came with a session, and something has asked for it. Once for each request.
    #[non_exhaustive]
    Resumed {
        /// The session.
        id: SessionId,
    },
    /// Somebody has logged in. The session has a new secret.
    #[non_exhaustive]
    LoggedIn {
        /// The session.
        id: SessionId,
        /// Who: what [`Session::login`](crate::Session::login) was given. It is for the hook to decide who may learn it, so it
        /// does not go to `tracing`.
        user: Arc<str>,
    },
    /// A request has ended its own session, by [`logout`](crate::Session::logout) or [`destroy`](crate::Session::destroy), which
    /// are the same.
    #[non_exhaustive]
    LoggedOut {
        /// The session.
        id: SessionId,
        /// Who was logged in.
        user: Option<Arc<str>>,
    },
    /// A session has a new secret, other than by a login: [`regenerate`](crate::Session::regenerate),
    /// [`reauthenticated`](crate::Session::reauthenticated), or the timer.
    #[non_exhaustive]
    Rotated {
        /// The session.
        id: SessionId,
        /// For how long the old secret stays good: by the timer, from the moment on when the client shows the new one. `None` if it
        /// is dead.
        grace: Option<Duration>,
    },
    /// A session has expired: the [sweeper](crate::SessionManager::start_sweeper) has found its record, and is about to delete it.
    ///
    /// Told at least once: again if the process dies in between, or if another one sweeps the same store at that moment. A sweeper
    /// finds sessions of all names and namespaces in its store. Stores that clean up by themselves (Redis, Memcached,
    /// `tower-sessions`) tell nothing, and neither does a store that evicts because it is full.
    #[non_exhaustive]
    Expired {
        /// The session.
        id: SessionId,
        /// Who was logged in.
        user: Option<Arc<str>>,
    },
    /// A request showed a token, or something in its place, that opens no session: it was made up, or its session is over. OWASP
    /// wants to see such requests. Most are visitors who come back late; many at once are somebody who tries.
    ///
    /// Ten are told at once and then one a second, by the manager's clock, so that a flood does not fill the logs. The metrics
    /// count each.
    #[non_exhaustive]
    UnknownToken {
        /// The public half of the token, of several that of the first; `None` if it was no token at all. The client has chosen it,
        /// so it proves nothing; but it is 16 bytes in any case and cannot forge a line of a log, and it may lead to the
        /// session that somebody is after, or was logged out of.
        id: Option<SessionId>,
        /// How many were not told since the last that was.
        suppressed: u64,
    },
    /// A request showed several tokens under one name: two that are both good, or more than are looked up. It was taken for
    /// anonymous, and nothing was ended. Somebody may be planting cookies.
    ///
    /// Ten of each kind are told at once and then one a second, as of unknown tokens.
    #[non_exhaustive]
    AmbiguousToken {
        /// How many different tokens it showed; those beyond the fifth are not counted.
        tokens: usize,
        /// How many were not told since the last that was.
        suppressed: u64,
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
    /// A request showed the token of a session, and not what the session is bound to
    /// ([`SessionLayer::bind`](crate::SessionLayer::bind)). Told once for each request that asks for its session. The token may be
    /// stolen.
    #[non_exhaustive]
    BindingMismatch {
        /// The session.
        id: SessionId,
    },
    /// A session was ended from outside: revoked, or one more than the policy allows its user
    /// ([`SessionPolicy::max_sessions`](crate::SessionPolicy::max_sessions)).
    #[non_exhaustive]
    Revoked {
        /// The session.
        id: SessionId,
        /// Whose it was.
        user: Option<Arc<str>>,
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
        /// The call, by the name of its method; `load_predecessor` and `delete_predecessor` of a predecessor.
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

impl SessionEvent {
    /// What it is called in `tracing` and in the metrics, such as `logged_in`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Resumed { .. } => "resumed",
            Self::LoggedIn { .. } => "logged_in",
            Self::LoggedOut { .. } => "logged_out",
            Self::Rotated { .. } => "rotated",
            Self::Expired { .. } => "expired",
            Self::UnknownToken { .. } => "unknown_token",
            Self::AmbiguousToken { .. } => "ambiguous_token",
            Self::BindingMismatch { .. } => "binding_mismatch",
            Self::Corrupt { .. } => "corrupt",
            Self::WrongRecord { .. } => "wrong_record",
            Self::Revoked { .. } => "revoked",
            Self::Replayed { .. } => "replayed",
            Self::Dropped { .. } => "dropped",
            Self::Lost { .. } => "lost",
            Self::CommitFailed { .. } => "commit_failed",
            Self::Retried { .. } => "retried",
            Self::StoreFailed { .. } => "store_failed",
            Self::Abandoned => "abandoned",
            Self::Swept { .. } => "swept",
        }
    }
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
