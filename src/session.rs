//! [`Session`], the handle that applications hold.

#![allow(clippy::needless_pass_by_value, reason = "a path is written in place: `get(\"a.b\")`, not `get(&\"a.b\")`")]

mod values;

mod bag;
mod csrf;
mod detached;
mod device;
mod expiry;
mod flash;
mod form;
mod info;
mod key;
mod message;
mod places;
mod read_only;
mod typed_bag;
mod user;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::{Ending, RunToEnd, Unit};
use crate::error::{ErrorKind, SessionError};
use crate::policy::SessionPolicy;
use crate::state::{Mode, Rotation, SessionStatus, TokenChange};
use crate::token::SessionId;

pub use bag::SessionBag;
pub use detached::DetachedSession;
pub use device::Device;
pub use info::SessionInfo;
pub use key::Key;
pub use message::{Level, Message};
pub use read_only::ReadOnlySession;
pub use typed_bag::{Bag, BagContent};

/// The session of a request.
///
/// A handle: clones share one session. It is loaded when it is extracted; after that reading and writing are plain
/// function calls on what was loaded, and whatever was changed is stored when the handler has returned, before the answer
/// leaves. A session that is not written is not stored, and a visitor to whom nothing was written gets no cookie.
///
/// Values are anything that `serde` writes as JSON. A [`Path`](crate::Path) names them: `"visits"`, `"account.current_user_id"`, or
/// `["hosts", "example.org"]`.
///
/// # Requests at the same time
///
/// No change gets lost. When two requests change one session at once, the one that commits later does its changes again
/// on what the other has stored: two that write different keys both keep theirs, and [`update`](Self::update) is done
/// again on the newer value. `get` followed by `insert` of one key is different: the value was computed from one that
/// is out of date, so the later write stands; use `update`, or [`Conflicts::Refuse`](crate::Conflicts::Refuse).
///
/// What outlives its request, such as a WebSocket, takes a handle of its own: [`detach`](Self::detach).
///
/// # Errors
///
/// Reading fails with [`ErrorKind::Decode`] if the value is of another type, and with [`ErrorKind::NotAnObject`] if
/// the path leads through a value that is no object. Writing fails, and changes nothing, with [`ErrorKind::Encode`],
/// [`ErrorKind::TooLarge`], [`ErrorKind::TooDeep`] or [`ErrorKind::NotAnObject`]; once the answer is on its way with
/// [`ErrorKind::Committed`]; after [`destroy`](Self::destroy) with [`ErrorKind::Destroyed`]. A path with an empty segment
/// is [`ErrorKind::InvalidPath`] everywhere.
///
/// # Example: count visits
///
/// ```
/// use axum::{Router, routing::get};
/// use cloakroom::{MemoryStore, Session, SessionError, SessionLayer};
///
/// async fn visits(session: Session) -> Result<String, SessionError> {
///     let n = session.increment("visits", 1)?;
///     Ok(format!("visit {n}\n"))
/// }
///
/// let app: Router = Router::new()
///     .route("/", get(visits))
///     .layer(SessionLayer::new(MemoryStore::new()));
/// ```
#[derive(Clone)]
pub struct Session(Arc<Unit>);

impl Session {
    pub(crate) fn new(unit: Arc<Unit>) -> Self {
        Self(unit)
    }

    /// Gives the session a new secret when it is committed. Id, data and age stay; the old secret is dead from then on.
    ///
    /// To be called whenever somebody gains rights (ASVS 7.2.4). Requests that are under way with the old secret are
    /// anonymous from then on: what they write is dropped, and their answers leave the client's new cookie alone.
    ///
    /// A session that is not stored yet has no secret to be replaced; it gets a fresh one with the first write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn regenerate(&self) -> Result<(), SessionError> {
        self.0.state().rotate(Rotation::AtOnce)
    }

    /// Gives the session a new secret when it is committed, and lets the old one be good for some time yet, so that no
    /// parallel request and no lost answer logs anybody out. Id, data and age stay.
    ///
    /// The new secret follows from the old one: whoever shows the old one during the grace is served, and told the same new
    /// one again. After the grace it opens nothing any more. Not for logins: somebody who has stolen the old secret
    /// would follow; there use [`login`](Self::login) or [`regenerate`](Self::regenerate), which outdo this. A request
    /// that is under way with a secret which those have replaced is anonymous, and this does not change it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn regenerate_with_grace(&self, grace: Duration) -> Result<(), SessionError> {
        self.0.state().rotate(Rotation::WithGrace(grace))
    }

    /// Ends the session: it is deleted from the store when it is committed, and the client is told to forget its cookie.
    ///
    /// Final: no other request, however slow, brings it back. This request sees an empty session from now on.
    ///
    /// With a user it ends whatever others have done to it since. While it was nobody's, and somebody has logged in or
    /// [regenerated](Self::regenerate) it since, it stays theirs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`].
    pub fn destroy(&self) -> Result<(), SessionError> {
        self.0.state().destroy(false)
    }

    /// Ends the session as [`destroy`](Self::destroy) does, and does not tell the client to forget its cookie in this answer.
    /// It opens nothing any more; the next request that asks for the session tells the client so.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`].
    pub fn destroy_keeping_cookie(&self) -> Result<(), SessionError> {
        self.0.state().destroy(true)
    }

    /// Keeps the session for this long from now on, used or not, even if the browser is closed: "remember me".
    ///
    /// It takes the place of both timeouts of the policy and stays with the session until the next login, which begins with those
    /// of the policy: call it in the request that logs in. 400 days at most, because browsers keep no cookie for longer
    /// (RFC 6265bis section 5.5), and a second at least; what is beyond that is cut off. Without effect on a session to which
    /// nothing was ever written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn remember(&self, duration: Duration) -> Result<(), SessionError> {
        self.0.state().remember(duration)
    }

    /// The visitor has agreed to have a session: from now on it is stored. For policies that wait for that
    /// ([`SessionPolicy::on_consent`]).
    ///
    /// What this request wrote before and writes afterwards is stored. With nothing written an empty session is stored: it
    /// is how later requests know.
    ///
    /// ```
    /// use cloakroom::{Session, SessionError};
    ///
    /// async fn agree(session: Session) -> Result<&'static str, SessionError> {
    ///     session.consent()?;
    ///     Ok("thank you")
    /// }
    ///
    /// async fn banner(session: Session) -> &'static str {
    ///     if session.has_consent() { "" } else { "May we keep your basket?" }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn consent(&self) -> Result<(), SessionError> {
        self.0.state().consent()
    }

    /// Whether the visitor has agreed: there is a session, or [`consent`](Self::consent) was called.
    pub fn has_consent(&self) -> bool {
        self.0.state().has_consent()
    }

    /// What the session is called: `"id"`, unless there are sessions of several kinds
    /// ([`SessionManager::name`](crate::SessionManager::name)).
    pub fn name(&self) -> &str {
        self.0.engine.terms.origin.name.as_str()
    }

    /// The public id, once the session is stored. It never changes, and it proves nothing: show it in lists of devices, write
    /// it to logs.
    pub fn id(&self) -> Option<SessionId> {
        self.0.state().present().map(crate::state::Present::id)
    }

    /// Whether the session is new, was resumed, or has been destroyed by this request.
    pub fn status(&self) -> SessionStatus {
        self.0.state().status()
    }

    /// The policy under which it lives.
    pub fn policy(&self) -> &SessionPolicy {
        &self.0.engine.terms.policy
    }

    /// Stores now what was changed so far, instead of after the handler. The session can be written on.
    ///
    /// Once begun it runs to its end, even if the client goes away and the handler is dropped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ended`] if the session was ended elsewhere: nothing was stored. The kinds of store failures:
    /// [`Unavailable`](ErrorKind::Unavailable), [`TimedOut`](ErrorKind::TimedOut), [`Contended`](ErrorKind::Contended),
    /// [`Conflict`](ErrorKind::Conflict), [`TooLargeForStore`](ErrorKind::TooLargeForStore); the changes are kept and tried
    /// once more after the handler. [`Committed`](ErrorKind::Committed) once the request has been answered.
    pub async fn save(&self) -> Result<(), SessionError> {
        in_a_task(self.0.clone().save()).await
    }

    /// Loads the session again, to see what other requests have stored since. What this request has changed and not yet
    /// stored stays on top. A new session has nothing to load.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Ended`] if the session was ended elsewhere; it is empty from then on. The kinds of store failures.
    pub async fn reload(&self) -> Result<(), SessionError> {
        in_a_task(self.0.clone().reload()).await
    }

    /// Goes on beyond the request: stores what it has changed so far, as [`save`](Self::save), and returns a handle for a
    /// WebSocket, a stream of events, or a task in the background. See [`DetachedSession`].
    ///
    /// The request keeps its own part of the session. May be called after it was answered as well, with nothing left to be
    /// stored.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotStored`] if nothing was ever written to the session. [`ErrorKind::Destroyed`] after
    /// [`destroy`](Self::destroy), [`ErrorKind::Ended`] if the session was ended elsewhere. [`ErrorKind::Unsupported`] if the
    /// client alone holds the session (`CookieStore::without_revocation`). The kinds of store failures, as with
    /// [`save`](Self::save).
    pub async fn detach(&self) -> Result<DetachedSession, SessionError> {
        self.0.engine.for_detached()?;
        match self.save().await {
            Err(error) if error.kind() == ErrorKind::Committed => {}
            saved => saved?,
        }
        let present = self.0.state().to_detach()?;
        Ok(DetachedSession::new(self.0.engine.for_detached()?, present))
    }

    pub(crate) fn unit(&self) -> &Arc<Unit> {
        &self.0
    }

    /// Ends this request's part without an answer: nothing of it counts.
    pub(crate) fn abandon(&self) {
        self.0.state().abandon();
    }

    /// What commits of this request have stored that the client has to know, although the last one has failed.
    pub(crate) fn stored_token_change(&self) -> TokenChange {
        self.0.stored_token_change()
    }

    pub(crate) fn has_logged_out(&self) -> bool {
        self.0.state().has_logged_out()
    }

    pub(crate) fn close(&self) {
        self.0.state().close();
    }

    /// Ends this request's part.
    pub(crate) fn end(&self, mode: Mode) -> Ending {
        self.0.end(mode)
    }
}

impl fmt::Debug for Session {
    /// Shows the public id and the status, and no data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Who waits for a future may stop to poll it without letting go, while others wait for the end of it.
async fn in_a_task<T: Send + 'static>(future: RunToEnd<Result<T, SessionError>>) -> Result<T, SessionError> {
    match tokio::spawn(future).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(cancelled) => Err(SessionError::new(
                ErrorKind::Unavailable,
                "the runtime was shut down in the middle of a call to the store; whether changes were kept is unknown",
            )
            .because(cancelled)),
        },
    }
}
