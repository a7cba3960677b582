//! What a client shows to be recognized, and what the store keeps of it.

use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How sessions are known.
pub(crate) trait Scheme: Send + Sync + 'static {
    /// What the cookie carries.
    type Token: Copy + Send + Sync;
    /// What the store keeps to recognize it, beside the id.
    type Proof: Send + Sync;

    fn fresh() -> Self::Token;
    fn read(text: &[u8]) -> Option<Self::Token>;
    fn set_cookie(token: &Self::Token) -> HeaderValue;
    fn id(token: &Self::Token) -> u128;
    fn proof(token: &Self::Token) -> Self::Proof;
    fn holds(proof: &Self::Proof, token: &Self::Token) -> bool;
}

/// A random number from a generator in the process, and nothing else.
pub(crate) struct Simple;

impl Scheme for Simple {
    type Token = u128;
    type Proof = ();

    fn fresh() -> u128 {
        rand::random()
    }

    fn read(text: &[u8]) -> Option<u128> {
        decode(text).map(u128::from_le_bytes)
    }

    fn set_cookie(token: &u128) -> HeaderValue {
        set_cookie::<22>(&token.to_le_bytes())
    }

    fn id(token: &u128) -> u128 {
        *token
    }

    fn proof(_: &u128) {}

    fn holds((): &(), _: &u128) -> bool {
        true
    }
}

/// 16 bytes of id and 32 of secret from the operating system, of which the store keeps a digest that is compared in constant
/// time, and an hour after which it opens nothing.
pub(crate) struct Secured;

pub(crate) struct Kept {
    digest: [u8; 32],
    ends: SystemTime,
}

impl Scheme for Secured {
    type Token = [u8; 48];
    type Proof = Kept;

    fn fresh() -> [u8; 48] {
        let mut token = [0; 48];
        getrandom::fill(&mut token).expect("the operating system gives random bytes");
        token
    }

    fn read(text: &[u8]) -> Option<[u8; 48]> {
        decode(text)
    }

    fn set_cookie(token: &[u8; 48]) -> HeaderValue {
        set_cookie::<64>(token)
    }

    fn id(token: &[u8; 48]) -> u128 {
        token.first_chunk().map_or(0, |id| u128::from_le_bytes(*id))
    }

    fn proof(token: &[u8; 48]) -> Kept {
        Kept { digest: Self::digest(token), ends: SystemTime::now() + Duration::from_hours(1) }
    }

    fn holds(kept: &Kept, token: &[u8; 48]) -> bool {
        kept.ends > SystemTime::now() && Self::is_of(&kept.digest, token)
    }
}

impl Secured {
    pub(super) fn digest(token: &[u8; 48]) -> [u8; 32] {
        Sha256::digest(token).into()
    }

    pub(super) fn is_of(digest: &[u8; 32], token: &[u8; 48]) -> bool {
        words(&Self::digest(token)).ct_eq(&words(digest)).into()
    }
}

/// Four comparisons instead of 32.
fn words(digest: &[u8; 32]) -> [u64; 4] {
    let (words, _) = digest.as_chunks();
    std::array::from_fn(|at| u64::from_ne_bytes(words[at]))
}

fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let length = BASE64_URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (length == N).then_some(bytes)
}

fn set_cookie<const CHARACTERS: usize>(bytes: &[u8]) -> HeaderValue {
    let mut text = [0; CHARACTERS];
    BASE64_URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).expect("the text is as long as its bytes ask for");
    let header = [b"id=".as_slice(), &text, b"; HttpOnly; SameSite=Lax; Secure; Path=/"].concat();
    HeaderValue::from_maybe_shared(axum::body::Bytes::from(header)).expect("base64 and attributes are visible ASCII")
}
