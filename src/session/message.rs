//! Messages for people, shown by the next page.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use super::Session;
use super::places::{decode, encode};
use crate::engine::unique_name;
use crate::error::SessionError;
use crate::state::FlashGroup;

/// A message for a person, and how much it matters.
///
/// Templates see it as an object of `level` and `text`. Its text is plain: templates have to escape it, as they do with any
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    level: Level,
    text: String,
}

/// How much a message matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// For developers.
    Debug,
    /// For the record.
    Info,
    /// Something went well.
    Success,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
}

/// Messages: flash values that have a level, and of which there may be several.
///
/// ```
/// use axum::response::Redirect;
/// use cloakroom::{Level, Session, SessionError};
///
/// async fn order(session: Session) -> Result<Redirect, SessionError> {
///     session.message(Level::Success, "Thank you for your order.")?;
///     session.message(Level::Warning, "The teapot will take a week.")?;
///     Ok(Redirect::to("/orders"))
/// }
///
/// async fn orders(session: Session) -> Result<String, SessionError> {
///     Ok(session.messages()?.iter().map(|message| format!("[{}] {message}\n", message.level())).collect())
/// }
/// ```
impl Session {
    /// Leaves a message for the next page, behind those that are there.
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn message(&self, level: Level, text: impl Into<String>) -> Result<(), SessionError> {
        let name = format!("{:016x}", unique_name()?);
        self.put_flash(FlashGroup::Message, &name, &encode(&(level.as_str(), text.into()))?)
    }

    /// The messages that other requests have left, in their order. They count as read: see [flash values](Self::flash).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) if something else was stored in their place.
    pub fn messages(&self) -> Result<Vec<Message>, SessionError> {
        let messages = self.read_all(FlashGroup::Message);
        messages
            .iter()
            .map(|(_, message)| {
                let (level, text) = decode::<(String, String)>(message)?;
                Ok(Message { level: Level::named(&level), text })
            })
            .collect()
    }
}

impl Message {
    /// How much it matters.
    pub fn level(&self) -> Level {
        self.level
    }

    /// What it says. Plain text, to be escaped.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Message {
    /// Its text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_struct("Message", 2)?;
        message.serialize_field("level", self.level.as_str())?;
        message.serialize_field("text", &self.text)?;
        message.end()
    }
}

impl Level {
    const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Success, Self::Warning, Self::Error];

    /// `debug`, `info`, `success`, `warning` or `error`: good as a CSS class.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// One that is not known here was written by a newer version: it is shown, as information.
    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|level| level.as_str() == name).unwrap_or(Self::Info)
    }
}

impl fmt::Display for Level {
    /// As [`as_str`](Self::as_str).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
