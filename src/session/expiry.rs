//! How long a session lives: what can be asked, and made shorter.

use std::time::{Duration, SystemTime};

use super::Session;
use crate::error::SessionError;
use crate::state::Present;

/// How long it lives. `None` everywhere while nothing is stored.
impl Session {
    /// When the session was created.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.of_present(|present| present.contents.created_at.into())
    }

    /// When the session dies if it is not used again, as its store has it now. This request's own use counts from the
    /// commit on.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.of_present(|present| present.expires_at.into())
    }

    /// How long the session lives if it is not used again.
    pub fn idle_remaining(&self) -> Option<Duration> {
        let now = self.unit().engine.clock.now();
        self.of_present(|present| present.expires_at.saturating_since(now))
    }

    /// How long the session lives at most, whatever is done with it.
    pub fn absolute_remaining(&self) -> Option<Duration> {
        let now = self.unit().engine.clock.now();
        self.of_present(|present| present.contents.deadline.saturating_since(now))
    }

    /// Ends the session at this time at the latest: for logins that an identity provider grants for some hours, or ends at the end
    /// of the day (ASVS 7.1.3, 7.6.1). It only ever makes a life shorter: a time beyond the absolute deadline changes nothing,
    /// and of several the earliest counts.
    ///
    /// It stays with the session through saves and new secrets, and neither [`remember`](Self::remember) nor
    /// [`reauthenticated`](Self::reauthenticated) leads beyond it. A [`login`](Self::login) begins anew without it; to limit that
    /// one, call this after it. A time that has passed ends the session with the commit. Without effect on a
    /// session to which nothing was ever written.
    ///
    /// ```
    /// use cloakroom::{Session, SessionError};
    /// use std::time::SystemTime;
    ///
    /// struct IdToken { subject: String, session_expires: SystemTime }
    ///
    /// async fn log_in(session: Session, checked: IdToken) -> Result<(), SessionError> {
    ///     session.login(&checked.subject)?;
    ///     session.end_by(checked.session_expires)
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`](crate::ErrorKind::Committed), [`ErrorKind::Destroyed`](crate::ErrorKind::Destroyed),
    /// [`ErrorKind::Ended`](crate::ErrorKind::Ended).
    pub fn end_by(&self, time: SystemTime) -> Result<(), SessionError> {
        self.unit().state().end_by(time.into())
    }

    /// Whether the browser keeps the session when it is closed.
    pub fn is_persistent(&self) -> Option<bool> {
        self.of_present(|present| present.contents.persistent)
    }

    fn of_present<T>(&self, answer: impl FnOnce(&Present) -> T) -> Option<T> {
        self.unit().state().present().map(answer)
    }
}
