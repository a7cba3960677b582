//! A record as Memcached keeps it: a head with what the contract asks for, then the user, then the payload.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::StoreError;
use crate::record::{Payload, Record, Version};
use crate::token::SessionId;

/// The first byte of every item.
const FORMAT: u8 = 1;

/// Format, version, expiry, length of the user.
const HEAD: usize = 1 + 8 + 8 + 4;

/// Where the expiry is.
const EXPIRY: std::ops::Range<usize> = 9..17;

/// In place of a user's length: there is none.
const NO_USER: u32 = u32::MAX;

/// How much longer than the record Memcached keeps the item: its clock may be ahead of the caller's.
const SLACK: Duration = Duration::from_mins(10);

/// Beyond this Memcached is told the date, which depends on two clocks rather than on one.
const RELATIVE_MAX: Duration = Duration::from_hours(30 * 24);

/// Dates have 32 bits.
const TTL_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// What is in front of every record.
pub(super) struct Head {
    pub(super) version: Version,
    pub(super) expires_at: Timestamp,
    user_length: u32,
}

impl Head {
    pub(super) fn of(value: &[u8]) -> Result<Self, StoreError> {
        let Some(([format, fields @ ..], _)) = value.split_first_chunk::<HEAD>() else {
            return Err(StoreError::corrupt("the item does not begin as a record does"));
        };
        match *format {
            FORMAT => {}
            // Somebody's good session, for processes that are up to date. What others keep there is hardly anything but text.
            newer @ 2..b' ' => {
                let what =
                    format!("the item has the format {newer} of a newer version of this crate; it was left as it is");
                return Err(StoreError::unavailable(what));
            }
            _ => return Err(StoreError::corrupt("the item does not begin as a record does")),
        }
        let mut fields = &fields[..];
        let version = u64::from_be_bytes(take(&mut fields)?);
        let expires_at = Timestamp::from_millis(i64::from_be_bytes(take(&mut fields)?));
        Ok(Self { version, expires_at, user_length: u32::from_be_bytes(take(&mut fields)?) })
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], StoreError> {
    let (first, rest) = bytes.split_first_chunk().ok_or_else(|| StoreError::corrupt("the item ends too soon"))?;
    *bytes = rest;
    Ok(*first)
}

pub(super) fn encode(record: &Record) -> Result<Vec<u8>, StoreError> {
    let payload = record.payload.to_bytes()?;
    let user = record.user.as_deref().unwrap_or_default();
    let length = u32::try_from(user.len()).map_err(StoreError::other)?;
    let mut value = Vec::with_capacity(HEAD + user.len() + payload.len());
    value.push(FORMAT);
    value.extend(record.version.to_be_bytes());
    value.extend(record.expires_at.as_millis().to_be_bytes());
    value.extend(record.user.as_ref().map_or(NO_USER, |_| length).to_be_bytes());
    value.extend(user.as_bytes());
    value.extend(&payload[..]);
    Ok(value)
}

pub(super) fn decode(id: SessionId, value: Vec<u8>) -> Result<Record, StoreError> {
    let head = Head::of(&value)?;
    let mut payload = bytes::Bytes::from(value).split_off(HEAD);
    let user = if head.user_length == NO_USER {
        None
    } else {
        let length = usize::try_from(head.user_length).map_err(StoreError::corrupt)?;
        if length > payload.len() {
            return Err(StoreError::corrupt("the item ends before the user does"));
        }
        Some(std::str::from_utf8(&payload.split_to(length)).map_err(StoreError::corrupt)?.into())
    };
    let payload = Payload::from_bytes(payload);
    Ok(Record { id, version: head.version, user, expires_at: head.expires_at, payload })
}

pub(super) fn set_expiry(value: &mut [u8], expires_at: Timestamp) -> Result<(), StoreError> {
    let place = value.get_mut(EXPIRY).ok_or_else(|| StoreError::corrupt("the item ends too soon"))?;
    place.copy_from_slice(&expires_at.as_millis().to_be_bytes());
    Ok(())
}

/// For how many seconds Memcached is to keep the item. The record's own expiry decides; this only cleans up.
pub(super) fn time_to_live(expires_at: Timestamp, now: Timestamp) -> u32 {
    let mut ttl = expires_at.saturating_since(now).saturating_add(SLACK);
    if ttl > RELATIVE_MAX {
        ttl = ttl.saturating_add(Duration::from_hours(24));
    }
    u32::try_from(ttl.min(TTL_MAX).as_secs() + 1).expect("ten years of seconds have 29 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::StoreErrorKind;

    fn record(user: Option<&str>) -> Record {
        Record {
            id: SessionId::from_bytes([7; 16]),
            version: 9,
            user: user.map(Into::into),
            expires_at: Timestamp::from_millis(-5),
            payload: Payload::from_bytes(&b"\0\r\npayload"[..]),
        }
    }

    #[test]
    fn a_record_comes_back_and_so_does_its_new_expiry() {
        for user in [None, Some(""), Some("\u{e4}da")] {
            let record = record(user);
            let mut value = encode(&record).unwrap();
            set_expiry(&mut value, Timestamp::MAX).unwrap();
            assert_eq!(value.len(), HEAD + user.unwrap_or("").len() + 10);
            let found = decode(record.id, value).unwrap();
            assert_eq!((found.id, found.version, found.user), (record.id, 9, record.user));
            assert_eq!(found.expires_at, Timestamp::MAX);
            assert_eq!(found.payload.to_bytes().unwrap(), record.payload.to_bytes().unwrap());
        }
    }

    #[test]
    fn what_is_cut_off_or_foreign_is_corrupt() {
        let value = encode(&record(Some("ada"))).unwrap();
        for length in 0..HEAD + 3 {
            assert!(decode(record(None).id, value[..length].into()).is_err(), "{length}");
        }
        for format in [0, b' ', b'a', 0xff] {
            let mut foreign = value.clone();
            foreign[0] = format;
            assert_eq!(decode(record(None).id, foreign).unwrap_err().kind(), StoreErrorKind::Corrupt);
        }
        let mut no_text = value;
        no_text[HEAD] = 0xff;
        assert!(decode(record(None).id, no_text).is_err());
    }

    #[test]
    fn rel_19_a_newer_format_is_no_damage() {
        let mut value = encode(&record(None)).unwrap();
        value[0] = FORMAT + 1;
        let error = decode(record(None).id, value).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Unavailable);
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("newer version"));
    }

    #[test]
    fn memcached_keeps_it_longer_than_it_lives_and_never_forever() {
        let now = Timestamp::from_millis(1_000);
        let ttl = |life| time_to_live(now.saturating_add(life), now);
        assert_eq!(ttl(Duration::from_millis(1)), 601);
        assert_eq!(time_to_live(Timestamp::from_millis(0), now), 601);
        assert_eq!(ttl(Duration::from_hours(1)), 3_600 + 601);
        let month = Duration::from_hours(30 * 24);
        assert_eq!(u64::from(ttl(month)), month.as_secs() + 601 + 86_400);
        assert_eq!(u64::from(time_to_live(Timestamp::MAX, Timestamp::from_millis(i64::MIN))), TTL_MAX.as_secs() + 1);
    }
}
