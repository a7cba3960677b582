//! The store in Redis and Valkey.
//!
//! A session is one string at prefix + id, changed by commands and scripts that touch this key and no other, so that every
//! operation works on a cluster and costs one round trip.
//!
//! # The user index
//!
//! The sessions of a user are a sorted set at prefix + `user:` + user. On a cluster it lives on another node than the
//! records, so that no step can change both. Instead one rule holds at all times, through every crash and race:
//!
//! > A record with a user has a *horizon*, not earlier than its expiry. The set of this user has the
//! > record's id, with a score not lower than the horizon.
//!
//! The set is written *before* a record that needs it, scores only rise, and an entry leaves the set when its score is over,
//! and in no other way. So an entry may stand for a record that is gone, or that is someone else's by now:
//! `records_of` looks at each. It must not remove what it finds dead, for the entry may be the one of a login that is just
//! about to write its record. `records_of` reads past such entries until their scores are over.
//!
//! A horizon is as far behind the expiry as the expiry is from now. Thus a session in use writes to the set once in
//! an idle timeout, not at every touch or save: the script that finds the horizon too near says `index` and writes nothing;
//! the caller writes the set, and runs the script again.
//!
//! # Writes that are sent twice
//!
//! A cluster's client sends a command again if the connection breaks before the answer. A second run of a save that took
//! effect would find the version changed, and call its own write a conflict. So every create and save has a name
//! of its own, of eight bytes. The value keeps those of the last eight: a script that finds its name there has been run
//! already.

mod connect;
mod failure;
mod scripts;
#[cfg(feature = "redis-sentinel")]
mod sentinel;
mod value;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::{ConnectionLike, ConnectionManager};
use redis::{Value, cmd};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Payload, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, StoreErrorKind, Timestamp, UserIndex, Version,
};
use failure::to_store_error;
use scripts::Lua;
#[cfg(feature = "redis-sentinel")]
pub use sentinel::SentinelConnection;

/// How much later than a record's own expiry the server may clean it up: clocks differ.
const SLACK: Duration = Duration::from_mins(1);

/// The longest time to live to ask for, in milliseconds: the server adds its clock to it.
const TTL_MAX: u64 = 1 << 52;

/// The largest value that Redis takes.
const PAYLOAD_MAX: usize = 512 << 20;

/// Longer than the client waits for a connection, shorter than anybody waits for a page.
const TIMEOUT: Duration = Duration::from_millis(1_500);

/// How many records of a user are loaded at the same time.
const LOADED_AT_ONCE: usize = 64;

/// Keeps sessions in Redis or Valkey: a single server, a cluster, or one master behind sentinels.
///
/// Needs Redis 4 or newer, or any Valkey. Every operation is one command on one key. A session with a user needs two more when
/// the user changes, and now and then (about once in an idle timeout) when its life is prolonged.
///
/// Clones share one connection.
///
/// | | |
/// |---|---|
/// | survives a restart | as far as the server does: `appendonly yes` keeps all but the last second, with `appendfsync always` everything that was acknowledged; without `appendonly`, what the last snapshot has |
/// | several machines | yes |
/// | user index | yes |
/// | what can be lost | what the server had not written to disk when it died; at a failover, what the master had not sent to the replica that follows it; anything, with a `maxmemory-policy` other than `noeviction` |
///
/// # What can be lost, and when
///
/// **At a restart** of the server, what its persistence settings allow: see above. A lost write can be a logout, so
/// that the session is back: use `appendfsync always` where this matters, or a database.
///
/// **At a failover**, with cluster and sentinels alike: replication is asynchronous, and this store does not `WAIT`. Writes
/// of the last moment, acknowledged ones and logouts among them, are lost if the new master had not seen them; so is
/// what an old master accepts while it is cut off, or replaced by `SENTINEL FAILOVER` (up to a second's writes). `min-replicas-to-write 1` and `min-replicas-max-lag` bound the latter. On
/// a cluster the user index can so lose an entry whose session survives on another node. It comes back
/// when the session's horizon is over: within about one idle timeout of use.
///
/// **When memory is full**: with `noeviction` writes fail and nothing is lost. All other policies throw sessions out, or user
/// indices, before their time. Set `maxmemory-policy noeviction`.
///
/// Records clean themselves up a minute after they have expired, by the server's clock, so that a sweeper finds none and
/// [`SessionEvent::Expired`](crate::SessionEvent::Expired) is never told; whether a record is alive is
/// decided by the clock of the application alone, to the millisecond.
///
/// # When the server is away
///
/// No call takes longer than [`timeout`](Self::timeout), and most fail at once. The store reconnects by itself. Whoever goes
/// through all sessions waits as long for each 64 of them.
///
/// # In the server
///
/// The session `67e55044-10b1-426f-9247-bb680e5fe0c8` is the string `session:67e55044-10b1-426f-9247-bb680e5fe0c8`. It begins
/// with a line of its version, its expiry (milliseconds since 1970), and numbers that the store needs for itself; behind that are
/// user and data. The sessions of `ada` are in the sorted set `session:user:ada`. A user of the server needs the permissions
/// `~session:* +ping +evalsha +eval +get +getrange +set +setrange +del +pexpire +zadd +zscore +zrevrange +zrangebyscore +zremrangebyscore`,
/// `+select` for a database other than 0, `+role` behind sentinels (which are asked by `+sentinel|get-master-addr-by-name`),
/// `+cluster|slots +asking` on a cluster, and `+scan` for whoever goes through all of them
/// ([`inventory`](SessionStore::inventory), which a cluster does not have).
///
/// # Example: a server
///
/// ```no_run
/// # async fn run() -> Result<(), cloakroom::store::StoreError> {
/// use cloakroom::{RedisStore, SessionLayer};
///
/// let layer = SessionLayer::new(RedisStore::connect("redis://localhost").await?);
/// # Ok(())
/// # }
/// ```
///
/// # Example: a connection that the application has already
///
/// The settings that it was made with hold. By its own defaults a `ConnectionManager` waits for 9 seconds while the server is down;
/// here [`timeout`](Self::timeout) ends that.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use cloakroom::RedisStore;
/// use cloakroom::redis::Client;
///
/// let connection = Client::open("redis://localhost/1")?.get_connection_manager().await?;
/// let store = RedisStore::new(connection.clone()).prefix("shop:");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RedisStore<C = ConnectionManager> {
    connection: C,
    prefix: Arc<str>,
    timeout: Duration,
    writes: Arc<WriteNames>,
}

impl<C> RedisStore<C> {
    /// Over a connection of the application. It should reconnect by itself: the store does not.
    pub fn new(connection: C) -> Self {
        Self { connection, prefix: "session:".into(), timeout: TIMEOUT, writes: Arc::default() }
    }

    /// What the names of all keys begin with, `session:` if nothing else is said. Applications that share a database need
    /// prefixes of which none begins with another.
    ///
    /// On a cluster, a prefix with something in braces puts all sessions on one node.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a call may take, 1.5 seconds if nothing else is said. A call that takes longer fails as
    /// [`TimedOut`](crate::store::StoreErrorKind::TimedOut).
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn key(&self, id: SessionId) -> String {
        [&self.prefix, &*id.as_uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer())].concat()
    }

    fn index_key(&self, user: &str) -> String {
        format!("{}user:{user}", self.prefix)
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| Err(StoreError::timed_out(self.timeout)))
    }
}

/// Gives every write a name that no other write has.
struct WriteNames {
    process: u64,
    count: AtomicU64,
}

impl Default for WriteNames {
    fn default() -> Self {
        Self { process: RandomState::new().hash_one(()), count: AtomicU64::new(0) }
    }
}

impl WriteNames {
    fn next(&self) -> [u8; 8] {
        self.process.wrapping_add(self.count.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
    }
}

/// What a script has to say.
enum Answer {
    Done,
    Exists,
    Conflict,
    Gone,
    /// Nothing was written: the index of this user has to come first.
    IndexFirst(String),
}

impl Answer {
    /// The outcome of a save or touch.
    fn outcome(self) -> Result<SaveOutcome, StoreError> {
        match self {
            Self::Done => Ok(SaveOutcome::Saved),
            Self::Conflict => Ok(SaveOutcome::Conflict),
            Self::Gone => Ok(SaveOutcome::Gone),
            Self::Exists | Self::IndexFirst(_) => Err(unexpected_answer()),
        }
    }
}

impl<C: ConnectionLike + Clone + Send + Sync + 'static> RedisStore<C> {
    async fn run(&self, script: &Lua, key: &str, arguments: &[&[u8]]) -> Result<Answer, StoreError> {
        let answer = script.run(&mut self.connection.clone(), key, arguments).await.map_err(to_store_error)?;
        match answer {
            Value::BulkString(word) => match word.as_slice() {
                b"done" => Ok(Answer::Done),
                b"exists" => Ok(Answer::Exists),
                b"conflict" => Ok(Answer::Conflict),
                b"gone" => Ok(Answer::Gone),
                _ => Err(unexpected_answer()),
            },
            index => match redis::from_redis_value::<(String, String)>(index) {
                Ok((word, user)) if word == "index" => Ok(Answer::IndexFirst(user)),
                _ => Err(unexpected_answer()),
            },
        }
    }

    /// Sees to it that the index of the user has the record until its horizon, which is the result.
    async fn index(
        &self,
        user: &str,
        id: SessionId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let horizon = expires_at.saturating_add(expires_at.saturating_since(now)).as_millis().to_string();
        let arguments = [id.to_string(), horizon, over(now)];
        self.run(&scripts::INDEX, &self.index_key(user), &arguments.each_ref().map(String::as_bytes)).await?;
        let [_, horizon, _] = arguments;
        Ok(horizon)
    }

    /// The record, live or not.
    async fn read(&self, id: SessionId) -> Result<Option<Record>, StoreError> {
        let value: Option<Vec<u8>> =
            cmd("GET").arg(self.key(id)).query_async(&mut self.connection.clone()).await.map_err(to_store_error)?;
        value.map(|value| value::read(id, value)).transpose()
    }

    /// Reads records, live or not, many at the same time.
    async fn read_all(
        &self,
        ids: &[SessionId],
    ) -> Result<Vec<(SessionId, Result<Option<Record>, StoreError>)>, StoreError> {
        let mut records = Vec::with_capacity(ids.len());
        for ids in ids.chunks(LOADED_AT_ONCE) {
            // Not a pipeline: on a cluster the records are on different nodes.
            let mut reads = JoinSet::new();
            for id in ids.iter().copied() {
                let store = self.clone();
                reads.spawn(async move { (id, store.read(id).await) });
            }
            let read_all = async {
                while let Some(read) = reads.join_next().await {
                    records.push(read.map_err(StoreError::other)?);
                }
                Ok(())
            };
            self.within(read_all).await?;
        }
        Ok(records)
    }
}

/// Before when an entry of an index is over, as a score.
fn over(now: Timestamp) -> String {
    now.as_millis().saturating_sub_unsigned(millis(SLACK)).to_string()
}

fn time_to_live(expires_at: Timestamp, now: Timestamp) -> String {
    millis(expires_at.saturating_since(now).saturating_add(SLACK)).min(TTL_MAX).to_string()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn check_size(payload: &[u8]) -> Result<(), StoreError> {
    if payload.len() > PAYLOAD_MAX { Err(StoreError::too_large(payload.len(), PAYLOAD_MAX)) } else { Ok(()) }
}

fn unexpected_answer() -> StoreError {
    StoreError::other("the server gave an answer that no script of this store gives")
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> SessionStore for RedisStore<C> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let payload = record.payload.to_bytes()?;
        check_size(&payload)?;
        let create = async {
            let horizon = match &record.user {
                Some(user) => self.index(user, record.id, record.expires_at, now).await?,
                None => String::new(),
            };
            let write = self.writes.next();
            let value = value::new(record, &horizon, write, &payload);
            let (key, ttl) = (self.key(record.id), time_to_live(record.expires_at, now));
            let mut set = cmd("SET");
            set.arg(&key).arg(&value).arg("NX").arg("PX").arg(&ttl);
            if set.query_async(&mut self.connection.clone()).await.map_err(to_store_error)? {
                return Ok(CreateOutcome::Created);
            }
            // Something is there: a stranger's, this very write if it was sent twice, or what has expired and is not cleaned up.
            let now = now.as_millis().to_string();
            let arguments: [&[u8]; 4] = [now.as_bytes(), &value, &write, ttl.as_bytes()];
            match self.run(&scripts::CREATE, &key, &arguments).await? {
                Answer::Done => Ok(CreateOutcome::Created),
                Answer::Exists => Ok(CreateOutcome::Exists),
                _ => Err(unexpected_answer()),
            }
        };
        self.within(create).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.within(self.read(id)).await?.filter(|record| record.is_live(now)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let payload = record.payload.to_bytes()?;
        check_size(&payload)?;
        let key = self.key(record.id);
        let body = value::body(record, &payload);
        let texts = [
            now.as_millis().to_string(),
            expected.to_string(),
            record.version.to_string(),
            record.expires_at.as_millis().to_string(),
            value::user_length(record),
            time_to_live(record.expires_at, now),
        ];
        let [at, expected, version, expires, user, ttl] = texts.each_ref().map(String::as_bytes);
        let write = self.writes.next();
        let save = async |horizon: &str| {
            let arguments = [at, expected, version, expires, user, &body, &write, ttl, horizon.as_bytes()];
            self.run(&scripts::SAVE, &key, &arguments).await
        };
        let save = async {
            match save("").await? {
                Answer::IndexFirst(user) => {
                    save(&self.index(&user, record.id, record.expires_at, now).await?).await.and_then(Answer::outcome)
                }
                answer => answer.outcome(),
            }
        };
        self.within(save).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let key = self.key(id);
        let texts = [
            now.as_millis().to_string(),
            expected.to_string(),
            expires_at.as_millis().to_string(),
            time_to_live(expires_at, now),
        ];
        let [at, expected, expires, ttl] = texts.each_ref().map(String::as_bytes);
        let touch = async |horizon: &str| {
            self.run(&scripts::TOUCH, &key, &[at, expected, expires, ttl, horizon.as_bytes()]).await
        };
        let touch = async {
            match touch("").await? {
                // If the user changes meanwhile, so does the version.
                Answer::IndexFirst(user) => {
                    touch(&self.index(&user, id, expires_at, now).await?).await.and_then(Answer::outcome)
                }
                answer => answer.outcome(),
            }
        };
        self.within(touch).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        let delete = async {
            cmd("DEL").arg(self.key(id)).exec_async(&mut self.connection.clone()).await.map_err(to_store_error)
        };
        self.within(delete).await
    }

    async fn expired(&self, _: Timestamp, _: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete_expired(&self, _: &[SessionId], _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        // Each node tells of its own keys only.
        #[cfg(feature = "redis-cluster")]
        if std::any::TypeId::of::<C>() == std::any::TypeId::of::<redis::cluster_async::ClusterConnection>() {
            return None;
        }
        Some(self)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> UserIndex for RedisStore<C> {
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let find = async {
            let entries: Vec<Vec<u8>> = cmd("ZRANGEBYSCORE")
                .arg(self.index_key(user))
                .arg(over(now))
                .arg("+inf")
                .query_async(&mut self.connection.clone())
                .await
                .map_err(to_store_error)?;
            let ids: Vec<SessionId> =
                entries.iter().filter_map(|entry| str::from_utf8(entry).ok()?.parse().ok()).collect();
            let mut records = Vec::new();
            for (_, record) in self.read_all(&ids).await? {
                records.extend(record?.filter(|record| record.is_live(now) && record.user.as_deref() == Some(user)));
            }
            Ok(records)
        };
        self.within(find).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<C: ConnectionLike + Clone + Send + Sync + 'static> Inventory for RedisStore<C> {
    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
        let scan = async {
            cmd("SCAN")
                .arg(bookmark.map_or(&b"0"[..], |cursor| cursor))
                .arg("MATCH")
                .arg(pattern(&self.prefix))
                .arg("COUNT")
                .arg(limit.max(1))
                .query_async::<(Bytes, Vec<Vec<u8>>)>(&mut self.connection.clone())
                .await
                .map_err(to_store_error)
        };
        let (cursor, keys) = self.within(scan).await?;
        // Keys of the index, and of others whose prefix begins like this one, are no ids.
        let id_of = |key: &Vec<u8>| str::from_utf8(key).ok()?.strip_prefix(&*self.prefix)?.parse().ok();
        let ids: Vec<SessionId> = keys.iter().filter_map(id_of).collect();
        let mut page = Page { next: Some(cursor).filter(|cursor| cursor != "0"), ..Page::default() };
        for (id, record) in self.read_all(&ids).await? {
            match record {
                Err(error) if error.kind() == StoreErrorKind::Corrupt => page.unreadable.push(id),
                record => page.records.extend(record?),
            }
        }
        Ok(page)
    }
}

/// What all keys with this prefix match, and no others.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '^' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern + "*"
}

impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
