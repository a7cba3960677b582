//! A session beyond its request.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::Session;
use crate::engine::{Engine, Unit, Watch};
use crate::state::{Present, State};
use crate::token::SessionId;

/// How long a session's end may go unnoticed that this process has not caused, if nothing else is said.
const INTERVAL: Duration = Duration::from_secs(10);

/// More often than this the store is not asked.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// A session for what outlives its request: a WebSocket, a stream of events, a task in the background.
///
/// Made by [`Session::detach`]. It reads and writes like the [`Session`] that it derefs to, with changes of its own, which
/// [`save`](Session::save) stores, as often as you like: nothing is stored without it. What others have stored since is seen
/// after [`reload`](Session::reload), and after a save that met it. Clones share one state, and dropping the last leaves
/// nothing behind.
///
/// # The end
///
/// [`ended`](Self::ended) resolves when the session is over for whoever opened this connection: it was destroyed, has
/// expired, or its secret was [replaced](Session::regenerate). The last, because a login replaces it: a connection that
/// was opened before, perhaps by somebody who had planted the old token (session fixation, ASVS 7.2.4), must not see what
/// is done after it. The client connects again with its new cookie.
///
/// From then on the session is empty, writes and saves are [`ErrorKind::Ended`](crate::ErrorKind::Ended), and nothing that
/// this handle does brings it back.
///
/// # How soon
///
/// At once, if the session was ended through the same [`SessionManager`](crate::SessionManager) or a clone of it. By another
/// process, or by time: within [`check_every`](Self::check_every), 10 seconds if not given, and the time of a call to the
/// store. Time is the manager's clock. A store that is down, or holds something that cannot be read, ends nothing: as soon
/// as it answers it is known again.
///
/// Each look is one load, past every [cache](crate::CachedStore), and the first is made as soon as somebody waits. Where
/// nobody waits nobody looks; writes are refused all the same once the session is over, when they are saved.
///
/// # Keeping it alive
///
/// An open connection is no use of the session: it expires as if the client were silent. To count the client's messages
/// as use, [`save`](Session::save): with nothing changed it moves the expiry, if that is due. A cookie with a lifetime of its
/// own is extended by answers to requests only.
///
/// # What it cannot do
///
/// [Flash values](Session::flash) can be read, and stay for the page that shows them: what takes them away is the answer to a
/// request.
///
/// [`login`](Session::login), [`reauthenticated`](Session::reauthenticated), [`regenerate`](Session::regenerate) and
/// [`remember`](Session::remember) are refused with [`ErrorKind::Committed`](crate::ErrorKind::Committed): there is no answer that
/// could bring the client its new cookie.
/// [`destroy`](Session::destroy) works, followed by `save`; the client's cookie then opens nothing. Where clients hold the data
/// (`CookieStore`), a save of other data is refused for the same reason, with
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
///
/// # Handshakes from other sites
///
/// A page of any site may open a WebSocket to yours, and the browser sends your cookie along (RFC 6455 section 10.2). Compare
/// the `Origin` header of the handshake with the origins that you serve before you detach (ASVS 4.4.2);
/// `examples/websocket.rs` shows it.
///
/// # At shutdown
///
/// [`SessionLayer::drain`](crate::SessionLayer::drain) waits for saves that have begun, not for handles that are still held:
/// close your connections first. What a handle has changed and not saved is gone with it.
///
/// `examples/websocket.rs` and `examples/sse.rs` are servers to play with.
///
/// # Example: a task that works on for the visitor
///
/// ```
/// use cloakroom::{MemoryStore, Session, SessionError, SessionManager};
///
/// async fn order(session: Session) -> Result<&'static str, SessionError> {
///     session.insert("order", "in the oven")?;
///     let session = session.detach().await?;
///     tokio::spawn(async move {
///         tokio::select! {
///             () = bake() => {
///                 session.insert("order", "ready")?;
///                 session.save().await
///             }
///             () = session.ended() => Ok(()), // whoever ordered has logged out
///         }
///     });
///     Ok("it is on its way")
/// }
///
/// # async fn bake() {}
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), SessionError> {
/// # order(SessionManager::new(MemoryStore::new()).create()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DetachedSession {
    session: Session,
    id: SessionId,
    interval: Duration,
    /// From the moment when somebody waits.
    watch: Arc<OnceLock<Watch>>,
}

impl DetachedSession {
    pub(super) fn new(engine: Arc<Engine>, present: Arc<Present>) -> Self {
        let (id, now) = (present.id(), engine.clock.now());
        let session = Session::new(Unit::new(engine, State::detached(present, now)));
        Self { session, id, interval: INTERVAL, watch: Arc::default() }
    }

    /// How long the end of the session may go unnoticed that another process, or time, has caused: 10 seconds if not given,
    /// at least 10 milliseconds. This is how often the store is asked for each connection, less up to a tenth at random.
    ///
    /// To be given before the handle is cloned: clones that exist already keep theirs.
    #[must_use]
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.interval = interval.max(INTERVAL_MIN);
        self.watch = Arc::default();
        self
    }

    /// Resolves when the session is over for whoever holds this handle, see [above](Self#the-end); at once if it is over.
    ///
    /// Made for the loops of `tokio::select!`: may be dropped and called again at any time without putting the end off, and
    /// by several clones. To be called within a tokio runtime.
    pub async fn ended(&self) {
        self.watch.get_or_init(|| Watch::start(self.session.unit(), self.id, self.interval)).over().await;
    }
}

impl Deref for DetachedSession {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.session
    }
}

impl fmt::Debug for DetachedSession {
    /// Shows the public id and the status, and no data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DetachedSession").field(&self.session).finish()
    }
}
