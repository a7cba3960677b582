//! The document: a payload's contents as JSON text, in versions.
//!
//! Version 1, shown with all its members:
//!
//! ```json
//! {"v":1,"ns":"shop","name":"admin","id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","created":1763679600000,
//!  "deadline":1763766000000,"end_by":1763766000000,"idle":3600000,"bond":"base64url","csrf":"base64url",
//!  "persistent":true,"login":1763679600000,"label":"Firefox on Linux",
//!  "digest":"base64url","since":1763679600000,
//!  "superseded":[["base64url",1763679660000],["base64url",1763679660000,"nonce",1763679630000],
//!                ["base64url",9223372036854775807,"nonce",1763679630000,"timer"]],
//!  "write":"00000000000000ff","data":{"visits":1}}
//! ```
//!
//! A member that is not known here is kept as it is: a later version has added it, and goes on with what it says after an
//! older process has saved the record. What older processes must not ignore gets a version of its own.
//!
//! Times and durations are milliseconds. `name`, `end_by`, `idle`, `bond`, `csrf`, `persistent`, `login`, `label`, `since` and `superseded` are left out
//! where they say nothing.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{MapAccess, Visitor};
use serde::{Deserializer as _, Serialize};
use serde_json::value::RawValue;

use super::{Contents, ExtraFields, Grace, GraceReason, Name, Origin, Superseded};
use crate::clock::Timestamp;
use crate::codec::CodecError;
use crate::data::{Data, Object, Text};
use crate::token::{CsrfMask, Nonce, SessionId, TokenDigest};

const VERSION: u32 = 1;

/// About how many bytes a document takes beside its data.
pub(super) const OVERHEAD: usize = 256;

/// Why a payload cannot be read.
pub(crate) enum DecodeError {
    /// Written by a version of this crate that knows more than this one.
    Newer,
    /// Not what the codec wrote.
    Codec(CodecError),
    /// The store itself cannot make a record of it.
    NotARecord,
    /// Not a JSON object.
    Malformed,
    /// A document with a member that is missing or says nothing.
    Member(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer => f.write_str("the record was written by a newer version of this crate"),
            Self::Codec(error) => write!(f, "the codec refused the record: {error}"),
            Self::NotARecord => f.write_str("what is stored is not a record"),
            Self::Malformed => f.write_str("the record is not a document"),
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

pub(super) fn write(contents: &Contents) -> Vec<u8> {
    let (origin, extras, data) = (&contents.origin, &contents.extras, contents.data.as_str());
    let mut members = Members(Vec::with_capacity(data.len() + OVERHEAD + origin.namespace.len()));
    members.put("v", VERSION);
    members.put("ns", &*origin.namespace);
    members.put_some("name", origin.name.to_record());
    members.put("id", contents.id);
    members.put("created", contents.created_at.as_millis());
    members.put("deadline", contents.deadline.as_millis());
    members.put_some("end_by", extras.end_by.map(Timestamp::as_millis));
    members.put_some("idle", extras.idle.map(|idle| u64::try_from(idle.as_millis()).unwrap_or(u64::MAX)));
    members.put_some("bond", extras.bond.map(TokenDigest::to_text));
    members.put_some("csrf", extras.csrf.map(CsrfMask::to_text));
    members.put_some("persistent", contents.persistent.then_some(true));
    members.put_some("login", extras.logged_in_at.map(Timestamp::as_millis));
    members.put_some("label", extras.label.as_deref());
    members.put("digest", contents.digest.to_text());
    members.put_some("since", extras.secret_since.map(Timestamp::as_millis));
    let superseded: Vec<_> = extras.superseded.iter().map(entry).collect();
    members.put_some("superseded", Some(superseded).filter(|superseded| !superseded.is_empty()));
    members.put("write", format!("{:016x}", contents.write));
    for (name, value) in extras.unknown.iter().flat_map(|unknown| unknown.members()) {
        members.put_raw(&name, value);
    }
    members.put_raw("data", data);
    members.end()
}

/// The text of an object, up to the last member that was put into it.
struct Members(Vec<u8>);

impl Members {
    /// A plain name, and what becomes its value.
    fn put(&mut self, name: &str, value: impl Serialize) {
        self.begin(name);
        serde_json::to_writer(&mut self.0, &value).expect("plain values have a form in JSON, and memory takes all");
    }

    fn put_some(&mut self, name: &str, value: Option<impl Serialize>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_raw(&mut self, name: &str, value: &str) {
        self.begin(name);
        self.0.extend_from_slice(value.as_bytes());
    }

    fn begin(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push(b'}');
        self.0
    }
}

const TIMER: &str = "timer";
const TIMER_UNCONFIRMED: &str = "timer, unconfirmed";

/// `[digest, until]`, of one in grace `[digest, until, nonce, until when in grace]`, and the reason behind it if that is
/// the timer.
fn entry(old: &Superseded) -> serde_json::Value {
    let (digest, until) = (old.digest.to_text(), old.until.as_millis());
    let Some(grace) = old.grace else { return serde_json::json!([digest, until]) };
    let (nonce, in_grace) = (grace.nonce.to_text(), grace.until.as_millis());
    match grace.reason {
        GraceReason::Demand => serde_json::json!([digest, until, nonce, in_grace]),
        GraceReason::TimerUnconfirmed => serde_json::json!([digest, until, nonce, in_grace, TIMER_UNCONFIRMED]),
        GraceReason::Timer => serde_json::json!([digest, until, nonce, in_grace, TIMER]),
    }
}

fn superseded_by(entry: &[serde_json::Value]) -> Option<Superseded> {
    let time = |value: &serde_json::Value| value.as_i64().map(Timestamp::from_millis);
    let [digest, until, grace @ ..] = entry else { return None };
    Some(Superseded {
        digest: TokenDigest::from_text(digest.as_str()?)?,
        until: time(until)?,
        grace: match grace {
            [nonce, until, reason @ ..] => Some(Grace {
                nonce: Nonce::from_text(nonce.as_str()?)?,
                until: time(until)?,
                reason: match reason.first().and_then(|reason| reason.as_str()) {
                    Some(TIMER) => GraceReason::Timer,
                    Some(TIMER_UNCONFIRMED) => GraceReason::TimerUnconfirmed,
                    _ => GraceReason::Demand,
                },
            }),
            _ => None,
        },
    })
}

/// What a document of `reader`'s says, or of another origin with its codec.
pub(super) fn read(document: &[u8], user: Option<Arc<str>>, reader: &Arc<Origin>) -> Result<Contents, DecodeError> {
    let text = str::from_utf8(document).map_err(|_| DecodeError::Malformed)?;
    let document = Document::parse(text)?;
    let data = document.data.and_then(|data| data.into_data(text));
    let (namespace, name) = (needed(document.ns, "ns")?.0, document.name.map(|Text(name)| name));
    let origin = if reader.has(&namespace, name.as_deref()) {
        reader.clone()
    } else {
        let name = Name::from_record(name.map(Cow::into_owned));
        Arc::new(Origin { namespace: namespace.into(), name, codec: reader.codec.clone() })
    };
    let superseded = document.superseded.unwrap_or_default();
    let superseded = superseded.iter().map(|entry| superseded_by(entry).ok_or(DecodeError::Member("superseded")));
    let extras = ExtraFields {
        user,
        logged_in_at: document.login.map(Timestamp::from_millis),
        label: document.label.map(|Text(label)| label.into()),
        end_by: document.end_by.map(Timestamp::from_millis),
        idle: document.idle.map(Duration::from_millis),
        bond: document.bond.map(|text| decoded(&text, TokenDigest::from_text, "bond")).transpose()?,
        csrf: document.csrf.map(|text| decoded(&text, CsrfMask::from_text, "csrf")).transpose()?,
        secret_since: document.since.map(Timestamp::from_millis),
        superseded: superseded.collect::<Result<_, _>>()?,
        unknown: kept(document.unknown, text),
    };
    Ok(Contents {
        origin,
        id: needed(document.id, "id")?,
        created_at: Timestamp::from_millis(needed(document.created, "created")?),
        deadline: Timestamp::from_millis(needed(document.deadline, "deadline")?),
        persistent: document.persistent.unwrap_or(false),
        digest: decoded(&needed(document.digest, "digest")?, TokenDigest::from_text, "digest")?,
        write: decoded(&needed(document.write, "write")?, |text| u64::from_str_radix(text, 16).ok(), "write")?,
        extras: extras.into(),
        data: needed(data, "data")?.into(),
    })
}

fn needed<T>(member: Option<T>, name: &'static str) -> Result<T, DecodeError> {
    member.ok_or(DecodeError::Member(name))
}

/// What a later version has added. Names in which JSON escapes something are none that this crate would give.
fn kept(mut unknown: Vec<(Cow<'_, str>, &RawValue)>, text: &str) -> Option<Arc<Data>> {
    unknown.retain(|(name, _)| is_plain(name));
    if unknown.is_empty() { None } else { Object::of(unknown).into_data(text).map(Arc::new) }
}

fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// The members of this version, and their types. Of equal ones the last counts.
macro_rules! document {
    ($($member:ident: $type:ty,)*) => {
        #[derive(Default)]
        struct Document<'a> {
            $($member: Option<$type>,)*
            /// By name.
            unknown: Vec<(Cow<'a, str>, &'a RawValue)>,
        }

        /// Reads a document, and says which member it is about to read.
        struct Reading<'r>(&'r Cell<&'static str>);

        impl<'de> Visitor<'de> for Reading<'_> {
            type Value = Document<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut document = Document::default();
                while let Some(Text(name)) = map.next_key()? {
                    match &*name {
                        $(stringify!($member) => {
                            self.0.set(stringify!($member));
                            document.$member = Some(map.next_value()?);
                        })*
                        _ => document.unknown.push((name, map.next_value()?)),
                    }
                }
                Ok(document)
            }
        }
    };
}

document! {
    v: u32,
    ns: Text<'a>,
    name: Text<'a>,
    id: SessionId,
    created: i64,
    deadline: i64,
    end_by: i64,
    idle: u64,
    bond: Text<'a>,
    csrf: Text<'a>,
    persistent: bool,
    login: i64,
    label: Text<'a>,
    digest: Text<'a>,
    since: i64,
    superseded: Vec<Vec<serde_json::Value>>,
    write: Text<'a>,
    data: Object<'a>,
}

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Result<Self, DecodeError> {
        let (mut json, reading) = (serde_json::Deserializer::from_str(text), Cell::new("v"));
        let document = json.deserialize_map(Reading(&reading)).and_then(|document| json.end().map(|()| document));
        match document {
            Ok(document) if document.v == Some(VERSION) => Ok(document),
            _ if is_newer(text) => Err(DecodeError::Newer),
            Ok(_) => Err(DecodeError::Member("v")),
            Err(error) if error.is_data() => Err(DecodeError::Member(reading.get())),
            Err(_) => Err(DecodeError::Malformed),
        }
    }
}

/// Whether a document says that it is of a later version, whatever else it says: no other member is looked into.
fn is_newer(text: &str) -> bool {
    let version = Data::parse(text).ok().and_then(|document| document.member("v")?.parse::<u64>().ok());
    version.is_some_and(|version| version > VERSION.into())
}

fn decoded<T>(text: &Text<'_>, decode: impl Fn(&str) -> Option<T>, name: &'static str) -> Result<T, DecodeError> {
    decode(&text.0).ok_or(DecodeError::Member(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::JsonCodec;
    use crate::record::Extras;
    use crate::token::{CsrfKey, Token, TokenDigester};

    fn origin(namespace: &str, name: &str) -> Arc<Origin> {
        Arc::new(Origin { namespace: namespace.into(), name: Name::new(name).unwrap(), codec: Arc::new(JsonCodec) })
    }

    fn read(document: &[u8]) -> Result<Contents, DecodeError> {
        super::read(document, None, &origin("", Name::DEFAULT))
    }

    fn contents() -> Contents {
        let token = Token::generate().unwrap();
        let digest = TokenDigester::default().digest(&token);
        let extras = ExtraFields {
            user: None,
            logged_in_at: Some(Timestamp::from_millis(7)),
            label: Some("Firefox \"esr\"".into()),
            end_by: Some(Timestamp::from_millis(9)),
            idle: Some(Duration::from_millis(3)),
            bond: Some(TokenDigester::default().digest_bond(token.id(), b"a browser")),
            csrf: Some(CsrfKey::of(&token, None).mask_for(&Token::generate().unwrap())),
            secret_since: Some(Timestamp::from_millis(8)),
            superseded: [
                None,
                Some(GraceReason::Demand),
                Some(GraceReason::Timer),
                Some(GraceReason::TimerUnconfirmed),
            ]
            .map(|reason| Superseded {
                digest,
                until: Timestamp::MAX,
                grace: reason.map(|reason| Grace {
                    nonce: Nonce::generate().unwrap(),
                    until: Timestamp::from_millis(6),
                    reason,
                }),
            })
            .into(),
            unknown: None,
        };
        Contents {
            origin: origin("shop", "admin"),
            id: token.id(),
            created_at: Timestamp::from_millis(1),
            deadline: Timestamp::from_millis(2),
            persistent: true,
            digest,
            write: u64::MAX,
            extras: extras.into(),
            data: Data::parse(r#"{"a":{"b":[1,2]}}"#).unwrap().into(),
        }
    }

    #[test]
    fn a_document_says_all_that_the_contents_do() {
        let contents = contents();
        let bytes = write(&contents);
        let again = read(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{contents:?}"));
        let (said, extras) = (&again.extras, &contents.extras);
        assert_eq!((&said.label, said.csrf, said.end_by), (&extras.label, extras.csrf, extras.end_by));
        assert!(said.bond.unwrap().matches(&extras.bond.unwrap()));
        assert!(again.digest.matches(&contents.digest));
        for (again, before) in said.superseded.iter().zip(&extras.superseded) {
            assert_eq!(again.until, before.until);
            let grace = |old: &Superseded| old.grace.map(|grace| (grace.nonce, grace.until, grace.reason));
            assert_eq!(grace(again), grace(before));
        }
        assert_eq!(said.secret_since, extras.secret_since);
        assert_eq!((again.write, again.data.as_str()), (contents.write, contents.data.as_str()));
        let plain = write(&Contents { extras: Extras::default(), ..contents });
        assert!(plain.len() < again.data.as_str().len() + 2 * OVERHEAD);
    }

    #[test]
    fn rel_19_what_a_later_version_has_added_is_kept() {
        let bytes = write(&contents());
        assert!(read(&bytes).unwrap().extras.unknown.is_none(), "every member that is written is known");
        let text = String::from_utf8(bytes).unwrap();
        let later = text.replacen("\"write\"", "\"later\":{\"a\":[1]},\"b\\u0000\":1,\"write\"", 1);
        let mut contents = read(later.as_bytes()).unwrap();
        contents.write = 7;
        let again = String::from_utf8(write(&contents)).unwrap();
        assert!(again.contains(r#","later":{"a":[1]},"#) && !again.contains("u0000"), "{again}");
    }

    /// Work that grows with the square would take a minute in a debug build.
    #[test]
    fn rel_19_many_of_them_are_read_in_linear_time_and_each_once() {
        let many: Vec<_> = (0..60_000).map(|n| format!("\"k{}\":{n}", n % 50_000)).collect();
        let many = format!("{},\"write\"", many.join(","));
        let text = String::from_utf8(write(&contents())).unwrap().replacen("\"write\"", &many, 1);
        let started = std::time::Instant::now();
        let contents = read(text.as_bytes()).unwrap();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let unknown = contents.extras.unknown.as_ref().unwrap();
        assert_eq!((unknown.keys().count(), unknown.member("k7")), (50_000, Some("50007")));
    }

    #[test]
    fn the_format_of_version_1_stands() {
        let stored = br#"{"v":1,"ns":"","id":"6f9619ff-8b86-4d01-b42d-00c04fc964ff","created":1,"deadline":2,
            "digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","write":"0f","data":{"visits":1},"later":{}}"#;
        let contents = read(stored).unwrap();
        assert_eq!(contents.data.as_str(), r#"{"visits":1}"#);
        assert_eq!(contents.write, 15);
        assert_eq!(contents.origin.name, Name::default());
        let extras = &contents.extras;
        assert!(!contents.persistent && extras.idle.is_none() && extras.superseded.is_empty());
        assert!(extras.end_by.is_none() && extras.bond.is_none() && extras.csrf.is_none());
        assert!(extras.logged_in_at.is_none() && extras.label.is_none());
    }

    #[test]
    fn newer_is_told_from_broken() {
        assert!(matches!(read(br#"{"v":2,"entirely":"different"}"#), Err(DecodeError::Newer)));
        assert!(matches!(read(br#"{"v":1,"entirely":"different"}"#), Err(DecodeError::Member(_))));
        assert!(matches!(read(br#"{"data":["differently"],"v":2}"#), Err(DecodeError::Newer)));
        assert!(matches!(read(br#"{"v":1,"id":7,"data":["differently"]}"#), Err(DecodeError::Member(_))));
        // What this version could not decode is no reason to take the whole for broken.
        let deep = format!("{}{}", r#"{"a":"#.repeat(126) + "{}", "}".repeat(126));
        let deeper = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for data in [&deep, &*deeper, r#"{"n":1e999}"#, r#"{"text":"\ud800"}"#] {
            assert!(
                matches!(read(format!(r#"{{"v":2,"data":{data}}}"#).as_bytes()), Err(DecodeError::Newer)),
                "{data}"
            );
        }
        let bytes = String::from_utf8(write(&contents())).unwrap();
        let no_object = bytes.replacen("\"data\":{", "\"data\":7,\"other\":{", 1);
        assert!(matches!(read(no_object.as_bytes()), Err(DecodeError::Member("data"))));
        let twice = bytes.replacen("\"data\":{", "\"data\":{\"first\":1},\"d\\u0061ta\":{", 1);
        assert_eq!(read(twice.as_bytes()).unwrap().data.as_str(), read(bytes.as_bytes()).unwrap().data.as_str());
        assert!(matches!(read(bytes.replacen("\"v\":1", "\"v\":9", 1).as_bytes()), Err(DecodeError::Newer)));
        assert!(matches!(read(bytes.replacen("\"v\":1", "\"v\":0", 1).as_bytes()), Err(DecodeError::Member("v"))));
    }

    #[test]
    fn rel_04_no_broken_byte_makes_it_panic() {
        let bytes = write(&contents());
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
