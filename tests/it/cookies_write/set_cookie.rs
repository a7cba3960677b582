//! `Set-Cookie` taken apart.

use std::collections::HashSet;

use cloakroom::{ConfigError, MemoryStore, SessionCookie, SessionLayer};

use super::site::Site;
use crate::support::{Answer, send};

/// A `Set-Cookie` header, taken apart by the grammar of RFC 6265bis section 4.1.1; panics on what it does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cookie {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) attributes: Vec<(String, Option<String>)>,
}

impl Cookie {
    pub(super) fn parse(text: &str) -> Self {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_octet = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text}");
        let mut parts = text.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        assert!(!name.is_empty() && name.bytes().all(is_token), "{text}");
        assert!(value.bytes().all(is_octet), "{text}");
        let attributes: Vec<_> = parts.map(attribute).collect();
        let names: HashSet<_> = attributes.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(names.len(), attributes.len(), "an attribute twice: {text}");
        Self { name: name.into(), value: value.into(), attributes }
    }

    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.as_deref())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(found, _)| found == name)
    }

    pub(super) fn max_age(&self) -> Option<u64> {
        self.attribute("Max-Age").map(|seconds| seconds.parse().unwrap())
    }

    pub(super) fn without_its_end(&self) -> Self {
        let kept = |(name, _): &(String, _)| name != "Max-Age" && name != "Expires";
        let attributes = self.attributes.iter().filter(|it| kept(it)).cloned().collect();
        Self { value: String::new(), attributes, ..self.clone() }
    }

    pub(super) fn to_text(&self) -> String {
        let attribute = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("; {name}={value}"),
            None => format!("; {name}"),
        };
        format!("{}={}{}", self.name, self.value, self.attributes.iter().map(attribute).collect::<String>())
    }
}

fn attribute(text: &str) -> (String, Option<String>) {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let fits = match (name, value) {
        ("HttpOnly" | "Secure" | "Partitioned", None) => true,
        ("SameSite", Some(value)) => ["Strict", "Lax", "None"].contains(&value),
        ("Path", Some(value)) => value.starts_with('/') && !value.contains(';'),
        ("Domain", Some(value)) => {
            value.split('.').all(|label| label.chars().all(|it| it.is_ascii_alphanumeric() || it == '-'))
        }
        ("Max-Age", Some(value)) => value == "0" || value.parse::<u64>().is_ok_and(|_| !value.starts_with('0')),
        ("Expires", Some(value)) => value.len() == 29 && value.ends_with(" GMT"),
        _ => false,
    };
    assert!(fits, "no attribute: {text}");
    (name.into(), value.map(Into::into))
}

/// The one cookie of an answer.
pub(super) fn only_cookie(answer: &Answer) -> Cookie {
    let cookies = answer.set_cookies();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    Cookie::parse(cookies[0])
}

pub(super) fn assert_no_cookie(answer: &Answer) {
    assert_eq!(answer.set_cookies(), [""; 0]);
}

pub(super) fn refusal(cookie: SessionCookie) -> ConfigError {
    SessionLayer::new(MemoryStore::new()).transport(cookie).unwrap_err()
}

pub(super) async fn issued_by(cookie: SessionCookie) -> Cookie {
    let site = Site::with(|layer| layer.transport(cookie).unwrap());
    only_cookie(&send(&site.app, "/add", &[]).await)
}
