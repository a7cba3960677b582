//! The session of a request that nobody may ever ask for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{HeaderMap, Request};
use tokio::sync::OnceCell;

use super::layer::Shared;
use super::transport::{Captured, Transport};
use crate::error::{ErrorKind, SessionError};
use crate::session::Session;

/// The session of a request, not loaded yet.
///
/// [`SessionLayer`](super::SessionLayer) puts it into the extensions of every request. Nothing is read or looked up until
/// somebody calls [`load`](Self::load): for handlers that need the session only sometimes, and for services without axum.
///
/// ```
/// use cloakroom::{LazySession, SessionError};
///
/// async fn page(lazy: LazySession) -> Result<&'static str, SessionError> {
///     if std::env::var_os("GREET").is_none() {
///         return Ok("no session was loaded");
///     }
///     lazy.load().await?.insert("greeted", true)?;
///     Ok("hello")
/// }
/// ```
#[derive(Clone)]
pub struct LazySession(Arc<Visit>);

impl LazySession {
    pub(super) fn new(visit: Arc<Visit>) -> Self {
        Self(visit)
    }

    /// The one of this request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`] if the request did not come through a [`SessionLayer`](super::SessionLayer).
    pub fn of<B>(request: &Request<B>) -> Result<Self, SessionError> {
        Self::of_extensions(request.extensions())
    }

    /// Whether this is the session that a layer with this transport would find.
    pub(super) fn serves(&self, transport: &Transport) -> bool {
        self.0.serves(transport)
    }

    pub(crate) fn of_extensions(extensions: &http::Extensions) -> Result<Self, SessionError> {
        extensions.get::<Self>().cloned().ok_or_else(|| {
            SessionError::new(
                ErrorKind::MissingLayer,
                "there is no SessionLayer around this handler: add .layer(SessionLayer::new(store)) to the router, \
                 behind the routes that need sessions",
            )
        })
    }

    /// The session: loaded at the first call, the same one at every further call of this request.
    ///
    /// # Errors
    ///
    /// The kinds of store failures: a store that is down makes nobody anonymous. [`ErrorKind::NewerFormat`].
    pub async fn load(&self) -> Result<Session, SessionError> {
        self.0.load().await
    }
}

impl fmt::Debug for LazySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LazySession").field("session", &self.0.session.get()).finish_non_exhaustive()
    }
}

/// One request, from its headers to its answer.
pub(super) struct Visit {
    shared: Arc<Shared>,
    captured: Captured,
    session: OnceCell<Session>,
    closed: AtomicBool,
}

impl Visit {
    pub(super) fn new(shared: Arc<Shared>, headers: &HeaderMap) -> Self {
        let captured = shared.transport.capture(headers);
        Self { shared, captured, session: OnceCell::new(), closed: AtomicBool::new(false) }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn load(&self) -> Result<Session, SessionError> {
        let open = || async {
            let shown = self.shared.transport.read(&self.captured);
            self.shared.manager.open_shown(&shown).await
        };
        let session = self.session.get_or_try_init(open).await?;
        // The answer may have left while the session was being loaded.
        if self.closed.load(Ordering::SeqCst) {
            session.close();
        }
        Ok(session.clone())
    }

    /// Whether this is the session that a layer with this transport would find.
    pub(super) fn serves(&self, transport: &Transport) -> bool {
        self.shared.transport.is_same_as(transport)
    }

    /// The request ends without an answer: nothing of it counts.
    pub(super) fn abandon(&self) {
        if let Some(session) = self.close() {
            session.abandon();
        }
    }

    /// The handler has answered. The session, if anybody asked for it; whoever asks from now on can only read it.
    pub(super) fn close(&self) -> Option<&Session> {
        // In this order: a load that this does not see sees the flag.
        self.closed.store(true, Ordering::SeqCst);
        self.session.get()
    }
}
