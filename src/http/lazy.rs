//! The sessions of a request that nobody may ever ask for.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};

use http::{Extensions, HeaderValue, Request};

use super::captured::Captured;
use super::layer::Shared;
use super::predecessor::{Before, OldCookie};
use super::stateless::Stateless;
use super::transport::Place;
use crate::engine::{Exclusive, Shown};
use crate::error::{ErrorKind, SessionError};
use crate::record::Name;
use crate::session::Session;
use crate::state::{Bond, SessionStatus};

/// The session of a request, not loaded yet.
///
/// Nothing is read or looked up until somebody calls [`load`](Self::load): for handlers that need the session only sometimes,
/// and for services without axum.
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
    /// The one of this request.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`] if the request did not come through a [`SessionLayer`](super::SessionLayer).
    pub fn of<B>(request: &Request<B>) -> Result<Self, SessionError> {
        Self::of_extensions(request.extensions())
    }

    /// As [`of`](Self::of), for frameworks with a request type of their own, such as `tonic`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`].
    pub fn of_extensions(extensions: &Extensions) -> Result<Self, SessionError> {
        Self::named(extensions, Name::DEFAULT)
    }

    /// The one of a [`SessionLayer::named`](super::SessionLayer::named), by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::MissingLayer`] if the request did not come through a layer of this name.
    pub fn named(extensions: &Extensions, name: &str) -> Result<Self, SessionError> {
        Visit::named(extensions, name).map(|visit| Self(visit.clone()))
    }

    /// The session of such a one, loaded.
    #[cfg(feature = "axum")]
    pub(crate) async fn load_named(extensions: &Extensions, name: &str) -> Result<Session, SessionError> {
        Visit::named(extensions, name)?.load().await
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
        let session = self.0.opened.get().map(|opened| &opened.session);
        f.debug_struct("LazySession")
            .field("name", &self.0.shared.manager.session_name())
            .field("session", &session)
            .finish_non_exhaustive()
    }
}

fn stateless() -> SessionError {
    SessionError::new(
        ErrorKind::Stateless,
        "a session was asked for where a StatelessLayer promises that there is none: take the layer away, or the session",
    )
}

fn missing(name: &str) -> SessionError {
    let (which, layer) = match name {
        Name::DEFAULT => (String::new(), "SessionLayer::new(store)"),
        name => (format!(" named {name:?}"), "SessionLayer::named::<...>(store)?"),
    };
    SessionError::new(
        ErrorKind::MissingLayer,
        format!(
            "there is no SessionLayer{which} around this handler: add .layer({layer}) to the router, behind the routes that \
             need sessions; if there is one, a layer further out has the same cookie or header: give each its own"
        ),
    )
}

/// One request under one layer, from its headers to its answer.
///
/// Most are made and forgotten with nobody asking, so that it is small: with the counts of its `Arc` 128 bytes, as many as
/// are moved without a call on x86-64.
pub(super) struct Visit {
    shared: Arc<Shared>,
    captured: Captured,
    /// The same request under the next layer further out.
    outer: Option<Arc<Visit>>,
    opened: OnceLock<Opened>,
    /// Held by who opens it.
    opening: Exclusive,
    closed: AtomicBool,
}

/// A session that somebody has asked for.
pub(super) struct Opened {
    pub(super) session: Session,
    /// Where the request showed its token, and is answered.
    pub(super) place: Place,
    /// Whether a predecessor's cookie, if the request shows one, is of no use any more.
    is_settled: bool,
}

/// What the extensions of a request hold: the innermost layer's visit leads to the others.
#[derive(Clone)]
struct Innermost(Arc<Visit>);

impl Visit {
    /// Begins, unless a layer further out has the same cookie or header. A client keeps one token there, so there is one
    /// session, and that layer takes care of it.
    pub(super) fn begin<B>(shared: &Arc<Shared>, request: &mut Request<B>, bond: Option<Bond>) -> Option<Arc<Self>> {
        let Shared { transport, before, .. } = &**shared;
        let visit = Arc::new(Self {
            shared: shared.clone(),
            captured: Captured::new(request.headers(), transport, before.as_ref(), bond),
            outer: None,
            opened: OnceLock::new(),
            opening: Exclusive::default(),
            closed: AtomicBool::new(false),
        });
        match request.extensions_mut().insert(Innermost(visit.clone())) {
            None => Some(visit),
            Some(outer) => visit.enter(outer, request.extensions_mut()),
        }
    }

    /// Goes within these, or leaves it to them.
    #[cold]
    fn enter(mut self: Arc<Self>, Innermost(outer): Innermost, extensions: &mut Extensions) -> Option<Arc<Self>> {
        let Innermost(innermost) = extensions.get_mut().expect("this visit has just been put there");
        *innermost = outer.clone();
        if Self::outwards(Some(&outer)).any(|outer| outer.shared.transport.meets(&self.shared.transport)) {
            return None;
        }
        Arc::get_mut(&mut self).expect("nobody else has this visit any more").outer = Some(outer);
        *innermost = self.clone();
        Some(self)
    }

    fn named<'a>(extensions: &'a Extensions, name: &str) -> Result<&'a Arc<Self>, SessionError> {
        if extensions.get::<Stateless>().is_some() {
            return Err(stateless());
        }
        let mut visits = Self::outwards(extensions.get::<Innermost>().map(|Innermost(visit)| visit));
        visits.find(|visit| visit.shared.manager.session_name() == name).ok_or_else(|| missing(name))
    }

    fn outwards(from: Option<&Arc<Self>>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(from, |visit| visit.outer.as_ref())
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn is_within_another(&self) -> bool {
        self.outer.is_some()
    }

    async fn load(&self) -> Result<Session, SessionError> {
        let opened = match self.opened.get() {
            Some(opened) => opened,
            None => self.open().await?,
        };
        // The answer may have left while the session was being loaded.
        if self.closed.fetch_or(false, Ordering::AcqRel) {
            opened.session.close();
        }
        Ok(opened.session.clone())
    }

    async fn open(&self) -> Result<&Opened, SessionError> {
        let _one_at_a_time = self.opening.hold().await;
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let Shared { manager, transport, .. } = &*self.shared;
        let (shown, place) = transport.read(&self.captured, manager.longest_text());
        let inherited = match (&shown, self.old_cookie()) {
            (Shown::Nothing, Some((before, OldCookie::Value(cookie)))) => {
                Box::pin(manager.open_inherited(&before.sessions, cookie, self.captured.bond())).await?
            }
            _ => None,
        };
        let session = match inherited {
            Some(session) => session,
            None => manager.open_shown(&shown, self.captured.bond()).await?,
        };
        // Of no use any more, if ours is good or this one was looked at.
        let is_settled = matches!(shown, Shown::Nothing) || session.status() == SessionStatus::Resumed;
        Ok(self.opened.get_or_init(|| Opened { session, place, is_settled }))
    }

    /// What the request shows of a predecessor.
    fn old_cookie(&self) -> Option<(&Before, OldCookie<'_>)> {
        let before = self.shared.before.as_ref()?;
        Some((before, before.read(self.captured.old_cookies())))
    }

    /// Takes a predecessor's cookie away, if it is of no use any more.
    pub(super) fn removal_of_old_cookie(&self) -> Option<HeaderValue> {
        let (before, shown) = self.old_cookie()?;
        let is_over = self.opened.get()?.is_settled && !matches!(shown, OldCookie::None);
        is_over.then(|| before.removal())
    }

    /// The request ends without an answer: nothing of it counts.
    pub(super) fn abandon(self: &Arc<Self>) {
        if let Some(Opened { session, .. }) = self.close() {
            session.abandon();
        }
    }

    pub(super) fn opened(&self) -> Option<&Opened> {
        self.opened.get()
    }

    /// The handler has answered. The session, if anybody asked for it; whoever asks from now on can only read it.
    #[inline]
    pub(super) fn close(self: &Arc<Self>) -> Option<&Opened> {
        if Arc::strong_count(self) == 1 {
            // Nobody is left who could ask, and what others have opened is seen here.
            fence(Ordering::Acquire);
        } else {
            // Here as in a load the flag is read and written at once, so that one comes after the other: a load that this
            // does not see sees the flag.
            self.closed.swap(true, Ordering::AcqRel);
        }
        self.opened.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn a_visit_is_moved_without_a_call() {
        assert!(size_of::<Visit>() + 2 * size_of::<usize>() <= 128, "{}", size_of::<Visit>());
    }
}
