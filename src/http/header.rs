//! A header that carries the token, for clients that keep no cookies ([`SessionHeader`]).

use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};

use super::shown::{shown, trim};
use crate::engine::Shown;
use crate::error::ConfigError;

/// How the token travels as a header, in requests and in answers: for apps, command lines and other services, which keep no
/// cookies.
///
/// The client takes the token from the answer that has the header, keeps it, and sends it in the same header with every
/// request, until an answer brings another. An empty header in an answer says to forget it: the session has ended. Only
/// headers are read, never the query or the body of a request: those end up in logs.
///
/// Together with a cookie (see [`Transport::or`](crate::Transport::or)) a client begins its session by sending the header with
/// nothing in it, to be answered there and not with a cookie.
///
/// # What is given up, and what is not needed
///
/// * Scripts of a page can read the token, and with it whoever gets a script into the page; an `HttpOnly` cookie keeps
///   it from them. For pages in browsers take the cookie.
/// * No browser sends the header by itself, so no other site can make it: a request whose token is in the header needs no
///   protection against forgery (CSRF). One whose token is in a cookie does.
/// * It has no lifetime of its own: the client keeps the token as long as it likes, and the server decides.
/// * To scripts of other origins the answer's header is hidden unless CORS exposes it
///   (`Access-Control-Expose-Headers`), and the request's has to be allowed (`Access-Control-Allow-Headers`; `*` does not
///   cover `Authorization`: Fetch standard, "CORS non-wildcard request-header name").
///
/// ```
/// use cloakroom::{ConfigError, MemoryStore, SessionHeader, SessionLayer};
///
/// # fn main() -> Result<(), ConfigError> {
/// let layer = SessionLayer::new(MemoryStore::new()).transport(SessionHeader::new("x-session-token")?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionHeader {
    name: HeaderName,
    /// Which scheme stands before the token in `Authorization`.
    scheme: Option<&'static str>,
}

impl SessionHeader {
    /// A header with the token and nothing else in it. By custom its name starts with `x-`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::HeaderName`] if this is no header's name, or that of a header with a meaning of its own, such as
    /// `cookie`, `host` or `content-length`, or one that scripts cannot set (Fetch standard, "forbidden request-header").
    pub fn new(name: &str) -> Result<Self, ConfigError> {
        match HeaderName::try_from(name) {
            Ok(name) if !has_a_meaning(name.as_str()) => Ok(Self { name, scheme: None }),
            _ => Err(ConfigError::HeaderName { name: name.to_owned() }),
        }
    }

    /// `Authorization: Bearer <token>` (RFC 6750 section 2.1). Other schemes are left to others. Tokens of other kinds under
    /// `Bearer` are not: they are taken for sessions that have ended, so take a header of its own beside them.
    pub const fn bearer() -> Self {
        Self { name: AUTHORIZATION, scheme: Some("Bearer") }
    }

    pub(super) const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// What these headers show; `None` if there is nothing for us. An empty one shows no token, and that the answer should
    /// go there.
    pub(super) fn read<'a>(&self, headers: impl Iterator<Item = &'a HeaderValue>, longest: usize) -> Option<Shown> {
        let mut ours = headers.filter_map(|header| self.token_in(trim(header.as_bytes()))).peekable();
        ours.peek()?;
        Some(shown(ours.filter(|value| !value.is_empty()), longest))
    }

    /// RFC 9110 section 11.4: the scheme, whose case does not matter (section 11.1), spaces, the token.
    fn token_in<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        let Some(scheme) = self.scheme else { return Some(value) };
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (found, rest) = value.split_at(end);
        found.eq_ignore_ascii_case(scheme.as_bytes()).then(|| trim(rest))
    }

    pub(super) fn set(&self, token: &str) -> HeaderValue {
        let text = match self.scheme {
            Some(scheme) => HeaderValue::try_from(format!("{scheme} {token}")),
            None => HeaderValue::from_str(token),
        };
        let mut value = text.expect("a token is base64url");
        // Keeps the token out of `Debug` output and out of HPACK's shared table.
        value.set_sensitive(true);
        value
    }
}

/// Whether a header has a meaning for browsers, servers or caches.
fn has_a_meaning(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "age",
        "allow",
        "alt-svc",
        "authentication-info",
        "authorization",
        "cache-control",
        "cdn-cache-control",
        "connection",
        "cookie",
        "cookie2",
        "date",
        "dnt",
        "etag",
        "expect",
        "expires",
        "forwarded",
        "from",
        "host",
        "keep-alive",
        "last-modified",
        "link",
        "location",
        "max-forwards",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "referrer-policy",
        "refresh",
        "retry-after",
        "server",
        "set-cookie",
        "set-cookie2",
        "strict-transport-security",
        "surrogate-control",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "vary",
        "via",
        "warning",
        "www-authenticate",
    ];
    const STARTS: &[&str] =
        &["accept", "access-control-", "content-", "grpc-", "if-", "proxy-", "sec-", "x-forwarded-", "x-http-method"];
    NAMES.contains(&name) || STARTS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_with_a_meaning_are_refused() {
        for bad in
            ["", "a b", "a:b", "x\n", "Cookie", "SET-COOKIE", "host", "content-length", "connection", "Authorization"]
                .into_iter()
                .chain(["te", "sec-fetch-site", "proxy-authorization", "accept", "if-match", "vary", "x-tök"])
        {
            let error = SessionHeader::new(bad).unwrap_err();
            assert_eq!(error, ConfigError::HeaderName { name: bad.into() });
        }
        for good in ["x-session-token", "X-Auth-Token", "session"] {
            assert!(SessionHeader::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_scheme_is_compared_without_regard_to_case_and_others_are_left_alone() {
        let bearer = SessionHeader::bearer();
        for (value, token) in [
            ("Bearer x", Some("x")),
            ("bearer x", Some("x")),
            ("BEARER   x", Some("x")),
            ("Bearer", Some("")),
            ("Bearer x y", Some("x y")),
            ("Basic x", None),
            ("Bearerx", None),
            ("Bearer\tx", None),
            ("", None),
        ] {
            assert_eq!(bearer.token_in(value.as_bytes()), token.map(str::as_bytes), "{value:?}");
        }
    }

    #[test]
    fn a_token_is_sensitive() {
        for header in [SessionHeader::bearer(), SessionHeader::new("x-session-token").unwrap()] {
            let value = header.set("secret");
            assert!(value.is_sensitive());
            assert!(!format!("{value:?}").contains("secret"));
        }
    }
}
