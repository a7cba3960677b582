//! Keys that know the type of their value.

use std::any::{TypeId, type_name};
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ReadOnlySession, Session};
use crate::error::{ErrorKind, SessionError};

/// A path and the type of what stands there, as a constant: whoever uses it cannot mistake either.
///
/// ```
/// use cloakroom::{Key, Session, SessionError};
///
/// const VISITS: Key<u64> = Key::new("visits");
///
/// async fn visit(session: Session) -> Result<String, SessionError> {
///     let n = VISITS.update(&session, |n| n.unwrap_or(0) + 1)?;
///     Ok(format!("visit {n}\n"))
/// }
/// ```
///
/// # Errors
///
/// Those of the method of [`Session`] with the same name, and [`ErrorKind::KeyType`] if another key of the same name has
/// another type: whichever is used first with the sessions of a [`SessionManager`](crate::SessionManager), in this process,
/// decides. Nothing is read or written then.
pub struct Key<T> {
    path: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// For a value at a path.
    pub const fn new(path: &'static str) -> Self {
        Self { path, value: PhantomData }
    }

    /// The path.
    pub const fn path(&self) -> &'static str {
        self.path
    }
}

#[allow(clippy::missing_errors_doc, reason = "the type says it for all methods")]
impl<T: Serialize + DeserializeOwned + 'static> Key<T> {
    /// The value, if there is one. As [`Session::get`].
    pub fn get(&self, session: &Session) -> Result<Option<T>, SessionError> {
        self.in_session(session)?.get(self.path)
    }

    /// The value in a session without setters, if there is one.
    pub fn read(&self, session: &ReadOnlySession) -> Result<Option<T>, SessionError> {
        self.get(session.inner())
    }

    /// Whether there is a value. As [`Session::contains`].
    pub fn contains(&self, session: &Session) -> Result<bool, SessionError> {
        self.in_session(session)?.contains(self.path)
    }

    /// Stores a value. As [`Session::insert`].
    pub fn insert(&self, session: &Session, value: &T) -> Result<(), SessionError> {
        self.in_session(session)?.insert(self.path, value)
    }

    /// Takes the value away. As [`Session::remove`].
    pub fn remove(&self, session: &Session) -> Result<bool, SessionError> {
        self.in_session(session)?.remove(self.path)
    }

    /// Takes the value away and returns it. As [`Session::take`].
    pub fn take(&self, session: &Session) -> Result<Option<T>, SessionError> {
        self.in_session(session)?.take(self.path)
    }

    /// Makes a new value from the old one, losing nothing. As [`Session::update`].
    pub fn update<F>(&self, session: &Session, update: F) -> Result<T, SessionError>
    where
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        self.in_session(session)?.update(self.path, update)
    }

    /// The value, made if there is none. As [`Session::get_or_insert_with`].
    pub fn get_or_insert_with(&self, session: &Session, make: impl FnOnce() -> T) -> Result<T, SessionError> {
        self.in_session(session)?.get_or_insert_with(self.path, make)
    }

    fn in_session<'a>(&self, session: &'a Session) -> Result<&'a Session, SessionError> {
        if session.unit().engine.key_types.agree(self.path, TypeId::of::<T>()) {
            return Ok(session);
        }
        Err(SessionError::new(
            ErrorKind::KeyType,
            format!(
                "there is another Key named {:?} whose type is not {}: use one constant for both, or rename one",
                self.path,
                type_name::<T>()
            ),
        ))
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.path).finish()
    }
}
