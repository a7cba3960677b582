//! Objects as they are read, and data made of them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::members::{Member, Members};
use super::{Data, MAX_TEXT, escape, offset};

/// The members of an object: keys as canonical JSON has them, and raw values.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Of members whose keys need no escapes.
    pub(crate) fn of(members: Vec<(Cow<'a, str>, &'a RawValue)>) -> Self {
        Self(members)
    }

    /// The value of a member. Of equal keys the last one counts.
    pub(super) fn get(&self, escaped: &str) -> Option<&'a str> {
        self.0.iter().rfind(|(key, _)| *key == escaped).map(|(_, value)| value.get())
    }

    /// As data, unless they would be too large. `text` is what the object was read from, or has it somewhere inside.
    pub(crate) fn into_data(self, text: &str) -> Option<Data> {
        self.as_it_stands(text).or_else(|| self.rewritten())
    }

    /// A copy in one piece, if the object is canonical already, as is what this crate has written; unless it has no members, or a key
    /// in which something is escaped.
    fn as_it_stands(&self, text: &str) -> Option<Data> {
        let place = |part: &str| part.as_ptr().addr().checked_sub(text.as_ptr().addr());
        let start = place(&self.0.first()?.0)?.checked_sub(r#"{""#.len())?;
        let (mut end, mut members) = (start, Members::with_capacity(self.0.len()));
        for (key, value) in &self.0 {
            // In front of a key `{"` or `,"`, behind it `":`, and nothing else anywhere. A key that had to be written anew is
            // not in the text at all.
            let value_start = end + r#",""#.len() + key.len() + r#"":"#.len();
            if place(key) != Some(end + r#",""#.len()) || place(value.get()) != Some(value_start) {
                return None;
            }
            end = value_start + value.get().len();
            members.push(Member { value: place_in_data(value_start - start)?, end: place_in_data(end - start)? });
        }
        let text = text.get(start..=end).filter(|text| text.starts_with('{') && text.ends_with('}'))?;
        self.are_keys_unique().then(|| Data { text: text.to_owned(), members })
    }

    fn are_keys_unique(&self) -> bool {
        let keys = || self.0.iter().map(|(key, _)| &**key);
        if self.0.len() <= FEW {
            keys().enumerate().all(|(place, key)| keys().take(place).all(|other| other != key))
        } else {
            let mut known = HashSet::with_capacity(self.0.len());
            keys().all(|key| known.insert(key))
        }
    }

    fn rewritten(self) -> Option<Data> {
        let members = self.unique();
        let length: usize = members.iter().map(|(key, value)| key.len() + value.len() + r#","":"#.len()).sum();
        if length > MAX_TEXT {
            return None;
        }
        // The braces, less the comma that the last member has not.
        let mut data = Data { text: String::with_capacity(length + 1), members: Members::with_capacity(members.len()) };
        for (key, value) in members {
            data.append(&key, value);
        }
        Some(data)
    }

    /// Each key once, at its first place and with its last value. In linear time: keys may be the visitors' choice.
    fn unique(self) -> Vec<(Cow<'a, str>, &'a str)> {
        let (mut unique, mut places) = (Vec::<(Cow<'_, str>, &str)>::with_capacity(self.0.len()), HashMap::new());
        for (key, value) in self.0 {
            let place = *places.entry(key.clone()).or_insert(unique.len());
            match unique.get_mut(place) {
                Some((_, known)) => *known = value.get(),
                None => unique.push((key, value.get())),
            }
        }
        unique
    }
}

/// Most objects have no more members. Among so few keys two that are equal are found faster by comparing all than by their hashes.
const FEW: usize = 16;

fn place_in_data(place: usize) -> Option<u32> {
    (place <= MAX_TEXT).then(|| offset(place))
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(FEW);
                while let Some((key, value)) = map.next_entry::<Text<'_>, _>()? {
                    members.push((key.into_key(), value));
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// Text, borrowed unless JSON escapes something in it.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'a> Text<'a> {
    /// As it stands between the quotes of canonical JSON.
    fn into_key(self) -> Cow<'a, str> {
        match self.0 {
            // What JSON escapes cannot be borrowed.
            Cow::Borrowed(text) => Cow::Borrowed(text),
            Cow::Owned(text) => Cow::Owned(escape(&text).into_owned()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsText;

        impl<'de> Visitor<'de> for AsText {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(AsText)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Object<'_> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_is_canonical_is_copied_as_it_would_be_rewritten() {
        let many = (0..40).map(|n| format!(r#""k{n}":{n}"#)).collect::<Vec<_>>().join(",");
        for text in [r#"{"a":1}"#, r#"{"":"","é":{"x": [ 1 ]},"b":"}{\"","c":null}"#, &format!("{{{many}}}")] {
            for around in [text.to_owned(), format!(r#"{{"v":1,"data":{text},"z":[{{}}]}}"#)] {
                let inner = &around[around.find(text).unwrap()..][..text.len()];
                let copied = read(inner).as_it_stands(&around).unwrap();
                let rewritten = read(inner).rewritten().unwrap();
                assert_eq!((copied.as_str(), rewritten.as_str()), (text, text));
                assert!(copied.members().eq(rewritten.members()), "{text}");
            }
        }
    }

    #[test]
    fn what_is_not_canonical_is_rewritten() {
        let texts = [
            r#"{ "a":1,"b":2}"#,
            r#"{"a" :1,"b":2}"#,
            r#"{"a": 1,"b":2}"#,
            r#"{"a":1 ,"b":2}"#,
            r#"{"a":1, "b":2}"#,
            r#"{"a":1,"b":2 }"#,
            r#"{"a":0,"b":2,"a":1}"#,
            r#"{"\u0061":1,"b":2}"#,
        ];
        for text in texts {
            assert!(read(text).as_it_stands(text).is_none(), "{text}");
            assert_eq!(read(text).into_data(text).unwrap().as_str(), r#"{"a":1,"b":2}"#);
        }
        let members: Vec<_> = (0..40).map(|n| format!(r#""k{n}":{n}"#)).collect();
        let many = format!(r#"{{{},"k7":0}}"#, members.join(","));
        assert!(read(&many).as_it_stands(&many).is_none());
        assert_eq!(read(&many).into_data(&many).unwrap().member("k7"), Some("0"));
        assert_eq!(read("{}").into_data("{}").unwrap().as_str(), "{}");
    }
}
