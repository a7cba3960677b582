//! What can be done with the value at a place of the data, whoever names the place: the session, or a bag within it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Session;
use crate::data::{Data, OwnedPath, RESERVED, Segments};
use crate::error::{ErrorKind, SessionError};
use crate::journal::Change;
use crate::policy::Limits;
use crate::state::{Present, State, View};

/// How often a value is computed anew that others change meanwhile, before it is taken for a mistake.
const TRIES: usize = 64;

impl Session {
    pub(super) fn stored<T: DeserializeOwned>(&self, path: Segments<'_>) -> Result<Option<T>, SessionError> {
        self.read(Some(path))?.get(path)?.map(decode).transpose()
    }

    pub(super) fn is_stored(&self, path: Segments<'_>) -> Result<bool, SessionError> {
        Ok(self.read(Some(path))?.get(path)?.is_some())
    }

    pub(super) fn stored_keys(&self) -> Vec<String> {
        let view = self.read(None);
        let keys = view.iter().filter_map(View::data).flat_map(|data| data.keys().map(Into::into));
        keys.filter(|key: &String| key != RESERVED).collect()
    }

    pub(super) fn stored_values(&self) -> Result<BTreeMap<String, Value>, SessionError> {
        let view = self.read(None)?;
        let Some(data) = view.data() else { return Ok(BTreeMap::new()) };
        let mut values: BTreeMap<String, Value> = decode(data.as_str())?;
        values.remove(RESERVED);
        Ok(values)
    }

    pub(super) fn put<T: Serialize>(&self, path: Segments<'_>, value: &T) -> Result<(), SessionError> {
        self.change(Change::Set(path.to_owned()?, encode(value)?))
    }

    pub(super) fn discard(&self, path: Segments<'_>) -> Result<bool, SessionError> {
        self.unit().state().remove(path, self.limits())
    }

    pub(super) fn take_stored<T: DeserializeOwned>(&self, path: Segments<'_>) -> Result<Option<T>, SessionError> {
        let remove = |state: &mut State, _: &mut Option<T>| {
            state.note_read(Some(path), &self.unit().engine.terms)?;
            state.remove(path, self.limits()).map(drop)
        };
        self.with_value(path, |old| old.map(decode).transpose(), remove)
    }

    pub(super) fn change_value<T, F>(&self, path: Segments<'_>, update: F) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        self.change_text(path, move |old| {
            let new = update(old.map(decode).transpose()?);
            Ok((encode(&new)?, new))
        })
    }

    pub(super) fn count(
        &self,
        path: Segments<'_>,
        by: i64,
        add: fn(i64, i64) -> Option<i64>,
    ) -> Result<i64, SessionError> {
        self.change_text(path, move |old| {
            let old = old.map_or(Ok(0), decode)?;
            let new = add(old, by).ok_or_else(|| {
                SessionError::new(
                    ErrorKind::OutOfRange,
                    "the counter would go beyond what 64 bits hold; it stays as it is",
                )
            })?;
            Ok((new.to_string(), new))
        })
    }

    pub(super) fn put_last<T: Serialize>(&self, path: Segments<'_>, value: &T) -> Result<(), SessionError> {
        let value = encode(value)?;
        self.change_text(path, move |old| Ok((with_last(old, &value)?, ())))
    }

    pub(super) fn stored_or_new<T>(&self, path: Segments<'_>, make: impl FnOnce() -> T) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned,
    {
        if let Some(stored) = self.stored(path)? {
            return Ok(stored);
        }
        let new = make();
        self.change(Change::SetNew(path.to_owned()?, encode(&new)?))?;
        // Another handle of this request may have put one there in between.
        Ok(self.stored(path)?.unwrap_or(new))
    }

    pub(super) fn change(&self, change: Change) -> Result<(), SessionError> {
        self.unit().state().change(change, self.limits())
    }

    /// Makes the text of a value, and a result, from the text that is there; again if somebody else changes it first.
    fn change_text<R>(
        &self,
        path: Segments<'_>,
        compute: impl Fn(Option<&str>) -> Result<(String, R), SessionError> + Send + Sync + 'static,
    ) -> Result<R, SessionError> {
        let owned = path.to_owned()?;
        let compute = Arc::new(compute);
        let computed = self.with_value(path, &*compute, |state, (text, _)| {
            let compute = compute.clone();
            let again = move |old: Option<&str>| compute(old).map(|(text, _)| text);
            state.change(Change::Update(owned.clone(), std::mem::take(text), Arc::new(again)), self.limits())
        });
        computed.map(|(_, result)| result)
    }

    /// The object at a place, of which the fields are read, each for itself: those that are there, and those that its
    /// default has besides.
    pub(super) fn read_fields<T>(&self, place: &OwnedPath) -> Result<T, SessionError>
    where
        T: Serialize + DeserializeOwned + Default,
    {
        let view = self.unit().state().view();
        let text = view.get(place.segments())?;
        if self.policy().refuses_conflicts() {
            let default = encode(&T::default()).unwrap_or_default();
            for text in text.into_iter().chain([&*default]) {
                match Data::parse(text) {
                    Ok(object) => object.keys().try_for_each(|name| self.note_read(&place.member(&name)))?,
                    Err(_) => self.note_read(place)?,
                }
            }
        }
        text.map_or_else(|| Ok(T::default()), decode)
    }

    /// Tells the commit of a write that failed when nobody was there to be told.
    pub(super) fn fail(&self, error: SessionError) {
        let (id, too_late) = {
            let mut state = self.unit().state();
            (state.present().map(Present::id), state.fail(error))
        };
        if let Some(error) = too_late {
            self.unit().engine.events.lost(id, &error);
        }
    }

    fn note_read(&self, place: &OwnedPath) -> Result<(), SessionError> {
        self.unit().state().note_read(Some(place.segments()), &self.unit().engine.terms)
    }

    /// The data as they are now, to be looked into without the lock: decoding is the application's code.
    pub(super) fn read(&self, path: Option<Segments<'_>>) -> Result<View, SessionError> {
        let mut state = self.unit().state();
        state.note_read(path, &self.unit().engine.terms)?;
        Ok(state.view())
    }

    /// Computes something from a value without the lock, since the application's code may use the session itself, and applies
    /// it if the value is still the same. What was computed is theirs as well, and is not dropped under the lock.
    fn with_value<C>(
        &self,
        path: Segments<'_>,
        compute: impl Fn(Option<&str>) -> Result<C, SessionError>,
        apply: impl Fn(&mut State, &mut C) -> Result<(), SessionError>,
    ) -> Result<C, SessionError> {
        for _ in 0..TRIES {
            let view = {
                let state = self.unit().state();
                state.check_writable()?;
                state.view()
            };
            let old = view.get(path)?;
            let mut computed = compute(old)?;
            let mut state = self.unit().state();
            if state.is_still(path, old) {
                // A view that is still held would make the change copy the data.
                drop(view);
                let applied = apply(&mut state, &mut computed);
                drop(state);
                return applied.map(|()| computed);
            }
        }
        Err(SessionError::new(
            ErrorKind::Contended,
            "the value was changed again and again while a new one was made from it, within this one request; \
             the function of an update must not write to the path that it updates",
        ))
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.unit().engine.terms.limits
    }
}

/// The text of a list with one more value.
fn with_last(list: Option<&str>, value: &str) -> Result<String, SessionError> {
    let Some(list) = list else { return Ok(format!("[{value}]")) };
    let inside = list.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).ok_or_else(|| {
        SessionError::new(
            ErrorKind::Decode,
            "the stored value is not a list; it was left as it is: remove it first, or choose another path",
        )
    })?;
    Ok(match inside.trim() {
        "" => format!("[{value}]"),
        inside => format!("[{inside},{value}]"),
    })
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<String, SessionError> {
    serde_json::to_string(value).map_err(|error| {
        SessionError::new(
            ErrorKind::Encode,
            "the value cannot be written as JSON, and was not stored: keys of maps have to be text or numbers",
        )
        .because(error)
    })
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, SessionError> {
    serde_json::from_str(text).map_err(|error| {
        SessionError::new(
            ErrorKind::Decode,
            "the stored value is not of the type that was asked for; it was left as it is: \
             ask for the type under which it was written, or remove it",
        )
        .because(DecodeFailure(error.classify(), std::any::type_name::<T>()))
    })
}

/// What serde says of a value quotes that value, which may be a secret of the application. So no more than the type is told.
#[derive(Debug)]
struct DecodeFailure(serde_json::error::Category, &'static str);

impl fmt::Display for DecodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} error, reading a {}", self.0, self.1)
    }
}

impl std::error::Error for DecodeFailure {}
