//! axum: sessions as handler arguments, errors as answers.

mod named;
mod user;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::request::Parts;

use crate::error::SessionError;
use crate::http::LazySession;
use crate::record::Name;
use crate::session::{Bag, BagContent, ReadOnlySession, Session};
use crate::state::SessionStatus;

pub use named::Named;
pub use user::User;

/// Loads the session. A visitor without one gets an empty session, which is stored if something is written to it.
impl<S: Send + Sync> FromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        load(parts, Name::DEFAULT).await
    }
}

/// Loads the session, if there is one already: `None` for a visitor without.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Session {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        load(parts, Name::DEFAULT).await.map(existing)
    }
}

/// Loads nothing yet.
impl<S: Send + Sync> FromRequestParts<S> for LazySession {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        Self::of_extensions(&parts.extensions)
    }
}

/// Loads the session, for reading.
impl<S: Send + Sync> FromRequestParts<S> for ReadOnlySession {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, SessionError> {
        load(parts, Name::DEFAULT).await.map(Into::into)
    }
}

/// Loads the session for reading, if there is one already: `None` for a visitor without.
impl<S: Send + Sync> OptionalFromRequestParts<S> for ReadOnlySession {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, SessionError> {
        Ok(existing(load(parts, Name::DEFAULT).await?).map(Into::into))
    }
}

/// Loads the session, and takes the part of this type from it.
impl<S: Send + Sync, T: BagContent> FromRequestParts<S> for Bag<T> {
    type Rejection = SessionError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, SessionError> {
        Self::of(&<Session as FromRequestParts<S>>::from_request_parts(parts, state).await?)
    }
}

async fn load(parts: &Parts, name: &str) -> Result<Session, SessionError> {
    LazySession::load_named(&parts.extensions, name).await
}

fn existing(session: Session) -> Option<Session> {
    (session.status() == SessionStatus::Resumed).then_some(session)
}

/// Answers with [`status`](SessionError::status) and [`body_text`](SessionError::body_text), and with `Retry-After` where a
/// later try may succeed. The error itself goes to `tracing`, not to the client: as a warning if the server is at fault.
///
/// The [`ErrorKind`](crate::ErrorKind) is in the extensions of the answer, so that one middleware can make pages of them, and lead to
/// the login whoever has to log in.
impl IntoResponse for SessionError {
    fn into_response(self) -> Response {
        #[cfg(feature = "tracing")]
        if self.status().is_server_error() {
            tracing::warn!(error = ?self, "a request failed on its session");
        } else {
            tracing::debug!(error = ?self, "a request was refused on its session");
        }
        self.to_response()
    }
}
