//! Writes `Set-Cookie` (RFC 6265bis section 4.1).

use std::time::Duration;

use ::cookie::{Cookie, CookieBuilder};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

use super::SessionCookie;

impl SessionCookie {
    /// The cookie that carries a token. Without a lifetime it is gone when the browser is closed.
    pub(in crate::http) fn set(&self, token: &str, lifetime: Option<Duration>) -> HeaderValue {
        let mut cookie = self.attributes(token);
        if let Some(lifetime) = lifetime {
            // Rounded up: the cookie is still there in the second in which the session ends.
            let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
            cookie = cookie.max_age(time::Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX)));
        }
        to_header(&cookie.build())
    }

    /// The cookie that takes ours away: the same attributes, no value, and an end in the past.
    pub(in crate::http) fn removal(&self) -> HeaderValue {
        let past = self.attributes("").max_age(time::Duration::ZERO).expires(OffsetDateTime::UNIX_EPOCH);
        to_header(&past.build())
    }

    /// Puts our cookie on an answer, in the place of any other of the same name: there may be only one (RFC 6265bis section
    /// 4.1.1). Cookies of other names stay as they are.
    pub(in crate::http) fn write(&self, headers: &mut HeaderMap, ours: &HeaderValue) {
        let of_our_name = |other: &HeaderValue| {
            let other = other.as_bytes();
            let name = other.split(|byte| *byte == b';').next().unwrap_or_default();
            name.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii() == self.name.as_bytes()
        };
        if headers.get_all(SET_COOKIE).iter().any(of_our_name) {
            let others: Vec<_> =
                headers.get_all(SET_COOKIE).iter().filter(|other| !of_our_name(other)).cloned().collect();
            headers.remove(SET_COOKIE);
            for other in others {
                headers.append(SET_COOKIE, other);
            }
        }
        headers.append(SET_COOKIE, ours.clone());
    }

    fn attributes<'a>(&'a self, value: &'a str) -> CookieBuilder<'a> {
        let mut cookie = Cookie::build((&*self.name, value))
            .http_only(self.http_only)
            .same_site(self.same_site)
            .secure(self.secure)
            .path(&*self.path);
        if let Some(domain) = &self.domain {
            cookie = cookie.domain(domain);
        }
        if self.partitioned {
            cookie = cookie.partitioned(true);
        }
        cookie
    }
}

fn to_header(cookie: &Cookie<'_>) -> HeaderValue {
    let mut value =
        HeaderValue::try_from(cookie.to_string()).expect("name and attributes were checked, and a token is base64url");
    // Keeps the token out of `Debug` output and out of HPACK's shared table.
    value.set_sensitive(true);
    value
}
