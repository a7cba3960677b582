use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::load;
use crate::error::{ErrorKind, SessionError};
use crate::record::Name;
use crate::session::Session;

/// Who is logged in, as an argument of a handler: nobody else gets to it.
///
/// | argument | nobody is logged in | the login is older |
/// |---|---|---|
/// | `User` | 401 | |
/// | `User<600>`: within the last 600 seconds (ASVS 7.5.1) | 401 | 403 |
/// | `Option<User>` | `None` | |
/// | `Option<User<600>>` | `None` | 403 |
///
/// It derefs to the name that [`Session::login`] was given. The answers are those of a [`SessionError`], of the kinds
/// [`NotLoggedIn`](ErrorKind::NotLoggedIn) and [`LoginTooOld`](ErrorKind::LoginTooOld), for applications with pages of their
/// own: `Result<User, SessionError>` is an argument as well. `Named<Admin, User>` is the user of a
/// [named](crate::Named) session. Without axum there is [`Session::require_recent_login`].
///
/// ```
/// use axum::{Router, routing::{get, post}};
/// use cloakroom::{Session, SessionError, User};
///
/// const MINUTES: u64 = 60;
///
/// async fn account(user: User) -> String {
///     format!("the account of {}", &*user)
/// }
///
/// async fn delete_account(user: User<{ 10 * MINUTES }>, session: Session) -> Result<String, SessionError> {
///     session.logout()?;
///     Ok(format!("{} is no more", &*user))
/// }
///
/// # fn is_right(_user: &str, _password: &str) -> bool { true }
/// async fn password_again(user: User, session: Session, password: String) -> Result<&'static str, SessionError> {
///     if !is_right(&user, &password) {
///         return Ok("no");
///     }
///     session.reauthenticated()?;
///     Ok("go on")
/// }
///
/// let routes: Router = Router::new()
///     .route("/account", get(account).delete(delete_account))
///     .route("/password-again", post(password_again));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct User<const WITHIN_SECONDS: u64 = { u64::MAX }>(String);

impl<const WITHIN_SECONDS: u64> User<WITHIN_SECONDS> {
    /// The name, as it was given to [`Session::login`].
    pub fn into_inner(self) -> String {
        self.0
    }

    pub(super) fn of(session: &Session) -> Result<Self, SessionError> {
        match WITHIN_SECONDS {
            u64::MAX => session.require_user(),
            seconds => session.require_recent_login(Duration::from_secs(seconds)),
        }
        .map(Self)
    }
}

impl<const WITHIN_SECONDS: u64> Deref for User<WITHIN_SECONDS> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const WITHIN_SECONDS: u64> fmt::Display for User<WITHIN_SECONDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const WITHIN_SECONDS: u64> fmt::Debug for User<WITHIN_SECONDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("User").field(&self.0).finish()
    }
}

/// Loads the session, and demands a login.
impl<S: Send + Sync, const WITHIN_SECONDS: u64> FromRequestParts<S> for User<WITHIN_SECONDS> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        Self::of(&load(parts, Name::DEFAULT).await?)
    }
}

/// Loads the session. `None` if nobody is logged in.
impl<S: Send + Sync, const WITHIN_SECONDS: u64> OptionalFromRequestParts<S> for User<WITHIN_SECONDS> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        match Self::of(&load(parts, Name::DEFAULT).await?) {
            Err(error) if error.kind() == ErrorKind::NotLoggedIn => Ok(None),
            user => user.map(Some),
        }
    }
}
