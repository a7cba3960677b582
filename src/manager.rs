//! [`SessionManager`]: sessions with and without HTTP.

mod devices;
mod sweeper;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::{Clock, MonotonicClock, SystemClock};
use crate::codec::{Codec, JsonCodec};
#[cfg(feature = "sealed")]
use crate::engine::CookieStore;
use crate::engine::{Carried, Ending, Endings, Engine, InFlight, KeyTypes, Shown, ShownToken, Turns};
use crate::error::{ConfigError, SessionError};
use crate::event::{Events, SessionEvent};
use crate::policy::{Limits, SessionPolicy};
use crate::record::{Name, Origin};
use crate::session::Session;
use crate::state::{Absence, Bond, ClientHolds, Mode, OnMismatch, Terms, TokenChange};
use crate::store::{Predecessor, SessionStore};
use crate::token::TokenDigester;

pub use sweeper::{Sweeper, SweeperReport, SweeperSettings};

/// Opens and commits sessions, with or without HTTP.
///
/// [`SessionLayer`](crate::SessionLayer) is a thin client of it; where there is no HTTP, use it directly: whoever keeps the
/// token has the session. Clones share the store and everything else; they are cheap.
///
/// # Example: sessions over any protocol
///
/// ```
/// use cloakroom::{MemoryStore, SessionError, SessionManager, TokenChange};
///
/// # async fn run() -> Result<(), SessionError> {
/// let manager = SessionManager::new(MemoryStore::new());
///
/// // A client comes for the first time.
/// let session = manager.create();
/// session.insert("name", "Ada")?;
/// let TokenChange::Issue(issued) = manager.commit(&session).await? else { panic!("a new session has a new token") };
/// let token = issued.token.expose(); // for the client to keep
///
/// // It comes again and shows its token.
/// let session = manager.open(token.as_bytes()).await?;
/// assert_eq!(session.get("name")?, Some("Ada".to_owned()));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct SessionManager {
    engine: Arc<Engine>,
}

impl SessionManager {
    /// With the default [`SessionPolicy`] and [`Limits`].
    ///
    /// Sessions are opened and committed within a tokio runtime with time (`enable_time`, as `#[tokio::main]` has it).
    pub fn new(store: impl SessionStore) -> Self {
        Self::keeping(Arc::new(store), None, ClientHolds::Nothing)
    }

    /// Sessions that their clients hold themselves, sealed, in a cookie or elsewhere (feature `sealed`): see [`CookieStore`].
    ///
    /// The text for a client is [`IssuedToken::text`](crate::IssuedToken::text), of at most 4096 bytes. A
    /// [`SessionLayer`](crate::SessionLayer) sees to it that it fits the cookie.
    #[cfg(feature = "sealed")]
    pub fn in_cookie(sessions: CookieStore) -> Self {
        let (store, carried, client_holds) = sessions.into_parts();
        Self::keeping(store, Some(carried), client_holds)
    }

    fn keeping(store: Arc<dyn SessionStore>, carried: Option<Carried>, client_holds: ClientHolds) -> Self {
        Self {
            engine: Arc::new(Engine {
                store,
                carried,
                terms: Terms {
                    origin: Arc::new(Origin {
                        namespace: "".into(),
                        name: Name::default(),
                        codec: Arc::new(JsonCodec),
                    }),
                    policy: SessionPolicy::default(),
                    limits: Limits::default(),
                    digester: TokenDigester::default(),
                    on_mismatch: OnMismatch::default(),
                    client_holds,
                },
                clock: Arc::new(MonotonicClock::new(Arc::new(SystemClock))),
                events: Events::named(Name::default().as_str()),
                in_flight: Arc::new(InFlight::default()),
                turns: Arc::new(Turns::default()),
                key_types: Arc::new(KeyTypes::default()),
                endings: Arc::new(Endings::default()),
            }),
        }
    }

    /// How long sessions live.
    ///
    /// # Errors
    ///
    /// If the policy contradicts itself, such as an idle timeout that is longer than the absolute one, or asks for what the
    /// store cannot do, or nobody where clients hold the data.
    pub fn policy(mut self, policy: SessionPolicy) -> Result<Self, ConfigError> {
        policy.validate()?;
        if policy.most_sessions().is_some() && self.engine.store.user_index().is_none() {
            return Err(ConfigError::NeedsUserIndex { option: "SessionPolicy::max_sessions" });
        }
        #[cfg(feature = "sealed")]
        match self.engine.terms.client_holds {
            ClientHolds::Data | ClientHolds::Record if policy.refuses_conflicts() => {
                return Err(ConfigError::NeedsStore { option: "Conflicts::Refuse" });
            }
            // Every older cookie is good anyway.
            ClientHolds::Record if policy.timed_rotation().is_some() => {
                return Err(ConfigError::NeedsStore { option: "SessionPolicy::rotate_every" });
            }
            _ => {}
        }
        self.options().terms.policy = policy;
        Ok(self)
    }

    /// How large sessions may grow, and how long the store may take.
    ///
    /// # Errors
    ///
    /// If a limit is out of its range.
    pub fn limits(mut self, limits: Limits) -> Result<Self, ConfigError> {
        limits.validate()?;
        self.options().terms.limits = limits;
        Ok(self)
    }

    /// The name of the application, if several share a store. A token of one opens nothing in another.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<Arc<str>>) -> Self {
        self.origin().namespace = namespace.into();
        self
    }

    /// What these sessions are called, if an application has sessions of several kinds: `"admin"` beside the usual ones.
    /// Each kind has its own life and its own data, and a token of one opens nothing in another, in one store or in several.
    ///
    /// The name is also what a [`SessionLayer`](crate::SessionLayer::with_manager) calls its cookie if it is given no
    /// transport: `__Host-admin`. The default is `"id"`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::SessionName`] if it cannot be a cookie's name (RFC 6265 section 4.1.1), or is longer than 64
    /// characters.
    pub fn name(mut self, name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = Name::new(name.as_ref())?;
        self.options().events.rename(name.as_str());
        self.origin().name = name;
        Ok(self)
    }

    /// Makes the stored digests depend on a key that is not in the store (feature `pepper`). See
    /// [`Pepper`](crate::Pepper).
    #[cfg(feature = "pepper")]
    #[must_use]
    pub fn pepper(mut self, pepper: &crate::token::Pepper) -> Self {
        self.options().terms.digester = TokenDigester::keyed(pepper);
        self
    }

    /// What becomes of a client that shows the right token and not what its session is bound to: see
    /// [`open_bound`](Self::open_bound). It is anonymous if nothing is said.
    #[must_use]
    pub fn on_mismatch(mut self, on_mismatch: OnMismatch) -> Self {
        self.options().terms.on_mismatch = on_mismatch;
        self
    }

    /// How records are encoded, for stores that keep bytes. JSON if not given.
    #[must_use]
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.origin().codec = Arc::new(codec);
        self
    }

    /// Where the time comes from. The system's clock if not given.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.options().clock = Arc::new(MonotonicClock::new(Arc::new(clock)));
        self
    }

    /// Whom to tell what happens. One hook; another call replaces it.
    ///
    /// It has a thread of its own and hears one event after the other, in their order, with the runtime of the request entered,
    /// so that it can spawn tasks. A request goes on when its event was heard, unless that is
    /// [`Resumed`](SessionEvent::Resumed): hand over what takes time. But a hook that is stuck keeps nobody from logging out: a
    /// request waits for a second at most, and the next ones not at all until the hook has caught up. Up to 1,024 events wait
    /// for it meanwhile; the hook misses what comes on top, `tracing` and the metrics do not. A panic
    /// in it is caught.
    ///
    /// # Panics
    ///
    /// If the operating system has no thread for it.
    #[must_use]
    pub fn on_event(mut self, hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        self.options().events.listen(hook);
        self
    }

    /// The store. Of sessions that are in a cookie the one for revocation, or one that holds none.
    pub fn store(&self) -> &Arc<dyn SessionStore> {
        &self.engine.store
    }

    /// A new session. It is stored, and gets its token, when it is committed with something in it.
    pub fn create(&self) -> Session {
        Session::new(self.engine.absent(Absence::NothingShown, None))
    }

    /// The session of a client that shows this token; a new one if the token opens none. What is not a token, or opens
    /// nothing, is not told apart, and never becomes the token of a session.
    ///
    /// # Errors
    ///
    /// The kinds of store failures: a store that is down makes nobody anonymous.
    pub async fn open(&self, token: &[u8]) -> Result<Session, SessionError> {
        self.open_shown(&self.shown(token), None).await
    }

    /// As [`create`](Self::create), and bound to what the client shows beside its token: see [`open_bound`](Self::open_bound).
    pub fn create_bound(&self, to: impl AsRef<[u8]>) -> Session {
        Session::new(self.engine.absent(Absence::NothingShown, Some(bond(to.as_ref()))))
    }

    /// As [`open`](Self::open), for a client that shows something more by which it is to be known again, such as the exporter of
    /// its TLS connection.
    ///
    /// A session that was begun, or last logged in, with something else is not opened, or is and an event tells of it:
    /// [`on_mismatch`](Self::on_mismatch). What [`SessionLayer::bind`](crate::SessionLayer::bind) does, without HTTP.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionError, SessionManager, SessionStatus, TokenChange};
    ///
    /// # async fn run() -> Result<(), SessionError> {
    /// let manager = SessionManager::new(MemoryStore::new());
    /// let session = manager.create_bound("this machine");
    /// session.insert("name", "Ada")?;
    /// let TokenChange::Issue(issued) = manager.commit(&session).await? else { panic!("a new session has a new token") };
    /// let token = issued.text();
    ///
    /// let session = manager.open_bound(token.as_bytes(), "this machine").await?;
    /// assert_eq!(session.status(), SessionStatus::Resumed);
    /// let session = manager.open_bound(token.as_bytes(), "another one").await?;
    /// assert_eq!(session.status(), SessionStatus::New);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open).
    pub async fn open_bound(&self, token: &[u8], to: impl AsRef<[u8]>) -> Result<Session, SessionError> {
        self.open_shown(&self.shown(token), Some(bond(to.as_ref()))).await
    }

    /// Stores what was changed, and says what the client has to do with its token. From then on the session can only be read.
    ///
    /// Once begun it runs to its end, even if nobody waits for it any more. If the session was ended elsewhere in the
    /// meantime, the changes are dropped, the client has nothing to do, and
    /// [`SessionEvent::Dropped`] says so.
    ///
    /// # Errors
    ///
    /// The kinds of store failures. Whether anything was stored may be unknown; another `commit` of the same session finds
    /// out. What earlier saves have stored, and the client has to know, is in [`token_change`](Self::token_change).
    pub async fn commit(&self, session: &Session) -> Result<TokenChange, SessionError> {
        match session.end(Mode::Final) {
            Ending::AtOnce(result) => result,
            Ending::Commit(commit) => commit.await,
        }
    }

    /// What the client has to do with its token by what [`Session::save`] has stored so far.
    pub fn token_change(&self, session: &Session) -> TokenChange {
        session.stored_token_change()
    }

    /// Waits until all commits have ended whose clients are gone, but not for longer than `timeout`: call it when the
    /// server has stopped. How many are left.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.engine.in_flight.drain(timeout).await
    }

    /// Deletes expired records from the store again and again, until the returned [`Sweeper`] is stopped or dropped.
    ///
    /// Expired sessions are invisible whether they are deleted or not; sweeping gives their space back, and tells of each
    /// ([`SessionEvent::Expired`]). It does so for the whole store, whatever the names and namespaces of the sessions in it. To be
    /// called within a tokio runtime. Several processes may sweep one store.
    pub fn start_sweeper(&self, settings: SweeperSettings) -> Sweeper {
        Sweeper::start(&self.engine, settings)
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.engine.terms
    }

    /// How many characters a text of a client may have.
    pub(crate) fn longest_text(&self) -> usize {
        self.engine.longest_text()
    }

    pub(crate) fn set_longest_text(&mut self, longest: usize) {
        self.engine.set_longest_text(longest);
    }

    pub(crate) fn session_name(&self) -> &str {
        self.engine.terms.origin.name.as_str()
    }

    /// What time it is for sessions, for test clients to agree.
    #[cfg(feature = "testing")]
    pub(crate) fn now(&self) -> crate::clock::Timestamp {
        self.engine.clock.now()
    }

    fn shown(&self, token: &[u8]) -> Shown {
        let token = ShownToken::parse(token, self.longest_text());
        token.map_or(Shown::Malformed, |token| Shown::Tokens(vec![token]))
    }

    pub(crate) async fn open_shown(&self, shown: &Shown, bond: Option<Bond>) -> Result<Session, SessionError> {
        self.engine.open(shown, bond).await.map(Session::new)
    }

    /// The session that goes on where one of another library ends, if the cookie shows one of those.
    pub(crate) async fn open_inherited(
        &self,
        predecessor: &Arc<dyn Predecessor>,
        cookie: &str,
        bond: Option<Bond>,
    ) -> Result<Option<Session>, SessionError> {
        let Some(token) = self.engine.inherit(predecessor.clone(), cookie.to_owned()).await? else { return Ok(None) };
        let unit = self.engine.open(&Shown::Tokens(vec![ShownToken::plain(token)]), bond).await?;
        let mut state = unit.state();
        if state.is_shown_in_vain() {
            return Ok(None);
        }
        if state.present().is_some() {
            state.be_told();
        }
        drop(state);
        Ok(Some(Session::new(unit)))
    }

    fn options(&mut self) -> &mut Engine {
        Arc::make_mut(&mut self.engine)
    }

    fn origin(&mut self) -> &mut Origin {
        Arc::make_mut(&mut self.options().terms.origin)
    }
}

fn bond(bytes: &[u8]) -> Bond {
    Bond::new(Some(Bytes::copy_from_slice(bytes)))
}
