//! The cookie that carries the token: its options ([`SessionCookie`]), reading and writing.

mod chunks;
mod read;
mod write;

use std::borrow::Cow;

use ::cookie::SameSite;

use crate::error::ConfigError;
use crate::record::{Name, is_token_byte};

/// RFC 6265bis section 5.6: browsers ignore attributes that are longer, in bytes.
const ATTRIBUTE_MAX: usize = 1024;

/// RFC 6265bis section 5.6: browsers ignore a cookie whose name and value are longer, in bytes (ASVS 5.0, 3.3.5).
const SIZE_MAX: usize = 4096;

/// Over how many cookies a text may be spread: servers and proxies take some 16 KiB of headers.
#[cfg(feature = "sealed")]
const CHUNKS_MAX: usize = 4;

/// How the token travels as a cookie.
///
/// The default is what NIST SP 800-63B-4 section 5.1.1 and ASVS 5.0 section 3.3 ask for:
/// `__Host-id=<token>; HttpOnly; SameSite=Lax; Secure; Path=/`, and no `Max-Age`, so that it is gone when the browser is
/// closed.
///
/// The name's prefix follows from the attributes: `__Host-` binds the cookie to this very host, so that no sibling domain can
/// plant one; with a [`domain`](Self::domain) or a [`path`](Self::path) it becomes `__Secure-`; for plain HTTP there is
/// none. A name that is given with a prefix is taken as it is, and its attributes have to fit it.
///
/// Options that contradict each other are refused when the cookie is given to a
/// [`SessionLayer`](crate::SessionLayer::transport).
///
/// ```
/// use cloakroom::{ConfigError, MemoryStore, SameSite, SessionCookie, SessionLayer};
///
/// # fn main() -> Result<(), ConfigError> {
/// let strict = SessionCookie::new("id").same_site(SameSite::Strict);
/// let layer = SessionLayer::new(MemoryStore::new()).transport(strict)?;
///
/// let contradiction = SessionCookie::new_for_http("id").same_site(SameSite::None);
/// let error = SessionLayer::new(MemoryStore::new()).transport(contradiction).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "SameSite=None needs a Secure cookie: make it with SessionCookie::new, not SessionCookie::new_for_http"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct SessionCookie {
    base_name: Cow<'static, str>,
    prefix: CookiePrefix,
    secure: bool,
    http_only: bool,
    same_site: SameSite,
    domain: Option<String>,
    path: Cow<'static, str>,
    partitioned: bool,
    /// Over how many cookies a text may be spread that is too long for one.
    chunks: usize,
    /// The name with its prefix, worked out by `prepare`.
    name: String,
    /// What follows the value, worked out by `prepare`: the same in every cookie, but for `Max-Age`.
    attributes: String,
}

/// Which prefix the cookie's name gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CookiePrefix {
    /// `__Host-`, `__Secure-` or none, whatever the attributes allow.
    #[default]
    FromAttributes,
    /// `__Http-` or `__Host-Http-`, whatever the attributes allow: as `__Secure-` and `__Host-`, and `HttpOnly` as well, so
    /// that no script can plant the cookie. To browsers that do not know them yet they are names like any other.
    HttpOnly,
    /// None.
    None,
}

impl Default for SessionCookie {
    /// `__Host-id`.
    fn default() -> Self {
        Self::of_session(Name::DEFAULT)
    }
}

impl SessionCookie {
    /// A cookie that is sent over HTTPS only. Its name should say nothing about what it is for; the prefix is added.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            base_name: name.into(),
            prefix: CookiePrefix::FromAttributes,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            domain: None,
            path: "/".into(),
            partitioned: false,
            chunks: 1,
            name: String::new(),
            attributes: String::new(),
        }
    }

    /// A cookie that is sent over plain HTTP as well. For development on other hosts than `localhost`, and nothing else:
    /// whoever is on the way can read it.
    pub fn new_for_http(name: impl Into<Cow<'static, str>>) -> Self {
        Self { secure: false, ..Self::new(name) }
    }

    /// Which requests from other sites carry the cookie. `Lax` if not given: links do, forms and scripts do not. `None` needs
    /// `Secure`.
    pub const fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = same_site;
        self
    }

    /// Share the cookie with all hosts below this domain. Any of them can then plant one: give it only if they are all
    /// trusted. The name's prefix becomes `__Secure-`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// Send the cookie below this path only. `/` if not given. It keeps nothing secret from other paths of the host. The
    /// name's prefix becomes `__Secure-`.
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        self
    }

    /// Keep a cookie for each site that embeds this one (CHIPS). Needs `Secure`, and is of use with `SameSite=None`.
    pub const fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// Which prefix the name gets.
    pub const fn prefix(mut self, prefix: CookiePrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Lets scripts read the token, and with it whoever gets a script into a page. There is hardly a reason to.
    pub const fn insecure_visible_to_scripts(mut self) -> Self {
        self.http_only = false;
        self
    }

    /// Lets sessions that their clients hold ([`CookieStore`](crate::CookieStore)) be spread over so many cookies, at most 4, if they
    /// do not fit one of 4096 bytes: `__Host-id`, `__Host-id.1`, `__Host-id.2`, `__Host-id.3`. One if not given (feature
    /// `sealed`).
    ///
    /// The client sends all of them with every request: see to it that servers and proxies on the way take headers of that
    /// size. What is not needed any more is taken away. Of cookies that do not belong together nothing is served.
    #[cfg(feature = "sealed")]
    pub const fn chunks(mut self, chunks: usize) -> Self {
        self.chunks = chunks;
        self
    }

    /// The cookie of a session that is given none. A session's name can be a cookie's, and the other options fit each other:
    /// there is nothing to check.
    pub(super) fn of_session(name: &str) -> Self {
        let mut cookie = Self::new(name.to_owned());
        cookie.name = cookie.prefixed_name();
        cookie.attributes = cookie.written_attributes();
        cookie
    }

    /// The name with its prefix.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn prepare(&mut self) -> Result<(), ConfigError> {
        #[cfg(feature = "sealed")]
        if !(1..=CHUNKS_MAX).contains(&self.chunks) {
            return Err(ConfigError::Limit { option: "SessionCookie::chunks", range: "from 1 to 4" });
        }
        self.name = self.prefixed_name();
        self.attributes = self.written_attributes();
        self.check_characters()?;
        self.check_prefix()?;
        if !self.secure {
            if self.same_site == SameSite::None {
                return Err(ConfigError::NeedsSecure { option: "SameSite=None" });
            }
            if self.partitioned {
                return Err(ConfigError::NeedsSecure { option: "Partitioned" });
            }
        }
        self.check_size()
    }

    fn prefixed_name(&self) -> String {
        format!("{}{}", self.prefix_text(), self.base_name)
    }

    fn prefix_text(&self) -> &'static str {
        let bound_to_host = self.domain.is_none() && self.path == "/";
        let named_already = prefix_demands(&self.base_name).is_some();
        match self.prefix {
            CookiePrefix::FromAttributes if named_already || !self.secure => "",
            CookiePrefix::FromAttributes if bound_to_host => "__Host-",
            CookiePrefix::FromAttributes => "__Secure-",
            CookiePrefix::HttpOnly if bound_to_host => "__Host-Http-",
            CookiePrefix::HttpOnly => "__Http-",
            CookiePrefix::None => "",
        }
    }

    /// RFC 6265bis section 4.1.1: a name is a token, an attribute's value has neither controls nor semicolons.
    fn check_characters(&self) -> Result<(), ConfigError> {
        if self.base_name.is_empty() || !self.name.bytes().all(is_token_byte) {
            return Err(ConfigError::CookieName { name: self.name.clone() });
        }
        let label_ok = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Browsers ignore a leading dot (RFC 6265bis section 5.6.3), and so does the writer.
        let domain_ok = |text: &str| text.strip_prefix('.').unwrap_or(text).split('.').all(label_ok);
        let path_ok =
            |text: &str| text.starts_with('/') && text.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b';');
        let bad = |attribute, value: &str| ConfigError::CookieAttribute { attribute, value: value.to_owned() };
        match &self.domain {
            Some(domain) if !domain_ok(domain) || domain.len() > ATTRIBUTE_MAX => Err(bad("Domain", domain)),
            _ if !path_ok(&self.path) || self.path.len() > ATTRIBUTE_MAX => Err(bad("Path", &self.path)),
            _ => Ok(()),
        }
    }

    /// RFC 6265bis section 5.4: browsers refuse a cookie whose attributes do not fit the prefix of its name.
    fn check_prefix(&self) -> Result<(), ConfigError> {
        let Some(demands) = prefix_demands(&self.name) else { return Ok(()) };
        let wrong = |demands| Err(ConfigError::CookiePrefix { name: self.name.clone(), demands });
        if !self.secure {
            return wrong("has to be Secure");
        }
        if demands.host && self.domain.is_some() {
            return wrong("cannot have a Domain");
        }
        if demands.host && self.path != "/" {
            return wrong("has to have the Path /");
        }
        if demands.http_only && !self.http_only {
            return wrong("has to be HttpOnly");
        }
        Ok(())
    }

    /// RFC 6265bis section 5.6: browsers ignore a cookie whose name and value are longer than 4096 bytes.
    fn check_size(&self) -> Result<(), ConfigError> {
        if self.longest_text() < crate::token::TOKEN_CHARS {
            return Err(ConfigError::CookieName { name: self.name.clone() });
        }
        Ok(())
    }
}

struct Demands {
    host: bool,
    http_only: bool,
}

/// What a prefix demands beside `Secure`. Browsers compare prefixes without regard to case (RFC 6265bis section 5.4), even
/// though names differ by it.
fn prefix_demands(name: &str) -> Option<Demands> {
    let starts = |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    [("__Host-Http-", true, true), ("__Host-", true, false), ("__Http-", false, true), ("__Secure-", false, false)]
        .into_iter()
        .find(|(prefix, ..)| starts(prefix))
        .map(|(_, host, http_only)| Demands { host, http_only })
}

#[cfg(test)]
mod tests;
