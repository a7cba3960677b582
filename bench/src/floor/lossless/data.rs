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
