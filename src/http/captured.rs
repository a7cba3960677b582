//! What is kept of a request for those who ask for its session.

use std::sync::Arc;

use http::header::ValueIter;
use http::{HeaderMap, HeaderValue};

use super::predecessor::Before;
use super::transport::Transport;
use crate::state::Bond;

/// What is kept of a request, unread: reference counts on its own bytes.
#[derive(Default)]
pub(super) struct Captured {
    /// The first header that may hold a token, with the number of its carrier.
    first: Option<(u16, HeaderValue)>,
    /// Behind a pointer, since most requests have none of it and are begun and forgotten faster without. To drop no `Arc` is a test
    /// in place, where no box is dropped by a call.
    rest: Option<Arc<Rest>>,
}

#[derive(Default)]
struct Rest {
    others: Vec<(u16, HeaderValue)>,
    old_cookies: Vec<HeaderValue>,
    bond: Option<Bond>,
}

impl Captured {
    #[inline]
    pub(super) fn new(headers: &HeaderMap, transport: &Transport, before: Option<&Before>, bond: Option<Bond>) -> Self {
        let mut captured = Self::default();
        for (carrier, name) in transport.request_headers() {
            let mut values = headers.get_all(name).iter();
            if let Some(value) = values.next() {
                captured.add(carrier, value, values);
            }
        }
        if before.is_some() {
            captured.rest().old_cookies = Before::capture(headers);
        }
        if bond.is_some() {
            captured.rest().bond = bond;
        }
        captured
    }

    /// Out of line: who shows no such header does not save registers for the loop.
    #[inline(never)]
    fn add(&mut self, carrier: u16, first: &HeaderValue, others: ValueIter<'_, HeaderValue>) {
        for value in std::iter::once(first).chain(others) {
            let value = (carrier, value.clone());
            match self.first {
                None => self.first = Some(value),
                Some(_) => self.rest().others.push(value),
            }
        }
    }

    fn rest(&mut self) -> &mut Rest {
        Arc::get_mut(self.rest.get_or_insert_default()).expect("it is not shared")
    }

    /// The headers of a carrier that may hold a token.
    pub(super) fn values(&self, carrier: u16) -> impl Iterator<Item = &HeaderValue> + Clone {
        let others: &[_] = self.rest.as_ref().map_or(&[], |rest| &rest.others);
        self.first.iter().chain(others).filter(move |(of, _)| *of == carrier).map(|(_, value)| value)
    }

    /// The headers that may show the cookie of a predecessor.
    pub(super) fn old_cookies(&self) -> &[HeaderValue] {
        self.rest.as_ref().map_or(&[], |rest| &rest.old_cookies)
    }

    pub(super) fn bond(&self) -> Option<Bond> {
        self.rest.as_ref()?.bond.clone()
    }
}
