//! A session without setters.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Message, Session, SessionInfo};
use crate::data::Path;
use crate::error::SessionError;
use crate::state::SessionStatus;
use crate::token::SessionId;

/// The session of a request, for handlers that only read it: the compiler sees to it.
///
/// Reading still keeps the session alive, and takes away the [flash values](Session::flash) that were read, as any use does.
///
/// ```
/// use cloakroom::{ReadOnlySession, SessionError};
///
/// async fn greet(session: ReadOnlySession) -> Result<String, SessionError> {
///     let name: Option<String> = session.get("name")?;
///     Ok(format!("Hello, {}!", name.as_deref().unwrap_or("stranger")))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct ReadOnlySession(Session);

impl ReadOnlySession {
    /// The value at a path, or `None` if there is none. As [`Session::get`].
    ///
    /// # Errors
    ///
    /// Those of [`Session::get`].
    pub fn get<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        self.0.get(path)
    }

    /// Whether there is a value at a path. As [`Session::contains`].
    ///
    /// # Errors
    ///
    /// Those of [`Session::contains`].
    pub fn contains(&self, path: impl Path) -> Result<bool, SessionError> {
        self.0.contains(path)
    }

    /// The keys of the top level. As [`Session::keys`].
    pub fn keys(&self) -> Vec<String> {
        self.0.keys()
    }

    /// All data. As [`Session::all`].
    ///
    /// # Errors
    ///
    /// Those of [`Session::all`].
    pub fn all(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        self.0.all()
    }

    /// Who is logged in. As [`Session::user`].
    pub fn user(&self) -> Option<String> {
        self.0.user()
    }

    /// How long ago the user has shown who they are. As [`Session::auth_age`].
    pub fn auth_age(&self) -> Option<Duration> {
        self.0.auth_age()
    }

    /// The messages for this page. As [`Session::messages`].
    ///
    /// # Errors
    ///
    /// Those of [`Session::messages`].
    pub fn messages(&self) -> Result<Vec<Message>, SessionError> {
        self.0.messages()
    }

    /// What the visitor had written into a field. As [`Session::old`].
    ///
    /// # Errors
    ///
    /// Those of [`Session::old`].
    pub fn old(&self, field: impl Path) -> Result<Option<String>, SessionError> {
        self.0.old(field)
    }

    /// A text for a form that proves that its page was made for this session. As [`Session::csrf_token`]: the one call by which
    /// a page that only reads gives a visitor a session.
    ///
    /// # Errors
    ///
    /// Those of [`Session::csrf_token`].
    pub fn csrf_token(&self) -> Result<String, SessionError> {
        self.0.csrf_token()
    }

    /// What there is to know about the session. As [`Session::info`].
    pub fn info(&self) -> SessionInfo {
        self.0.info()
    }

    /// What the session is called. As [`Session::name`].
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// The public id. As [`Session::id`].
    pub fn id(&self) -> Option<SessionId> {
        self.0.id()
    }

    /// Whether the session is new or was resumed. As [`Session::status`].
    pub fn status(&self) -> SessionStatus {
        self.0.status()
    }
}

impl ReadOnlySession {
    pub(super) fn inner(&self) -> &Session {
        &self.0
    }
}

impl From<Session> for ReadOnlySession {
    fn from(session: Session) -> Self {
        Self(session)
    }
}
