//! What a session is called among those of one application.

use std::sync::Arc;

use crate::error::ConfigError;

/// The name of an application's sessions of one kind.
///
/// Records of the default name do not mention it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Name(Option<Arc<str>>);

impl Name {
    /// What the one session is called where there are no others.
    pub(crate) const DEFAULT: &'static str = "id";

    const CHARS_MAX: usize = 64;

    /// A name that a cookie can have as well.
    pub(crate) fn new(name: &str) -> Result<Self, ConfigError> {
        if name.is_empty() || name.len() > Self::CHARS_MAX || !name.bytes().all(is_token_byte) {
            return Err(ConfigError::SessionName { name: name.to_owned() });
        }
        Ok(Self::from_record((name != Self::DEFAULT).then(|| name.to_owned())))
    }

    /// The name in a record.
    pub(super) fn from_record(name: Option<String>) -> Self {
        Self(name.map(Into::into))
    }

    /// What a record says of it.
    pub(super) fn to_record(&self) -> Option<&str> {
        self.0.as_deref()
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(Self::DEFAULT)
    }
}

/// Whether a token in the sense of RFC 9110 section 5.6.2 may have this byte: the name of a cookie or of a header.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_a_cookies_name() {
        for good in ["admin", "a", "Admin_2.x", "id", &"x".repeat(64)] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a;b", "a=b", "ä", "a\0", &"x".repeat(65)] {
            assert_eq!(Name::new(bad), Err(ConfigError::SessionName { name: bad.into() }));
        }
    }

    #[test]
    fn the_default_name_is_not_written() {
        assert_eq!(Name::new("id").unwrap(), Name::default());
        assert_eq!(Name::default().to_record(), None);
        assert_eq!(Name::new("admin").unwrap().to_record(), Some("admin"));
    }
}
