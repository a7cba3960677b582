//! One JSON text, and where its members stand.

/// An object on whose top level names need no escapes, as those in a program's source do not.
#[derive(Default)]
pub(super) struct Data {
    /// Nothing, if it has no members.
    text: String,
    members: Vec<Member>,
}

/// Offsets: `{"name":value` has its name at 2, its value at 8, its end at 13.
#[derive(Clone, Copy)]
struct Member {
    name: u32,
    value: u32,
    end: u32,
}

impl Data {
    /// What `with` has written: members follow one another without a space.
    #[cfg(feature = "full")]
    pub(super) fn read(text: &str) -> Option<Self> {
        let Values(values) = serde_json::from_str(text).ok()?;
        if values.is_empty() {
            return Some(Self::default());
        }
        let mut name = 2;
        let members = values.into_iter().map(|(key, raw)| {
            let value = name + key.len() as u32 + 2;
            let member = Member { name, value, end: value + raw.get().len() as u32 };
            name = member.end + 2;
            member
        });
        Some(Self { members: members.collect(), text: text.to_owned() })
    }

    #[cfg(feature = "full")]
    pub(super) fn text(&self) -> &str {
        if self.text.is_empty() { "{}" } else { &self.text }
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.position(name).map(|at| &self.text[self.members[at].value as usize..self.members[at].end as usize])
    }

    /// A copy in which `name` has this value. It is written in one go: whoever has loaded the old text may still read it.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut members = self.members.clone();
        if let Some(at) = self.position(name) {
            let Member { value: start, end, .. } = members[at];
            let text = [&self.text[..start as usize], value, &self.text[end as usize..]].concat();
            let shift = |place: u32| place + start + value.len() as u32 - end;
            members[at].end = shift(end);
            for Member { name, value, end } in &mut members[at + 1..] {
                (*name, *value, *end) = (shift(*name), shift(*value), shift(*end));
            }
            return Self { text, members };
        }
        let (before, quote) = self.text.strip_suffix('}').map_or(("", "{\""), |before| (before, ",\""));
        let text = [before, quote, name, "\":", value, "}"].concat();
        let end = text.len() - 1;
        let [name, value, end] = [before.len() + 2, end - value.len(), end].map(|place| place as u32);
        members.push(Member { name, value, end });
        Self { text, members }
    }

    fn position(&self, name: &str) -> Option<usize> {
        let text = self.text.as_bytes();
        self.members.iter().position(|member| &text[member.name as usize..member.value as usize - 2] == name.as_bytes())
    }
}

/// The members of an object, in their order.
#[cfg(feature = "full")]
struct Values<'a>(Vec<(&'a str, &'a serde_json::value::RawValue)>);

#[cfg(feature = "full")]
impl<'de> serde::Deserialize<'de> for Values<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> serde::de::Visitor<'de> for Members {
            type Value = Values<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(16);
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Values(members))
            }
        }

        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_json_and_the_index_fits_it() {
        let data = Data::default().with("a", "1").with("b", "\"x\"").with("c", "[2]").with("a", "{}").with("b", "null");
        assert_eq!(data.text, r#"{"a":{},"b":null,"c":[2]}"#);
        assert_eq!(["a", "b", "c", "d"].map(|name| data.get(name)), [Some("{}"), Some("null"), Some("[2]"), None]);
    }
}
