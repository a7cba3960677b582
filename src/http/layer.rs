use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::{DefaultOnError, SessionCookie, SessionService, Transport};
use crate::error::ConfigError;
use crate::event::SessionEvent;
use crate::manager::{SessionManager, Sweeper, SweeperSettings};
use crate::policy::{Limits, SessionPolicy};
use crate::store::SessionStore;

/// Gives every request its session.
///
/// Around the handlers it reads nothing and stores nothing until one of them asks for the session. Then it loads the
/// session, and after the handler it stores what was changed, before the answer leaves. A request that never asks costs no
/// call to the store, and its answer goes out as if there were no layer.
///
/// What a handler changed is not stored if it panics, is dropped, or answers with a server error (5xx; but
/// [`destroy`](crate::Session::destroy), [`regenerate`](crate::Session::regenerate) and
/// [`remember`](crate::Session::remember) count all the same). A commit that has begun is finished even if the client goes
/// away: see [`drain`](Self::drain).
///
/// Middleware between this layer and the handler that answers in the handler's place counts as the handler: a timeout inside
/// that answers 408 lets the half-done changes be stored, since that is no 5xx. Put it around this layer, where what was
/// interrupted changes nothing, or let it answer 503.
///
/// Where one layer lies within another and both have a cookie of the same name, the outer one takes care of the session.
///
/// Needs a tokio runtime with time (`enable_time`, as `#[tokio::main]` has it).
///
/// # On the wire
///
/// * A new session: `Set-Cookie: __Host-id=…; HttpOnly; SameSite=Lax; Secure; Path=/`, see [`SessionCookie`].
/// * The session was read or written: `Vary: Cookie`.
/// * Our `Set-Cookie` is on the answer: `Cache-Control: no-store`, unless it says `private` or `no-store` already. A
///   mere extension of the cookie's life is left out if the answer says `public`.
/// * The store is down and a handler needs the session: 503 with `Retry-After`, see [`on_error`](Self::on_error).
///   Nobody is logged out by that.
///
/// # Example
///
/// ```
/// use axum::{Router, routing::get};
/// use cloakroom::{MemoryStore, SameSite, Session, SessionCookie, SessionLayer, SessionPolicy};
/// use std::time::Duration;
///
/// # async fn account(_session: Session) {}
/// # fn main() -> Result<(), cloakroom::ConfigError> {
/// let sessions = SessionLayer::new(MemoryStore::new())
///     .transport(SessionCookie::new("id").same_site(SameSite::Strict))?
///     .policy(SessionPolicy::aal2().idle(Duration::from_mins(30)))?
///     .on_event(|event| eprintln!("{event:?}"));
/// let app: Router = Router::new().route("/account", get(account)).layer(sessions);
/// # Ok(())
/// # }
/// ```
///
/// # Without axum
///
/// The layer wraps any [`tower_service::Service`] of HTTP requests. Handlers find a [`LazySession`](crate::LazySession) in
/// the request's extensions:
///
/// ```
/// use bytes::Bytes;
/// use cloakroom::{LazySession, MemoryStore, SessionError, SessionLayer};
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), SessionError> {
/// let mut service = ServiceBuilder::new()
///     .layer(SessionLayer::new(MemoryStore::new()))
///     .service(service_fn(|request: Request<()>| async move {
///         let session = LazySession::of(&request)?.load().await?;
///         session.insert("seen", true)?;
///         Ok::<_, SessionError>(Response::new(Full::<Bytes>::default()))
///     }));
/// let response = service.ready().await?.call(Request::new(())).await?;
/// assert!(response.headers().contains_key("set-cookie"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SessionLayer<E = DefaultOnError> {
    pub(super) shared: Arc<Shared>,
    on_error: E,
}

/// What the layer, its services and their requests share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) manager: SessionManager,
    pub(super) transport: Transport,
    pub(super) save_on_server_error: bool,
}

impl SessionLayer {
    /// Sessions in this store, with secure defaults: the cookie `__Host-id`, sent over HTTPS only, and
    /// [`SessionPolicy::aal2`].
    ///
    /// Clients do not send this cookie over plain HTTP, except to `localhost` and, most of them, to `127.0.0.1`. For
    /// development on other hosts there is [`SessionCookie::new_for_http`].
    pub fn new(store: impl SessionStore) -> Self {
        Self::with_manager(SessionManager::new(store))
    }

    /// Sessions of this manager, which has more options: clock, codec, pepper, namespace. Options that the layer is given
    /// later do not reach other clones of it.
    pub fn with_manager(manager: SessionManager) -> Self {
        let transport = SessionCookie::default().into();
        let shared = Shared { manager, transport, save_on_server_error: false };
        Self { shared: Arc::new(shared), on_error: DefaultOnError::default() }
    }
}

impl<E> SessionLayer<E> {
    /// How the token travels: a [`SessionCookie`].
    ///
    /// # Errors
    ///
    /// If the options contradict each other, such as `SameSite=None` without `Secure`.
    pub fn transport(mut self, transport: impl Into<Transport>) -> Result<Self, ConfigError> {
        let mut transport = transport.into();
        transport.prepare()?;
        self.options().transport = transport;
        Ok(self)
    }

    /// How long sessions live.
    ///
    /// # Errors
    ///
    /// If the policy contradicts itself.
    pub fn policy(mut self, policy: SessionPolicy) -> Result<Self, ConfigError> {
        let options = self.options();
        options.manager = options.manager.clone().policy(policy)?;
        Ok(self)
    }

    /// How large sessions may grow, and how long the store may take.
    ///
    /// # Errors
    ///
    /// If a limit is out of its range.
    pub fn limits(mut self, limits: Limits) -> Result<Self, ConfigError> {
        let options = self.options();
        options.manager = options.manager.clone().limits(limits)?;
        Ok(self)
    }

    /// Whom to tell what happens. As [`SessionManager::on_event`].
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        let options = self.options();
        options.manager = options.manager.clone().on_event(hook);
        self
    }

    /// Whether data that a handler changed are stored when it answers with a server error (5xx). Off by default: an answer
    /// that failed leaves nothing half done.
    #[must_use]
    pub fn save_on_server_error(mut self, save: bool) -> Self {
        self.options().save_on_server_error = save;
        self
    }

    /// What to answer when a session cannot be stored, in place of the handler's answer. See [`OnError`](super::OnError).
    ///
    /// Errors while a session is loaded reach the handler, or, in axum, are answered by the extractor. A closure needs its
    /// argument's type written out, as here.
    ///
    /// ```
    /// use axum::response::{Html, IntoResponse, Response};
    /// use cloakroom::{MemoryStore, SessionError, SessionLayer};
    ///
    /// let layer = SessionLayer::new(MemoryStore::new()).on_error(|error: &SessionError| -> Response {
    ///     (error.status(), Html("<h1>Please try again in a moment.</h1>")).into_response()
    /// });
    /// ```
    pub fn on_error<F>(self, on_error: F) -> SessionLayer<F> {
        SessionLayer { shared: self.shared, on_error }
    }

    /// The manager, to open sessions elsewhere in the application.
    pub fn manager(&self) -> &SessionManager {
        &self.shared.manager
    }

    /// Waits until all commits have ended whose clients are gone. As [`SessionManager::drain`].
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.shared.manager.drain(timeout).await
    }

    /// Deletes expired records in the background. As [`SessionManager::start_sweeper`].
    pub fn start_sweeper(&self, settings: SweeperSettings) -> Sweeper {
        self.shared.manager.start_sweeper(settings)
    }

    /// The headers that take the token away from a client, for test clients to know the cookie by.
    #[cfg(feature = "testing")]
    pub(crate) fn removal(&self) -> http::HeaderMap {
        let mut response = http::Response::new(());
        self.shared.transport.remove(&mut response);
        response.into_parts().0.headers
    }

    fn options(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.shared)
    }
}

impl<S, E: Clone> Layer<S> for SessionLayer<E> {
    type Service = SessionService<S, E>;

    // axum calls this for every route of every connection: two reference counts, no work.
    fn layer(&self, inner: S) -> Self::Service {
        SessionService::new(inner, self.shared.clone(), self.on_error.clone())
    }
}
