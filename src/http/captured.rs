//! What is kept of a request for those who ask for its session.

use std::sync::Arc;

use http::header::ValueIter;
use http::{HeaderMap, HeaderValue};

use super::lazy::Visit;
use super::predecessor::Before;
use super::transport::Transport;
use crate::state::Bond;

/// What is kept of a request, unread: reference counts on its own bytes.
#[derive(Default)]
pub(super) struct Captured {
    /// The first header that may hold a token, if it is of the first carrier.
    first: Option<HeaderValue>,
    /// Behind a pointer, since most requests have none of it and are begun and forgotten faster without.
    rest: Option<Box<Rest>>,
}

#[derive(Default)]
struct Rest {
    /// Each with the number of its carrier.
    others: Vec<(u16, HeaderValue)>,
    old_cookies: Vec<HeaderValue>,
    bond: Option<Bond>,
    outer: Option<Arc<Visit>>,
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

    #[inline(never)]
    fn add(&mut self, carrier: u16, first: &HeaderValue, others: ValueIter<'_, HeaderValue>) {
        for value in std::iter::once(first).chain(others) {
            if carrier == 0 && self.first.is_none() {
                self.first = Some(value.clone());
            } else {
                self.rest().others.push((carrier, value.clone()));
            }
        }
    }

    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// The headers of a carrier that may hold a token.
    pub(super) fn values(&self, carrier: u16) -> impl Iterator<Item = &HeaderValue> + Clone {
        let others = self.rest.iter().flat_map(|rest| &rest.others);
        let others = others.filter(move |(of, _)| *of == carrier).map(|(_, value)| value);
        self.first.iter().filter(move |_| carrier == 0).chain(others)
    }

    /// The headers that may show the cookie of a predecessor.
    pub(super) fn old_cookies(&self) -> &[HeaderValue] {
        self.rest.as_ref().map_or(&[], |rest| &rest.old_cookies)
    }

    pub(super) fn bond(&self) -> Option<Bond> {
        self.rest.as_ref()?.bond.clone()
    }

    /// The same request under the next layer further out.
    pub(super) fn outer(&self) -> Option<&Arc<Visit>> {
        self.rest.as_ref()?.outer.as_ref()
    }

    pub(super) fn set_outer(&mut self, outer: Arc<Visit>) {
        self.rest().outer = Some(outer);
    }
}
