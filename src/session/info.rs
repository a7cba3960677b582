//! What there is to know about a session, at a glance.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Session;
use crate::clock::Timestamp;
use crate::error::SessionError;
use crate::state::{Present, SessionStatus};
use crate::token::SessionId;

/// What there is to know about a session: see [`Session::info`].
///
/// It serializes, and prints as JSON, with the keys `name`, `started-at`, `duration`, `resumed-at`, `passed-time`,
/// `remaining-time`, `id`, `is-refresh`, `is-persistent`, `status`, `user` and `vars`. Points in time are Unix seconds,
/// spans are seconds. Nothing in it opens a session.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The name of the session: see [`SessionManager::name`](crate::SessionManager::name).
    pub name: String,
    /// When it began. For one that is not stored yet, now.
    pub started_at: SystemTime,
    /// How long it lives without being used, and if it was remembered, used or not.
    pub duration: Duration,
    /// When this request opened it.
    pub resumed_at: SystemTime,
    /// How long ago it began.
    pub passed_time: Duration,
    /// How long it lives from now on if it is not used again.
    pub remaining_time: Duration,
    /// The public id. `None` while nothing is stored.
    pub id: Option<SessionId>,
    /// Whether using it makes it live longer.
    pub is_refresh: bool,
    /// Whether the browser keeps it when it is closed.
    pub is_persistent: bool,
    /// Whether it is new, was resumed, or has been destroyed by this request.
    pub status: SessionStatus,
    /// Who is logged in: the name that [`login`](Session::login) was given. What else is known of the user is for the
    /// application's database.
    pub user: Option<String>,
    /// The data, if they were asked for.
    pub vars: Option<BTreeMap<String, Value>>,
}

impl Session {
    /// What there is to know about the session, without its data.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// session.insert("visits", 1)?;
    /// println!("{}", session.info());
    /// # session.save().await?;
    /// # let json = serde_json::to_value(session.info()).unwrap();
    /// # assert_eq!((&json["duration"], &json["vars"]), (&3600.into(), &().into()));
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// ```json
    /// {
    ///   "name": "id",
    ///   "started-at": 1763690400,
    ///   "duration": 3600,
    ///   "resumed-at": 1763691000,
    ///   "passed-time": 600,
    ///   "remaining-time": 3600,
    ///   "id": "d9c6e61c-c21e-46b0-8b5a-39eb6f9be63e",
    ///   "is-refresh": true,
    ///   "is-persistent": false,
    ///   "status": "resumed",
    ///   "user": null,
    ///   "vars": null
    /// }
    /// ```
    pub fn info(&self) -> SessionInfo {
        let engine = &self.unit().engine;
        let (now, policy) = (engine.clock.now(), &engine.terms.policy);
        let state = self.unit().state();
        let present = state.present();
        let contents = present.map(|present| &present.contents);
        let started_at = contents.map_or(now, |contents| contents.created_at);
        let duration = contents.map_or(policy.idle_timeout(), |contents| contents.idle_timeout(policy));
        let expires_at = match (present, state.status()) {
            (Some(present), _) => present.expires_at,
            (None, SessionStatus::Destroyed) => now,
            (None, _) => now.saturating_add(duration),
        };
        SessionInfo {
            name: self.name().to_owned(),
            started_at: started_at.into(),
            duration,
            resumed_at: Timestamp::max(state.opened_at(), started_at).into(),
            passed_time: now.saturating_since(started_at),
            remaining_time: expires_at.saturating_since(now),
            id: present.map(Present::id),
            is_refresh: contents.is_none_or(|contents| contents.extras.idle.is_none()),
            is_persistent: contents.map_or(policy.is_persistent(), |contents| contents.persistent),
            status: state.status(),
            user: state.user().map(ToString::to_string),
            vars: None,
        }
    }

    /// What there is to know about the session, with its data. They may be secrets: show them to nobody else. Flash values
    /// are left out, and stay.
    ///
    /// # Errors
    ///
    /// Those of [`all`](Self::all).
    pub fn info_with_vars(&self) -> Result<SessionInfo, SessionError> {
        Ok(SessionInfo { vars: Some(self.stored_values()?), ..self.info() })
    }
}

impl Serialize for SessionInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let status = match self.status {
            SessionStatus::New => "new",
            SessionStatus::Resumed => "resumed",
            SessionStatus::Destroyed => "destroyed",
        };
        let mut info = serializer.serialize_struct("SessionInfo", 12)?;
        info.serialize_field("name", &self.name)?;
        info.serialize_field("started-at", &unix_seconds(self.started_at))?;
        info.serialize_field("duration", &self.duration.as_secs())?;
        info.serialize_field("resumed-at", &unix_seconds(self.resumed_at))?;
        info.serialize_field("passed-time", &self.passed_time.as_secs())?;
        info.serialize_field("remaining-time", &self.remaining_time.as_secs())?;
        info.serialize_field("id", &self.id)?;
        info.serialize_field("is-refresh", &self.is_refresh)?;
        info.serialize_field("is-persistent", &self.is_persistent)?;
        info.serialize_field("status", status)?;
        info.serialize_field("user", &self.user)?;
        info.serialize_field("vars", &self.vars)?;
        info.end()
    }
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl fmt::Display for SessionInfo {
    /// As JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?)
    }
}
