//! Stores that a URL names, as far as they are compiled in.

#[cfg_attr(
    not(all(
        feature = "sqlite",
        feature = "postgres",
        feature = "mysql",
        feature = "redis-cluster",
        feature = "memcached"
    )),
    allow(dead_code, reason = "each store takes those parts of a URL that it needs")
)]
mod parts;
mod target;

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use super::{SessionStore, StoreError};
use crate::error::ConfigError;
use parts::{Parts, refused};
use target::Target;

/// Every scheme, the feature that it needs, and whether that is turned on.
const SCHEMES: &[(&str, &str, bool)] = &[
    ("memory", "", true),
    ("file", "file", cfg!(feature = "file")),
    ("sqlite", "sqlite", cfg!(feature = "sqlite")),
    ("postgres", "postgres", cfg!(feature = "postgres")),
    ("postgresql", "postgres", cfg!(feature = "postgres")),
    ("mysql", "mysql", cfg!(feature = "mysql")),
    ("mariadb", "mysql", cfg!(feature = "mysql")),
    ("redis", "redis", cfg!(feature = "redis")),
    ("rediss", "redis-rustls", cfg!(feature = "redis-rustls")),
    ("redis+unix", "redis", cfg!(feature = "redis")),
    ("redis-cluster", "redis-cluster", cfg!(feature = "redis-cluster")),
    ("rediss-cluster", "redis-cluster,redis-rustls", cfg!(all(feature = "redis-cluster", feature = "redis-rustls"))),
    ("redis-sentinel", "redis-sentinel", cfg!(feature = "redis-sentinel")),
    ("rediss-sentinel", "redis-sentinel,redis-rustls", cfg!(all(feature = "redis-sentinel", feature = "redis-rustls"))),
    ("memcached", "memcached", cfg!(feature = "memcached")),
];

/// Which store to use, as a URL: for a command line or a configuration.
///
/// | URL | store |
/// |---|---|
/// | `memory:` | [`MemoryStore`](crate::MemoryStore); `max_entries` and `max_bytes` as its options of these names |
/// | `file:/var/lib/app/sessions` | `FileStore` in this folder |
/// | `sqlite:/var/lib/app/sessions.db` | `SqliteStore` in this file |
/// | `postgres://user:password@host/database` | `PostgresStore`; `postgresql:` is the same |
/// | `mysql://user:password@host/database` | `MysqlStore`; `mariadb:` is the same |
/// | `redis://user:password@host:6379/0`, `rediss:` with TLS | `RedisStore` |
/// | `redis+unix:///run/redis.sock?db=0&pass=password` | `RedisStore` on a Unix socket |
/// | `redis-cluster://user:password@host1:6379,host2:6379`, `rediss-cluster:` | `RedisStore` on a cluster, of which these are some nodes |
/// | `redis-sentinel://user:password@host1:26379,host2:26379/mymaster?db=0`, `rediss-sentinel:` | `RedisStore` on the master of this name; user and password are for the master and its replicas, not for the sentinels |
/// | `memcached://host1:11211?weight=2,host2` | `MemcachedStore` on these servers; port and weight may be left out |
///
/// After a `?`, separated by `&`, stand parameters:
///
/// | parameter | of | |
/// |---|---|---|
/// | `create_schema=true` | SQL | creates the table unless it is there. Without it nothing is created, except by `sqlite:`, which makes its file and the usual table in it |
/// | `table` | SQL | another name for the table |
/// | `prefix` | Redis, Memcached | what keys begin with |
///
/// Parameters of the clients for PostgreSQL, MySQL and Redis are handed to them, such as `sslmode`; all others are refused.
///
/// A relative path starts at the process's current directory. `~` means something to a shell only: a path that
/// begins with it is refused. A character that would end its part of the URL is percent-encoded there: in a password `%40` for `@`,
/// `%2F` for `/`, `%3F` for `?`, `%23` for `#`, `%25` for `%`.
///
/// `Debug` and `Display` leave out user, password and parameters, and errors name neither.
///
/// # Example: the store from the command line
///
/// ```
/// use cloakroom::SessionLayer;
/// use cloakroom::store::StoreUrl;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let url = std::env::args().nth(1).unwrap_or("memory:".to_owned());
/// let store = url.parse::<StoreUrl>()?.connect().await?;
/// let layer = SessionLayer::new(store);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone)]
pub struct StoreUrl {
    target: Target,
    /// Without anything that could be secret.
    shown: String,
}

impl FromStr for StoreUrl {
    type Err = ConfigError;

    fn from_str(url: &str) -> Result<Self, ConfigError> {
        let parts = Parts::of(url)?;
        match SCHEMES.iter().find(|(scheme, ..)| *scheme == parts.scheme) {
            Some((.., true)) => {}
            Some((scheme, features, _)) => {
                return Err(refused(format!(
                    "{scheme}: needs the feature {features:?} of cloakroom: turn it on in Cargo.toml"
                )));
            }
            None => {
                let known: Vec<_> = SCHEMES.iter().map(|(scheme, ..)| format!("{scheme}:")).collect();
                return Err(refused(format!("it has to begin with one of {}", known.join(" "))));
            }
        }
        Ok(Self { shown: parts.shown(), target: Target::of(parts)? })
    }
}

impl StoreUrl {
    /// The statements that create the table of this store, without connecting to it: for migrations of your own. `None` for stores
    /// that need no table.
    ///
    /// ```
    /// # #[cfg(feature = "postgres")] {
    /// let url: cloakroom::store::StoreUrl = "postgres://app@db/app?table=web.sessions".parse().unwrap();
    /// assert!(url.schema().unwrap().unwrap().starts_with("CREATE TABLE IF NOT EXISTS \"web\".\"sessions\""));
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::TableName`] if the parameter `table` is none.
    pub fn schema(&self) -> Result<Option<String>, ConfigError> {
        self.target.schema()
    }

    /// The file of `sqlite:` and the folder of `file:`, which [`connect`](Self::connect) makes if they are missing.
    pub fn path(&self) -> Option<&Path> {
        self.target.path()
    }

    /// Opens the store, or connects to it.
    ///
    /// For `rediss:` the application has to install a `CryptoProvider` of `rustls` first, unless some other crate has settled
    /// on one.
    ///
    /// # Errors
    ///
    /// What the store's own constructor says: see its `open` or `connect`.
    pub async fn connect(&self) -> Result<Arc<dyn SessionStore>, StoreError> {
        self.target.connect().await
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("StoreUrl").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests;
