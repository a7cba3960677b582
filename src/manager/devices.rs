//! The sessions of a user, for those who look after users.

use super::SessionManager;
use crate::error::SessionError;
use crate::session::Device;
use crate::token::SessionId;

/// The sessions of any user, for administrators and for what runs without a request (ASVS 7.4.2, 7.4.5). What users do with
/// their own is with [`Session::devices`](crate::Session::devices).
///
/// Those of this manager's namespace and name, on stores with a user index; elsewhere
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported). To end everything there is
/// [`SessionPolicy::not_before`](crate::SessionPolicy::not_before).
///
/// ```
/// use cloakroom::{SessionError, SessionManager};
///
/// async fn disable(account: &str, sessions: &SessionManager) -> Result<(), SessionError> {
///     // … first see to it that nobody can log in any more, then:
///     let ended = sessions.revoke_user(account).await?;
///     println!("{ended} sessions of {account} were ended");
///     Ok(())
/// }
/// # let manager = SessionManager::new(cloakroom::MemoryStore::new());
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(disable("7", &manager)).unwrap();
/// ```
impl SessionManager {
    /// The live sessions of a user, the newest login first. A record that cannot be read is left out, and an event reports it.
    ///
    /// # Errors
    ///
    /// [`Unsupported`](crate::ErrorKind::Unsupported), [`NewerFormat`](crate::ErrorKind::NewerFormat), the kinds of store
    /// failures.
    pub async fn sessions_of(&self, user: impl AsRef<str>) -> Result<Vec<Device>, SessionError> {
        let found = self.engine.sessions_of(user.as_ref()).await?;
        Ok(found.iter().map(|found| Device::of(found, None, &self.engine)).collect())
    }

    /// Ends a session of a user, at once and finally: `false` if they have none of this id, whoever else may have.
    ///
    /// # Errors
    ///
    /// [`NewerFormat`](crate::ErrorKind::NewerFormat), the kinds of store failures.
    pub async fn revoke(&self, user: impl AsRef<str>, id: SessionId) -> Result<bool, SessionError> {
        self.engine.revoke(user.as_ref(), id).await
    }

    /// Ends all sessions of a user, at once and finally. How many. Whatever requests of them are under way, nothing of it is
    /// stored any more.
    ///
    /// A login at the same moment may be missed: see to it first that the user cannot log in.
    ///
    /// # Errors
    ///
    /// Those of [`sessions_of`](Self::sessions_of). Some sessions may have been ended: call it again.
    pub async fn revoke_user(&self, user: impl AsRef<str>) -> Result<usize, SessionError> {
        self.engine.revoke_all(user.as_ref(), None).await
    }
}
