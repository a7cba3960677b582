//! Who is logged in, since when, and on what.

use std::sync::Arc;
use std::time::Duration;

use super::{Rotation, State};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, SessionError};
use crate::journal::Change;
use crate::policy::Limits;

/// What every store can find users by, in bytes: the shortest of their indexes.
const USER_MAX: usize = 1024;

impl State {
    /// Who is logged in, as this request sees it.
    pub(crate) fn user(&self) -> Option<&Arc<str>> {
        self.lifecycle.login.as_ref().or_else(|| self.present()?.contents.extras.user.as_ref())
    }

    /// Logs a user in. Of the data these members stay, or all if there is no list; nothing if somebody else was logged in.
    pub(crate) fn login(
        &mut self,
        user: Arc<str>,
        keep: Option<Box<[Box<str>]>>,
        limits: &Limits,
    ) -> Result<(), SessionError> {
        self.check_answerable()?;
        if self.user().is_some_and(|before| *before != user) {
            self.hide_now(None);
            self.change(Change::Clear, limits)?;
        } else if let Some(names) = keep {
            self.change(Change::Keep(names.clone()), limits)?;
            self.lifecycle.keep = Some(names);
        }
        self.lifecycle.login = Some(user);
        self.lifecycle.end_by = None;
        self.rotate(Rotation::AtOnce)
    }

    /// Whether somebody has shown in this request who they are, and it is not stored yet.
    pub(crate) fn authenticates(&self) -> bool {
        self.lifecycle.authenticates()
    }

    /// How long ago the user has shown who they are. `None` if nobody is logged in.
    pub(crate) fn auth_age(&self, now: Timestamp) -> Option<Duration> {
        self.user()?;
        if self.authenticates() {
            return Some(Duration::ZERO);
        }
        Some(now.saturating_since(self.present()?.contents.extras.logged_in_at?))
    }

    pub(crate) fn reauthenticate(&mut self) -> Result<(), SessionError> {
        self.check_answerable()?;
        if self.user().is_none() {
            return Err(not_logged_in());
        }
        self.lifecycle.reauthenticated = true;
        self.rotate(Rotation::AtOnce)
    }

    pub(crate) fn label(&self) -> Option<&Arc<str>> {
        self.lifecycle.label.as_ref().or_else(|| self.present()?.contents.extras.label.as_ref())
    }

    pub(crate) fn set_label(&mut self, label: Arc<str>) -> Result<(), SessionError> {
        self.check_writable()?;
        if self.label() != Some(&label) {
            self.lifecycle.label = Some(label);
        }
        Ok(())
    }
}

/// Whether a user can be called so.
pub(crate) fn check_user(user: &str) -> Result<(), SessionError> {
    if user.is_empty() || user.len() > USER_MAX || user.contains('\0') {
        return Err(SessionError::new(
            ErrorKind::InvalidUser,
            "a user is named by 1 to 1,024 bytes of text without NUL; nobody was logged in: use the id of the account",
        ));
    }
    Ok(())
}

/// Nobody is logged in, and somebody has to be.
pub(crate) fn not_logged_in() -> SessionError {
    SessionError::new(ErrorKind::NotLoggedIn, "nobody is logged in: ask the visitor to log in, and come again")
}
