//! How a record lies in its file: a head of fixed length, the user, the payload.
//!
//! ```text
//!  0   7  "cloakrm"
//!  7   1  format, 1
//!  8  16  id
//! 24   8  version
//! 32   8  expires_at
//! 40   4  length of the user; 2^32 - 1 if there is none
//! 44   8  length of the payload
//! 52  16  checksum of the payload
//! 68  16  checksum of all that is above and of the user
//! 84      user, payload
//! ```
//!
//! Numbers are big-endian. The head has a checksum of its own, so that a search may trust it without reading the payload.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::clock::Timestamp;
use crate::record::{Payload, Record, Version};
use crate::token::SessionId;

const MAGIC: &[u8; 7] = b"cloakrm";
const FORMAT: u8 = 1;
const NO_USER: u32 = u32::MAX;
const FIXED: usize = 84;
const CHECKSUM_AT: usize = 68;

/// How much a search reads at first: enough for the head and any sensible user.
const FIRST_READ: usize = 512;

/// The most bytes that a payload may have.
pub(super) const PAYLOAD_MAX: usize = 1 << 30;
/// The most bytes that a user may have.
pub(super) const USER_MAX: usize = 1 << 20;

type Checksum = [u8; 16];

/// Why a file is not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    Corrupt(&'static str),
    /// Written by a newer version of this crate.
    Newer(u8),
}

/// All of a record but its payload.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) user: Option<Arc<str>>,
    pub(super) expires_at: Timestamp,
    payload_checksum: Checksum,
}

impl Head {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// How many bytes it takes: the payload begins there.
    fn len(&self) -> usize {
        FIXED + self.user.as_ref().map_or(0, |user| user.len())
    }

    /// From the beginning of a file of the length `file_len`; `bytes` holds the head as a whole.
    fn parse(id: SessionId, bytes: &[u8], file_len: u64) -> Result<Self, Unreadable> {
        let Lengths { head, has_user } = lengths(bytes, file_len)?;
        let bytes = bytes.get(..head).ok_or(Unreadable::Corrupt("it ends within its head"))?;
        let user = &bytes[FIXED..];
        if checksum(&[&bytes[..CHECKSUM_AT], user]) != field::<16>(bytes, CHECKSUM_AT) {
            return Err(Unreadable::Corrupt("the checksum of its head is wrong"));
        }
        if field::<16>(bytes, 8) != *id.as_bytes() {
            return Err(Unreadable::Corrupt("it is the record of another session"));
        }
        let as_text = || str::from_utf8(user).map_err(|_| Unreadable::Corrupt("its user is not text"));
        let user = if has_user { Some(as_text()?.into()) } else { None };
        Ok(Self {
            version: u64::from_be_bytes(field(bytes, 24)),
            user,
            expires_at: Timestamp::from_millis(i64::from_be_bytes(field(bytes, 32))),
            payload_checksum: field(bytes, 52),
        })
    }
}

struct Lengths {
    head: usize,
    has_user: bool,
}

/// What the fixed part says of the lengths, if that is the length of the file.
fn lengths(bytes: &[u8], file_len: u64) -> Result<Lengths, Unreadable> {
    if file_len == 0 {
        return Err(Unreadable::Corrupt("it is empty"));
    }
    if bytes.len() < FIXED {
        return Err(Unreadable::Corrupt("it ends within its head"));
    }
    if &bytes[..7] != MAGIC {
        return Err(Unreadable::Corrupt("it does not begin as a record does"));
    }
    match bytes[7] {
        FORMAT => {}
        0 => return Err(Unreadable::Corrupt("there is no format 0")),
        newer => return Err(Unreadable::Newer(newer)),
    }
    let user = u32::from_be_bytes(field(bytes, 40));
    let has_user = user != NO_USER;
    let head = FIXED as u64 + if has_user { u64::from(user) } else { 0 };
    if head.checked_add(u64::from_be_bytes(field(bytes, 44))) != Some(file_len) {
        return Err(Unreadable::Corrupt("it is shorter or longer than it says"));
    }
    let head = usize::try_from(head).map_err(|_| Unreadable::Corrupt("its user is too long"))?;
    Ok(Lengths { head, has_user })
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[at..at + N]);
    field
}

fn checksum(parts: &[&[u8]]) -> Checksum {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    field(&hasher.finalize(), 0)
}

/// What stands before the payload.
pub(super) fn encode_head(record: &Record, payload: &[u8]) -> Vec<u8> {
    let user = record.user.as_deref().unwrap_or("").as_bytes();
    // No user is that long: `USER_MAX` comes first.
    let user_len = record.user.as_ref().map_or(NO_USER, |user| u32::try_from(user.len()).unwrap_or(NO_USER));
    let mut head = Vec::with_capacity(FIXED + user.len());
    head.extend_from_slice(MAGIC);
    head.push(FORMAT);
    head.extend_from_slice(record.id.as_bytes());
    head.extend_from_slice(&record.version.to_be_bytes());
    head.extend_from_slice(&record.expires_at.as_millis().to_be_bytes());
    head.extend_from_slice(&user_len.to_be_bytes());
    head.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    head.extend_from_slice(&checksum(&[payload]));
    let own = checksum(&[&head, user]);
    head.extend_from_slice(&own);
    head.extend_from_slice(user);
    head
}

/// The record in a file.
pub(super) fn read_record(id: SessionId, file: &mut File) -> io::Result<Result<Record, Unreadable>> {
    let file_len = file.metadata()?.len();
    if file_len > (FIXED + USER_MAX + PAYLOAD_MAX) as u64 {
        return Ok(Err(Unreadable::Corrupt("it is larger than any record")));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(file_len).unwrap_or(0));
    file.read_to_end(&mut bytes)?;
    Ok(decode(id, bytes))
}

fn decode(id: SessionId, bytes: Vec<u8>) -> Result<Record, Unreadable> {
    let file_len = bytes.len() as u64;
    let head = Head::parse(id, &bytes, file_len)?;
    let payload = Bytes::from(bytes).split_off(head.len());
    if checksum(&[&payload]) != head.payload_checksum {
        return Err(Unreadable::Corrupt("the checksum of its payload is wrong"));
    }
    let Head { version, user, expires_at, .. } = head;
    Ok(Record { id, version, user, expires_at, payload: Payload::from_bytes(payload) })
}

/// The head of the record in a file. The payload is not read.
pub(super) fn read_head(id: SessionId, file: &mut File) -> io::Result<Result<Head, Unreadable>> {
    let file_len = file.metadata()?.len();
    let mut bytes = vec![0; FIRST_READ];
    let mut filled = 0;
    while filled < FIXED {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    if let Ok(Lengths { head, .. }) = lengths(&bytes, file_len)
        && let Some(missing @ 1..) = head.checked_sub(filled)
    {
        if head > FIXED + USER_MAX {
            return Ok(Err(Unreadable::Corrupt("its user is too long")));
        }
        file.take(missing as u64).read_to_end(&mut bytes)?;
    }
    Ok(Head::parse(id, &bytes, file_len))
}
