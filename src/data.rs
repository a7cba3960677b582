//! The data of a session: a JSON object, kept as text.
//!
//! A key's value stays raw text until somebody reads that key, and is text again as soon as it is written: what a request
//! does not touch costs it nothing. An index says where the top-level members stand; deeper levels are found by walking.

mod members;
mod object;
mod path;

use std::borrow::Cow;
use std::fmt;
use std::iter::zip;
use std::sync::Arc;

use serde::de::Error as _;

pub use path::Path;
pub(crate) use path::{OwnedPath, RESERVED, Segments};

use crate::error::{ErrorKind, SessionError};
use crate::policy::Limits;
use members::{Member, Members};
pub(crate) use object::{Object, Text};

/// A JSON object in its canonical form: compact on the top level, each key once and escaped in one way only.
#[derive(Clone, Default)]
pub(crate) struct Data {
    /// Empty for `{}` that nothing was put into since it was made.
    text: String,
    members: Members,
}

impl fmt::Debug for Data {
    /// Shows the size and no value: they are the application's secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.as_str().len())
    }
}

impl Data {
    /// Reads the text of a JSON object, in whatever form it comes. Of equal keys the last one counts.
    pub(crate) fn parse(text: &str) -> serde_json::Result<Self> {
        let object: Object<'_> = serde_json::from_str(text)?;
        object.into_data(text).ok_or_else(|| serde_json::Error::custom("more than 2 GiB of session data"))
    }

    /// Reads a value that has to be an object.
    pub(crate) fn parse_value(text: &str) -> Result<Self, SessionError> {
        Self::parse(text).map_err(|_| not_an_object())
    }

    /// What another library has kept. This crate's own place in it is empty.
    pub(crate) fn inherited(text: &str, limits: &Limits) -> Result<Self, SessionError> {
        let mut data = Self::parse_value(text)?;
        data.remove_member(RESERVED);
        check_size(data.as_str().len(), limits)?;
        check_nesting(data.as_str(), limits)?;
        Ok(data)
    }

    /// These data in no more memory than they need, for a store that may keep them.
    pub(crate) fn without_slack(self: &Arc<Self>) -> Arc<Self> {
        let slack = self.text.capacity() - self.text.len();
        if slack <= self.text.len() / 16 + 8 { self.clone() } else { Arc::new(Self::clone(self)) }
    }

    /// The whole object as JSON text.
    pub(crate) fn as_str(&self) -> &str {
        if self.text.is_empty() { "{}" } else { &self.text }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The keys of the top level, in the order in which they were first written.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.members().map(|(key, _)| key)
    }

    /// The members of the top level: key, and raw JSON text.
    pub(crate) fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        let places = zip(self.members.keys(), self.members.iter());
        places.map(|(key, member)| (unescape(&self.text[key]), &self.text[member.value()]))
    }

    /// The raw JSON text of a member of the top level, whatever dots its name holds.
    pub(crate) fn member(&self, name: &str) -> Option<&str> {
        let index = self.position(&escape(name))?;
        Some(&self.text[self.members[index].value()])
    }

    /// The raw JSON text at a path.
    pub(crate) fn get(&self, path: Segments<'_>) -> Result<Option<&str>, SessionError> {
        let mut segments = path;
        let first = segments.first()?;
        let Some(index) = self.position(&escape(first)) else {
            return segments.check_rest().map(|()| None);
        };
        within(&self.text[self.members[index].value()], segments)
    }

    /// The raw JSON text at a path that was checked, which may be the path to everything.
    pub(crate) fn at(&self, path: &OwnedPath) -> Option<&str> {
        if path.segments().is_empty() {
            return Some(self.as_str());
        }
        self.get(path.segments()).ok().flatten()
    }

    /// Puts raw JSON text at a path and makes the objects that lead there. On an error nothing has changed.
    pub(crate) fn set(&mut self, path: Segments<'_>, value: &str, limits: &Limits) -> Result<(), SessionError> {
        check_depth(path.len() + depth_of(value), limits)?;
        self.put(path, value, limits)
    }

    /// A copy in which that is done: made in one go, and in no more memory than it needs.
    pub(crate) fn with(&self, path: Segments<'_>, value: &str, limits: &Limits) -> Result<Self, SessionError> {
        check_depth(path.len() + depth_of(value), limits)?;
        let Edit { key, value, place, size } = self.edit(path, value, limits)?;
        let (mut text, members) = (String::with_capacity(size), self.members.clone());
        let Some(index) = place else {
            text.push_str(&self.text);
            let mut copy = Self { text, members };
            copy.append(&key, &value);
            return Ok(copy);
        };
        let old = self.members[index].value();
        text.push_str(&self.text[..old.start]);
        text.push_str(&value);
        text.push_str(&self.text[old.end..]);
        let mut copy = Self { text, members };
        copy.resize(index, value.len());
        Ok(copy)
    }

    fn put(&mut self, path: Segments<'_>, value: &str, limits: &Limits) -> Result<(), SessionError> {
        let edit = self.edit(path, value, limits)?;
        match edit.place {
            Some(index) => self.replace(index, &edit.value),
            None => self.append(&edit.key, &edit.value),
        }
        Ok(())
    }

    /// What it takes to put raw JSON text at a path.
    fn edit<'a>(&self, path: Segments<'a>, value: &'a str, limits: &Limits) -> Result<Edit<'a>, SessionError> {
        let mut rest = path;
        let key = escape(rest.first()?);
        let place = self.position(&key);
        let value = if rest.is_empty() {
            Cow::Borrowed(value)
        } else {
            let mut inner = match place {
                Some(index) => self.object_at(index)?,
                None => Self::default(),
            };
            inner.put(rest, value, limits)?;
            Cow::Owned(inner.text)
        };
        let (gone, come) = match place {
            Some(index) => (self.members[index].value().len(), value.len()),
            None => (0, key.len() + value.len() + r#","":"#.len()),
        };
        let size = self.as_str().len() - gone + come;
        check_size(size, limits)?;
        Ok(Edit { key, value, place, size })
    }

    /// Takes away what stands at a path. Whether anything did.
    pub(crate) fn remove(&mut self, path: Segments<'_>) -> Result<bool, SessionError> {
        let mut rest = path;
        let Some(index) = self.position(&escape(rest.first()?)) else {
            return rest.check_rest().map(|()| false);
        };
        if rest.is_empty() {
            self.delete(index);
            return Ok(true);
        }
        let mut inner = self.object_at(index)?;
        let removed = inner.remove(rest)?;
        if removed {
            self.replace(index, &inner.text);
        }
        Ok(removed)
    }

    /// Puts raw JSON text under a name of the top level, whatever its size.
    pub(crate) fn set_member(&mut self, name: &str, value: &str) {
        let key = escape(name);
        match self.position(&key) {
            Some(index) => self.replace(index, value),
            None => self.append(&key, value),
        }
    }

    /// Takes away a member of the top level.
    pub(crate) fn remove_member(&mut self, name: &str) {
        if let Some(index) = self.position(&escape(name)) {
            self.delete(index);
        }
    }

    /// Takes away all members of the top level but these.
    pub(crate) fn keep(&mut self, names: &[Box<str>]) {
        // Built anew, for the keys may be the visitors' choice, and to take each away moves all that are behind it.
        let mut kept = Self::default();
        for (key, member) in zip(self.members.keys(), self.members.iter()) {
            let (key, value) = (&self.text[key], &self.text[member.value()]);
            if names.iter().any(|name| **name == *unescape(key)) {
                kept.append(key, value);
            }
        }
        *self = kept;
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn position(&self, escaped: &str) -> Option<usize> {
        // By bytes: a slice of text would look for the boundaries of characters.
        let text = self.text.as_bytes();
        self.members.keys().position(|key| key.len() == escaped.len() && text[key] == *escaped.as_bytes())
    }

    fn object_at(&self, index: usize) -> Result<Self, SessionError> {
        Self::parse_value(&self.text[self.members[index].value()])
    }

    fn append(&mut self, escaped: &str, value: &str) {
        // At once: a text that grows step by step leaves holes behind, which small sessions are too small to fill.
        let end = self.text.pop();
        self.text.reserve(escaped.len() + value.len() + r#","":}"#.len());
        match end {
            None => self.text.push('{'),
            Some(_) if self.members.is_empty() => {}
            Some(_) => self.text.push(','),
        }
        self.text.push('"');
        self.text.push_str(escaped);
        self.text.push_str("\":");
        let start = offset(self.text.len());
        self.text.push_str(value);
        let end = offset(self.text.len());
        self.text.push('}');
        self.members.push(Member { value: start, end });
    }

    fn replace(&mut self, index: usize, value: &str) {
        let old = self.members[index].value();
        self.text.replace_range(old, value);
        self.resize(index, value.len());
    }

    /// The value of a member has another length now: what is behind it has moved.
    fn resize(&mut self, index: usize, length: usize) {
        let old = self.members[index].value();
        self.members[index].end = offset(old.start + length);
        let shift = |place: &mut u32| *place = offset(*place as usize + length - old.len());
        for member in &mut self.members[index + 1..] {
            shift(&mut member.value);
            shift(&mut member.end);
        }
    }

    fn delete(&mut self, index: usize) {
        let Some(key) = self.members.keys().nth(index) else { return };
        let mut start = key.start - 1;
        let mut end = self.members.remove(index).end as usize;
        // One comma goes too: the one behind, or, for the last member, the one in front.
        if index < self.members.len() {
            end += 1;
        } else if index > 0 {
            start -= 1;
        }
        self.text.replace_range(start..end, "");
        let gone = offset(end - start);
        for member in &mut self.members[index..] {
            member.value -= gone;
            member.end -= gone;
        }
    }
}

/// Raw JSON text for a member of the top level: one that is there, or a new one at the end.
struct Edit<'a> {
    key: Cow<'a, str>,
    value: Cow<'a, str>,
    place: Option<usize>,
    /// Of the whole text once that is done, in bytes, or one more.
    size: usize,
}

fn check_size(size: usize, limits: &Limits) -> Result<(), SessionError> {
    let limit = limits.max_data_bytes();
    if size <= limit {
        return Ok(());
    }
    Err(SessionError::new(
        ErrorKind::TooLarge,
        format!(
            "the session's data would take {size} bytes, more than the {limit} of Limits::data_bytes; \
             keep large things in a database and their key in the session"
        ),
    ))
}

/// For who walks through a text level by level before it becomes data.
pub(crate) fn check_nesting(json: &str, limits: &Limits) -> Result<(), SessionError> {
    check_depth(depth_of(json), limits)
}

fn check_depth(depth: usize, limits: &Limits) -> Result<(), SessionError> {
    let limit = limits.max_depth();
    if depth <= limit {
        return Ok(());
    }
    Err(SessionError::new(
        ErrorKind::TooDeep,
        format!("the session's data would be nested {depth} levels deep, more than the {limit} of Limits::depth"),
    ))
}

/// How deep JSON text is nested: 0 for a number, 1 for `{}`, 2 for `{"a":[]}`.
fn depth_of(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Offsets are kept in 32 bits. Twice this and a bit is the most that one change can make of data that were read.
const MAX_TEXT: usize = 1 << 31;

fn offset(place: usize) -> u32 {
    u32::try_from(place).expect("session data stay below 4 GiB: reading stops at 2 GiB, Limits at 1 GiB")
}

/// A key as it stands between the quotes of canonical JSON.
fn escape(key: &str) -> Cow<'_, str> {
    if key.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        return Cow::Borrowed(key);
    }
    let quoted = serde_json::Value::from(key).to_string();
    Cow::Owned(quoted[1..quoted.len() - 1].to_owned())
}

fn unescape(escaped: &str) -> Cow<'_, str> {
    if !escaped.contains('\\') {
        return Cow::Borrowed(escaped);
    }
    let text = serde_json::from_str(&format!("\"{escaped}\""));
    Cow::Owned(text.expect("keys in canonical data are valid JSON strings"))
}

/// The raw JSON text at a path below a value.
pub(crate) fn within<'a>(value: &'a str, path: Segments<'_>) -> Result<Option<&'a str>, SessionError> {
    let (mut value, mut segments) = (value, path);
    while let Some(segment) = segments.next_checked()? {
        match member_of(value, segment)? {
            Some(inner) => value = inner,
            None => return segments.check_rest().map(|()| None),
        }
    }
    Ok(Some(value))
}

/// The raw value of one member of an object that is not indexed.
fn member_of<'a>(object: &'a str, key: &str) -> Result<Option<&'a str>, SessionError> {
    let members: Object<'_> = serde_json::from_str(object).map_err(|_| not_an_object())?;
    Ok(members.get(&escape(key)))
}

fn not_an_object() -> SessionError {
    SessionError::new(
        ErrorKind::NotAnObject,
        "the path leads through a value that is not an object; nothing was overwritten: \
         remove that value first, or choose another path",
    )
}

#[cfg(test)]
mod tests;
