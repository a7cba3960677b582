//! Writes `Set-Cookie` (RFC 6265bis section 4.1).

use std::time::Duration;

use ::cookie::{Cookie, CookieBuilder};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use time::OffsetDateTime;

use super::SessionCookie;

impl SessionCookie {
    /// The cookies that carry a text: usually one. Without a lifetime they are gone when the browser is closed. Those that the
    /// client has and that are not needed any more are taken away.
    pub(in crate::http) fn set(
        &self,
        text: &str,
        lifetime: Option<Duration>,
        shown: usize,
    ) -> (HeaderValue, Vec<HeaderValue>) {
        let (first, others) = self.split(text);
        let needed = 1 + others.len();
        let others =
            others.iter().enumerate().map(|(index, chunk)| self.cookie(&self.chunk_name(1 + index), chunk, lifetime));
        let stale = (needed..shown).map(|index| self.removal_of(&self.chunk_name(index)));
        (self.cookie(&self.name, &first, lifetime), others.chain(stale).collect())
    }

    fn cookie(&self, name: &str, value: &str, lifetime: Option<Duration>) -> HeaderValue {
        let max_age = lifetime.map(|lifetime| {
            // Rounded up: the cookie is still there in the second in which the session ends.
            let seconds = lifetime.as_secs().saturating_add(u64::from(lifetime.subsec_nanos() > 0));
            format!("; Max-Age={seconds}")
        });
        to_header([name, "=", value, &self.attributes, max_age.as_deref().unwrap_or_default()].concat())
    }

    /// The attributes as they stand behind a value.
    pub(super) fn written_attributes(&self) -> String {
        self.build("", "").build().to_string().split_off("=".len())
    }

    /// The cookies that take ours away.
    pub(in crate::http) fn removal(&self, shown: usize) -> (HeaderValue, Vec<HeaderValue>) {
        let others = (1..shown).map(|index| self.removal_of(&self.chunk_name(index))).collect();
        (self.removal_of(&self.name), others)
    }

    /// The same attributes, no value, and an end in the past.
    fn removal_of(&self, name: &str) -> HeaderValue {
        let past = self.build(name, "").max_age(time::Duration::ZERO).expires(OffsetDateTime::UNIX_EPOCH);
        to_header(past.build().to_string())
    }

    /// Puts a cookie of ours on an answer, in the place of any other of the same name: there may be only one (RFC 6265bis section
    /// 4.1.1). Cookies of other names stay as they are.
    pub(in crate::http) fn write(headers: &mut HeaderMap, ours: HeaderValue) {
        let of_our_name = |other: &HeaderValue| name_of(other) == name_of(&ours);
        if headers.get_all(SET_COOKIE).iter().any(of_our_name) {
            let others: Vec<_> =
                headers.get_all(SET_COOKIE).iter().filter(|other| !of_our_name(other)).cloned().collect();
            headers.remove(SET_COOKIE);
            for other in others {
                headers.append(SET_COOKIE, other);
            }
        }
        headers.append(SET_COOKIE, ours);
    }

    fn build<'a>(&'a self, name: &'a str, value: &'a str) -> CookieBuilder<'a> {
        let mut cookie = Cookie::build((name, value))
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

fn name_of(cookie: &HeaderValue) -> &[u8] {
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii()
}

fn to_header(cookie: String) -> HeaderValue {
    let mut value = HeaderValue::try_from(cookie).expect("name and attributes were checked, and a token is base64url");
    // Keeps the token out of `Debug` output and out of HPACK's shared table.
    value.set_sensitive(true);
    value
}
