//! A browser's cookies (RFC 6265bis sections 5.5 to 5.8). Every request comes from the site itself, so that `SameSite` and
//! `Partitioned` make no difference.

use std::net::IpAddr;
use std::time::Duration;

use ::cookie::Cookie;
use http::header::SET_COOKIE;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};

use crate::clock::Timestamp;

/// Browsers keep no cookie for longer.
const AGE_MAX: Duration = Duration::from_hours(24 * 400);
/// Of the name and the value together, in bytes.
const SIZE_MAX: usize = 4096;

/// The cookies of one browser.
#[derive(Clone, Default)]
pub(super) struct Jar {
    cookies: Vec<Stored>,
    /// What was given in headers, as it was given.
    pub(super) tokens: HeaderMap,
}

#[derive(Clone)]
struct Stored {
    cookie: Cookie<'static>,
    domain: String,
    host_only: bool,
    path: String,
    /// `None` is the moment when the browser is closed.
    expires_at: Option<Timestamp>,
}

/// A cookie that a browser would not keep, and why.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) reason: &'static str,
}

impl Jar {
    /// Keeps the cookies of an answer. Those that a browser would ignore.
    pub(super) fn receive(&mut self, headers: &HeaderMap, from: &Uri, now: Timestamp) -> Vec<Refused> {
        let cookies = headers.get_all(SET_COOKIE).iter();
        cookies.filter_map(|header| self.store(header.as_bytes(), from, now).err()).collect()
    }

    /// Takes one `Set-Cookie` header of an answer from this address.
    pub(super) fn store(&mut self, header: &[u8], from: &Uri, now: Timestamp) -> Result<(), Refused> {
        let text = std::str::from_utf8(header).ok();
        let Some(cookie) = text.and_then(|text| Cookie::parse(text.to_owned()).ok()) else {
            return Err(Refused { name: String::new(), reason: "it cannot be read" });
        };
        let new = Stored::new(cookie, from, now);
        new.check(from).and_then(|()| self.check_against(&new, from)).map_err(|reason| new.refused(reason))?;
        self.cookies.retain(|old| !old.is_replaced_by(&new));
        self.cookies.push(new);
        self.forget_expired(now);
        Ok(())
    }

    /// The `Cookie` header of a request to this address.
    pub(super) fn header(&mut self, to: &Uri, now: Timestamp) -> Option<HeaderValue> {
        self.forget_expired(now);
        let mut sent: Vec<_> = self.cookies.iter().filter(|stored| stored.is_for(to)).collect();
        sent.sort_by_key(|stored| std::cmp::Reverse(stored.path.len()));
        let pairs: Vec<_> = sent.iter().map(|it| format!("{}={}", it.cookie.name(), it.cookie.value())).collect();
        let mut header = HeaderValue::try_from(pairs.join("; ")).ok().filter(|header| !header.is_empty())?;
        header.set_sensitive(true);
        Some(header)
    }

    /// The cookie of this name that a request to this address carries, the one with the longest path if there are several.
    pub(super) fn get(&mut self, name: &str, to: &Uri, now: Timestamp) -> Option<Cookie<'static>> {
        self.forget_expired(now);
        let named = self.cookies.iter().filter(|stored| stored.cookie.name() == name && stored.is_for(to));
        named.max_by_key(|stored| stored.path.len()).map(|stored| stored.cookie.clone())
    }

    /// The browser is closed.
    pub(super) fn quit(&mut self) {
        self.cookies.retain(|stored| stored.expires_at.is_some());
    }

    fn forget_expired(&mut self, now: Timestamp) {
        self.cookies.retain(|stored| stored.expires_at.is_none_or(|end| end > now));
    }

    /// Section 5.7, step 17: plain HTTP cannot hide a cookie of HTTPS.
    fn check_against(&self, new: &Stored, from: &Uri) -> Result<(), &'static str> {
        let hidden = |old: &Stored| {
            let related = domain_matches(&old.domain, &new.domain) || domain_matches(&new.domain, &old.domain);
            old.is_secure() && old.cookie.name() == new.cookie.name() && related && path_matches(&new.path, &old.path)
        };
        let hides = !is_https(from) && self.cookies.iter().any(hidden);
        if hides { Err("there is a Secure cookie of this name, and the answer came over plain HTTP") } else { Ok(()) }
    }
}

impl Stored {
    fn new(cookie: Cookie<'static>, from: &Uri, now: Timestamp) -> Self {
        let domain = cookie.domain().map(str::to_ascii_lowercase).filter(|domain| !domain.is_empty());
        let path = cookie.path().filter(|path| path.starts_with('/')).unwrap_or_else(|| default_path(from.path()));
        Self {
            host_only: domain.is_none(),
            domain: domain.unwrap_or_else(|| host(from)),
            path: path.to_owned(),
            expires_at: end(&cookie, now),
            cookie,
        }
    }

    /// Why a browser would ignore this.
    fn check(&self, from: &Uri) -> Result<(), &'static str> {
        let host = host(from);
        if self.cookie.name().len() + self.cookie.value().len() > SIZE_MAX {
            return Err("name and value together are longer than 4096 bytes");
        }
        if !self.host_only
            && self.domain != host
            && (!self.domain.contains('.') || !domain_matches(&host, &self.domain))
        {
            return Err("its Domain is not the one of the answer: give the client a fitting TestClient::origin");
        }
        if self.is_secure() && !is_https(from) {
            return Err("it is Secure, and the answer came over plain HTTP: SessionCookie::new_for_http is for that");
        }
        if !self.fits_prefix() {
            return Err("its attributes do not fit the prefix of its name");
        }
        Ok(())
    }

    /// Section 5.4, without regard to case.
    fn fits_prefix(&self) -> bool {
        let name = self.cookie.name().to_ascii_lowercase();
        let of_host = self.host_only && self.cookie.path() == Some("/");
        let http_only = self.cookie.http_only() == Some(true);
        let demands = [
            ("__secure-", self.is_secure()),
            ("__host-", self.is_secure() && of_host),
            ("__http-", self.is_secure() && http_only),
            ("__host-http-", self.is_secure() && of_host && http_only),
        ];
        demands.into_iter().all(|(prefix, fits)| fits || !name.starts_with(prefix))
    }

    fn is_for(&self, to: &Uri) -> bool {
        let host = host(to);
        let of_domain = if self.host_only { host == self.domain } else { domain_matches(&host, &self.domain) };
        of_domain && path_matches(to.path(), &self.path) && (is_https(to) || !self.is_secure())
    }

    fn is_replaced_by(&self, new: &Self) -> bool {
        let identity = |it: &Self| (it.cookie.name().to_owned(), it.domain.clone(), it.host_only, it.path.clone());
        identity(self) == identity(new)
    }

    fn is_secure(&self) -> bool {
        self.cookie.secure() == Some(true)
    }

    fn refused(&self, reason: &'static str) -> Refused {
        Refused { name: self.cookie.name().to_owned(), reason }
    }
}

/// `Max-Age` counts before `Expires`. A cookie that is over ends in the distant past.
fn end(cookie: &Cookie<'_>, now: Timestamp) -> Option<Timestamp> {
    let latest = now.saturating_add(AGE_MAX);
    if let Some(age) = cookie.max_age() {
        let lives = Duration::try_from(age).ok().filter(|age| !age.is_zero());
        return Some(lives.map_or(Timestamp::from_millis(i64::MIN), |age| now.saturating_add(age).min(latest)));
    }
    let date = cookie.expires_datetime()?;
    Some(Timestamp::from_millis(date.unix_timestamp().saturating_mul(1000)).min(latest))
}

fn host(uri: &Uri) -> String {
    uri.host().unwrap_or_default().to_ascii_lowercase()
}

fn is_https(uri: &Uri) -> bool {
    uri.scheme() == Some(&Scheme::HTTPS)
}

/// Section 5.1.3.
fn domain_matches(host: &str, domain: &str) -> bool {
    let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    host == domain || (below && host.parse::<IpAddr>().is_err())
}

/// Section 5.1.4.
fn path_matches(request: &str, cookie: &str) -> bool {
    let rest = request.strip_prefix(cookie);
    rest.is_some_and(|rest| rest.is_empty() || cookie.ends_with('/') || rest.starts_with('/'))
}

fn default_path(request: &str) -> &str {
    match request.rfind('/') {
        Some(end) if end > 0 => &request[..end],
        _ => "/",
    }
}

#[cfg(test)]
mod tests;
