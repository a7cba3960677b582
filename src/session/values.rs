//! The values of a session: reading and writing them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Session;
use crate::data::Path;
#[allow(unused_imports, reason = "for the documentation")]
use crate::error::ErrorKind;
use crate::error::SessionError;
use crate::journal::Change;

/// Values.
impl Session {
    /// The value at a path, or `None` if there is none. A [flash value](Self::flash) is found as well, unless there is
    /// another of its name, and counts as read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if it is not a `T`; it stays stored. [`ErrorKind::NotAnObject`], [`ErrorKind::InvalidPath`].
    pub fn get<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        match self.stored(path.segments())? {
            None => self.flashed(path.segments()),
            stored => Ok(stored),
        }
    }

    /// Whether there is a value at a path. A `null` is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotAnObject`], [`ErrorKind::InvalidPath`].
    pub fn contains(&self, path: impl Path) -> Result<bool, SessionError> {
        Ok(self.is_stored(path.segments())? || self.is_flashed(path.segments())?)
    }

    /// Puts a value at a path. Objects on the way there are made if they are missing.
    ///
    /// If another request writes the same path at the same time, the later commit stands.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// session.insert("account.current_user_id", 7)?;
    /// session.insert("account.roles", ["admin", "author"])?;
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn insert(&self, path: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.put(path.segments(), &value)
    }

    /// Takes away the value at a path, be it a flash value or another. Whether there was one.
    ///
    /// # Errors
    ///
    /// Those of every write, see [above](Self#errors).
    pub fn remove(&self, path: impl Path) -> Result<bool, SessionError> {
        let stored = self.discard(path.segments())?;
        Ok(self.discard_flashed(path.segments())? || stored)
    }

    /// Takes away the value at a path and returns it.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get), in which case the value stays, and those of every write, see [above](Self#errors).
    pub fn take<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        match self.take_stored(path.segments())? {
            None => {
                let flashed = self.flashed(path.segments())?;
                self.discard_flashed(path.segments())?;
                Ok(flashed)
            }
            stored => Ok(stored),
        }
    }

    /// Makes a new value from the old one, and returns it.
    ///
    /// Nothing gets lost: if another request stores the session first, the function is called again with the value that is
    /// there then. So it should do nothing but compute, and not rely on being called once; it may read the session, and must
    /// not write to this path. What is returned is the value as of the first call.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// let visits = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    /// assert_eq!(visits, 1);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and those of every write, see [above](Self#errors).
    pub fn update<T, F>(&self, path: impl Path, update: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        self.change_value(path.segments(), update)
    }

    /// Adds a number to the counter at a path, and returns the sum as of now. A counter that is not there is 0.
    ///
    /// Nothing gets lost: if another request counts at the same time, both are counted.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// assert_eq!(session.increment("unread", 3)?, 3);
    /// assert_eq!(session.decrement("unread", 1)?, 2);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if what is there is no whole number, and [`ErrorKind::OutOfRange`] if the sum is none that an
    /// `i64` can hold; it stays as it is. Those of every write, see [above](Self#errors).
    pub fn increment(&self, path: impl Path, by: i64) -> Result<i64, SessionError> {
        self.count(path.segments(), by, i64::checked_add)
    }

    /// Subtracts a number from the counter at a path, and returns the difference as of now. As
    /// [`increment`](Self::increment).
    ///
    /// # Errors
    ///
    /// Those of [`increment`](Self::increment).
    pub fn decrement(&self, path: impl Path, by: i64) -> Result<i64, SessionError> {
        self.count(path.segments(), by, i64::checked_sub)
    }

    /// Puts a value at the end of the list at a path. A list that is not there is empty.
    ///
    /// Nothing gets lost: if another request puts one there at the same time, both are in the list, in the order of their
    /// commits.
    ///
    /// ```
    /// # use cloakroom::{MemoryStore, SessionError, SessionManager};
    /// # async fn run() -> Result<(), SessionError> {
    /// # let session = SessionManager::new(MemoryStore::new()).create();
    /// session.push("seen", "teapot")?;
    /// session.push("seen", "kettle")?;
    /// assert_eq!(session.get::<Vec<String>>("seen")?.unwrap(), ["teapot", "kettle"]);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if what is there is no list; it stays as it is. Those of every write, see
    /// [above](Self#errors).
    pub fn push(&self, path: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.put_last(path.segments(), &value)
    }

    /// The value at a path, which is made and stored if there is none.
    ///
    /// If two requests make it at the same time, what the first to commit has made is stored, for both. What is returned is
    /// the value as of this call: the later one has its own in hand. Where that matters, [`save`](Self::save) and ask again.
    ///
    /// # Errors
    ///
    /// Those of [`get`](Self::get) and those of every write, see [above](Self#errors).
    pub fn get_or_insert_with<T>(&self, path: impl Path, make: impl FnOnce() -> T) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.stored_or_new(path.segments(), make)
    }

    /// Takes away all data, flash values too. The session itself stays, and so does who is logged in.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Committed`], [`ErrorKind::Destroyed`].
    pub fn clear(&self) -> Result<(), SessionError> {
        let mut state = self.unit().state();
        state.hide_now(None);
        state.change(Change::Clear, self.limits())
    }

    /// The keys of the top level, in the order in which they were first written, and after them the names of the flash
    /// values.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = self.stored_keys();
        let flashed: Vec<_> = self.flash_names().into_iter().filter(|name| !keys.contains(name)).collect();
        keys.extend(flashed);
        keys
    }

    /// All data, by the keys of the top level, flash values among them, which count as read.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if a stored number or text is beyond what [`Value`] can hold.
    pub fn all(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        let mut all = self.stored_values()?;
        for (name, value) in self.all_flashed()? {
            all.entry(name).or_insert(value);
        }
        Ok(all)
    }
}
