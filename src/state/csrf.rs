//! Which forms are this session's.

use super::{Present, Rotation, State, Terms};
use crate::error::{ErrorKind, SessionError};
use crate::token::CsrfKey;

impl State {
    /// The key that this request's forms are to prove. Where no secret is there yet that it could follow from, one is drawn,
    /// and the session made for it.
    pub(crate) fn csrf_key(&mut self, terms: &Terms) -> Result<CsrfKey, SessionError> {
        if let Some(key) = self.known_csrf_key() {
            return Ok(key);
        }
        self.check_writable()?;
        let has_user = self.lifecycle.login.is_some();
        if terms.policy.waits_for_consent() && !has_user && !self.has_consent() {
            return Err(SessionError::new(
                ErrorKind::NotStored,
                "a CSRF token belongs to a session, and there is none before the visitor has agreed to it: call \
                 Session::consent first, or protect the form by the origin of its request alone",
            ));
        }
        let key = CsrfKey::generate()?;
        self.lifecycle.csrf = Some(key.clone());
        Ok(key)
    }

    /// The key from the secret that is good when this request has ended. `None` while there is none.
    pub(crate) fn known_csrf_key(&self) -> Option<CsrfKey> {
        if self.lifecycle.csrf.is_some() {
            return self.lifecycle.csrf.clone();
        }
        self.present().filter(|_| self.lifecycle.rotate != Some(Rotation::AtOnce)).map(Present::csrf_key)
    }
}

impl Present {
    pub(super) fn csrf_key(&self) -> CsrfKey {
        let of_token = self.followed.as_ref().unwrap_or(&self.contents);
        CsrfKey::of(&self.token, of_token.extras.csrf.as_ref())
    }
}
