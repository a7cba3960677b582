//! What stands at a session's key: a line of text with numbers, and behind it names, user and data.
//!
//! One string, and not a hash: with data of 380 bytes a session took 598 bytes of the server's memory, and 839 as a hash
//! (Redis 7.0, 50,000 keys with their expiry), because a hash with a value of more than 64 bytes is kept as a table.

use std::str::FromStr;
use std::sync::Arc;

use super::{Payload, Record, SessionId, StoreError, Timestamp};

/// The line is no longer than this: five numbers, of which no one has more than 20 digits.
const LINE_MAX: usize = 105;

/// How the line says that there is no user.
const NOBODY: &str = "-";

/// A value that nobody has written to before. `horizon` is empty if there is no user.
pub(super) fn new(record: &Record, horizon: &str, write: [u8; 8], payload: &[u8]) -> Vec<u8> {
    let (version, expires, user) = (record.version, record.expires_at.as_millis(), user_length(record));
    let mut value = format!("{version} {expires} {horizon} {} {user}\n", write.len()).into_bytes();
    value.extend(write);
    value.extend(body(record, payload));
    value
}

/// What comes behind the names of writes.
pub(super) fn body(record: &Record, payload: &[u8]) -> Vec<u8> {
    [record.user.as_deref().unwrap_or_default().as_bytes(), payload].concat()
}

/// The user's length in bytes, as the line has it.
pub(super) fn user_length(record: &Record) -> String {
    record.user.as_ref().map_or_else(|| NOBODY.to_owned(), |user| user.len().to_string())
}

pub(super) fn read(id: SessionId, value: Vec<u8>) -> Result<Record, StoreError> {
    let no_line = || StoreError::corrupt("the value does not begin with a line of five numbers");
    let end = value.iter().take(LINE_MAX).position(|byte| *byte == b'\n').ok_or_else(no_line)?;
    let line = str::from_utf8(&value[..end]).map_err(StoreError::corrupt)?;
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or_else(no_line);
    let (version, expires, _, names, user) = (word()?, word()?, word()?, word()?, word()?);
    let (version, expires) = (number(version)?, number(expires)?);
    let user_start = number::<usize>(names)?.saturating_add(end + 1);
    let user_length = if user == NOBODY { None } else { Some(number::<usize>(user)?) };
    let data_start = user_start.saturating_add(user_length.unwrap_or_default());
    let user_bytes = value.get(user_start..data_start).ok_or_else(|| StoreError::corrupt("the value is cut off"))?;
    let user = str::from_utf8(user_bytes).map_err(StoreError::corrupt)?;
    Ok(Record {
        id,
        version,
        user: user_length.map(|_| Arc::from(user)),
        expires_at: Timestamp::from_millis(expires),
        payload: Payload::from_bytes(bytes::Bytes::from(value).slice(data_start..)),
    })
}

fn number<T: FromStr<Err = std::num::ParseIntError>>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(StoreError::corrupt)
}
