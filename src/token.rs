//! What the client holds (the token) and what the store keeps of it (the digest).

pub(crate) mod base64url;
mod csrf;

use std::fmt;
use std::str::FromStr;

#[cfg(feature = "pepper")]
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::error::{ErrorKind, SessionError};
pub(crate) use csrf::{CsrfKey, CsrfMask};

const ID_BYTES: usize = 16;
const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = ID_BYTES + SECRET_BYTES;

/// Length of a token as text, in characters.
pub(crate) const TOKEN_CHARS: usize = 64;

/// The public handle of a session: good for lists of devices, logs and revocation.
///
/// A UUID v4. It proves nothing: who sends it as a token is a stranger, so it may be shown to the session's user and be
/// written to logs. It never changes while the session lives, not even when the secret does.
///
/// An application never chooses the id of a session: this type can be read from text in order to *find* one
/// ([`FromStr`]), and no function of this crate takes one in order to make one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// From the 16 bytes that a store kept.
    pub const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes for a store to keep. They compare exactly, unlike text in some databases.
    pub const fn as_bytes(&self) -> &[u8; ID_BYTES] {
        self.0.as_bytes()
    }

    /// From bytes that are not random, for what is stored like a session and is none: a UUID v8 (RFC 9562 section 5.8).
    pub(crate) fn not_random(bytes: [u8; ID_BYTES]) -> Self {
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// Whether it is a session's, as far as its form says.
    pub(crate) fn is_random(self) -> bool {
        self.0.get_version() == Some(uuid::Version::Random)
    }

    /// The same as a [`Uuid`].
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.0)
    }
}

impl FromStr for SessionId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::from_str(text).map(Self)
    }
}

/// As text, such as `6f9619ff-8b86-4d01-b42d-00c04fc964ff`.
impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self)
    }
}

/// What the client shows to be recognized: the id and the secret of a session.
///
/// As text it is 64 characters of the URL-safe base64 alphabet (RFC 4648 section 5), never padded: one text for every
/// token. Made by the server alone, from random bytes of the operating system. Wiped when dropped; it cannot be
/// compared, and neither `Debug` nor anything else but [`expose`](Self::expose) shows its text.
///
/// ```compile_fail,E0369
/// # let token = cloakroom::Token::parse(&[b'A'; 64]).unwrap();
/// token == token; // comparing secrets by `==` takes a time that tells about them
/// ```
///
/// ```compile_fail,E0277
/// # let token = cloakroom::Token::parse(&[b'A'; 64]).unwrap();
/// println!("{token}");
/// ```
///
/// ```compile_fail,E0624
/// cloakroom::Token::generate(); // new ones are made by the server, for new sessions
/// ```
#[derive(Clone)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// A new id with a new secret, by one system call.
    pub(crate) fn generate() -> Result<Self, SessionError> {
        let mut token = Self([0; TOKEN_BYTES]);
        fill_random(&mut token.0)?;
        let id = uuid::Builder::from_random_bytes(*token.id().as_bytes()).into_uuid();
        token.0[..ID_BYTES].copy_from_slice(id.as_bytes());
        Ok(token)
    }

    /// The same id with a new secret.
    pub(crate) fn with_new_secret(&self) -> Result<Self, SessionError> {
        let mut token = self.clone();
        fill_random(&mut token.0[ID_BYTES..])?;
        Ok(token)
    }

    /// The same id with the secret that follows from this one and a nonce: whoever shows this one can be told the next.
    pub(crate) fn derived(&self, nonce: &Nonce) -> Self {
        let digest = Sha256::new_with_prefix(b"cloakroom: the secret after this one").chain_update(self.0);
        Self::new(self.id(), digest.chain_update(nonce.0))
    }

    /// The token of a session that takes the place of another library's: whoever shows that one's cookie can be told it, with the nonce.
    pub(crate) fn after_cookie(id: SessionId, cookie: &[u8], nonce: &Nonce) -> Self {
        let digest = Sha256::new_with_prefix(b"cloakroom: the secret after the cookie of another library");
        Self::new(id, digest.chain_update(nonce.0).chain_update(cookie))
    }

    /// With a digest as its secret.
    fn new(id: SessionId, secret: Sha256) -> Self {
        let mut token = Self([0; TOKEN_BYTES]);
        let (id_bytes, secret_bytes) = token.0.split_at_mut(ID_BYTES);
        id_bytes.copy_from_slice(id.as_bytes());
        secret_bytes.copy_from_slice(&Zeroizing::<[u8; SECRET_BYTES]>::new(secret.finalize().into())[..]);
        token
    }

    /// Reads a token. `None` for anything that [`expose`](Self::expose) could not have written: another length, another
    /// alphabet, padding.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut token = Self([0; TOKEN_BYTES]);
        base64url::decode(text, &mut token.0)?;
        Some(token)
    }

    /// The public handle in it.
    pub fn id(&self) -> SessionId {
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&self.0[..ID_BYTES]);
        SessionId::from_bytes(id)
    }

    /// The text for the client to keep. Whoever has it is taken for the client: hand it over, and do nothing else with it.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url::encode(&self.0))
    }

    /// The id, then the secret.
    fn bytes(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        // All at once, where `zeroize` would go byte by byte: every request drops a few of them.
        self.0 = [0; TOKEN_BYTES];
        zeroize::optimization_barrier(&self.0);
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("id", &self.id()).finish_non_exhaustive()
    }
}

pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), SessionError> {
    getrandom::fill(bytes).map_err(|error| {
        SessionError::new(
            ErrorKind::NoRandomness,
            "the operating system gave no random bytes; no session can be made until it does",
        )
        .because(error)
    })
}

/// What the next secret follows from, beside the one before. No secret itself: without the one before it says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonce([u8; 32]);

impl Nonce {
    pub(crate) fn generate() -> Result<Self, SessionError> {
        let mut bytes = [0; 32];
        fill_random(&mut bytes)?;
        Ok(Self(bytes))
    }

    pub(crate) fn to_text(self) -> String {
        TokenDigest(self.0).to_text()
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        TokenDigest::from_text(text).map(|digest| Self(digest.0))
    }
}

/// What a store keeps of a token: enough to recognize it, too little to send it.
#[derive(Clone, Copy)]
pub(crate) struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Equal to nothing that [`TokenDigester::digest`] returns, for all that anyone knows.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// For what is to be bound to a secret without showing it.
    #[cfg(feature = "sealed")]
    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time (ASVS 11.2.4).
    pub(crate) fn matches(&self, other: &Self) -> bool {
        self.words().ct_eq(&other.words()).into()
    }

    /// In parts as large as can be compared at once.
    fn words(&self) -> [u64; 4] {
        let (words, _) = self.0.as_chunks();
        std::array::from_fn(|place| u64::from_ne_bytes(words[place]))
    }

    /// 44 characters: the digest and a zero byte, which makes whole groups of three.
    pub(crate) fn to_text(self) -> String {
        let mut bytes = [0; 33];
        bytes[..32].copy_from_slice(&self.0);
        base64url::encode(&bytes)
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        let mut bytes = [0; 33];
        base64url::decode(text.as_bytes(), &mut bytes)?;
        let (digest, padding) = bytes.split_at(32);
        (padding == [0]).then(|| Self(digest.try_into().unwrap_or_default()))
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(..)")
    }
}

/// A key that is kept apart from the store, so that a stolen store alone does not even allow to check a guess (feature
/// `pepper`).
///
/// Given to [`SessionManager::pepper`](crate::SessionManager::pepper). All processes that share a store need the same
/// one. Changing it ends every session.
#[cfg(feature = "pepper")]
pub struct Pepper(Hmac<Sha256>);

#[cfg(feature = "pepper")]
impl Pepper {
    /// From at least 32 random bytes.
    ///
    /// # Errors
    ///
    /// [`ConfigError::WeakKey`](crate::ConfigError::WeakKey) for fewer than 32 bytes, or if all of them are the same.
    pub fn new(key: &[u8]) -> Result<Self, crate::error::ConfigError> {
        let weak = crate::error::ConfigError::WeakKey { purpose: "the pepper" };
        if key.len() < 32 || key.iter().all(|byte| *byte == key[0]) {
            return Err(weak);
        }
        Hmac::new_from_slice(key).map(Self).map_err(|_| weak)
    }
}

#[cfg(feature = "pepper")]
impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(..)")
    }
}

/// Makes digests: SHA-256 of the token, or HMAC-SHA-256 with a pepper (RFC 2104).
///
/// A fast hash is right here: 256 random bits cannot be guessed, however fast the guessing is.
#[derive(Clone, Default)]
pub(crate) enum TokenDigester {
    #[default]
    Plain,
    #[cfg(feature = "pepper")]
    Keyed(Hmac<Sha256>),
}

impl TokenDigester {
    #[cfg(feature = "pepper")]
    pub(crate) fn keyed(pepper: &Pepper) -> Self {
        Self::Keyed(pepper.0.clone())
    }

    pub(crate) fn digest(&self, token: &Token) -> TokenDigest {
        self.digest_all(&[token.bytes()])
    }

    /// What a store keeps of what a session is bound to.
    pub(crate) fn digest_bond(&self, id: SessionId, bond: &[u8]) -> TokenDigest {
        self.digest_all(&[b"cloakroom: bound to", id.as_bytes(), bond])
    }

    fn digest_all(&self, parts: &[&[u8]]) -> TokenDigest {
        TokenDigest(match self {
            Self::Plain => parts.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into(),
            #[cfg(feature = "pepper")]
            Self::Keyed(hmac) => parts.iter().fold(hmac.clone(), Hmac::chain_update).finalize().into_bytes().into(),
        })
    }
}

impl fmt::Debug for TokenDigester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigester")
    }
}

/// 64 random bits, for names that need to be unique but not secret.
pub(crate) fn random_u64() -> Result<u64, SessionError> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_token_is_64_characters_and_reads_back() {
        let token = Token::generate().unwrap();
        let text = token.expose();
        assert_eq!(text.len(), TOKEN_CHARS);
        let again = Token::parse(text.as_bytes()).unwrap();
        assert_eq!(again.id(), token.id());
        assert_eq!(again.expose(), text);
        assert_eq!(token.id().as_uuid().get_version_num(), 4);
    }

    #[test]
    fn only_the_one_canonical_text_is_a_token() {
        let text = Token::generate().unwrap().expose();
        let mut wrong = vec![String::new(), text[1..].into(), format!("{}A", *text), format!("{}=", &text[..63])];
        for bad in ['+', '/', '=', ' ', '%', '.', '\u{e9}'] {
            wrong.push(format!("{}{bad}", &text[..63]));
        }
        for text in wrong {
            assert!(Token::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn asvs_7_2_3_a_million_tokens_do_not_repeat_and_their_bytes_are_even() {
        const ROUNDS: u32 = 1_000_000;
        let mut seen = HashSet::new();
        let mut counts = vec![[0_u32; 256]; SECRET_BYTES];
        let mut as_before = [0_u32; SECRET_BYTES];
        let mut before = Token::generate().unwrap();
        for _ in 0..ROUNDS {
            let token = Token::generate().unwrap();
            for (place, byte) in token.0[ID_BYTES..].iter().enumerate() {
                counts[place][usize::from(*byte)] += 1;
                as_before[place] += u32::from(*byte == before.0[ID_BYTES + place]);
            }
            assert!(seen.insert(token.0));
            before = token;
        }
        // Eight standard deviations of what has one chance in 256: 8 * sqrt(1 000 000 / 256).
        let is_even = |count: &u32| count.abs_diff(ROUNDS / 256) < 500;
        assert!(counts.iter().flatten().all(is_even), "{counts:?}");
        assert!(as_before.iter().all(is_even), "none follows from the one before: {as_before:?}");
    }

    fn answers_for_its_own_token_only(digester: &TokenDigester) {
        let token = Token::generate().unwrap();
        let digest = digester.digest(&token);
        assert!(digest.matches(&digester.digest(&token)));
        assert!(!digest.matches(&digester.digest(&token.with_new_secret().unwrap())));
        let text = digest.to_text();
        assert!(TokenDigest::from_text(&text).unwrap().matches(&digest));
        assert!(TokenDigest::from_text(&text[1..]).is_none());
        assert!(TokenDigest::from_text(&format!("{}B", &text[..43])).is_none());
    }

    #[test]
    fn a_plain_digest_answers_for_its_own_token_only() {
        answers_for_its_own_token_only(&TokenDigester::Plain);
    }

    #[test]
    #[cfg(feature = "pepper")]
    fn a_keyed_digest_answers_for_its_own_token_and_key_only() {
        let keyed = TokenDigester::keyed(&Pepper::new(b"0123456789abcdef0123456789abcdef").unwrap());
        answers_for_its_own_token_only(&keyed);
        let token = Token::generate().unwrap();
        assert!(!TokenDigester::Plain.digest(&token).matches(&keyed.digest(&token)));
    }

    #[test]
    fn the_plain_digest_is_sha_256_of_the_48_bytes() {
        let token = Token::parse(&[b'A'; TOKEN_CHARS]).unwrap();
        let known = 0x17b0_761f_87b0_81d5_cf10_757c_cc89_f12b_u128.to_be_bytes();
        assert_eq!(TokenDigester::default().digest(&token).0[..16], known);
    }

    #[test]
    #[cfg(feature = "pepper")]
    fn a_weak_pepper_is_refused() {
        assert!(Pepper::new(b"secret").is_err());
        assert!(Pepper::new(&[7; 64]).is_err());
    }

    #[test]
    fn nothing_of_the_secret_is_printed() {
        let token = Token::generate().unwrap();
        let printed = format!("{token:?}");
        assert!(!printed.contains(&token.expose()[22..]));
        assert!(printed.contains(&token.id().to_string()));
        assert_eq!(format!("{:?}", TokenDigester::default().digest(&token)), "TokenDigest(..)");
        assert_eq!(format!("{:?}", TokenDigester::default()), "TokenDigester");
        #[cfg(feature = "pepper")]
        assert_eq!(format!("{:?}", Pepper::new(b"0123456789abcdef0123456789abcdef").unwrap()), "Pepper(..)");
    }

    #[test]
    fn a_nonce_has_a_text_of_its_own_that_reads_back() {
        let nonces = [Nonce::generate().unwrap(), Nonce::generate().unwrap()];
        assert_eq!(nonces.map(|nonce| Nonce::from_text(&nonce.to_text()).unwrap()), nonces);
        assert_ne!(nonces[0], nonces[1]);
    }

    #[test]
    fn random_numbers_do_not_repeat() {
        let numbers: HashSet<_> = (0..1_000).map(|_| random_u64().unwrap()).collect();
        assert_eq!(numbers.len(), 1_000);
    }
}
