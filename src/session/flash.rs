//! Values for the next request.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Session;
use super::places::{decode, encode};
use crate::data::{OwnedPath, Path, Segments, within};
use crate::engine::unique_name;
use crate::error::{ErrorKind, SessionError};
use crate::journal::Change;
use crate::state::{FlashGroup, flash_entry};

/// Flash values: for the request after this one, and gone when it has shown them.
///
/// A redirect shows nothing itself, so what it has to say is said by the page that follows. A flash value cannot be seen in
/// the request that sets it. From the next one on [`get`](Self::get), [`contains`](Self::contains), [`all`](Self::all)
/// and templates see it like any other value, unless there is another one of its name. A request that reads it takes
/// it away with its commit; asking whether it is there is no reading. So a script that polls does not eat what a page is to
/// show, a page that fails does not lose it, and of two tabs that load at once both may show it. Where it should go
/// with the next request, read or not, say so in the policy: [`FlashLifetime`](crate::FlashLifetime).
///
/// For messages to people see [`message`](Self::message), for forms that come back with mistakes
/// [`flash_input`](Self::flash_input).
///
/// ```
/// use axum::response::Redirect;
/// use cloakroom::{Session, SessionError};
///
/// async fn save(session: Session) -> Result<Redirect, SessionError> {
///     session.flash("success", "Your address was changed.")?;
///     Ok(Redirect::to("/account"))
/// }
///
/// async fn account(session: Session) -> Result<String, SessionError> {
///     Ok(session.get("success")?.unwrap_or_default()) // once: a reload shows nothing
/// }
/// ```
impl Session {
    /// Leaves a value for the next request. Its name is one segment of a path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPath`] if the name is not one segment. Those of every write, see [above](Self#errors).
    pub fn flash(&self, name: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.put_flash(FlashGroup::Value, only_segment(name.segments())?, &encode(&value)?)
    }

    /// Shows a value to the rest of this request only, for the page that it renders itself. It is never stored, unless it is
    /// [kept](Self::keep).
    ///
    /// # Errors
    ///
    /// Those of [`flash`](Self::flash).
    pub fn flash_now(&self, name: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.unit().state().show_now(only_segment(name.segments())?, &encode(&value)?)
    }

    /// Keeps a flash value that this request can see for the next one, whether it has been read or not.
    ///
    /// # Errors
    ///
    /// Those of [`flash`](Self::flash).
    pub fn keep(&self, name: impl Path) -> Result<(), SessionError> {
        let name = only_segment(name.segments())?;
        let shown_now = {
            let mut state = self.unit().state();
            state.check_writable()?;
            state.keep_flash(FlashGroup::Value, name);
            state.shown_now()
        };
        let shown_now = shown_now.iter().filter(|(shown, _)| **shown == *name);
        shown_now.into_iter().try_for_each(|(name, value)| self.put_flash(FlashGroup::Value, name, value))
    }

    /// Keeps all that this request can see for the next one: flash values, messages, and the input of a form.
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn reflash(&self) -> Result<(), SessionError> {
        let shown_now = {
            let mut state = self.unit().state();
            state.check_writable()?;
            for group in FlashGroup::ALL {
                for (name, _) in state.flash(group) {
                    state.keep_flash(group, &name);
                }
            }
            state.shown_now()
        };
        shown_now.iter().try_for_each(|(name, value)| self.put_flash(FlashGroup::Value, name, value))
    }

    /// Takes away all flash values, messages and input, those that this request has set too. Nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn clear_flash(&self) -> Result<(), SessionError> {
        let mut state = self.unit().state();
        state.check_writable()?;
        state.hide_now(None);
        state.remove(OwnedPath::reserved(&[]).segments(), self.limits()).map(drop)
    }

    pub(super) fn put_flash(&self, group: FlashGroup, name: &str, value: &str) -> Result<(), SessionError> {
        let only_next_request = self.policy().flash_is_for_next_request_only();
        let entry = flash_entry(value, unique_name()?, only_next_request);
        self.change(Change::Set(group.place(name), entry))
    }

    /// The value of a flash value, or of something within it, which counts as reading.
    pub(super) fn flashed<T: DeserializeOwned>(&self, path: Segments<'_>) -> Result<Option<T>, SessionError> {
        let (name, rest) = split(path)?;
        match self.see(FlashGroup::Value, name) {
            Some(value) => {
                self.unit().state().spend_flash(FlashGroup::Value, name);
                within(&value, rest)?.map(decode).transpose()
            }
            None => Ok(None),
        }
    }

    pub(super) fn is_flashed(&self, path: Segments<'_>) -> Result<bool, SessionError> {
        let (name, rest) = split(path)?;
        self.see(FlashGroup::Value, name).map_or(Ok(false), |value| Ok(within(&value, rest)?.is_some()))
    }

    /// Takes a flash value away at once. Whether there was one.
    pub(super) fn discard_flashed(&self, path: Segments<'_>) -> Result<bool, SessionError> {
        let Ok(name) = only_segment(path) else { return Ok(false) };
        if self.see(FlashGroup::Value, name).is_none() {
            return Ok(false);
        }
        let mut state = self.unit().state();
        state.check_writable()?;
        state.hide_now(Some(name));
        state.remove(FlashGroup::Value.place(name).segments(), self.limits())?;
        Ok(true)
    }

    pub(super) fn flash_names(&self) -> Vec<String> {
        let visible = self.unit().state().flash(FlashGroup::Value);
        visible.into_iter().map(|(name, _)| name.into()).collect()
    }

    pub(super) fn all_flashed(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        let visible = self.read_all(FlashGroup::Value);
        visible.into_iter().map(|(name, value)| Ok((name.into(), decode(&value)?))).collect()
    }

    /// All visible values of a group, which counts as reading them.
    pub(super) fn read_all(&self, group: FlashGroup) -> Vec<(Box<str>, Box<str>)> {
        let mut state = self.unit().state();
        let visible = state.flash(group);
        for (name, _) in &visible {
            state.spend_flash(group, name);
        }
        visible
    }

    /// The raw JSON text of a flash value, which is no reading.
    #[cfg(feature = "testing")]
    pub(crate) fn visible_flash(&self, name: &str) -> Option<Box<str>> {
        self.see(FlashGroup::Value, name)
    }

    fn see(&self, group: FlashGroup, name: &str) -> Option<Box<str>> {
        let visible = self.unit().state().flash(group);
        visible.into_iter().find(|(visible, _)| **visible == *name).map(|(_, value)| value)
    }
}

/// The name under which a path looks for a flash value, and its way inside that.
fn split(path: Segments<'_>) -> Result<(&str, Segments<'_>), SessionError> {
    let mut rest = path;
    let name = rest.first()?;
    Ok((name, rest))
}

fn only_segment(path: Segments<'_>) -> Result<&str, SessionError> {
    match split(path)? {
        (name, rest) if rest.is_empty() => Ok(name),
        _ => Err(SessionError::new(
            ErrorKind::InvalidPath,
            "a flash value is named by one segment; put what belongs together into one value",
        )),
    }
}
