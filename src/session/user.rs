//! Who is logged in.

use std::time::Duration;

use super::Session;
use crate::error::{ErrorKind, SessionError};
use crate::state::{check_user, not_logged_in};

/// Who is logged in.
///
/// ```
/// use cloakroom::{Session, SessionError};
///
/// # fn checked(_name: &str, _password: &str) -> Option<&'static str> { Some("7") }
/// async fn log_in(session: Session) -> Result<&'static str, SessionError> {
///     let Some(user) = checked("ada", "correct horse") else { return Ok("no") };
///     session.login(user)?;
///     Ok("welcome")
/// }
///
/// async fn greet(session: Session) -> String {
///     format!("hello, {}", session.user().as_deref().unwrap_or("stranger"))
/// }
///
/// async fn log_out(session: Session) -> Result<&'static str, SessionError> {
///     session.logout()?;
///     Ok("goodbye")
/// }
/// ```
impl Session {
    /// Notes who is logged in, under the application's own name for that user: an id, from 1 to 1,024 bytes without NUL. Whether
    /// it is that user is the application's to find out before.
    ///
    /// The session gets a new secret, as by [`regenerate`](Self::regenerate) (ASVS 7.2.4), the absolute deadline starts anew,
    /// and both are stored even if the answer is a server error. What the visitor did before stays: a cart is there after
    /// the login. But if somebody else was logged in, all data goes first.
    ///
    /// If the session ends before the login is stored, or another request logs in with it first, the commit fails with
    /// [`ErrorKind::Ended`], and the answer is 409: the visitor is to try again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUser`], [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn login(&self, user: impl AsRef<str>) -> Result<(), SessionError> {
        self.log_in(user.as_ref(), None)
    }

    /// As [`login`](Self::login), and of what the visitor did before only these keys of the top level stay. Flash values go as
    /// well.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # fn main() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// session.insert("cart", ["teapot"])?;
    /// session.insert("utm_source", "elsewhere.example")?;
    /// session.login_keeping("7", ["cart", "locale"])?;
    /// assert_eq!(session.keys(), ["cart"]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`login`](Self::login).
    pub fn login_keeping<K: AsRef<str>>(
        &self,
        user: impl AsRef<str>,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<(), SessionError> {
        self.log_in(user.as_ref(), Some(keys.into_iter().map(|key| key.as_ref().into()).collect()))
    }

    /// The user has shown again who they are, as before a change of the password: [`auth_age`](Self::auth_age) begins anew, and
    /// the session gets a new secret (ASVS 7.2.4). Data and user stay. The absolute deadline starts anew as well (NIST SP
    /// 800-63B-4 section 5.2), unless the session is [remembered](Self::remember).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoggedIn`], [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn reauthenticated(&self) -> Result<(), SessionError> {
        self.unit().state().reauthenticate()
    }

    fn log_in(&self, user: &str, keep: Option<Box<[Box<str>]>>) -> Result<(), SessionError> {
        check_user(user)?;
        self.unit().state().login(user.into(), keep, self.limits())
    }

    /// Logs out: the session ends with all its data. The same as [`destroy`](Self::destroy), and as final.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`].
    pub fn logout(&self) -> Result<(), SessionError> {
        self.destroy()
    }

    /// Who is logged in: what [`login`](Self::login) was given.
    pub fn user(&self) -> Option<String> {
        self.unit().state().user().map(ToString::to_string)
    }

    /// How long ago the user has shown who they are: at the [`login`](Self::login), or when they were
    /// [`reauthenticated`](Self::reauthenticated). `None` if nobody is logged in.
    pub fn auth_age(&self) -> Option<Duration> {
        let now = self.unit().engine.clock.now();
        self.unit().state().auth_age(now)
    }

    /// Who is logged in; an error if nobody is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoggedIn`], answered as 401.
    pub fn require_user(&self) -> Result<String, SessionError> {
        self.user().ok_or_else(not_logged_in)
    }

    /// Who is logged in, if they have shown who they are within this time (ASVS 7.5.1, 7.5.3).
    ///
    /// ```
    /// use cloakroom::{Session, SessionError};
    /// use std::time::Duration;
    ///
    /// async fn change_email(session: Session) -> Result<String, SessionError> {
    ///     let user = session.require_recent_login(Duration::from_mins(10))?;
    ///     Ok(format!("the new address of {user} is stored"))
    /// }
    /// ```
    ///
    /// In axum [`User`](crate::User) does so as an argument of the handler.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotLoggedIn`], answered as 401. [`ErrorKind::LoginTooOld`], answered as 403: ask for the password, and call
    /// [`reauthenticated`](Self::reauthenticated).
    pub fn require_recent_login(&self, within: Duration) -> Result<String, SessionError> {
        let user = self.require_user()?;
        if self.auth_age().is_none_or(|age| age > within) {
            return Err(SessionError::new(
                ErrorKind::LoginTooOld,
                format!(
                    "the last login is more than {} seconds ago: let the user show again who they are, and call \
                     Session::reauthenticated",
                    within.as_secs()
                ),
            ));
        }
        Ok(user)
    }
}
