//! What is kept of a request for those who ask for its session.

use http::{HeaderMap, HeaderValue};

use super::predecessor::Before;
use super::transport::Transport;
use crate::state::Bond;

/// What is kept of a request, unread: reference counts on its own bytes.
pub(super) struct Captured {
    /// The first header that may hold a token, with the number of its carrier.
    first: Option<(usize, HeaderValue)>,
    /// Behind a pointer, since most requests have none of it and are begun and forgotten faster without.
    rest: Option<Box<Rest>>,
}

struct Rest {
    others: Vec<(usize, HeaderValue)>,
    old_cookies: Vec<HeaderValue>,
    bond: Option<Bond>,
}

impl Captured {
    #[inline]
    pub(super) fn new(headers: &HeaderMap, transport: &Transport, before: Option<&Before>, bond: Option<Bond>) -> Self {
        let mut first = None;
        let mut others = Vec::new();
        for (carrier, value) in transport.values(headers) {
            let value = (carrier, value.clone());
            match first {
                None => first = Some(value),
                Some(_) => others.push(value),
            }
        }
        let has_rest = before.is_some() || bond.is_some() || !others.is_empty();
        let rest = has_rest.then(|| {
            let old_cookies = before.map(|_| Before::capture(headers)).unwrap_or_default();
            Box::new(Rest { others, old_cookies, bond })
        });
        Self { first, rest }
    }

    /// The headers that may hold a token, each with the number of its carrier.
    pub(super) fn values(&self) -> impl Iterator<Item = &(usize, HeaderValue)> + Clone {
        self.first.iter().chain(self.rest.iter().flat_map(|rest| &rest.others))
    }

    /// The headers that may show the cookie of a predecessor.
    pub(super) fn old_cookies(&self) -> &[HeaderValue] {
        self.rest.as_ref().map_or(&[], |rest| &rest.old_cookies)
    }

    pub(super) fn bond(&self) -> Option<Bond> {
        self.rest.as_ref()?.bond.clone()
    }
}
