//! What each scheme means: how its URL is read, and how its store is opened.

use std::path::Path;
#[cfg(any(feature = "file", feature = "sqlite"))]
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use super::parts::Parameters;
use super::parts::Parts;
use crate::error::ConfigError;
#[cfg(feature = "redis")]
use crate::store::RedisStore;
use crate::store::{MemoryStore, SessionStore, StoreError};

#[derive(Clone)]
pub(super) enum Target {
    Memory {
        max_entries: Option<usize>,
        max_bytes: Option<usize>,
    },
    #[cfg(feature = "file")]
    File(PathBuf),
    #[cfg(feature = "sqlite")]
    Sqlite(PathBuf, TableOptions),
    #[cfg(feature = "postgres")]
    Postgres(String, TableOptions),
    #[cfg(feature = "mysql")]
    Mysql(String, TableOptions),
    #[cfg(feature = "redis")]
    Redis {
        url: String,
        prefix: Option<String>,
    },
    #[cfg(feature = "redis-cluster")]
    RedisCluster {
        urls: Vec<String>,
        prefix: Option<String>,
    },
    #[cfg(feature = "redis-sentinel")]
    RedisSentinel {
        sentinels: Vec<String>,
        master: String,
        server: String,
        prefix: Option<String>,
    },
    #[cfg(feature = "memcached")]
    Memcached {
        servers: Vec<crate::store::MemcachedServer>,
        prefix: Option<String>,
    },
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
#[derive(Clone)]
pub(super) struct TableOptions {
    pub(super) table: Option<String>,
    pub(super) create_schema: bool,
}

impl Target {
    pub(super) fn of(parts: Parts<'_>) -> Result<Self, ConfigError> {
        match parts.scheme {
            "memory" => Self::memory(parts),
            #[cfg(feature = "file")]
            "file" => {
                parts.parameters.finish(&[])?;
                Ok(Self::File(parts.path()?))
            }
            #[cfg(feature = "sqlite")]
            "sqlite" => {
                let (path, mut parameters) = (parts.path()?, parts.parameters);
                let options = TableOptions::take(&mut parameters)?;
                parameters.finish(TableOptions::NAMES)?;
                Ok(Self::Sqlite(path, options))
            }
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                let (options, url) = TableOptions::and_url(parts, super::parts::OF_POSTGRES)?;
                Ok(Self::Postgres(url, options))
            }
            #[cfg(feature = "mysql")]
            "mysql" | "mariadb" => {
                let (options, url) = TableOptions::and_url(parts, super::parts::OF_MYSQL)?;
                Ok(Self::Mysql(url, options))
            }
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "redis+unix" => Self::redis(parts),
            #[cfg(feature = "redis-cluster")]
            "redis-cluster" | "rediss-cluster" => Self::redis_cluster(parts),
            #[cfg(feature = "redis-sentinel")]
            "redis-sentinel" | "rediss-sentinel" => Self::redis_sentinel(parts),
            #[cfg(feature = "memcached")]
            "memcached" => Self::memcached(&parts),
            other => unreachable!("{other} is among SCHEMES as compiled in"),
        }
    }
    fn memory(mut parts: Parts<'_>) -> Result<Self, ConfigError> {
        parts.nothing_but_parameters()?;
        let max_entries = parts.parameters.take_number("max_entries")?;
        let max_bytes = parts.parameters.take_number("max_bytes")?;
        parts.parameters.finish(&["max_entries", "max_bytes"])?;
        Ok(Self::Memory { max_entries, max_bytes })
    }

    #[cfg(feature = "redis")]
    fn redis(mut parts: Parts<'_>) -> Result<Self, ConfigError> {
        let prefix = parts.parameters.take("prefix")?;
        let url = parts.for_client(super::parts::OF_REDIS, &["prefix"])?;
        Ok(Self::Redis { url, prefix })
    }

    #[cfg(feature = "redis-cluster")]
    fn redis_cluster(mut parts: Parts<'_>) -> Result<Self, ConfigError> {
        let network = parts.network()?;
        let prefix = parts.parameters.take("prefix")?;
        parts.parameters.finish(&["prefix"])?;
        let urls = network.hosts.map(|host| format!("{}://{}{host}", network.base_scheme, network.user_info)).collect();
        Ok(Self::RedisCluster { urls, prefix })
    }

    #[cfg(feature = "redis-sentinel")]
    fn redis_sentinel(mut parts: Parts<'_>) -> Result<Self, ConfigError> {
        let network = parts.network()?;
        let prefix = parts.parameters.take("prefix")?;
        let database = parts.parameters.take_number("db")?.unwrap_or(0_u32);
        parts.parameters.finish(&["db", "prefix"])?;
        if network.path.is_empty() {
            return Err(super::refused("after the sentinels and a slash comes the name of the master".into()));
        }
        let scheme = network.base_scheme;
        Ok(Self::RedisSentinel {
            sentinels: network.hosts.map(|host| format!("{scheme}://{host}")).collect(),
            master: super::parts::decode(network.path)?,
            server: format!("{scheme}://{}master/{database}", network.user_info),
            prefix,
        })
    }

    #[cfg(feature = "memcached")]
    fn memcached(parts: &Parts<'_>) -> Result<Self, ConfigError> {
        let (mut servers, mut prefix) = (Vec::new(), None);
        // Each server has parameters of its own.
        for text in parts.after_slashes()?.split(',') {
            let mut server = Parts::of_server(text);
            let weight = server.parameters.take_number("weight")?.unwrap_or(1);
            prefix = server.parameters.take("prefix")?.or(prefix);
            server.parameters.finish(&["prefix", "weight"])?;
            let address = server.address_with_port(11_211)?;
            servers.push(crate::store::MemcachedServer::new(address).weight(weight));
        }
        Ok(Self::Memcached { servers, prefix })
    }

    #[allow(clippy::unnecessary_wraps, reason = "stores without a table have none to name wrongly")]
    pub(super) fn schema(&self) -> Result<Option<String>, ConfigError> {
        Ok(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_, options) => Some(crate::store::SqliteStore::schema_for(options.table.as_deref())?),
            #[cfg(feature = "postgres")]
            Self::Postgres(_, options) => Some(crate::store::PostgresStore::schema_for(options.table.as_deref())?),
            #[cfg(feature = "mysql")]
            Self::Mysql(_, options) => Some(crate::store::MysqlStore::schema_for(options.table.as_deref())?),
            _ => None,
        })
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            #[cfg(feature = "file")]
            Self::File(path) => Some(path),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path, _) => Some(path),
            _ => None,
        }
    }

    #[allow(clippy::unused_async, reason = "the store in memory alone has nothing to wait for")]
    pub(super) async fn connect(&self) -> Result<Arc<dyn SessionStore>, StoreError> {
        Ok(match self {
            Self::Memory { max_entries, max_bytes } => {
                let mut store = MemoryStore::new();
                if let Some(entries) = max_entries {
                    store = store.max_entries(*entries);
                }
                if let Some(bytes) = max_bytes {
                    store = store.max_bytes(*bytes);
                }
                Arc::new(store)
            }
            #[cfg(feature = "file")]
            Self::File(path) => Arc::new(crate::store::FileStore::open(path).await?),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path, options) => with_table!(crate::store::SqliteStore::open(path), options),
            #[cfg(feature = "postgres")]
            Self::Postgres(url, options) => with_table!(crate::store::PostgresStore::connect(url), options),
            #[cfg(feature = "mysql")]
            Self::Mysql(url, options) => with_table!(crate::store::MysqlStore::connect(url), options),
            #[cfg(feature = "redis")]
            Self::Redis { url, prefix } => with_prefix(RedisStore::connect(url).await?, prefix.as_deref()),
            #[cfg(feature = "redis-cluster")]
            Self::RedisCluster { urls, prefix } => {
                with_prefix(RedisStore::connect_cluster(urls).await?, prefix.as_deref())
            }
            #[cfg(feature = "redis-sentinel")]
            Self::RedisSentinel { sentinels, master, server, prefix } => {
                let connection = crate::store::SentinelConnection::new(sentinels, master)?.servers_like(server)?;
                with_prefix(RedisStore::new(connection).greeted().await?, prefix.as_deref())
            }
            #[cfg(feature = "memcached")]
            Self::Memcached { servers, prefix } => {
                let mut store = crate::store::MemcachedStore::connect(servers.iter().cloned()).await?;
                if let Some(prefix) = prefix {
                    store = store.prefix(prefix).map_err(StoreError::other)?;
                }
                Arc::new(store)
            }
        })
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
impl TableOptions {
    const NAMES: &[&str] = &["create_schema", "table"];

    fn take(parameters: &mut Parameters<'_>) -> Result<Self, ConfigError> {
        let table = parameters.take("table")?;
        let create_schema = parameters.take_flag("create_schema")?;
        Ok(Self { table, create_schema })
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    fn and_url(mut parts: Parts<'_>, of_client: &[&str]) -> Result<(Self, String), ConfigError> {
        let options = Self::take(&mut parts.parameters)?;
        Ok((options, parts.for_client(of_client, Self::NAMES)?))
    }
}

/// The SQL stores have these methods in common, and no trait that says so.
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
macro_rules! with_table {
    ($store:expr, $options:expr) => {{
        let mut store = $store.await?;
        if let Some(table) = &$options.table {
            store = store.table(table).map_err(StoreError::other)?;
        }
        if $options.create_schema {
            store.create_schema().await?;
        }
        Arc::new(store)
    }};
}
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "mysql"))]
use with_table;

#[cfg(feature = "redis")]
fn with_prefix<C>(store: RedisStore<C>, prefix: Option<&str>) -> Arc<dyn SessionStore>
where
    RedisStore<C>: SessionStore,
{
    match prefix {
        Some(prefix) => Arc::new(store.prefix(prefix)),
        None => Arc::new(store),
    }
}
