//! The stores, each on a server of its own, and how much there is in it.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::SessionStore;
use cloakroom::{MemcachedStore, MysqlStore, PostgresStore, RedisStore, SqliteStore};
use redis::{Client, cmd};
use sqlx::{Connection as _, Executor as _, MySqlConnection, PgConnection, Row as _};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::servers::{self, Server};

pub(super) struct Place {
    pub(super) name: &'static str,
    pub(super) store: Arc<dyn SessionStore>,
    /// Whether expired sessions stay until a sweeper comes.
    pub(super) is_swept: bool,
    inside: Inside,
}

enum Inside {
    Redis(Server),
    Memcached(Server),
    Postgres(Server),
    MariaDb(Server),
    Sqlite(TempDir),
}

type Opened = Pin<Box<dyn Future<Output = Result<Option<Place>, Box<dyn Error>>>>>;

pub(super) const ALL: [fn() -> Opened; 5] = [
    || Box::pin(redis()),
    || Box::pin(memcached()),
    || Box::pin(postgres()),
    || Box::pin(mariadb()),
    || Box::pin(sqlite()),
];

async fn redis() -> Result<Option<Place>, Box<dyn Error>> {
    let Some(server) = servers::redis("") else { return Ok(None) };
    let store = Arc::new(RedisStore::connect(&servers::redis_url(&server)).await?);
    Ok(Some(Place { name: "Redis", store, is_swept: false, inside: Inside::Redis(server) }))
}

async fn memcached() -> Result<Option<Place>, Box<dyn Error>> {
    let Some(server) = servers::memcached() else { return Ok(None) };
    let store = Arc::new(MemcachedStore::connect([servers::memcached_address(&server)]).await?);
    Ok(Some(Place { name: "Memcached", store, is_swept: false, inside: Inside::Memcached(server) }))
}

async fn postgres() -> Result<Option<Place>, Box<dyn Error>> {
    let Some(server) = servers::postgres() else { return Ok(None) };
    // To fill it is not what is measured.
    let url = servers::postgres_url(&server) + "&options[synchronous_commit]=off";
    let store = PostgresStore::connect(&url).await?;
    store.create_schema().await?;
    Ok(Some(Place { name: "Postgres", store: Arc::new(store), is_swept: true, inside: Inside::Postgres(server) }))
}

async fn mariadb() -> Result<Option<Place>, Box<dyn Error>> {
    let Some(server) = servers::mariadb() else { return Ok(None) };
    let url = servers::mariadb_url(&server).await?;
    let mut connection = MySqlConnection::connect(&url).await?;
    connection.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 0").await?;
    let store = MysqlStore::connect(&url).await?;
    store.create_schema().await?;
    Ok(Some(Place { name: "MariaDB", store: Arc::new(store), is_swept: true, inside: Inside::MariaDb(server) }))
}

async fn sqlite() -> Result<Option<Place>, Box<dyn Error>> {
    let folder = tempfile::Builder::new().prefix("cloakroom-bench-").tempdir_in("/dev/shm");
    let folder = folder.or_else(|_| tempfile::tempdir())?;
    let store = Arc::new(SqliteStore::open(folder.path().join("sessions.db")).await?);
    Ok(Some(Place { name: "SQLite", store, is_swept: true, inside: Inside::Sqlite(folder) }))
}

impl Place {
    /// How long the server was on a core. Zero where there is none.
    pub(super) fn cpu_time(&self) -> Duration {
        match &self.inside {
            Inside::Redis(server) | Inside::Memcached(server) | Inside::Postgres(server) | Inside::MariaDb(server) => {
                servers::cpu_time(server)
            }
            Inside::Sqlite(_) => Duration::ZERO,
        }
    }

    /// Memory, or tables with their indices.
    pub(super) async fn bytes(&self) -> Result<i64, Box<dyn Error>> {
        Ok(match &self.inside {
            Inside::Redis(server) => {
                let client = Client::open(servers::redis_url(server))?;
                let mut connection = client.get_multiplexed_async_connection().await?;
                let info: String = cmd("INFO").arg("memory").query_async(&mut connection).await?;
                number_after(&info, "used_memory:")?
            }
            Inside::Memcached(server) => {
                let mut stream = TcpStream::connect(server.address()).await?;
                stream.write_all(b"stats\r\nquit\r\n").await?;
                let mut text = String::new();
                stream.read_to_string(&mut text).await?;
                number_after(&text, "STAT bytes ")?
            }
            Inside::Postgres(server) => {
                let mut connection = PgConnection::connect(&servers::postgres_url(server)).await?;
                let size = "SELECT pg_total_relation_size('cloakroom_sessions')";
                sqlx::query(size).fetch_one(&mut connection).await?.get(0)
            }
            Inside::MariaDb(server) => {
                let mut connection = MySqlConnection::connect(&servers::mariadb_url(server).await?).await?;
                let size = "SELECT CAST(file_size AS SIGNED) FROM information_schema.innodb_sys_tablespaces \
                            WHERE name = 'bench/cloakroom_sessions'";
                sqlx::query(size).fetch_one(&mut connection).await?.get(0)
            }
            Inside::Sqlite(folder) => std::fs::metadata(folder.path().join("sessions.db"))?.len().try_into()?,
        })
    }

    /// Stops the server while the runtime still runs.
    pub(super) async fn close(self) {
        drop(self.store);
        tokio::task::spawn_blocking(move || drop(self.inside)).await.expect("it does not panic");
    }
}

fn number_after(text: &str, name: &str) -> Result<i64, Box<dyn Error>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).ok_or("the server does not say")?;
    Ok(line.trim().parse()?)
}
