//! A connection to whoever is the master, according to the sentinels.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo as _, Pipeline,
    RedisError, RedisFuture, RedisResult, Value, cmd,
};
use tokio::sync::Mutex;

use super::failure::{is_passing, is_read_only, to_store_error};
use super::{RedisStore, StoreError};

/// For a connection to a sentinel or a master, and for the answer of a sentinel: the next one may know better.
const PATIENCE: Duration = Duration::from_millis(300);

/// For all of them together: shorter than the deadline of a call, so that a call can say what is wrong.
const SEARCH_LIMIT: Duration = Duration::from_millis(1_200);

/// For the answer of the master to a command.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the outcome of a failed search holds, so that those who waited for it do not search one after another.
const FAILURE_HOLDS: Duration = Duration::from_millis(50);

/// How often a connection in use is compared with what the sentinels say. A master that is replaced without having failed
/// goes on taking writes, which are lost, until the sentinels turn it into a replica: some ten seconds.
const COMPARED_EVERY: Duration = Duration::from_secs(1);

/// A connection to the master of a group that sentinels watch over.
///
/// After an I/O error, and when the server turns out to be a replica, the next command asks the sentinels again. The
/// command that found out fails: whether it took effect is for its sender to find out. While the connection is in use,
/// a sentinel is asked once in a second whether there is another master by now. Clones share one connection.
///
/// # Example: a master with a password
///
/// ```no_run
/// # async fn run() -> Result<(), cloakroom::store::StoreError> {
/// use cloakroom::RedisStore;
/// use cloakroom::store::SentinelConnection;
///
/// let sentinels = ["redis://sentinel-1:26379", "redis://sentinel-2:26379", "redis://sentinel-3:26379"];
/// let connection = SentinelConnection::new(sentinels, "mymaster")?.servers_like("redis://:password@any/2")?;
/// let store = RedisStore::new(connection);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SentinelConnection {
    group: Arc<Group>,
    current: Arc<Mutex<Current>>,
}

#[derive(Clone)]
struct Group {
    sentinels: Vec<Client>,
    master_name: String,
    /// The master's, but for host and port.
    server: ConnectionInfo,
}

type Address = (String, u16);

enum Current {
    Connected { connection: MultiplexedConnection, generation: u64, address: Address, compared: Instant },
    None { generation: u64, failure: Option<(Instant, RedisError)> },
}

impl SentinelConnection {
    /// Asks these sentinels for the master of this name; connects when it is used.
    ///
    /// # Errors
    ///
    /// [`Other`](crate::store::StoreErrorKind::Other) for a URL that cannot be read, and if there is none.
    pub fn new(
        sentinel_urls: impl IntoIterator<Item = impl AsRef<str>>,
        master_name: impl Into<String>,
    ) -> Result<Self, StoreError> {
        let sentinels = sentinel_urls.into_iter().map(|url| Client::open(url.as_ref()));
        let sentinels = sentinels.collect::<RedisResult<Vec<_>>>().map_err(to_store_error)?;
        if sentinels.is_empty() {
            return Err(StoreError::other("no sentinel to ask: give at least one URL"));
        }
        let server = "redis://master".into_connection_info().map_err(to_store_error)?;
        let group = Group { sentinels, master_name: master_name.into(), server };
        Ok(Self::to(group))
    }

    /// User, password, database number and TLS for the servers, as a URL whose host and port do not matter. The
    /// URLs of the sentinels are for the sentinels alone.
    ///
    /// # Errors
    ///
    /// [`Other`](crate::store::StoreErrorKind::Other) for a URL that cannot be read.
    pub fn servers_like(self, url: &str) -> Result<Self, StoreError> {
        let server = url.into_connection_info().map_err(to_store_error)?;
        Ok(Self::to(Group { server, ..Group::clone(&self.group) }))
    }

    fn to(group: Group) -> Self {
        let current = Current::None { generation: 0, failure: None };
        Self { group: Arc::new(group), current: Arc::new(Mutex::new(current)) }
    }

    /// The connection that is good as far as anybody knows, and which one it is.
    async fn get(&self) -> RedisResult<(MultiplexedConnection, u64)> {
        let mut current = self.current.lock().await;
        let generation = match &mut *current {
            Current::Connected { connection, generation, address, compared } => {
                if compared.elapsed() >= COMPARED_EVERY {
                    *compared = Instant::now();
                    tokio::spawn(self.clone().compare(address.clone(), *generation));
                }
                return Ok((connection.clone(), *generation));
            }
            Current::None { failure: Some((since, error)), .. } if since.elapsed() < FAILURE_HOLDS => {
                return Err(error.clone());
            }
            Current::None { generation, .. } => *generation + 1,
        };
        let found = tokio::time::timeout(SEARCH_LIMIT, self.group.connect())
            .await
            .unwrap_or_else(|_| Err(RedisError::from(io::Error::from(io::ErrorKind::TimedOut))));
        match found {
            Ok((connection, address)) => {
                let compared = Instant::now();
                *current = Current::Connected { connection: connection.clone(), generation, address, compared };
                Ok((connection, generation))
            }
            Err(error) => {
                *current = Current::None { generation, failure: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// Gives a connection up if it cannot be the master's any more, unless there is a newer one already.
    async fn check<T>(&self, result: &RedisResult<T>, used: u64) {
        if result.as_ref().is_err_and(|error| error.is_io_error() || is_read_only(error)) {
            self.give_up(used).await;
        }
    }

    /// Gives a connection up if the sentinels name another master.
    async fn compare(self, address: Address, used: u64) {
        for sentinel in &self.group.sentinels {
            if let Ok(master) = self.group.master_by(sentinel).await {
                if master != address {
                    self.give_up(used).await;
                }
                return;
            }
        }
    }

    async fn give_up(&self, used: u64) {
        let mut current = self.current.lock().await;
        if matches!(*current, Current::Connected { generation, .. } if generation == used) {
            *current = Current::None { generation: used, failure: None };
        }
    }
}

impl Group {
    async fn connect(&self) -> RedisResult<(MultiplexedConnection, Address)> {
        let mut failure: Option<RedisError> = None;
        for sentinel in &self.sentinels {
            match self.connect_by(sentinel).await {
                Ok(found) => return Ok(found),
                // What will not pass says more than another sentinel's silence.
                Err(error) if failure.as_ref().is_none_or(is_passing) => failure = Some(error),
                Err(_) => {}
            }
        }
        Err(failure.unwrap_or_else(|| (ErrorKind::EmptySentinelList, "no sentinel to ask").into()))
    }

    async fn master_by(&self, sentinel: &Client) -> RedisResult<Address> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(PATIENCE)).set_response_timeout(Some(PATIENCE));
        let mut asked = sentinel.get_multiplexed_async_connection_with_config(&config).await?;
        let master: Option<Address> =
            cmd("SENTINEL").arg("get-master-addr-by-name").arg(&self.master_name).query_async(&mut asked).await?;
        let unknown = (ErrorKind::MasterNameNotFoundBySentinel, "the sentinel does not know this master");
        master.ok_or_else(|| unknown.into())
    }

    async fn connect_by(&self, sentinel: &Client) -> RedisResult<(MultiplexedConnection, Address)> {
        let (host, port) = self.master_by(sentinel).await?;
        let found = (host.clone(), port);
        let address = match self.server.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        let client = Client::open(self.server.clone().set_addr(address))?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        // A sentinel that was cut off still names the old one.
        let role: Vec<Value> = cmd("ROLE").query_async(&mut connection).await?;
        if role.first() == Some(&Value::BulkString(b"master".to_vec())) {
            Ok((connection, found))
        } else {
            let reason = "what the sentinel calls the master is a replica";
            Err(io::Error::new(io::ErrorKind::NotConnected, reason).into())
        }
    }
}

impl ConnectionLike for SentinelConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move {
            let (mut connection, generation) = self.get().await?;
            // A server's refusal is a value at this place, not an error.
            let result = connection.req_packed_command(command).await.and_then(Value::extract_error);
            self.check(&result, generation).await;
            result
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let (mut connection, generation) = self.get().await?;
            let result = connection.req_packed_commands(pipeline, offset, count).await;
            self.check(&result, generation).await;
            result
        })
    }

    fn get_db(&self) -> i64 {
        self.group.server.redis_settings().db()
    }
}

impl fmt::Debug for SentinelConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SentinelConnection").field("master_name", &self.group.master_name).finish_non_exhaustive()
    }
}

impl RedisStore<SentinelConnection> {
    /// Connects to the master that these sentinels name, and to its successor after a failover.
    ///
    /// If the servers want a password, or the database is another than 0, make a [`SentinelConnection`].
    ///
    /// # Errors
    ///
    /// As [`connect`](RedisStore::connect).
    pub async fn connect_sentinel(
        sentinel_urls: impl IntoIterator<Item = impl AsRef<str>>,
        master_name: impl Into<String>,
    ) -> Result<Self, StoreError> {
        Self::new(SentinelConnection::new(sentinel_urls, master_name)?).greeted().await
    }
}
