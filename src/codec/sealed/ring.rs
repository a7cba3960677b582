//! The keys of an application.

use std::str::FromStr;
use std::sync::Arc;

use super::key::{KeyName, SealingKey};
use super::{Binding, CodecError, envelope};
use crate::error::ConfigError;

/// Keys of which the first seals and all open, so that keys can be changed: see [`SealedCodec`](crate::SealedCodec).
///
/// Clones share the keys. As text it is one key or more, separated by commas or white space.
///
/// ```
/// use cloakroom::{KeyRing, SealingKey};
///
/// let (new, old) = (SealingKey::generate()?, SealingKey::generate()?);
/// let from_text: KeyRing = format!("{}, {}", *new.expose(), *old.expose()).parse()?;
///
/// let ring = KeyRing::from(new).also_opening(old);
/// assert_eq!(format!("{ring:?}"), format!("{from_text:?}"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
// Never empty.
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyRing(Vec<Arc<SealingKey>>);

impl From<SealingKey> for KeyRing {
    fn from(key: SealingKey) -> Self {
        Self(vec![Arc::new(key)])
    }
}

impl KeyRing {
    /// Opens what this key has sealed, too.
    pub fn also_opening(mut self, key: SealingKey) -> Self {
        self.0.push(Arc::new(key));
        self
    }

    /// How many bytes longer a text is when it is sealed.
    pub(crate) const OVERHEAD: usize = envelope::OVERHEAD;

    /// Seals for one purpose, which no other purpose may begin with.
    pub(crate) fn seal(&self, purpose: &[u8], plain: &[u8], binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        envelope::seal(purpose, plain, self.sealing(), binding)
    }

    /// What was sealed, if one of the keys has sealed it for this very purpose and binding.
    pub(crate) fn open(&self, purpose: &[u8], sealed: &[u8], binding: Binding<'_>) -> Result<Vec<u8>, CodecError> {
        envelope::open(purpose, sealed, self, binding)
    }

    fn sealing(&self) -> &SealingKey {
        &self.0[0]
    }

    /// The keys of this name: one or none, but for an accident in four billion.
    pub(super) fn named(&self, name: KeyName) -> impl Iterator<Item = &SealingKey> {
        self.0.iter().map(|key| &**key).filter(move |key| key.name() == name)
    }
}

impl FromStr for KeyRing {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let keys = text.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|key| !key.is_empty());
        let keys = keys.map(|key| key.parse().map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ConfigError::SealingKey { problem: "is missing" });
        }
        Ok(Self(keys))
    }
}
