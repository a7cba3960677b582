//! [`Session`], the handle that applications hold.

#![allow(clippy::needless_pass_by_value, reason = "a path is written in place: `get(\"a.b\")`, not `get(&\"a.b\")`")]

mod detached;
mod expiry;
mod read_only;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::data::{Path, Segments};
use crate::engine::{Engine, RunToEnd, Unit};
use crate::error::{ErrorKind, SessionError};
use crate::journal::Change;
use crate::policy::{Limits, SessionPolicy};
use crate::state::{Mode, SessionStatus, State, TokenChange, View};
use crate::token::SessionId;

pub use detached::DetachedSession;
pub use read_only::ReadOnlySession;

/// How often a value is computed anew that others change meanwhile, before it is taken for a mistake.
const TRIES: usize = 64;

/// The session of a request.
///
/// A handle: clones share one session. It is loaded when it is extracted; after that reading and writing are plain
/// function calls on what was loaded, and whatever was changed is stored when the handler has returned, before the answer
/// leaves. A session that is not written is not stored, and a visitor to whom nothing was written gets no cookie.
///
/// Values are anything that `serde` writes as JSON. A [`Path`] names them: `"visits"`, `"account.current_user_id"`, or
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
///     let n = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
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
    pub(crate) fn new(engine: Arc<Engine>, state: State) -> Self {
        Self(Unit::new(engine, state))
    }

    /// The value at a path, or `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if it is not a `T`; it stays stored. [`ErrorKind::NotAnObject`], [`ErrorKind::InvalidPath`].
    pub fn get<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        self.read(Some(path.segments()))?.get(path.segments())?.map(decode).transpose()
    }

    /// Whether there is a value at a path. A `null` is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAnObject`], [`ErrorKind::InvalidPath`].
    pub fn contains(&self, path: impl Path) -> Result<bool, SessionError> {
        Ok(self.read(Some(path.segments()))?.get(path.segments())?.is_some())
    }

    /// Puts a value at a path. Objects on the way there are made if they are missing.
    ///
    /// If another request writes the same path at the same time, the later commit stands.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// session.insert("account.current_user_id", 7)?;
    /// session.insert("account.roles", ["admin", "author"])?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn insert(&self, path: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        let change = Change::Set(path.segments().to_owned()?, encode(&value)?);
        self.0.state().change(change, self.limits())
    }

    /// Takes away the value at a path. Whether there was one.
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn remove(&self, path: impl Path) -> Result<bool, SessionError> {
        self.0.state().remove(path.segments(), self.limits())
    }

    /// Takes away the value at a path and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), in which case the value stays, and those of every write, see [above](Self#errors).
    pub fn take<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        self.with_value(
            path.segments(),
            |old| old.map(decode).transpose(),
            |state, value| {
                state.remove(path.segments(), self.limits())?;
                Ok(value)
            },
        )
    }

    /// Makes a new value from the old one, and returns it.
    ///
    /// Nothing gets lost: if another request stores the session first, the function is called again with the value that is
    /// there then. So it should do nothing but compute, and not rely on being called once; it may read the session, and must
    /// not write to this path. What is returned is the value as of the first call.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    /// assert_eq!(visits, 1);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and those of every write, see [above](Self#errors).
    pub fn update<T, F>(&self, path: impl Path, update: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let owned = path.segments().to_owned()?;
        let update = Arc::new(update);
        let compute = |old: Option<&str>| {
            let new = update(old.map(decode).transpose()?);
            Ok((encode(&new)?, new))
        };
        self.with_value(path.segments(), compute, |state, (text, new)| {
            let update = update.clone();
            let again = move |old: Option<&str>| encode(&update(old.map(decode).transpose()?));
            state.change(Change::Update(owned.clone(), text, Arc::new(again)), self.limits())?;
            Ok(new)
        })
    }

    /// Takes away all data. The session itself stays, and so does who is logged in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn clear(&self) -> Result<(), SessionError> {
        self.0.state().change(Change::Clear, self.limits())
    }

    /// The keys of the top level, in the order in which they were first written.
    pub fn keys(&self) -> Vec<String> {
        let view = self.read(None);
        view.iter().filter_map(View::data).flat_map(|data| data.keys().map(Into::into)).collect()
    }

    /// All data, by the keys of the top level.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if a stored number or text is beyond what [`Value`] can hold.
    pub fn all(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        match self.read(None)?.data() {
            Some(data) => decode(data.as_str()),
            None => Ok(BTreeMap::new()),
        }
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
        self.0.state().rotate()
    }

    /// Ends the session: it is deleted from the store when it is committed, and the client is told to forget its cookie.
    ///
    /// Final: no other request, however slow, brings it back. This request sees an empty session from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`].
    pub fn destroy(&self) -> Result<(), SessionError> {
        self.0.state().destroy()
    }

    /// Keeps the session for this long from now on, used or not, even if the browser is closed: "remember me".
    ///
    /// It takes the place of both timeouts of the policy and stays with the session. 400 days at most, because browsers
    /// keep no cookie for longer (RFC 6265bis section 5.5), and a second at least; what is beyond that is cut off. Without
    /// effect on a session to which nothing was ever written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn remember(&self, duration: Duration) -> Result<(), SessionError> {
        self.0.state().remember(duration)
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
        in_a_task(self.0.clone().commit(Mode::Save)).await.map(drop)
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
    /// [`destroy`](Self::destroy), [`ErrorKind::Ended`] if the session was ended elsewhere. The kinds of store failures, as
    /// with [`save`](Self::save).
    pub async fn detach(&self) -> Result<DetachedSession, SessionError> {
        match self.save().await {
            Err(error) if error.kind() == ErrorKind::Committed => {}
            saved => saved?,
        }
        let present = self.0.state().to_detach()?;
        Ok(DetachedSession::new(self.0.engine.clone(), present))
    }

    /// The data as they are now, to be looked into without the lock: decoding is the application's code.
    fn read(&self, path: Option<Segments<'_>>) -> Result<View, SessionError> {
        let mut state = self.0.state();
        state.note_read(path, &self.0.engine.terms)?;
        Ok(state.view())
    }

    /// Computes something from a value without the lock, since the application's code may use the session itself, and applies
    /// it if the value is still the same.
    fn with_value<C, T>(
        &self,
        path: Segments<'_>,
        compute: impl Fn(Option<&str>) -> Result<C, SessionError>,
        apply: impl Fn(&mut State, C) -> Result<T, SessionError>,
    ) -> Result<T, SessionError> {
        for _ in 0..TRIES {
            let view = {
                let state = self.0.state();
                state.check_writable()?;
                state.view()
            };
            let old = view.get(path)?;
            let computed = compute(old)?;
            let mut state = self.0.state();
            if state.is_still(path, old) {
                // A view that is still held would make the change copy the data.
                drop(view);
                return apply(&mut state, computed);
            }
        }
        Err(SessionError::new(
            ErrorKind::Contended,
            "the value was changed again and again while a new one was made from it, within this one request; \
             the function of an update must not write to the path that it updates",
        ))
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

    pub(crate) fn close(&self) {
        self.0.state().close();
    }

    /// Ends this request's part at once, if that takes no I/O.
    pub(crate) fn settle(&self, mode: Mode) -> Option<TokenChange> {
        self.0.settle(mode)
    }

    /// Ends this request's part.
    pub(crate) fn commit(&self, mode: Mode) -> RunToEnd<Result<TokenChange, SessionError>> {
        self.0.clone().commit(mode)
    }

    fn limits(&self) -> &Limits {
        &self.0.engine.terms.limits
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

fn encode<T: Serialize>(value: &T) -> Result<Box<str>, SessionError> {
    serde_json::to_string(value).map(String::into_boxed_str).map_err(|error| {
        SessionError::new(
            ErrorKind::Encode,
            "the value cannot be written as JSON, and was not stored: keys of maps have to be text or numbers",
        )
        .because(error)
    })
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, SessionError> {
    serde_json::from_str(text).map_err(|error| {
        SessionError::new(
            ErrorKind::Decode,
            "the stored value is not of the type that was asked for; it was left as it is: \
             ask for the type under which it was written, or remove it",
        )
        .because(DecodeFailure(error.classify(), std::any::type_name::<T>()))
    })
}

/// What serde says of a value quotes that value, which may be a secret of the application. So no more than the type is told.
#[derive(Debug)]
struct DecodeFailure(serde_json::error::Category, &'static str);

impl fmt::Display for DecodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} error, reading a {}", self.0, self.1)
    }
}

impl std::error::Error for DecodeFailure {}
