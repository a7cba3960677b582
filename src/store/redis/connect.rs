//! Connections that give up in time.

use std::time::Duration;

use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, cmd};

use super::failure::to_store_error;
use super::{RedisStore, StoreError};

/// How long to wait for a connection. Twice this, and a pause, stay below the deadline of a call.
const CONNECTION_TIMEOUT: Duration = Duration::from_millis(500);

impl RedisStore<ConnectionManager> {
    /// Connects to a server, and again whenever the connection is lost.
    ///
    /// The URL says everything:
    ///
    /// | | |
    /// |---|---|
    /// | `redis://localhost` | port 6379, database 0 |
    /// | `redis://user:password@host:6380/2` | database 2, a user with a password; leave out the user for the default one |
    /// | `rediss://host` | TLS, with the feature `redis-rustls` |
    /// | `redis+unix:///run/redis.sock?db=2&pass=password` | a Unix socket |
    ///
    /// With `redis-rustls` the application has to install a `CryptoProvider` of `rustls` first, unless some other crate has
    /// settled on one.
    ///
    /// # Errors
    ///
    /// [`Other`](crate::store::StoreErrorKind::Other) for a URL that cannot be read and a refused password,
    /// [`Unavailable`](crate::store::StoreErrorKind::Unavailable) if nobody answers.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let client = Client::open(url).map_err(to_store_error)?;
        // The client's own settings wait for 9 seconds, in every call, while the server is down. How long an answer may take
        // is for the store's timeout to say.
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_max_delay(Duration::from_millis(100))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(None);
        let connection = ConnectionManager::new_with_config(client, config).await.map_err(to_store_error)?;
        Self::new(connection).greeted().await
    }
}

impl<C: ConnectionLike + Clone> RedisStore<C> {
    /// Says at once what would fail at every call: a connection without the password that it needs is made all the same.
    pub(in crate::store) async fn greeted(self) -> Result<Self, StoreError> {
        let greeting = async { cmd("PING").exec_async(&mut self.connection.clone()).await.map_err(to_store_error) };
        self.within(greeting).await?;
        Ok(self)
    }
}

#[cfg(feature = "redis-cluster")]
impl RedisStore<redis::cluster_async::ClusterConnection> {
    /// Connects to a Redis Cluster. The URLs name some of its nodes, of which one has to answer; the others are found.
    ///
    /// User and password are those of the first URL.
    ///
    /// # Errors
    ///
    /// As [`connect`](RedisStore::connect).
    pub async fn connect_cluster(urls: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, StoreError> {
        let urls: Vec<String> = urls.into_iter().map(|url| url.as_ref().to_owned()).collect();
        // The client's own settings wait for 28 seconds. It sends a command again after `response_timeout`, and a server that
        // is merely slow should not get more to do.
        let client = redis::cluster::ClusterClientBuilder::new(urls)
            .retries(4)
            .min_retry_wait(50)
            .max_retry_wait(400)
            .connection_timeout(Duration::from_millis(300))
            .response_timeout(Duration::from_secs(1))
            .overall_response_timeout(Some(Duration::from_millis(1_200)))
            .build()
            .map_err(to_store_error)?;
        let connection = client.get_async_connection().await.map_err(to_store_error)?;
        Self::new(connection).greeted().await
    }
}
