//! The workloads, and the session that they work on.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a request does with its session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Work {
    /// The cookie is sent, the session not touched.
    W1,
    /// The same with six other cookies in front.
    W1m,
    /// No cookie, not touched.
    W2,
    /// Reads a number and a small struct.
    W3,
    /// Reads a number and writes one more, in two calls.
    W4,
    /// The same in one call that loses nothing. Not everybody has one.
    W4u,
    /// No cookie; puts a number into a new session.
    W5,
}

impl Work {
    pub(crate) const ALL: [Self; 7] = [Self::W1, Self::W1m, Self::W2, Self::W3, Self::W4, Self::W4u, Self::W5];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::W1 => "W1",
            Self::W1m => "W1m",
            Self::W2 => "W2",
            Self::W3 => "W3",
            Self::W4 => "W4",
            Self::W4u => "W4u",
            Self::W5 => "W5",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|work| work.name() == name)
    }

    /// The route that does it.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::W1 | Self::W1m | Self::W2 => UNTOUCHED,
            Self::W3 => READ,
            Self::W4 => CHANGE,
            Self::W4u => UPDATE,
            Self::W5 => BEGIN,
        }
    }

    /// The `Cookie` header, where `own` is what the subject has handed out.
    pub(crate) fn cookie(self, own: &str) -> Option<String> {
        match self {
            Self::W2 | Self::W5 => None,
            Self::W1 | Self::W3 | Self::W4 | Self::W4u => Some(own.to_owned()),
            Self::W1m => Some(format!("{OTHERS}; {own}")),
        }
    }
}

/// Handlers of every subject answer `DONE` at these paths, if the session is as it has to be.
pub(crate) const UNTOUCHED: &str = "/untouched";
pub(crate) const READ: &str = "/read";
pub(crate) const CHANGE: &str = "/change";
/// As `CHANGE`, and whatever others add at the same time is there as well, if the subject has a call for that.
pub(crate) const UPDATE: &str = "/update";
pub(crate) const BEGIN: &str = "/begin";
/// Puts the ten keys into a new session.
pub(crate) const FILL: &str = "/fill";
/// Reads the counter, waits, then does as `UPDATE`: where updates get lost.
pub(crate) const SLOW: &str = "/slow";
/// Answers the counter.
pub(crate) const SHOW: &str = "/show";

pub(crate) const DONE: &str = "done";

/// The counter that W3 reads and W4 changes.
pub(crate) const COUNTER: &str = "visits";
pub(crate) const COUNTER_AT_FIRST: u64 = 7;

/// Like what analytics, consent and preferences leave in a browser.
const OTHERS: &str = "_ga=GA1.1.1063845209.1731941002; _ga_9QX2T7W0MB=GS1.1.1732001122.4.1.1732001310.0.0.0; \
                      consent=necessary%2Cstatistics; theme=dark; _fbp=fb.1.1731941003211.746239841; tz=Europe%2FBerlin";

/// The struct that W3 reads.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) admin: bool,
}

pub(crate) const USER: &str = "user";

impl User {
    pub(crate) fn is_as_it_was(&self) -> bool {
        self.id == 4_711 && self.name == "Ada Lovelace" && !self.admin
    }
}

/// Ten keys, 1 KB as JSON.
pub(crate) fn ten_keys() -> [(&'static str, Value); 10] {
    [
        (COUNTER, json!(COUNTER_AT_FIRST)),
        (USER, json!(User { id: 4_711, name: "Ada Lovelace".to_owned(), admin: false })),
        ("locale", json!("en-GB")),
        ("theme", json!({ "dark": true, "contrast": 1.25, "font": "Atkinson Hyperlegible" })),
        ("last_seen", json!(["/", "/search?q=engines", "/books/412", "/books/97", "/basket"])),
        (
            "basket",
            json!([
                { "book": 412, "title": "Sketch of the Analytical Engine", "amount": 1, "cents": 1_995 },
                { "book": 97, "title": "On the Economy of Machinery and Manufactures", "amount": 2, "cents": 2_450 },
                { "book": 230, "title": "Passages from the Life of a Philosopher", "amount": 1, "cents": 3_100 },
            ]),
        ),
        ("address", json!({ "street": "12 St James's Square", "town": "London", "code": "SW1Y 4JH", "country": "GB" })),
        ("csrf", json!("kQ2u7fT9o3mZ0Wc5vXyL8bHsJ1nRd6PgEaUiKtB4FqM")),
        ("experiments", json!({ "new_search": "b", "short_form": "a", "free_delivery": "control" })),
        (
            "note",
            json!(
                "Please ring twice and leave the parcel with the neighbours at number 14 if nobody opens the door. "
                    .repeat(3)
            ),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_keys_are_a_kilobyte() {
        let all: serde_json::Map<_, _> = ten_keys().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let length = serde_json::to_string(&all).unwrap().len();
        assert!((1_000..=1_048).contains(&length), "{length}");
    }
}
