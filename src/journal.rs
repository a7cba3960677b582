//! What a request did to the data, in order, so that it can be done again on newer data.

use std::fmt;
use std::sync::Arc;

use crate::data::{Data, OwnedPath, Segments};
use crate::error::SessionError;
use crate::policy::Limits;

/// Makes the new JSON text of a value from the old one.
pub(crate) type Update = dyn Fn(Option<&str>) -> Result<String, SessionError> + Send + Sync;

/// One change of the data.
#[derive(Clone)]
pub(crate) enum Change {
    Set(OwnedPath, String),
    /// Only if nothing stands there.
    SetNew(OwnedPath, String),
    Remove(OwnedPath),
    /// Only if this text still stands there.
    RemoveExact(OwnedPath, Box<str>),
    Clear,
    /// All but these members of the top level go.
    Keep(Box<[Box<str>]>),
    /// The result, and how to get it again from another value.
    Update(OwnedPath, String, Arc<Update>),
    Merge(OwnedPath, Arc<Merge>),
}

/// Changes single fields of an object, and leaves the others as they are.
pub(crate) struct Merge {
    pub(crate) fields: Fields,
    /// The object as a whole, for the case that something else stands there, or that they do not fit together.
    pub(crate) whole: String,
    /// The object for the case that nothing stands there any more: what was not changed does not come back.
    pub(crate) afresh: String,
    /// Whether a text is an object of the right type. Fields of two variants of an enum together may be none.
    pub(crate) fits: fn(&str) -> bool,
}

/// The fields of an object that have changed, and their new text; `None` for those that are gone.
pub(crate) type Fields = Vec<(Box<str>, Option<Box<str>>)>;

/// An object with changed fields; `None` if it is none.
pub(crate) fn with_fields(object: &str, fields: &Fields) -> Option<Data> {
    let mut object = Data::parse(object).ok()?;
    for (name, value) in fields {
        match value {
            Some(value) => object.set_member(name, value),
            None => object.remove_member(name),
        }
    }
    Some(object)
}

impl Merge {
    /// Puts the object with the changes in its place, if it is one that `fits`.
    fn apply(
        &self,
        place: Segments<'_>,
        data: &mut Data,
        limits: &Limits,
        fits: impl FnOnce(&Data) -> bool,
    ) -> Result<(), SessionError> {
        let old = data.get(place)?;
        let merged = old.and_then(|old| with_fields(old, &self.fields)).filter(fits);
        let otherwise = if old.is_some() { &self.whole } else { &self.afresh };
        data.set(place, merged.as_ref().map_or(otherwise, Data::as_str), limits)
    }
}

impl Change {
    /// Does it for the first time, on the data that it was made for. On an error nothing has changed.
    pub(crate) fn apply(&self, data: &mut Data, limits: &Limits) -> Result<(), SessionError> {
        match self {
            Self::Set(path, value) | Self::Update(path, value, _) => data.set(path.segments(), value, limits),
            Self::SetNew(path, value) => match data.get(path.segments())? {
                Some(_) => Ok(()),
                None => data.set(path.segments(), value, limits),
            },
            Self::Remove(path) => data.remove(path.segments()).map(drop),
            Self::RemoveExact(path, text) => match data.get(path.segments())? {
                Some(found) if *found == **text => data.remove(path.segments()).map(drop),
                _ => Ok(()),
            },
            // Whether it fits is for the application's code to say, which is not to be called under the session's lock.
            Self::Merge(path, merge) => merge.apply(path.segments(), data, limits, |_| true),
            Self::Clear => {
                data.clear();
                Ok(())
            }
            Self::Keep(names) => {
                data.keep(names);
                Ok(())
            }
        }
    }

    /// The same on a copy of the data.
    pub(crate) fn applied_to(&self, data: &Data, limits: &Limits) -> Result<Data, SessionError> {
        if let Self::Set(path, value) | Self::Update(path, value, _) = self {
            return data.with(path.segments(), value, limits);
        }
        let mut copy = data.clone();
        self.apply(&mut copy, limits)?;
        Ok(copy)
    }

    /// Does it again, on data that have changed since.
    fn reapply(&self, data: &mut Data, limits: &Limits) -> Result<(), SessionError> {
        match self {
            Self::Update(path, _, update) => {
                let value = update(data.get(path.segments())?)?;
                data.set(path.segments(), &value, limits)
            }
            Self::Merge(path, merge) => {
                merge.apply(path.segments(), data, limits, |merged| (merge.fits)(merged.as_str()))
            }
            other => other.apply(data, limits),
        }
    }

    /// Whether it changes what stands at a place.
    pub(crate) fn touches(&self, place: &OwnedPath) -> bool {
        match self {
            Self::Set(path, _)
            | Self::SetNew(path, _)
            | Self::Remove(path)
            | Self::RemoveExact(path, _)
            | Self::Update(path, ..) => path.overlaps(place),
            Self::Merge(path, merge) => merge.fields.iter().any(|(name, _)| path.has_on_the_way(name, place)),
            Self::Keep(names) => !place.is_within_one_of(names),
            Self::Clear => true,
        }
    }

    /// Whether it does so without regard to what stood there.
    fn overwrites(&self, place: &OwnedPath) -> bool {
        !matches!(self, Self::Update(..) | Self::SetNew(..) | Self::RemoveExact(..)) && self.touches(place)
    }
}

impl fmt::Debug for Change {
    /// Shows what is done to which path, and no value: they are the application's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(path, _) => f.debug_tuple("Set").field(path).finish(),
            Self::SetNew(path, _) => f.debug_tuple("SetNew").field(path).finish(),
            Self::Remove(path) => f.debug_tuple("Remove").field(path).finish(),
            Self::RemoveExact(path, _) => f.debug_tuple("RemoveExact").field(path).finish(),
            Self::Clear => f.write_str("Clear"),
            Self::Keep(names) => f.debug_tuple("Keep").field(names).finish(),
            Self::Update(path, ..) => f.debug_tuple("Update").field(path).finish(),
            Self::Merge(path, _) => f.debug_tuple("Merge").field(path).finish(),
        }
    }
}

/// The changes of one request, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Vec<Change>);

impl Journal {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, change: Change) {
        self.0.push(change);
    }

    /// Whether it changes what stands at a place.
    pub(crate) fn touches(&self, place: &OwnedPath) -> bool {
        self.0.iter().any(|change| change.touches(place))
    }

    /// Whether it changes what stands at a place without regard to what stood there.
    pub(crate) fn overwrites(&self, place: &OwnedPath) -> bool {
        self.0.iter().any(|change| change.overwrites(place))
    }

    /// Puts what came later behind what is here.
    pub(crate) fn append(&mut self, later: Self) {
        self.0.extend(later.0);
    }

    /// Whether doing it twice is the same as doing it once.
    pub(crate) fn is_idempotent(&self) -> bool {
        !self.0.iter().any(|change| matches!(change, Change::Update(..)))
    }

    /// Does everything again, on data that have changed since.
    pub(crate) fn replay(&self, data: &mut Data, limits: &Limits) -> Result<(), SessionError> {
        self.0.iter().try_for_each(|change| change.reapply(data, limits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Path as _;

    fn path(text: &str) -> OwnedPath {
        (&text).segments().to_owned().unwrap()
    }

    fn increment(at: &str, now: u64) -> Change {
        let update = |old: Option<&str>| {
            let old: u64 = old.map_or(0, |text| text.parse().unwrap());
            Ok((old + 1).to_string())
        };
        Change::Update(path(at), now.to_string(), Arc::new(update))
    }

    #[test]
    fn a_replay_keeps_what_others_did() {
        let mut journal = Journal::default();
        journal.push(Change::Set(path("a.x"), "1".into()));
        journal.push(increment("n", 1));
        journal.push(Change::Remove(path("old")));

        let mut theirs = Data::parse(r#"{"n":41,"old":true,"b":2,"a":{"y":3}}"#).unwrap();
        journal.replay(&mut theirs, &Limits::default()).unwrap();
        assert_eq!(theirs.as_str(), r#"{"n":42,"b":2,"a":{"y":3,"x":1}}"#);
    }

    #[test]
    fn the_first_time_takes_the_result_as_it_is() {
        let mut data = Data::default();
        increment("n", 7).apply(&mut data, &Limits::default()).unwrap();
        assert_eq!(data.as_str(), r#"{"n":7}"#);
    }

    #[test]
    fn order_matters() {
        let mut journal = Journal::default();
        journal.push(Change::Set(path("a"), "1".into()));
        journal.push(Change::Clear);
        journal.push(Change::Set(path("b"), "2".into()));
        let mut data = Data::parse(r#"{"c":3}"#).unwrap();
        journal.replay(&mut data, &Limits::default()).unwrap();
        assert_eq!(data.as_str(), r#"{"b":2}"#);
    }

    #[test]
    fn what_others_have_put_into_a_member_that_is_kept_is_kept() {
        let mut journal = Journal::default();
        journal.push(Change::Keep([Box::from("cart")].into()));
        let mut theirs = Data::parse(r#"{"a":1,"cart":{"tea":2},"cart2":3}"#).unwrap();
        journal.replay(&mut theirs, &Limits::default()).unwrap();
        assert_eq!(theirs.as_str(), r#"{"cart":{"tea":2}}"#);
    }

    #[test]
    fn what_grew_too_large_on_newer_data_is_an_error() {
        let mut journal = Journal::default();
        journal.push(Change::Set(path("a"), "12345678".into()));
        let mut data = Data::parse(r#"{"b":12345678}"#).unwrap();
        let error = journal.replay(&mut data, &Limits::default().data_bytes(20)).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::TooLarge);
    }

    #[test]
    fn what_is_kept_is_not_touched_and_all_else_is() {
        let keep = Change::Keep([Box::from("cart")].into());
        for (place, touched) in [("cart", false), ("cart.tea", false), ("a", true), ("cart2", true)] {
            assert_eq!((keep.touches(&path(place)), keep.overwrites(&path(place))), (touched, touched), "{place}");
        }
    }

    #[test]
    fn debug_shows_the_path_and_no_value() {
        let printed = format!("{:?}", Change::Set(path("account.password"), "\"hunter2\"".into()));
        assert!(printed.starts_with("Set") && printed.contains("password"), "{printed}");
        assert!(!printed.contains("hunter2"), "{printed}");
    }
}
