//! Events as `tracing` has them: the target `cloakroom`, the name of the sessions, the name of the event, and what it says.
//!
//! Users stay out: they may be e-mail addresses, and logs are kept for longer than sessions and read by more people.

use super::SessionEvent;

#[cfg(not(feature = "tracing"))]
pub(super) fn write(_session: &str, _event: &SessionEvent) {}

#[cfg(feature = "tracing")]
pub(super) fn write(session: &str, event: &SessionEvent) {
    macro_rules! log {
        ($level:ident, $($what:tt)*) => {
            tracing::$level!(target: "cloakroom", session, event = event.name(), $($what)*)
        };
    }
    match event {
        SessionEvent::Resumed { id } => log!(trace, %id, "a request came with the session"),
        SessionEvent::Created { id } => log!(debug, %id, "the session was stored for the first time"),
        SessionEvent::Rotated { id, grace } => log!(debug, %id, ?grace, "the session has a new secret"),
        SessionEvent::Expired { id, .. } => log!(debug, %id, "the session has expired"),
        SessionEvent::Dropped { id, reason } => {
            log!(debug, id = id.map(tracing::field::display), ?reason, "the changes of a request were dropped");
        }
        SessionEvent::Retried { id, retries } => log!(debug, %id, retries, "others saved the session at the same time"),
        SessionEvent::Swept { deleted, took } => log!(debug, deleted, ?took, "expired sessions were deleted"),
        SessionEvent::LoggedIn { id, .. } => log!(info, %id, "somebody has logged in"),
        SessionEvent::LoggedOut { id, .. } => log!(info, %id, "a request has ended its session"),
        SessionEvent::Revoked { id, .. } => log!(info, %id, "the session was ended from outside"),
        SessionEvent::UnknownToken { id, suppressed } => {
            log!(
                info,
                id = id.map(tracing::field::display),
                suppressed,
                "a request showed a token that opens no session"
            );
        }
        SessionEvent::AmbiguousToken { tokens, suppressed } => {
            log!(warn, tokens, suppressed, "a request showed several tokens");
        }
        SessionEvent::BindingMismatch { id } => {
            log!(warn, %id, "a request showed a session that is bound to something else");
        }
        SessionEvent::Replayed { id, ended } => log!(warn, %id, ended, "a secret was shown after its grace"),
        SessionEvent::StoreFailed { operation, kind, cause } => {
            log!(warn, operation, ?kind, cause, "a call to the store failed");
        }
        SessionEvent::Lost { id, cause } => {
            log!(warn, id = id.map(tracing::field::display), cause, "the changes of a request were lost");
        }
        SessionEvent::CommitFailed { id, kind, cause } => {
            let id = id.map(tracing::field::display);
            log!(warn, id, ?kind, cause, "the changes of a request could not be stored");
        }
        SessionEvent::Abandoned => log!(warn, "a commit could not be finished"),
        SessionEvent::Corrupt { id, cause } => log!(error, %id, cause, "a record cannot be read"),
        SessionEvent::WrongRecord { id } => log!(error, %id, "the store answered with another session's record"),
    }
}
