use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;

use super::{User, existing, load};
use crate::error::SessionError;
use crate::http::{LazySession, SessionName};
use crate::session::{ReadOnlySession, Session};

/// The session of a [`SessionLayer::named`](crate::SessionLayer::named), as an argument of a handler.
///
/// | argument | what it is |
/// |---|---|
/// | `Named<Admin>` | the [`Session`]; a visitor without one gets an empty one |
/// | `Option<Named<Admin>>` | the same if there is one already |
/// | `Named<Admin, LazySession>` | nothing is loaded until it is asked to |
/// | `Named<Admin, ReadOnlySession>` | for reading; in an `Option` if there is one already |
/// | `Named<Admin, User>` | who is logged in there: see [`User`] |
///
/// Where the layer is missing the request is answered 500, and the error names the session.
///
/// ```
/// use cloakroom::{Named, SessionError, SessionName};
///
/// struct Admin;
///
/// impl SessionName for Admin {
///     const NAME: &'static str = "admin";
/// }
///
/// async fn sign_out(admin: Option<Named<Admin>>) -> Result<&'static str, SessionError> {
///     let Some(admin) = admin else { return Ok("you were not signed in") };
///     admin.destroy()?;
///     Ok("goodbye")
/// }
/// ```
pub struct Named<N, T = Session> {
    inner: T,
    name: PhantomData<fn() -> N>,
}

impl<N, T> Named<N, T> {
    /// The session without its name, for functions that take any.
    pub fn into_inner(self) -> T {
        self.inner
    }

    fn new(inner: T) -> Self {
        Self { inner, name: PhantomData }
    }
}

impl<N, T> Deref for Named<N, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<N, T: Clone> Clone for Named<N, T> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<N: SessionName, T: fmt::Debug> fmt::Debug for Named<N, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&N::NAME).field(&self.inner).finish()
    }
}

/// Loads the session.
impl<S: Send + Sync, N: SessionName> FromRequestParts<S> for Named<N> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        load(parts, N::NAME).await.map(Self::new)
    }
}

/// Loads the session, if there is one already.
impl<S: Send + Sync, N: SessionName> OptionalFromRequestParts<S> for Named<N> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        Ok(existing(load(parts, N::NAME).await?).map(Self::new))
    }
}

/// Loads nothing yet.
impl<S: Send + Sync, N: SessionName> FromRequestParts<S> for Named<N, LazySession> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        LazySession::named(&parts.extensions, N::NAME).map(Self::new)
    }
}

/// Loads the session, for reading.
impl<S: Send + Sync, N: SessionName> FromRequestParts<S> for Named<N, ReadOnlySession> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        load(parts, N::NAME).await.map(|session| Self::new(session.into()))
    }
}

/// Loads the session for reading, if there is one already.
impl<S: Send + Sync, N: SessionName> OptionalFromRequestParts<S> for Named<N, ReadOnlySession> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        Ok(existing(load(parts, N::NAME).await?).map(|session| Self::new(session.into())))
    }
}

/// Loads the session, and demands a login.
impl<S: Send + Sync, N: SessionName, const WITHIN_SECONDS: u64> FromRequestParts<S> for Named<N, User<WITHIN_SECONDS>> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        User::of(&load(parts, N::NAME).await?).map(Self::new)
    }
}
