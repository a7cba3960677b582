//! The store in Memcached.

mod client;
mod item;
mod servers;

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, SessionId, SessionStore, StoreError,
    Timestamp, UserIndex, Version,
};
use crate::error::ConfigError;
use client::{Client, Found, Replaced};

pub use servers::MemcachedServer;

/// How long a call may take, if nothing else is said. Memcached answers within a millisecond, or is in trouble.
const TIMEOUT: Duration = Duration::from_secs(1);

/// With the 32 characters of the id a key stays below Memcached's 250.
const PREFIX_MAX: usize = 200;

/// Keeps sessions in Memcached, on one server or several. Needs Memcached 1.6 or later.
///
/// Fast and forgetful: Memcached is a cache. Choose it if a visitor who has to log in again, now and then, is an
/// acceptable price.
///
/// | | |
/// |---|---|
/// | survives a restart | no |
/// | several machines | yes |
/// | user index | no |
/// | what can be lost | any session at any time when the server's memory is full; all of a server's sessions when it restarts |
///
/// A save and a touch are two round trips, everything else is one. Expired sessions disappear by themselves, so
/// a sweeper finds none, and [`SessionEvent::Expired`](crate::SessionEvent::Expired) is never told.
///
/// # What is lost, and when
///
/// A server whose memory (`-m`, 64 MB unless given) is full *evicts*: it drops what has not been used for longest. The
/// visitor is logged out. Give it enough memory, and watch its counter `evictions`, which should be 0. The option `-M`,
/// to refuse instead of evicting, does not help: a write that is refused takes the old item with it.
///
/// A server that is not reachable makes the requests of its sessions fail; they are not moved to another server. When
/// it is back, after a restart, those sessions are gone. The store recovers by itself.
///
/// A session that was logged out does not come back in any of these cases.
///
/// # Several servers
///
/// Each session is on one server, chosen by its id (weighted rendezvous hashing): nothing is kept twice. All processes
/// need the same list of addresses, spelled in the same way, and the same weights; the order does not matter. When a
/// server is added or removed, or a weight is changed, only the sessions whose place it is or becomes are lost, in
/// proportion to the weights.
///
/// # Security
///
/// Whoever can reach a Memcached can read, change and delete everything: the protocol has neither passwords nor
/// encryption here. Keep it on a network of its own, and see to it that it does not listen on UDP.
///
/// # Example: two servers, one of them with twice the memory
///
/// ```no_run
/// use cloakroom::{MemcachedServer, MemcachedStore, SessionLayer};
///
/// # async fn connect() -> Result<(), Box<dyn std::error::Error>> {
/// let servers = [MemcachedServer::new("cache-1:11211"), MemcachedServer::new("cache-2:11211").weight(2)];
/// let store = MemcachedStore::connect(servers).await?.prefix("shop:")?;
/// let layer = SessionLayer::new(store);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MemcachedStore {
    client: Client,
    prefix: Arc<str>,
    timeout: Duration,
    max_record_bytes: usize,
}

impl MemcachedStore {
    /// The size that a record may have, in bytes, with Memcached's own limit of 1 MiB for an item: what is left for the
    /// key and Memcached's account of the item is 1 KiB. A record is its payload, its user and 21 bytes.
    pub const MAX_RECORD_BYTES: usize = (1 << 20) - (1 << 10);

    /// For sessions on these servers: each is an address such as `"127.0.0.1:11211"`, alone or with its weight.
    ///
    /// Host names are resolved now, and once: if one moves to another address, the store has to be made anew. The
    /// servers need not be up: the first call finds out.
    ///
    /// # Errors
    ///
    /// [`Unavailable`](super::StoreErrorKind::Unavailable) if a name cannot be resolved,
    /// [`Other`](super::StoreErrorKind::Other) if there is no server in the list.
    pub async fn connect<S: Into<MemcachedServer>>(servers: impl IntoIterator<Item = S>) -> Result<Self, StoreError> {
        Ok(Self {
            client: Client::connect(servers.into_iter().map(Into::into).collect()).await?,
            prefix: "cloakroom:".into(),
            timeout: TIMEOUT,
            max_record_bytes: Self::MAX_RECORD_BYTES,
        })
    }

    /// What keys begin with: `cloakroom:` unless it is given. Two applications that share a server need different ones.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Limit`] if it is longer than 200 bytes or has anything but visible ASCII characters.
    pub fn prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        if prefix.len() > PREFIX_MAX || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
            let range = "at most 200 ASCII characters, without blanks and control characters";
            return Err(ConfigError::Limit { option: "MemcachedStore::prefix", range });
        }
        self.prefix = prefix.into();
        Ok(self)
    }

    /// How long a call may take, connecting and waiting for a connection included: a second unless it is given.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The size that a record may have, in bytes, instead of [`MAX_RECORD_BYTES`](Self::MAX_RECORD_BYTES): for servers
    /// with another limit for items (`-I`), of which 1 KiB is to be left. Larger records are refused before they are
    /// sent: Memcached itself would drop the session.
    #[must_use]
    pub fn max_record_bytes(mut self, bytes: usize) -> Self {
        self.max_record_bytes = bytes;
        self
    }

    fn key(&self, id: SessionId) -> String {
        let mut key = String::with_capacity(self.prefix.len() + 32);
        key.push_str(&self.prefix);
        for byte in id.as_bytes() {
            write!(key, "{byte:02x}").expect("a string takes everything");
        }
        key
    }

    async fn within<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        // What is cut short here gives up its connection: the next call does not read this one's answer.
        tokio::time::timeout(self.timeout, call).await.unwrap_or_else(|_| Err(StoreError::timed_out(self.timeout)))
    }

    fn encode(&self, record: &Record) -> Result<Vec<u8>, StoreError> {
        let value = item::encode(record)?;
        if value.len() > self.max_record_bytes {
            return Err(StoreError::too_large(value.len(), self.max_record_bytes));
        }
        Ok(value)
    }

    /// Replaces the live record of the expected version by what `change` makes of it.
    async fn replace(
        &self,
        id: SessionId,
        expected: Version,
        now: Timestamp,
        change: impl Fn(Vec<u8>) -> Result<(Vec<u8>, Timestamp), StoreError>,
    ) -> Result<SaveOutcome, StoreError> {
        let key = self.key(id);
        loop {
            let Some(Found { value, cas }) = self.client.get(&key).await? else { return Ok(SaveOutcome::Gone) };
            let head = item::Head::of(&value)?;
            if now >= head.expires_at {
                return Ok(SaveOutcome::Gone);
            }
            if head.version != expected {
                return Ok(SaveOutcome::Conflict);
            }
            let (value, expires_at) = change(value)?;
            match self.client.replace(&key, value, cas, item::time_to_live(expires_at, now)).await? {
                Replaced::Done => return Ok(SaveOutcome::Saved),
                Replaced::Missing => return Ok(SaveOutcome::Gone),
                // Perhaps it was but touched, which leaves the version as it is: look again.
                Replaced::Changed => {}
            }
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for MemcachedStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (key, ttl) = (self.key(record.id), item::time_to_live(record.expires_at, now));
        let value = self.encode(record)?;
        self.within(async {
            loop {
                if self.client.add(&key, &value, ttl).await? {
                    return Ok(CreateOutcome::Created);
                }
                // What has expired for the caller may still be there for Memcached.
                let Some(existing) = self.client.get(&key).await? else { continue };
                if now < item::Head::of(&existing.value)?.expires_at {
                    return Ok(CreateOutcome::Exists);
                }
                if let Replaced::Done = self.client.replace(&key, value.clone(), existing.cas, ttl).await? {
                    return Ok(CreateOutcome::Created);
                }
            }
        })
        .await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let key = self.key(id);
        let Some(found) = self.within(self.client.get(&key)).await? else { return Ok(None) };
        Ok(Some(item::decode(id, found.value)?).filter(|record| record.is_live(now)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let value = self.encode(record)?;
        self.within(self.replace(record.id, expected, now, |_| Ok((value.clone(), record.expires_at)))).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let change = |mut value: Vec<u8>| {
            item::set_expiry(&mut value, expires_at)?;
            Ok((value, expires_at))
        };
        self.within(self.replace(id, expected, now, change)).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.within(self.client.delete(&self.key(id))).await
    }

    async fn expired(&self, _: Timestamp, _: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        Ok(Vec::new())
    }

    async fn delete_expired(&self, _: &[SessionId], _: Timestamp) -> Result<usize, StoreError> {
        Ok(0)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore")
            .field("servers", &self.client.servers())
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
