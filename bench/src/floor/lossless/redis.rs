//! The store in Redis, in one round trip for each call: a value is its version, the rest of the record, and the text.

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::http::StatusCode;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script, cmd};

use super::Done;
use super::data::Data;
use super::store::{Record, Store};

/// The least that replaces a value only if nobody else has: the server has no command for it before version 8.4. Takes the eight
/// bytes that the value begins with so far, the new value, and its time to live in milliseconds; answers whether it was replaced.
pub(crate) const SWAP: &str = "if redis.call('GETRANGE', KEYS[1], 0, 7) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// Nobody waits for an answer for ever.
const DEADLINE: Duration = Duration::from_secs(5);

pub(crate) struct InRedis {
    connection: ConnectionManager,
    swap: Script,
}

impl InRedis {
    pub(crate) async fn connect(url: &str) -> redis::RedisResult<Self> {
        let config = ConnectionManagerConfig::new().set_response_timeout(Some(DEADLINE));
        let connection = Client::open(url)?.get_connection_manager_with_config(config).await?;
        Ok(Self { connection, swap: Script::new(SWAP) })
    }
}

#[async_trait]
impl Store for InRedis {
    async fn create(&self, id: u128, record: Record) -> Done<bool> {
        let (value, life) = (write(&record), life(&record));
        let mut set = cmd("SET");
        set.arg(&id.to_be_bytes()).arg(value).arg("NX").arg("PX").arg(life);
        set.query_async(&mut self.connection.clone()).await.map_err(|error| unavailable(&error))
    }

    async fn load(&self, id: u128) -> Done<Option<Record>> {
        let mut get = cmd("GET");
        get.arg(&id.to_be_bytes());
        let value: Option<Vec<u8>> =
            get.query_async(&mut self.connection.clone()).await.map_err(|error| unavailable(&error))?;
        value.map(|value| read(&value).ok_or(StatusCode::INTERNAL_SERVER_ERROR)).transpose()
    }

    async fn save(&self, id: u128, record: Record) -> Done<bool> {
        let (before, value, life) = (record.version - 1, write(&record), life(&record));
        let mut swap = self.swap.key(&id.to_be_bytes());
        swap.arg(&before.to_be_bytes()).arg(value).arg(life);
        swap.invoke_async(&mut self.connection.clone()).await.map_err(|error| unavailable(&error))
    }
}

fn unavailable(_: &RedisError) -> StatusCode {
    StatusCode::SERVICE_UNAVAILABLE
}

/// In milliseconds.
fn life(record: &Record) -> u64 {
    let left = record.idle_until.min(record.ends).duration_since(SystemTime::now());
    left.map_or(1, |left| left.as_millis() as u64 + 1)
}

fn write(record: &Record) -> Vec<u8> {
    let text = record.data.text();
    let mut value = Vec::with_capacity(56 + text.len());
    value.extend(record.version.to_be_bytes());
    value.extend(record.digest);
    for time in [record.idle_until, record.ends] {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        value.extend((since_1970.as_millis() as u64).to_be_bytes());
    }
    value.extend(text.as_bytes());
    value
}

fn read(value: &[u8]) -> Option<Record> {
    let (version, rest) = value.split_first_chunk()?;
    let (digest, rest) = rest.split_first_chunk()?;
    let (idle_until, rest) = rest.split_first_chunk()?;
    let (ends, text) = rest.split_first_chunk()?;
    let time = |millis: &[u8; 8]| SystemTime::UNIX_EPOCH + Duration::from_millis(u64::from_be_bytes(*millis));
    Some(Record {
        version: u64::from_be_bytes(*version),
        digest: *digest,
        idle_until: time(idle_until),
        ends: time(ends),
        data: Data::read(str::from_utf8(text).ok()?)?.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let data = Data::default().with("n", "7").with("list", r#"[{"a":"}"}]"#);
        let record = Record { version: 3, digest: [7; 32], idle_until: now, ends: now, data: data.into() };
        let again = read(&write(&record)).unwrap();
        assert_eq!((again.version, again.digest), (3, [7; 32]));
        assert_eq!((again.idle_until, again.ends), (record.idle_until, record.ends));
        assert_eq!(["n", "list", "x"].map(|name| again.data.get(name)), ["n", "list", "x"].map(|n| record.data.get(n)));
        assert_eq!(again.data.with("n", "8").text(), r#"{"n":8,"list":[{"a":"}"}]}"#);
        let empty = Data::read("{}").unwrap();
        assert_eq!((empty.text(), empty.with("n", "7").text()), ("{}", r#"{"n":7}"#));
        for cut in 0..write(&record).len() {
            assert!(read(&write(&record)[..cut]).is_none_or(|record| record.data.get("n").is_none()), "{cut}");
        }
    }
}
