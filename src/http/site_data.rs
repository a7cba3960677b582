//! What browsers are told to clear when a session ends ([`SiteData`]).

use http::{HeaderName, HeaderValue, Response};

use super::lazy::Visit;
use crate::session::Session;

pub(super) const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What a browser may keep of a site beside the session's cookie: see
/// [`SessionLayer::clear_site_data`](crate::SessionLayer::clear_site_data).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SiteData {
    /// Pages and files that it has kept, also those behind the "back" button. Some browsers take seconds to clear it.
    Cache,
    /// All cookies of the registrable domain: also those of other applications there, and those of its subdomains.
    Cookies,
    /// Local and session storage, databases, service workers.
    Storage,
    /// Everything that the browser knows of, now and in later versions.
    All,
}

impl SiteData {
    const fn directive(self) -> &'static str {
        match self {
            Self::Cache => "\"cache\"",
            Self::Cookies => "\"cookies\"",
            Self::Storage => "\"storage\"",
            Self::All => "\"*\"",
        }
    }

    /// The header's value. `None` if nothing is to be cleared.
    pub(super) fn header(data: impl IntoIterator<Item = Self>) -> Option<HeaderValue> {
        let mut directives: Vec<_> = data.into_iter().map(Self::directive).collect();
        directives.sort_unstable();
        directives.dedup();
        if directives.is_empty() {
            return None;
        }
        Some(HeaderValue::try_from(directives.join(", ")).expect("directives are visible ASCII"))
    }
}

/// If the request has logged out. What the handler itself says about it stands.
pub(super) fn clear<B>(response: &mut Response<B>, visit: &Visit, session: &Session) {
    let Some(value) = &visit.shared().clear_site_data else { return };
    if session.has_logged_out() && !response.headers().contains_key(CLEAR_SITE_DATA) {
        response.headers_mut().insert(CLEAR_SITE_DATA, value.clone());
    }
}
