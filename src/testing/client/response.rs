//! An answer that a test judges.

use std::fmt;

use ::cookie::Cookie;
use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode, Uri};
use serde::de::DeserializeOwned;

use super::jar::Refused;
use super::url;

/// How much of a body is shown by an assertion that fails, in characters.
const SHOWN_MAX: usize = 500;

/// An answer to a [`TestClient`](super::TestClient), with its whole body.
///
/// The assertions panic where they are called, say what was there, and can be chained.
pub struct TestResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    address: Uri,
    session_cookie: Option<String>,
    refused: Vec<Refused>,
}

impl TestResponse {
    pub(super) fn new(
        response: Response<Bytes>,
        address: Uri,
        session_cookie: Option<String>,
        refused: Vec<Refused>,
    ) -> Self {
        let (parts, body) = response.into_parts();
        Self { status: parts.status, headers: parts.headers, body, address, session_cookie, refused }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The value of a header, `None` if it is missing or is not visible ASCII. The first one, if there are several.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.body) {
            Ok(text) => text,
            Err(error) => panic!("{self}: the body is not text in UTF-8: {error}"),
        }
    }

    /// The body, read as JSON.
    ///
    /// # Panics
    ///
    /// If it is not JSON, or not that of a `T`.
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("{self}: the body is no JSON of a {}: {error}", std::any::type_name::<T>()),
        }
    }

    /// The address that was asked last: after redirects, the one that they led to.
    pub fn address(&self) -> &Uri {
        &self.address
    }

    /// The cookie of this name that the answer sets, with its attributes. One that takes a cookie away has a `max_age` of zero.
    pub fn cookie(&self, name: &str) -> Option<Cookie<'_>> {
        let cookies = self.headers.get_all(SET_COOKIE).iter();
        let mut parsed = cookies.filter_map(|header| Cookie::parse(header.to_str().ok()?).ok());
        parsed.find(|cookie| cookie.name() == name)
    }

    /// The status is this one: a number, or a [`StatusCode`].
    ///
    /// # Panics
    ///
    /// If it is another one.
    #[allow(clippy::needless_pass_by_value, reason = "a number is written in place: `assert_status(404)`")]
    #[track_caller]
    pub fn assert_status(&self, expected: impl PartialEq<StatusCode> + fmt::Debug) -> &Self {
        assert!(expected == self.status, "{self}, and not {expected:?}");
        self
    }

    /// The answer is a redirect to this place. `/next` and `https://localhost/next` are the same.
    ///
    /// # Panics
    ///
    /// If it is no redirect, or leads to another place.
    #[track_caller]
    pub fn assert_redirect(&self, to: &str) -> &Self {
        assert!(self.status.is_redirection(), "{self}, and no redirect to {to:?}");
        let Some(location) = self.location() else { panic!("{self}: a redirect without a Location, not to {to:?}") };
        let same = location == to || url::resolve(&self.address, location) == url::resolve(&self.address, to);
        assert!(same, "{self}: a redirect to {location:?}, not to {to:?}");
        self
    }

    /// The answer hands the client a token of its session, and browsers would keep it.
    ///
    /// # Panics
    ///
    /// If the answer does not, removes the cookie, or sets one that browsers ignore.
    #[track_caller]
    pub fn assert_sets_session_cookie(&self) -> &Self {
        assert!(!self.removes_session_cookie(), "{self}: the session's cookie is removed, not set");
        assert!(self.session_cookie().is_some(), "{self}: the session's cookie is not set");
        let ours = self.refused.iter().find(|refused| Some(&refused.name) == self.session_cookie.as_ref());
        if let Some(refused) = ours {
            panic!("{self}: the session's cookie is set, but browsers ignore it: {}", refused.reason);
        }
        self
    }

    /// The answer tells the client to forget its session's cookie.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[track_caller]
    pub fn assert_removes_session_cookie(&self) -> &Self {
        let what = if self.session_cookie().is_some() { "set" } else { "left as it is" };
        assert!(self.removes_session_cookie(), "{self}: the session's cookie is {what}, not removed");
        self
    }

    /// The answer neither sets nor removes the session's cookie.
    ///
    /// # Panics
    ///
    /// If it does.
    #[track_caller]
    pub fn assert_no_session_cookie(&self) -> &Self {
        let what = if self.removes_session_cookie() { "removed" } else { "set" };
        assert!(self.session_cookie().is_none(), "{self}: the session's cookie is {what}");
        self
    }

    pub(super) fn location(&self) -> Option<&str> {
        self.headers.get(LOCATION)?.to_str().ok()
    }

    fn session_cookie(&self) -> Option<Cookie<'_>> {
        self.cookie(self.session_cookie.as_deref()?)
    }

    fn removes_session_cookie(&self) -> bool {
        self.session_cookie().is_some_and(|cookie| cookie.max_age().is_some_and(time::Duration::is_zero))
    }
}

/// The status, the address, and the beginning of a body that is text. No headers: they may hold a token.
impl fmt::Display for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} answered {}", self.address, self.status)?;
        match std::str::from_utf8(&self.body) {
            Ok("") | Err(_) => Ok(()),
            Ok(text) => write!(f, " {:?}", text.chars().take(SHOWN_MAX).collect::<String>()),
        }
    }
}

impl fmt::Debug for TestResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestResponse")
            .field("address", &self.address)
            .field("status", &self.status)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
