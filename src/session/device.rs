//! The sessions of a user, for the user to see and to end.

use std::time::{Duration, SystemTime};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Session;
use crate::clock::Timestamp;
use crate::engine::{Engine, Found};
use crate::error::SessionError;
use crate::token::SessionId;

/// How many characters a label has at most.
const LABEL_MAX: usize = 256;

/// A session of a user as a list of devices shows it.
///
/// Nothing in it opens a session: the id proves nothing, and there is no token. It serializes, with the names of its fields as
/// keys and times as Unix seconds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Device {
    /// Names the session, to [`revoke`](Session::revoke) it.
    pub id: SessionId,
    /// When the session began, which may have been before the login.
    pub created_at: SystemTime,
    /// When the user has shown last who they are.
    pub logged_in_at: Option<SystemTime>,
    /// It was used at this time, and perhaps since: reading moves it by steps of
    /// [`SessionPolicy::touch_after`](crate::SessionPolicy::touch_after), a tenth of the idle timeout if not given. Of a
    /// session that is [remembered](Session::remember), the time when it was. It stands still during the last idle timeout
    /// before the absolute deadline.
    pub last_seen_at: SystemTime,
    /// When it ends if it is not used again.
    pub expires_at: SystemTime,
    /// What the application calls it: see [`Session::set_label`].
    pub label: Option<String>,
    /// Whether it is the session that has asked.
    pub is_current: bool,
}

impl Device {
    pub(crate) fn of(found: &Found, current: Option<SessionId>, engine: &Engine) -> Self {
        let (contents, now) = (&found.contents, engine.clock.now());
        let idle = contents.idle_timeout(&engine.terms.policy);
        let idle = i64::try_from(idle.as_millis()).unwrap_or(i64::MAX);
        let last_seen = Timestamp::from_millis(found.expires_at.as_millis().saturating_sub(idle));
        Self {
            id: found.id,
            created_at: contents.created_at.into(),
            logged_in_at: contents.extras.logged_in_at.map(Into::into),
            last_seen_at: last_seen.min(now).max(contents.created_at).into(),
            expires_at: found.expires_at.into(),
            label: contents.extras.label.as_deref().map(Into::into),
            is_current: Some(found.id) == current,
        }
    }
}

impl Serialize for Device {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds =
            |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs);
        let mut device = serializer.serialize_struct("Device", 7)?;
        device.serialize_field("id", &self.id)?;
        device.serialize_field("created_at", &seconds(self.created_at))?;
        device.serialize_field("logged_in_at", &self.logged_in_at.map(seconds))?;
        device.serialize_field("last_seen_at", &seconds(self.last_seen_at))?;
        device.serialize_field("expires_at", &seconds(self.expires_at))?;
        device.serialize_field("label", &self.label)?;
        device.serialize_field("is_current", &self.is_current)?;
        device.end()
    }
}

/// The user's other sessions. On stores with a user index; elsewhere [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported).
///
/// Ask for a recent login before a session is ended from another one (ASVS 7.5.2).
///
/// ```
/// use axum::extract::Path;
/// use axum::Json;
/// use cloakroom::{Device, Session, SessionError, SessionId};
/// use std::time::Duration;
///
/// async fn devices(session: Session) -> Result<Json<Vec<Device>>, SessionError> {
///     Ok(Json(session.devices().await?))
/// }
///
/// async fn sign_out(session: Session, Path(id): Path<SessionId>) -> Result<&'static str, SessionError> {
///     session.require_recent_login(Duration::from_mins(10))?;
///     Ok(if session.revoke(id).await? { "signed out" } else { "there is no such device" })
/// }
/// ```
impl Session {
    /// The sessions of the user who is logged in, this one included once it is stored; the newest login comes first. Those of
    /// this namespace and [name](Self::name).
    ///
    /// A record that cannot be read is left out, and an event reports it.
    ///
    /// # Errors
    ///
    /// [`NotLoggedIn`](crate::ErrorKind::NotLoggedIn), [`Unsupported`](crate::ErrorKind::Unsupported),
    /// [`NewerFormat`](crate::ErrorKind::NewerFormat), the kinds of store failures.
    pub async fn devices(&self) -> Result<Vec<Device>, SessionError> {
        let (user, current, engine) = (self.require_user()?, self.id(), &self.unit().engine);
        Ok(engine.sessions_of(&user).await?.iter().map(|found| Device::of(found, current, engine)).collect())
    }

    /// Ends a session of the user who is logged in, at once and finally: `false` if they have none of this id, whoever else may
    /// have. With the id of this session it is [`destroy`](Self::destroy).
    ///
    /// # Errors
    ///
    /// Those of [`devices`](Self::devices), and of [`destroy`](Self::destroy).
    pub async fn revoke(&self, id: SessionId) -> Result<bool, SessionError> {
        let user = self.require_user()?;
        if self.id() == Some(id) {
            return self.destroy().map(|()| true);
        }
        self.unit().engine.revoke(&user, id).await
    }

    /// Ends all other sessions of the user who is logged in, as after a change of the password (ASVS 7.4.3), at once and
    /// finally. How many. This one gets a new secret when it is committed.
    ///
    /// A login at the same moment may be missed: change the password first.
    ///
    /// # Errors
    ///
    /// Those of [`devices`](Self::devices), and of [`regenerate`](Self::regenerate). Some sessions may have been ended: call it
    /// again.
    pub async fn revoke_others(&self) -> Result<usize, SessionError> {
        let user = self.require_user()?;
        self.regenerate()?;
        self.unit().engine.revoke_all(&user, self.id()).await
    }

    /// What this session is called in lists of devices: what the application knows of the client, such as browser and
    /// address. Never anything secret.
    ///
    /// Control characters become blanks, and what is beyond 256 characters is cut off: a header may be given as it is. Stored
    /// if it differs from the one before; without effect on a session to which nothing was ever written.
    ///
    /// ```
    /// use cloakroom::{Session, SessionError};
    /// use http::{HeaderMap, header::USER_AGENT};
    ///
    /// async fn log_in(session: Session, headers: HeaderMap) -> Result<(), SessionError> {
    ///     session.login("7")?;
    ///     let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    ///     session.set_label(agent.unwrap_or("unknown"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Committed`](crate::ErrorKind::Committed), [`Destroyed`](crate::ErrorKind::Destroyed).
    pub fn set_label(&self, label: impl AsRef<str>) -> Result<(), SessionError> {
        let plain = |char: char| if char.is_control() { ' ' } else { char };
        let label: String = label.as_ref().chars().take(LABEL_MAX).map(plain).collect();
        self.unit().state().set_label(label.into())
    }

    /// What [`set_label`](Self::set_label) was given.
    pub fn label(&self) -> Option<String> {
        self.unit().state().label().map(ToString::to_string)
    }
}
