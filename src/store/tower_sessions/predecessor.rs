//! Sessions of `tower-sessions` itself, which go on as sessions of this crate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use serde_json::Value;
use tower_sessions_core::SessionStore as ForeignStore;
use tower_sessions_core::session::Id;

use super::failure;
use crate::error::StoreError;
use crate::store::{Inheritance, Predecessor};

type OpenCookie = dyn Fn(&str) -> Option<String> + Send + Sync;
type FindUser = dyn Fn(&HashMap<String, Value>) -> Option<String> + Send + Sync;

/// The sessions of an application that comes from `tower-sessions` 0.15: see
/// [`SessionLayer::predecessor`](crate::SessionLayer::predecessor).
///
/// ```
/// use std::time::Duration;
///
/// use cloakroom::store::TowerSessionsPredecessor;
/// use cloakroom::{ConfigError, CookiePrefix, SessionCookie, SessionLayer, SqliteStore};
///
/// fn sessions(
///     old: impl tower_sessions_core::SessionStore,
///     new: SqliteStore,
/// ) -> Result<SessionLayer, ConfigError> {
///     // Name, path and domain as they were given to the SessionManagerLayer of tower-sessions.
///     let cookie = SessionCookie::new("id").prefix(CookiePrefix::None);
///     let old = TowerSessionsPredecessor::new(old)
///         .user(|data| Some(data.get("user_id")?.as_str()?.to_owned()))
///         .remember(Duration::from_hours(24 * 14));
///     SessionLayer::new(new).predecessor(cookie, old)
/// }
/// ```
#[derive(Clone)]
pub struct TowerSessionsPredecessor<S> {
    store: S,
    open_cookie: Option<Arc<OpenCookie>>,
    user: Option<Arc<FindUser>>,
    remember: Option<Duration>,
}

impl<S: ForeignStore> TowerSessionsPredecessor<S> {
    /// Those in this store. They keep their data, key by key.
    pub fn new(store: S) -> Self {
        Self { store, open_cookie: None, user: None, remember: None }
    }

    /// How the value of a cookie is opened that was signed or private: the session's id, or `None` for one that was tampered with.
    ///
    /// ```
    /// # use tower_sessions::cookie;
    /// # fn opener(key: cookie::Key) -> impl Fn(&str) -> Option<String> {
    /// move |value: &str| {
    ///     let mut jar = cookie::CookieJar::new();
    ///     jar.add_original(cookie::Cookie::parse_encoded(format!("id={value}")).ok()?);
    ///     Some(jar.signed(&key).get("id")?.value().to_owned())
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn open_cookie(mut self, open: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        self.open_cookie = Some(Arc::new(open));
        self
    }

    /// Who is logged in, by the data of the session. Nobody if not given: then the data have it still, but sessions are not found by
    /// their user.
    #[must_use]
    pub fn user(mut self, user: impl Fn(&HashMap<String, Value>) -> Option<String> + Send + Sync + 'static) -> Self {
        self.user = Some(Arc::new(user));
        self
    }

    /// How long sessions are remembered, for those whose cookie had an expiry: see [`Inheritance::remember`].
    #[must_use]
    pub fn remember(mut self, time: Duration) -> Self {
        self.remember = Some(time);
        self
    }
}

#[async_trait]
impl<S: ForeignStore + fmt::Debug> Predecessor for TowerSessionsPredecessor<S> {
    fn session(&self, cookie: &str) -> Option<String> {
        let id = match &self.open_cookie {
            Some(open) => open(cookie)?,
            None => cookie.to_owned(),
        };
        id.parse::<Id>().ok().map(|id| id.to_string())
    }

    async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError> {
        let Ok(id) = session.parse::<Id>() else { return Ok(None) };
        let found = self.store.load(&id).await.map_err(failure)?;
        // Stores should not answer with what has expired. Some do, until it is deleted.
        let Some(record) = found.filter(|record| SystemTime::now() < SystemTime::from(record.expiry_date)) else {
            return Ok(None);
        };
        let mut inheritance = Inheritance::new(&record.data, record.expiry_date.into())?;
        if let Some(user) = self.user.as_ref().and_then(|user| user(&record.data)) {
            inheritance = inheritance.user(user);
        }
        if let Some(time) = self.remember {
            inheritance = inheritance.remember(time);
        }
        Ok(Some(inheritance))
    }

    async fn delete(&self, session: &str) -> Result<(), StoreError> {
        let Ok(id) = session.parse::<Id>() else { return Ok(()) };
        self.store.delete(&id).await.map_err(failure)
    }
}

impl<S: fmt::Debug> fmt::Debug for TowerSessionsPredecessor<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessionsPredecessor").field("store", &self.store).finish_non_exhaustive()
    }
}
