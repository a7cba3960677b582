//! Who is logged in.

use super::Session;
use crate::error::{ErrorKind, SessionError};

/// What every store can find users by, in bytes: the shortest of their indexes.
const USER_MAX: usize = 1024;

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
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUser`], [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn login(&self, user: impl AsRef<str>) -> Result<(), SessionError> {
        let user = user.as_ref();
        if user.is_empty() || user.len() > USER_MAX || user.contains('\0') {
            return Err(SessionError::new(
                ErrorKind::InvalidUser,
                "a user is named by 1 to 1,024 bytes of text without NUL; nobody was logged in: use the id of the account",
            ));
        }
        self.unit().state().login(user.into(), self.limits())
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
}
