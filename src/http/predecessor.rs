//! The cookie of another library, which is exchanged for ours.

use std::sync::Arc;

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use super::cookie::SessionCookie;
use crate::error::ConfigError;
use crate::store::Predecessor;

/// Whose sessions go on, and the cookie that they have.
#[derive(Clone, Debug)]
pub(super) struct Before {
    pub(super) cookie: SessionCookie,
    pub(super) sessions: Arc<dyn Predecessor>,
}

impl Before {
    pub(super) fn new(mut cookie: SessionCookie, sessions: impl Predecessor) -> Result<Self, ConfigError> {
        cookie.prepare()?;
        Ok(Self { cookie, sessions: Arc::new(sessions) })
    }

    /// The headers that may show the cookie, unread.
    pub(super) fn capture(headers: &HeaderMap) -> Vec<HeaderValue> {
        headers.get_all(COOKIE).iter().cloned().collect()
    }

    /// What the request shows. Of two different values neither counts: order says nothing.
    pub(super) fn read<'a>(&'a self, captured: &'a [HeaderValue]) -> OldCookie<'a> {
        let mut values = self.cookie.values(captured);
        match values.next() {
            None => OldCookie::None,
            Some(first) if values.all(|value| value == first) => {
                str::from_utf8(first).map_or(OldCookie::Useless, OldCookie::Value)
            }
            Some(_) => OldCookie::Useless,
        }
    }

    /// Takes the cookie away.
    pub(super) fn removal(&self) -> HeaderValue {
        self.cookie.removal(1).0
    }
}

pub(super) enum OldCookie<'a> {
    None,
    Value(&'a str),
    /// It can lead nowhere.
    Useless,
}
