//! A key: where it may come from, what is refused, and what is shown of it.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::{ConfigError, SessionError};
use crate::token::{base64url, fill_random};

const KEY_BYTES: usize = 32;
pub(super) const KEY_NAME_BYTES: usize = 4;

/// 32 random bytes that seal records: see [`SealedCodec`](crate::SealedCodec).
///
/// Wiped when dropped. It cannot be compared or cloned, and `Debug` shows its name alone: the first four bytes of a
/// digest, the same that an event gives if a record's key is missing.
///
/// # From text
///
/// A file or the environment gives it as 64 hexadecimal digits, or as 43 characters of base64, of either alphabet (RFC 4648
/// sections 4 and 5), with or without the `=`. So what `openssl rand -hex 32` or `openssl rand -base64 32`
/// prints will do.
///
/// ```
/// use cloakroom::SealingKey;
///
/// let key = SealingKey::generate()?;
/// let text = key.expose(); // for the secret manager
/// assert_eq!(format!("{:?}", text.parse::<SealingKey>()?), format!("{key:?}"));
///
/// let error = "correct horse battery staple".parse::<SealingKey>().unwrap_err();
/// assert!(error.to_string().starts_with("a sealing key has to be 64 hexadecimal digits"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// ```compile_fail,E0599
/// # let key = cloakroom::SealingKey::generate().unwrap();
/// key.clone(); // a KeyRing can be cloned, and has its keys in one place
/// ```
///
/// ```compile_fail,E0277
/// # let key = cloakroom::SealingKey::generate().unwrap();
/// println!("{key}");
/// ```
pub struct SealingKey {
    name: KeyName,
    // Boxed, so that moving the key leaves no copy behind.
    bytes: Box<Zeroizing<[u8; KEY_BYTES]>>,
}

/// Which key has sealed a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyName(pub(super) [u8; KEY_NAME_BYTES]);

impl SealingKey {
    /// From 32 random bytes, as they are. Bytes that are text want [`parse`](str::parse).
    ///
    /// # Errors
    ///
    /// [`ConfigError::SealingKey`] for more or fewer bytes, and for such as no random generator gives: a sequence, a
    /// repetition, a handful of different bytes, or nothing but visible characters.
    pub fn new(key: &[u8]) -> Result<Self, ConfigError> {
        let mut bytes = blank();
        if key.len() != KEY_BYTES {
            return Err(ConfigError::SealingKey { problem: "has to be 32 bytes" });
        }
        bytes.copy_from_slice(key);
        Self::checked(bytes)
    }

    /// A new key, from random bytes of the operating system.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NoRandomness`](crate::ErrorKind::NoRandomness) if there are none.
    pub fn generate() -> Result<Self, SessionError> {
        let mut bytes = blank();
        fill_random(&mut **bytes)?;
        Ok(Self::named(bytes))
    }

    /// The key as 64 hexadecimal digits, to be kept where the secrets of the application are.
    pub fn expose(&self) -> Zeroizing<String> {
        let digit = |bits: u8| char::from(b'0' + bits + u8::from(bits > 9) * (b'a' - b'9' - 1));
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES));
        for byte in self.bytes.iter() {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text
    }

    pub(super) fn name(&self) -> KeyName {
        self.name
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    fn checked(bytes: Box<Zeroizing<[u8; KEY_BYTES]>>) -> Result<Self, ConfigError> {
        match weakness(&bytes) {
            Some(problem) => Err(ConfigError::SealingKey { problem }),
            None => Ok(Self::named(bytes)),
        }
    }

    /// Four bytes of a digest tell nothing about 32 random bytes.
    fn named(bytes: Box<Zeroizing<[u8; KEY_BYTES]>>) -> Self {
        let digest: [u8; 32] =
            Sha256::new_with_prefix(b"cloakroom: the name of a sealing key").chain_update(**bytes).finalize().into();
        let [a, b, c, d, ..] = digest;
        Self { name: KeyName([a, b, c, d]), bytes }
    }
}

impl FromStr for SealingKey {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A file that holds the key ends with a line break.
        let text = text.trim_ascii().as_bytes();
        let decoded = from_hex(text).or_else(|| from_base64(text));
        Self::checked(decoded.ok_or(ConfigError::SealingKey {
            problem: "has to be 64 hexadecimal digits, or 43 characters of base64",
        })?)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.name)
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[allow(clippy::unnecessary_box_returns, reason = "moved out of its box it would leave a copy behind")]
fn blank() -> Box<Zeroizing<[u8; KEY_BYTES]>> {
    Box::new(Zeroizing::new([0; KEY_BYTES]))
}

/// Why these bytes are no random ones. Random ones are refused once in 10^13 times.
fn weakness(key: &[u8; KEY_BYTES]) -> Option<&'static str> {
    let step = |pair: &[u8]| pair[1].wrapping_sub(pair[0]);
    if key.windows(2).all(|pair| step(pair) == step(key)) {
        return Some("is a sequence");
    }
    if (1..=KEY_BYTES / 2).any(|period| key[period..] == key[..KEY_BYTES - period]) {
        return Some("repeats itself");
    }
    // 32 random bytes have 30 different ones on average.
    let different = key.iter().enumerate().filter(|(at, byte)| !key[..*at].contains(byte)).count();
    if different < 12 {
        return Some("has hardly any different bytes");
    }
    if key.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n')) {
        return Some("is text, which can be guessed; if it stands for bytes, parse it");
    }
    None
}

fn from_hex(text: &[u8]) -> Option<Box<Zeroizing<[u8; KEY_BYTES]>>> {
    let mut key = blank();
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    let digit = |character: u8| char::from(character).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, pair) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Of either alphabet, with or without padding.
fn from_base64(text: &[u8]) -> Option<Box<Zeroizing<[u8; KEY_BYTES]>>> {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    // One character more makes whole groups: six bits of zero, to which the spare ones of the last are to be added.
    let mut whole = Zeroizing::new([b'A'; 44]);
    if text.len() != whole.len() - 1 {
        return None;
    }
    for (to, from) in whole.iter_mut().zip(text) {
        *to = match from {
            b'+' => b'-',
            b'/' => b'_',
            other => *other,
        };
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES + 1]);
    base64url::decode(&*whole, &mut *bytes)?;
    let mut key = blank();
    key.copy_from_slice(&bytes[..KEY_BYTES]);
    (bytes[KEY_BYTES] == 0).then_some(key)
}
