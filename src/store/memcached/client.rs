//! All that this crate knows of the crate `memcache`, whose async client is marked as experimental: the next one may
//! take its place here.

use std::sync::Arc;

use memcache::exp::{AsyncMetaClient, Error, Meta, MutationStatus, Router, Ttl};

use super::servers::{MemcachedServer, Places};
use crate::error::StoreError;

/// Connections to one server at the same time. Beyond it calls wait for one another, which costs less than dialling.
const CONNECTIONS: usize = 64;

/// Connections to one server that are kept while nobody needs them.
const IDLE_CONNECTIONS: usize = 16;

/// Connections to all servers. Clones share them.
#[derive(Clone)]
pub(super) struct Client {
    inner: AsyncMetaClient,
    servers: Arc<[MemcachedServer]>,
}

/// An item, and what names this state of it.
pub(super) struct Found {
    pub(super) value: Vec<u8>,
    pub(super) cas: u64,
}

/// What became of a replacement.
pub(super) enum Replaced {
    Done,
    /// The item is not in that state any more.
    Changed,
    Missing,
}

struct ByWeight(Places);

impl Router for ByWeight {
    fn route(&self, key: &[u8], _: &[String]) -> usize {
        self.0.of(key)
    }
}

impl Client {
    pub(super) async fn connect(servers: Vec<MemcachedServer>) -> Result<Self, StoreError> {
        let inner = AsyncMetaClient::builder()
            .router(ByWeight(Places::new(&servers)))
            .max_connections(Some(CONNECTIONS))
            .max_idle(IDLE_CONNECTIONS)
            // The store has one deadline for a whole call, waiting and dialling included.
            .connect_timeout(None)
            .io_timeout(None)
            .connect_multiple_async(servers.iter().map(|server| server.address.as_str()))
            .await
            .map_err(failure)?;
        Ok(Self { inner, servers: servers.into() })
    }

    pub(super) fn servers(&self) -> &[MemcachedServer] {
        &self.servers
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<Found>, StoreError> {
        let found = self.inner.get(key).meta(Meta::NONE.cas()).send().await.map_err(failure)?;
        match (found.value, found.item.cas) {
            (Some(value), Some(cas)) => Ok(Some(Found { value, cas })),
            (None, _) => Ok(None),
            (Some(_), None) => Err(StoreError::other("memcached does not count changes: it runs with -C")),
        }
    }

    /// Stores a new item. `false` if there is one already.
    pub(super) async fn add(&self, key: &str, value: &[u8], seconds: u32) -> Result<bool, StoreError> {
        let done = self.inner.set(key, value).ttl(Ttl::secs(seconds)).add().send().await.map_err(failure)?;
        Ok(done.status == MutationStatus::Applied)
    }

    pub(super) async fn replace(
        &self,
        key: &str,
        value: Vec<u8>,
        cas: u64,
        seconds: u32,
    ) -> Result<Replaced, StoreError> {
        let set = self.inner.set(key, value).ttl(Ttl::secs(seconds)).compare_cas(cas);
        Ok(match set.send().await.map_err(failure)?.status {
            MutationStatus::Applied => Replaced::Done,
            MutationStatus::NotFound => Replaced::Missing,
            _ => Replaced::Changed,
        })
    }

    pub(super) async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.inner.delete(key).send().await.map(drop).map_err(failure)
    }
}

fn failure(error: Error) -> StoreError {
    match error {
        // What the server does not understand it will not understand the next time.
        Error::Rejected(_) | Error::Usage(_) => StoreError::other(error),
        _ => StoreError::unavailable(error),
    }
}
