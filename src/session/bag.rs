//! A named part of the data, with the methods of a session.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Session;
use crate::data::{Data, OwnedPath, Path};
use crate::error::SessionError;

/// A named part of a session's data: the methods of [`Session`], below one path.
///
/// Parts of an application that do not know each other can use the same keys in bags of their own, and applications
/// that share a session do not see each other's data. The bag is made with the first value, and is an object of the
/// session's data like any other: `cart.items` here is the path `"cart.items"` there. Flash values are not in bags.
///
/// For a part with a type of its own see [`Bag`](crate::Bag).
///
/// ```
/// # use cloakroom::{MemoryStore, SessionError, SessionManager};
/// # async fn run() -> Result<(), SessionError> {
/// # let session = SessionManager::new(MemoryStore::new()).create();
/// let cart = session.bag("cart")?;
/// cart.increment("items.teapot", 2)?;
/// cart.insert("coupon", "TEA")?;
/// assert_eq!(cart.keys()?, ["items", "coupon"]);
/// assert_eq!(session.get("cart.items.teapot")?, Some(2));
///
/// cart.clear()?;
/// assert!(!session.contains("cart")?);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
///
/// # Errors
///
/// As [those of the session](Session#errors).
#[derive(Clone)]
pub struct SessionBag {
    session: Session,
    place: OwnedPath,
}

impl Session {
    /// The part of the data below a path, for code that should see nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidPath`](crate::ErrorKind::InvalidPath) if a segment is empty.
    pub fn bag(&self, name: impl Path) -> Result<SessionBag, SessionError> {
        Ok(SessionBag { session: self.clone(), place: name.segments().to_owned()? })
    }
}

#[allow(clippy::missing_errors_doc, reason = "the type says it for all methods")]
impl SessionBag {
    /// A bag within this one.
    pub fn bag(&self, name: impl Path) -> Result<Self, SessionError> {
        Ok(Self { session: self.session.clone(), place: self.below(name)? })
    }

    /// The value at a path. As [`Session::get`].
    pub fn get<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        self.session.stored(self.below(path)?.segments())
    }

    /// Whether there is a value at a path. As [`Session::contains`].
    pub fn contains(&self, path: impl Path) -> Result<bool, SessionError> {
        self.session.is_stored(self.below(path)?.segments())
    }

    /// Puts a value at a path. As [`Session::insert`].
    pub fn insert(&self, path: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.session.put(self.below(path)?.segments(), &value)
    }

    /// Takes away the value at a path. As [`Session::remove`].
    pub fn remove(&self, path: impl Path) -> Result<bool, SessionError> {
        self.session.discard(self.below(path)?.segments())
    }

    /// Takes away the value at a path and returns it. As [`Session::take`].
    pub fn take<T: DeserializeOwned>(&self, path: impl Path) -> Result<Option<T>, SessionError> {
        self.session.take_stored(self.below(path)?.segments())
    }

    /// Makes a new value from the old one, losing nothing. As [`Session::update`].
    pub fn update<T, F>(&self, path: impl Path, update: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        self.session.change_value(self.below(path)?.segments(), update)
    }

    /// Adds to a counter. As [`Session::increment`].
    pub fn increment(&self, path: impl Path, by: i64) -> Result<i64, SessionError> {
        self.session.count(self.below(path)?.segments(), by, i64::checked_add)
    }

    /// Subtracts from a counter. As [`Session::decrement`].
    pub fn decrement(&self, path: impl Path, by: i64) -> Result<i64, SessionError> {
        self.session.count(self.below(path)?.segments(), by, i64::checked_sub)
    }

    /// Puts a value at the end of a list. As [`Session::push`].
    pub fn push(&self, path: impl Path, value: impl Serialize) -> Result<(), SessionError> {
        self.session.put_last(self.below(path)?.segments(), &value)
    }

    /// The value at a path, made if there is none. As [`Session::get_or_insert_with`].
    pub fn get_or_insert_with<T>(&self, path: impl Path, make: impl FnOnce() -> T) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
    {
        self.session.stored_or_new(self.below(path)?.segments(), make)
    }

    /// Takes away the bag with all that is in it.
    pub fn clear(&self) -> Result<(), SessionError> {
        self.session.discard(self.place.segments()).map(drop)
    }

    /// The keys, in the order in which they were first written.
    pub fn keys(&self) -> Result<Vec<String>, SessionError> {
        let view = self.session.read(Some(self.place.segments()))?;
        let bag = view.get(self.place.segments())?.map(Data::parse_value).transpose()?;
        Ok(bag.iter().flat_map(Data::keys).map(Into::into).collect())
    }

    /// All that is in the bag, by key.
    pub fn all(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        Ok(self.session.stored(self.place.segments())?.unwrap_or_default())
    }

    fn below(&self, path: impl Path) -> Result<OwnedPath, SessionError> {
        self.place.join(path.segments())
    }
}

impl fmt::Debug for SessionBag {
    /// Shows the name and no data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionBag").field("place", &self.place).finish_non_exhaustive()
    }
}
