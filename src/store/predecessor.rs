//! Sessions of another library, which visitors still have cookies of.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde::Serialize;

use super::{StoreError, Timestamp};

/// The sessions of another library: for applications that come from there and want to log nobody out. See
/// [`SessionLayer::predecessor`](crate::SessionLayer::predecessor), and `TowerSessionsPredecessor` for `tower-sessions`.
///
/// # Example: sessions in a table of your own
///
/// ```
/// use std::time::SystemTime;
///
/// use async_trait::async_trait;
/// use cloakroom::store::{Inheritance, Predecessor, StoreError};
///
/// #[derive(Debug)]
/// struct OldTable {/* a pool of connections */}
///
/// # impl OldTable {
/// #     async fn find(&self, _: &str) -> Option<(String, u64, SystemTime)> { None }
/// #     async fn remove(&self, _: &str) {}
/// # }
/// #[async_trait]
/// impl Predecessor for OldTable {
///     fn session(&self, cookie: &str) -> Option<String> {
///         (cookie.len() == 43).then(|| cookie.to_owned())
///     }
///
///     async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError> {
///         let Some((theme, user, expires_at)) = self.find(session).await else { return Ok(None) };
///         let data = serde_json::json!({ "theme": theme });
///         Ok(Some(Inheritance::new(&data, expires_at)?.user(user.to_string())))
///     }
///
///     async fn delete(&self, session: &str) -> Result<(), StoreError> {
///         self.remove(session).await;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Predecessor: fmt::Debug + Send + Sync + 'static {
    /// The session that a cookie's value proves, by a text that is always the same for it. `None` if the value is none of theirs, such
    /// as one whose signature is wrong.
    fn session(&self, cookie: &str) -> Option<String>;

    /// What a live session leaves. `None` if there is none, or it has expired.
    async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError>;

    /// Deletes a session, if there is one. It has been taken over by then, and is not asked for again.
    async fn delete(&self, session: &str) -> Result<(), StoreError>;
}

/// What a session of another library leaves to the one that takes its place.
#[derive(Clone)]
pub struct Inheritance {
    pub(crate) data: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) user: Option<String>,
    pub(crate) logged_in_at: Option<Timestamp>,
    pub(crate) remember: Option<Duration>,
}

impl Inheritance {
    /// Its data, something that serializes as a map, and when it would have expired: for as long its cookie is good for the session that
    /// takes its place. How long that one lives says the policy.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Other`](super::StoreErrorKind::Other) if the data cannot be written as JSON.
    pub fn new(data: &impl Serialize, expires_at: SystemTime) -> Result<Self, StoreError> {
        let data = serde_json::to_string(data).map_err(StoreError::other)?;
        Ok(Self { data, expires_at: expires_at.into(), user: None, logged_in_at: None, remember: None })
    }

    /// Who was logged in, as [`Session::login`](crate::Session::login) would be given it.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// When the user has shown last who they are. Unknown if not given: then whatever asks for a
    /// [recent login](crate::Session::require_recent_login) asks for a new one.
    #[must_use]
    pub fn logged_in_at(mut self, time: SystemTime) -> Self {
        self.logged_in_at = Some(time.into());
        self
    }

    /// As [`Session::remember`](crate::Session::remember): where the old cookie outlived the browser, this one should as well.
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = Some(time);
        self
    }
}

impl fmt::Debug for Inheritance {
    /// Leaves out data and user: they are the application's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inheritance").field("expires_at", &self.expires_at).finish_non_exhaustive()
    }
}
