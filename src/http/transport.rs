//! How the token travels between client and server.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue, Response};

use super::cookie::SessionCookie;
use crate::engine::Shown;
use crate::error::ConfigError;
use crate::state::IssuedToken;

/// How the token travels: made from a [`SessionCookie`].
#[derive(Clone, Debug)]
pub struct Transport(SessionCookie);

impl From<SessionCookie> for Transport {
    fn from(cookie: SessionCookie) -> Self {
        Self(cookie)
    }
}

/// The header values that may hold a token, unread: reference counts on the request's own bytes.
pub(super) enum Captured {
    None,
    One(HeaderValue),
    Many(Box<[HeaderValue]>),
}

impl Captured {
    fn values(&self) -> &[HeaderValue] {
        match self {
            Self::None => &[],
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl Transport {
    /// Whether both read and write the same.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }

    /// Checks the options and works out what follows from them.
    pub(super) fn prepare(&mut self) -> Result<(), ConfigError> {
        self.0.prepare()
    }

    #[allow(clippy::unused_self, reason = "which headers count is the transport's to say")]
    pub(super) fn capture(&self, headers: &HeaderMap) -> Captured {
        let mut values = headers.get_all(COOKIE).iter();
        match (values.next(), values.next()) {
            (None, _) => Captured::None,
            (Some(only), None) => Captured::One(only.clone()),
            (Some(first), Some(second)) => Captured::Many([first, second].into_iter().chain(values).cloned().collect()),
        }
    }

    pub(super) fn read(&self, captured: &Captured) -> Shown {
        self.0.read(captured.values())
    }

    /// Hands a token to the client.
    pub(super) fn issue<B>(&self, response: &mut Response<B>, issued: &IssuedToken) {
        let lifetime = issued.lifetime;
        self.0.write(response.headers_mut(), &self.0.set(&issued.token.expose(), lifetime));
    }

    /// Tells the client to forget what it showed.
    pub(super) fn remove<B>(&self, response: &mut Response<B>) {
        self.0.write(response.headers_mut(), &self.0.removal());
    }
}
