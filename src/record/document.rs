//! The document: a payload's contents as JSON text, in versions.
//!
//! Version 1, shown with all its members:
//!
//! ```json
//! {"v":1,"ns":"shop","id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","created":1763679600000,"deadline":1763766000000,
//!  "idle":3600000,"persistent":true,"digest":"base64url","superseded":[{"digest":"base64url","until":1763679660000}],
//!  "write":"00000000000000ff","data":{"visits":1}}
//! ```
//!
//! Times and durations are milliseconds. `idle`, `persistent` and `superseded` are left out where they say nothing.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Contents, Superseded};
use crate::clock::Timestamp;
use crate::codec::CodecError;
use crate::data::Data;
use crate::token::{SessionId, TokenDigest};

const VERSION: u32 = 1;

/// About how many bytes a document takes beside its data.
pub(super) const OVERHEAD: usize = 256;

/// All members but the data.
#[derive(Serialize, Deserialize)]
struct Head {
    v: u32,
    ns: Arc<str>,
    id: SessionId,
    created: Timestamp,
    deadline: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    persistent: bool,
    digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    superseded: Vec<SupersededMember>,
    write: String,
}

/// The last member, whose text is copied as it is.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct SupersededMember {
    digest: String,
    until: Timestamp,
}

/// Why a payload cannot be read.
pub(crate) enum DecodeError {
    /// Written by a version of this crate that knows more than this one.
    Newer,
    /// Not what the codec wrote.
    Codec(CodecError),
    /// Not a document.
    Malformed(serde_json::Error),
    /// A document with a member that says nothing.
    Member(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer => f.write_str("the record was written by a newer version of this crate"),
            Self::Codec(error) => write!(f, "the codec refused the record: {error}"),
            // serde_json's own text may quote what it read.
            Self::Malformed(error) => {
                write!(f, "the record is not a document: {:?} error at column {}", error.classify(), error.column())
            }
            Self::Member(name) => write!(f, "the record's member {name:?} cannot be read"),
        }
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for DecodeError {}

pub(super) fn write(contents: &Contents) -> serde_json::Result<Vec<u8>> {
    let superseded = |old: &Superseded| SupersededMember { digest: old.digest.to_text(), until: old.until };
    let head = Head {
        v: VERSION,
        ns: contents.namespace.clone(),
        id: contents.id,
        created: contents.created_at,
        deadline: contents.deadline,
        idle: contents.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)),
        persistent: contents.persistent,
        digest: contents.digest.to_text(),
        superseded: contents.superseded.iter().map(superseded).collect(),
        write: format!("{:016x}", contents.write),
    };
    let data = contents.data.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(data.len() + OVERHEAD + contents.namespace.len());
    serde_json::to_writer(&mut bytes, &head)?;
    bytes.pop();
    bytes.extend_from_slice(b",\"data\":");
    bytes.extend_from_slice(data);
    bytes.push(b'}');
    Ok(bytes)
}

pub(super) fn read(document: &[u8]) -> Result<Contents, DecodeError> {
    let malformed = |error| match version_of(document) {
        Some(newer) if newer > VERSION => DecodeError::Newer,
        _ => DecodeError::Malformed(error),
    };
    let parsed: Head = serde_json::from_slice(document).map_err(malformed)?;
    let Body { data } = serde_json::from_slice(document).map_err(malformed)?;
    match parsed.v {
        VERSION => {}
        newer if newer > VERSION => return Err(DecodeError::Newer),
        _ => return Err(DecodeError::Member("v")),
    }
    let digest = |text: &str| TokenDigest::from_text(text).ok_or(DecodeError::Member("digest"));
    Ok(Contents {
        namespace: parsed.ns,
        id: parsed.id,
        created_at: parsed.created,
        deadline: parsed.deadline,
        idle: parsed.idle.map(Duration::from_millis),
        persistent: parsed.persistent,
        digest: digest(&parsed.digest)?,
        superseded: parsed
            .superseded
            .iter()
            .map(|old| Ok(Superseded { digest: digest(&old.digest)?, until: old.until }))
            .collect::<Result<_, _>>()?,
        write: u64::from_str_radix(&parsed.write, 16).map_err(|_| DecodeError::Member("write"))?,
        data: Data::parse(data.get()).map_err(DecodeError::Malformed)?,
    })
}

/// The version alone, of documents whose other members may mean anything.
fn version_of(document: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u32,
    }

    serde_json::from_slice::<Versioned>(document).ok().map(|versioned| versioned.v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Token, TokenDigester};

    fn contents() -> Contents {
        let token = Token::generate().unwrap();
        let digest = TokenDigester::default().digest(&token);
        Contents {
            namespace: "shop".into(),
            id: token.id(),
            created_at: Timestamp::from_millis(1),
            deadline: Timestamp::from_millis(2),
            idle: Some(Duration::from_millis(3)),
            persistent: true,
            digest,
            superseded: vec![Superseded { digest, until: Timestamp::from_millis(4) }],
            write: u64::MAX,
            data: Data::parse(r#"{"a":{"b":[1,2]}}"#).unwrap(),
        }
    }

    #[test]
    fn a_document_says_all_that_the_contents_do() {
        let contents = contents();
        let bytes = write(&contents).unwrap();
        let again = read(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{contents:?}"));
        assert!(again.digest.matches(&contents.digest));
        assert_eq!(again.superseded[0].until, contents.superseded[0].until);
        assert_eq!((again.write, again.data.as_str()), (contents.write, contents.data.as_str()));
        assert!(bytes.len() < again.data.as_str().len() + 2 * OVERHEAD);
    }

    #[test]
    fn the_format_of_version_1_stands() {
        let stored = br#"{"v":1,"ns":"","id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","created":1,"deadline":2,
            "digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","write":"0f","data":{"visits":1},"later":{}}"#;
        let contents = read(stored).unwrap();
        assert_eq!(contents.data.as_str(), r#"{"visits":1}"#);
        assert_eq!(contents.write, 15);
        assert!(!contents.persistent && contents.idle.is_none() && contents.superseded.is_empty());
    }

    #[test]
    fn newer_is_told_from_broken() {
        assert!(matches!(read(br#"{"v":2,"entirely":"different"}"#), Err(DecodeError::Newer)));
        assert!(matches!(read(br#"{"v":1,"entirely":"different"}"#), Err(DecodeError::Malformed(_))));
        let bytes = String::from_utf8(write(&contents()).unwrap()).unwrap();
        assert!(matches!(read(bytes.replacen("\"v\":1", "\"v\":9", 1).as_bytes()), Err(DecodeError::Newer)));
        assert!(matches!(read(bytes.replacen("\"v\":1", "\"v\":0", 1).as_bytes()), Err(DecodeError::Member("v"))));
    }

    #[test]
    fn rel_04_no_broken_byte_makes_it_panic() {
        let bytes = write(&contents()).unwrap();
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_err());
        }
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut broken = bytes.clone();
                broken[place] ^= 1 << bit;
                let _ = read(&broken);
            }
        }
    }
}
