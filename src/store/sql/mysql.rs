//! The store in a table of MySQL or MariaDB.

use std::fmt;
use std::str::FromStr as _;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlConnectOptions, MySqlDatabaseError, MySqlPool};
use sqlx::query::Query;
use sqlx::{Database, MySql, Row as _, SqlStr};

use super::connections::{self, Source};
use super::dialect::{Dialect, Fault, Row, Select, Value, bind_and_read, run};
use super::table::Table;
use super::{Sql, sql_store};
use crate::error::ConfigError;
use crate::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version,
};

/// How many connections a store holds, if not told otherwise.
const CONNECTIONS: usize = 8;

/// Keeps sessions in a table of MySQL or MariaDB.
///
/// One statement and one round trip for each operation that meets what it expects. The store holds its own connections
/// ([`connect`](Self::connect)), and opens new ones by itself when the server was restarted; or it takes those of your pool
/// ([`with_pool`](Self::with_pool)), whose tests cost two more round trips for each operation.
///
/// Clones share their connections.
///
/// | | |
/// |---|---|
/// | survives a restart | yes |
/// | several machines | yes |
/// | user index | yes |
/// | what can be lost | nothing that was acknowledged, as long as `innodb_flush_log_at_trx_commit` is 1, as it is by default |
///
/// After a failover to a replica that was behind, what had not reached it is lost, logouts included. Sessions are read
/// from the server that the URL names: let it be the primary.
///
/// Expired records stay until they are swept away: start a [sweeper](crate::SessionManager::start_sweeper).
///
/// # Example: connect and create the table
///
/// ```no_run
/// use cloakroom::{MysqlStore, SessionLayer};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MysqlStore::connect("mysql://app:password@localhost/app").await?;
/// store.create_schema().await?;
/// let layer = SessionLayer::new(store);
/// # Ok(())
/// # }
/// ```
///
/// # The table
///
/// [`create_schema`](Self::create_schema) creates it, or your own migration with [`schema`](Self::schema):
///
/// ```sql
/// CREATE TABLE IF NOT EXISTS `cloakroom_sessions` (
///   id BINARY(16) NOT NULL PRIMARY KEY,
///   version BIGINT NOT NULL,
///   user_id VARBINARY(1024),
///   expires_at BIGINT NOT NULL,
///   payload LONGBLOB NOT NULL,
///   INDEX `cloakroom_sessions_expires_at` (expires_at),
///   INDEX `cloakroom_sessions_user_id` (user_id)
/// ) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
/// ```
///
/// A user's id may have 1,024 bytes. It is binary because MySQL's text columns take `ada` and `ADA ` for the same. The
/// largest payload is a little less than the server's `max_allowed_packet`.
#[derive(Clone)]
pub struct MysqlStore(Sql<MySql>);

impl MysqlStore {
    /// Connects to `mysql://user:password@host:port/database`, with at most eight connections of the store's own.
    ///
    /// Over TLS with the feature `sql-rustls` and `?ssl-mode=VERIFY_IDENTITY` in the URL.
    ///
    /// # Errors
    ///
    /// If the URL cannot be read, or the server cannot be reached within 5 seconds, or refuses.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = MySqlConnectOptions::from_str(url).map_err(StoreError::other)?;
        let source = Source::held(options, CONNECTIONS);
        let first = source.lease().await.map_err(connections::store_error::<MySql>)?;
        first.settle(Ok(())).map_err(connections::store_error::<MySql>)?;
        Ok(Self(Sql::new(source.into())))
    }

    /// Uses a pool of yours. Give it an `acquire_timeout` below the 5 seconds that a session's request waits for its
    /// store.
    pub fn with_pool(pool: MySqlPool) -> Self {
        Self(Sql::new(Source::Pool(pool).into()))
    }

    /// How many connections the store holds, at least one; eight if not told. Has no effect on a pool.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        if let Some(source) = self.0.connections.writes.with_max(connections) {
            self.0.connections = source.into();
        }
        self
    }
}

sql_store!(MysqlStore, MySql);

bind_and_read!(MySql, Vec<u8>);

impl Dialect for MySql {
    const USER_BYTES: usize = 1_024;
    const QUOTE: char = '`';
    const ON_DUPLICATE: &'static str = "";
    const NO_PAYLOAD: &'static str = "x''";

    fn parameters(statement: String) -> String {
        let mut parts = statement.split('$');
        let first = parts.next().unwrap_or_default().to_owned();
        parts.fold(first, |text, part| text + "?" + part.trim_start_matches(|c: char| c.is_ascii_digit()))
    }

    fn schema(table: &Table) -> Vec<String> {
        let index = |column: &str| table.local(&format!("_{column}"), '`');
        vec![format!(
            "CREATE TABLE IF NOT EXISTS {} (\n  id BINARY(16) NOT NULL PRIMARY KEY,\n  version BIGINT NOT NULL,\n  \
             user_id VARBINARY(1024),\n  expires_at BIGINT NOT NULL,\n  payload LONGBLOB NOT NULL,\n  \
             INDEX {} (expires_at),\n  INDEX {} (user_id)\n) ENGINE = InnoDB ROW_FORMAT = DYNAMIC",
            table.qualified('`'),
            index("expires_at"),
            index("user_id")
        )]
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() else { return Fault::Other };
        match error.number() {
            1062 => Fault::Duplicate,
            // Changed since it was read (MariaDB's snapshot isolation), deadlock.
            1020 | 1213 => Fault::TakenBack,
            1153 => Fault::PacketTooLarge,
            // Connections or memory used up, disk or table full, shutdown, connection cut off, network trouble.
            1021 | 1037..=1043 | 1053 | 1077..=1080 | 1114 | 1129 | 1152 | 1154..=1161 | 1184 | 1203 | 1226
            // Lock or statement timed out, interrupted or killed, read-only for the time being.
            | 1205 | 1290 | 1317 | 1836 | 1927 | 1969 | 3024 => Fault::Unavailable,
            _ => Fault::Other,
        }
    }

    run!();

    async fn packet_limit(connection: &mut Self::Connection) -> Result<Option<usize>, sqlx::Error> {
        let row = sqlx::query("SELECT CAST(@@max_allowed_packet AS SIGNED)").fetch_one(connection).await?;
        Ok(usize::try_from(row.try_get::<i64, _>(0)?).ok())
    }
}
