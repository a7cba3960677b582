use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;
use tower_layer::Layer;

use super::bind::Bind;
use super::predecessor::Before;
use super::{DefaultOnError, SessionCookie, SessionService, SiteData, Transport};
use crate::error::ConfigError;
use crate::event::SessionEvent;
use crate::manager::{SessionManager, Sweeper, SweeperSettings};
use crate::policy::{Limits, SessionPolicy, table};
#[cfg(feature = "sealed")]
use crate::state::ClientHolds;
use crate::state::OnMismatch;
use crate::store::{Predecessor, SessionStore};

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
/// An application may have sessions of several kinds, each with a layer of its own: see [`named`](Self::named). Where one
/// layer lies within another and both have the same cookie or header, the outer one takes care of the session.
///
/// Needs a tokio runtime with time (`enable_time`, as `#[tokio::main]` has it).
///
/// # On the wire
///
/// * A new session: `Set-Cookie: __Host-id=…; HttpOnly; SameSite=Lax; Secure; Path=/`, see [`SessionCookie`].
/// * The session was read or written: `Vary: Cookie`, or the header that was looked at, see [`Transport`].
/// * Our token is on the answer, or its removal: `Cache-Control: no-store`, unless it says `private` or `no-store`
///   already. A mere extension of the cookie's life is left out if the answer says `public`.
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
/// The layer wraps any [`tower_service::Service`] of HTTP requests. Handlers get the [`LazySession`](crate::LazySession) of
/// the request:
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

/// The name of an application's sessions of one kind, written on a type so that [`Named`](crate::Named) can be told by it.
pub trait SessionName: 'static {
    /// A name that a cookie can have as well, at most 64 characters: see [`SessionManager::name`].
    const NAME: &'static str;
}

/// What the layer, its services and their requests share.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub(super) manager: SessionManager,
    pub(super) transport: Transport,
    pub(super) save_on_server_error: bool,
    pub(super) bind: Option<Bind>,
    pub(super) clear_site_data: Option<HeaderValue>,
    pub(super) before: Option<Before>,
}

impl Shared {
    fn check_cookies(&self) -> Result<(), ConfigError> {
        match &self.before {
            Some(before) if self.transport.meets(&before.cookie.clone().into()) => {
                Err(ConfigError::SameCookie { name: before.cookie.name().to_owned() })
            }
            _ => Ok(()),
        }
    }
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

    /// Sessions of another kind, beside the usual ones: an administrator's beside a customer's, say. They have their own name,
    /// cookie (`__Host-<NAME>`), id, life and data; ending one leaves the others. In axum handlers
    /// [`Named`](crate::Named) extracts them, elsewhere [`LazySession::named`](crate::LazySession::named) finds them.
    ///
    /// The layers may lie within each other in any order, and share a store or not: no token of one opens anything in
    /// another. [`Session`](crate::Session) is always the session without a name of its own. An answer that is
    /// replaced because the outer layer's session could not be stored still hands out what the inner one has stored.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use cloakroom::{MemoryStore, Named, Session, SessionError, SessionLayer, SessionName, SessionPolicy};
    ///
    /// struct Admin;
    ///
    /// impl SessionName for Admin {
    ///     const NAME: &'static str = "admin";
    /// }
    ///
    /// async fn refund(customer: Session, admin: Named<Admin>) -> Result<(), SessionError> {
    ///     admin.update("refunds", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    ///     customer.remove("order").map(drop)
    /// }
    ///
    /// # fn main() -> Result<(), cloakroom::ConfigError> {
    /// let store = MemoryStore::new();
    /// let app: Router = Router::new()
    ///     .route("/refund", get(refund))
    ///     .layer(SessionLayer::named::<Admin>(store.clone())?.policy(SessionPolicy::aal3())?)
    ///     .layer(SessionLayer::new(store));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::SessionName`] as for [`SessionManager::name`], which gives a name that is known at run time only.
    pub fn named<N: SessionName>(store: impl SessionStore) -> Result<Self, ConfigError> {
        Ok(Self::with_manager(SessionManager::new(store).name(N::NAME)?))
    }

    /// Sessions that their clients hold themselves, sealed, in the cookie (feature `sealed`): see
    /// [`CookieStore`](crate::CookieStore).
    #[cfg(feature = "sealed")]
    pub fn in_cookie(sessions: crate::engine::CookieStore) -> Self {
        Self::with_manager(SessionManager::in_cookie(sessions))
    }

    /// Sessions of this manager, which has more options: clock, codec, pepper, name. Options that the layer is given later do
    /// not reach other clones of it.
    pub fn with_manager(mut manager: SessionManager) -> Self {
        let transport: Transport = SessionCookie::of_session(manager.session_name()).into();
        manager.set_longest_text(transport.longest_text());
        let shared =
            Shared { manager, transport, save_on_server_error: false, bind: None, clear_site_data: None, before: None };
        Self { shared: Arc::new(shared), on_error: DefaultOnError::default() }
    }
}

impl<E> SessionLayer<E> {
    /// How the token travels: a [`SessionCookie`], a [`SessionHeader`](super::SessionHeader), or a [`Transport`] made from
    /// several.
    ///
    /// # Errors
    ///
    /// If the options contradict each other, such as `SameSite=None` without `Secure`.
    pub fn transport(mut self, transport: impl Into<Transport>) -> Result<Self, ConfigError> {
        let mut transport = transport.into();
        transport.prepare()?;
        let options = self.options();
        options.manager.set_longest_text(transport.longest_text());
        options.transport = transport;
        options.check_cookies()?;
        Ok(self)
    }

    /// The name of the application, if several share a store. As [`SessionManager::namespace`].
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        let options = self.options();
        options.manager = options.manager.clone().namespace(namespace);
        self
    }

    /// How long sessions live.
    ///
    /// # Errors
    ///
    /// If the policy contradicts itself, or asks for what the store cannot do.
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

    /// What browsers are told to clear when a request ends its session, by [`logout`](crate::Session::logout) or
    /// [`destroy`](crate::Session::destroy) (ASVS 14.3.1): the header `Clear-Site-Data` on its answer, and on no other. Also when
    /// what the browser shows at a logout opens nothing any more. Nothing if not given. A handler that sets the header itself
    /// is left alone.
    ///
    /// Browsers heed it over HTTPS only. What the server knows of the session is gone in any case.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionLayer, SiteData};
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new()).clear_site_data([SiteData::Cache, SiteData::Storage]);
    /// ```
    #[must_use]
    pub fn clear_site_data(mut self, data: impl IntoIterator<Item = SiteData>) -> Self {
        self.options().clear_site_data = SiteData::header(data);
        self
    }

    /// Binds each session to something of the request that begins it, and again of the one that logs in
    /// ([`login`](crate::Session::login), [`reauthenticated`](crate::Session::reauthenticated)): what a thief of the token
    /// alone does not have (ASVS 8.2.4). Nothing if not given.
    ///
    /// Later requests of the session have to show the same; one that shows nothing shows something else. What becomes of
    /// those that do not says [`OnMismatch`]. The store keeps a digest of it, another one for each session. Sessions
    /// from before are bound at their next login. [`SessionManager::open`] asks
    /// for nothing, and leaves a session bound to what it is; [`open_bound`](SessionManager::open_bound) asks.
    ///
    /// | | |
    /// |---|---|
    /// | the exporter of the TLS connection, or the certificate of the client, which the server puts into the extensions | proves possession; only without a proxy in between |
    /// | `User-Agent` | changes with each update of a browser, and is copied as easily as a cookie: take [`OnMismatch::EventOnly`] |
    /// | the address of the client | changes on every journey; behind a proxy it is the proxy's |
    ///
    /// The function is called once for each request, whether it asks for its session or not: let it look up and copy no more
    /// than that. Anything else is done when the session is loaded.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, OnMismatch, SessionEvent, SessionLayer};
    /// use http::header::USER_AGENT;
    ///
    /// let sessions = SessionLayer::new(MemoryStore::new())
    ///     .bind(OnMismatch::EventOnly, |request| request.headers.get(USER_AGENT).cloned())
    ///     .on_event(|event| {
    ///         if let SessionEvent::BindingMismatch { id, .. } = event {
    ///             eprintln!("session {id} goes on in another browser");
    ///         }
    ///     });
    /// ```
    #[must_use]
    pub fn bind<V>(
        mut self,
        on_mismatch: OnMismatch,
        read: impl Fn(&Parts) -> Option<V> + Send + Sync + 'static,
    ) -> Self
    where
        V: AsRef<[u8]> + Send + 'static,
    {
        let options = self.options();
        options.bind = Some(Bind::by(read));
        options.manager = options.manager.clone().on_mismatch(on_mismatch);
        self
    }

    /// Takes over the sessions of another library, which visitors still have `cookie` of: nobody is logged out by the change. For
    /// `tower-sessions` there is `store::TowerSessionsPredecessor`, with an example.
    ///
    /// A request that shows that cookie and none of ours, and asks for its session, gets one with the old one's data and user, stored
    /// by then; its answer hands out our cookie and takes the other one away. The old session is deleted. Its user has to log in
    /// anew for what needs a [recent login](crate::Session::require_recent_login), unless the predecessor knows when that was.
    ///
    /// However many requests come at once, it becomes one session. If an answer is lost, the old cookie leads to the same
    /// session again, for as long as the old one would have lived, and until that has a new secret, as by a login. It is as good as ours
    /// until then, so whoever has stolen it is not locked out by the change itself. After a logout it leads nowhere.
    ///
    /// Switch all processes over at once: to one that still runs the other library, those who were here are not logged in. When the
    /// longest lifetime of an old session is over, take this away again. [`SessionPolicy::not_before`] does not know how old a
    /// session of the predecessor is: to end everything, take this away as well. The limit of
    /// [`SessionPolicy::max_sessions`] holds from the next login on.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SameCookie`] if the cookie has the name of this layer's own, what [`transport`](Self::transport) says of
    /// cookies, and `ConfigError::NeedsStore` where clients hold the session.
    pub fn predecessor(mut self, cookie: SessionCookie, sessions: impl Predecessor) -> Result<Self, ConfigError> {
        let options = self.options();
        #[cfg(feature = "sealed")]
        if options.manager.terms().client_holds != ClientHolds::Nothing {
            return Err(ConfigError::NeedsStore { option: "SessionLayer::predecessor" });
        }
        options.before = Some(Before::new(cookie, sessions)?);
        options.check_cookies()?;
        Ok(self)
    }

    /// What to answer when a session cannot be stored, in place of the handler's answer. See [`OnError`](super::OnError).
    ///
    /// The answer gets the [`ErrorKind`](crate::ErrorKind) as an extension, `Cache-Control: no-store`, and with 503 `Retry-After: 1`
    /// where a later try may succeed, unless it has its own.
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

    /// What is configured, as a table in Markdown for the documentation of an application (ASVS 7.1.1): what
    /// [`SessionPolicy::describe`] says, how the token travels, and the limits. Made from the values themselves.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionLayer};
    ///
    /// let table = SessionLayer::new(MemoryStore::new()).describe();
    /// assert!(table.contains("`Set-Cookie: __Host-id=<token>; HttpOnly; SameSite=Lax; Secure; Path=/`"));
    /// ```
    pub fn describe(&self) -> String {
        let terms = self.shared.manager.terms();
        let mut rows = terms.policy.rows();
        rows.extend(self.shared.transport.rows());
        if self.shared.bind.is_some() {
            let value = match terms.on_mismatch {
                OnMismatch::Anonymous => "a request that does not show it has no session",
                OnMismatch::EventOnly => "a request that does not show it is reported",
            };
            rows.push(("is bound to more than its token", value.to_owned(), "ASVS 8.2.4"));
        }
        if let Some(data) = &self.shared.clear_site_data {
            let value = format!("`Clear-Site-Data: {}`", String::from_utf8_lossy(data.as_bytes()));
            rows.push(("has the browser clear at a logout", value, "ASVS 14.3.1"));
        }
        rows.extend(terms.limits.rows());
        table(rows)
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
        self.shared.transport.removals()
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
