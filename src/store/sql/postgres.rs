//! The store in a PostgreSQL table.

use std::fmt;
use std::str::FromStr as _;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::query::Query;
use sqlx::{Database, Postgres, Row as _, SqlStr};

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

/// Keeps sessions in a PostgreSQL table.
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
/// | what can be lost | nothing that was acknowledged, as long as `synchronous_commit` is on, as it is by default |
///
/// After a failover to a replica that was behind, what had not reached it is lost, logouts included: replicate
/// synchronously if that matters. Sessions are read from the server that the URL names: let it be the primary.
///
/// Expired records stay until they are swept away: start a [sweeper](crate::SessionManager::start_sweeper).
///
/// Behind a PgBouncer that pools transactions or statements, turn prepared statements off:
/// `?statement-cache-capacity=0`.
///
/// # Example: connect and create the table
///
/// ```no_run
/// use cloakroom::{PostgresStore, SessionLayer};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresStore::connect("postgres://app:password@localhost/app").await?;
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
/// CREATE TABLE IF NOT EXISTS "cloakroom_sessions" (
///   id BYTEA NOT NULL PRIMARY KEY,
///   version BIGINT NOT NULL,
///   user_id TEXT COLLATE "C",
///   expires_at BIGINT NOT NULL,
///   payload BYTEA NOT NULL
/// );
/// CREATE INDEX IF NOT EXISTS "cloakroom_sessions_expires_at" ON "cloakroom_sessions" (expires_at);
/// CREATE INDEX IF NOT EXISTS "cloakroom_sessions_user_id" ON "cloakroom_sessions" (user_id) WHERE user_id IS NOT NULL;
/// ```
///
/// A user's id may have 2,600 bytes.
#[derive(Clone)]
pub struct PostgresStore(Sql<Postgres>);

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database`, with at most eight connections of the store's own.
    ///
    /// Over TLS with the feature `sql-rustls` and `?sslmode=verify-full` in the URL.
    ///
    /// # Errors
    ///
    /// If the URL cannot be read, or the server cannot be reached within 5 seconds, or refuses.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(StoreError::other)?;
        let source = Source::held(options, CONNECTIONS);
        let first = source.lease().await.map_err(connections::store_error::<Postgres>)?;
        first.settle(Ok(())).map_err(connections::store_error::<Postgres>)?;
        Ok(Self(Sql::new(source.into())))
    }

    /// Uses a pool of yours. Give it an `acquire_timeout` below the 5 seconds that a session's request waits for its
    /// store.
    pub fn with_pool(pool: PgPool) -> Self {
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

sql_store!(PostgresStore, Postgres);

bind_and_read!(Postgres, String);

impl Dialect for Postgres {
    const USER_BYTES: usize = 2_600;
    const QUOTE: char = '"';
    const ON_DUPLICATE: &'static str = " ON CONFLICT (id) DO NOTHING";
    const NO_PAYLOAD: &'static str = "''::bytea";

    // To plan a list of parameters takes several times as long as to delete what it names.
    const ID_AMONG: Option<&'static str> = Some(
        "id = ANY (ARRAY(SELECT substring($1 FROM 16 * n + 1 FOR 16) FROM generate_series(0, length($1) / 16 - 1) AS n))",
    );

    fn parameters(statement: String) -> String {
        statement
    }

    fn schema(table: &Table) -> Vec<String> {
        let t = table.qualified('"');
        let index = |column: &str| table.local(&format!("_{column}"), '"');
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {t} (\n  id BYTEA NOT NULL PRIMARY KEY,\n  version BIGINT NOT NULL,\n  \
                 user_id TEXT COLLATE \"C\",\n  expires_at BIGINT NOT NULL,\n  payload BYTEA NOT NULL\n)"
            ),
            format!("CREATE INDEX IF NOT EXISTS {} ON {t} (expires_at)", index("expires_at")),
            format!("CREATE INDEX IF NOT EXISTS {} ON {t} (user_id) WHERE user_id IS NOT NULL", index("user_id")),
        ]
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        let Some(code) = error.code() else { return Fault::Other };
        match code.as_ref() {
            // Unique violation, duplicate table, duplicate object.
            "23505" | "42P07" | "42710" => Fault::Duplicate,
            // Serialization failure, deadlock.
            "40001" | "40P01" => Fault::TakenBack,
            // Read-only transaction: a primary that was demoted. Lock not available. Canceled by a timeout or an operator.
            "25006" | "55P03" | "57014" => Fault::Unavailable,
            // No connection, insufficient resources, shutdown and startup, system error.
            code if ["08", "53", "57P", "58"].iter().any(|class| code.starts_with(class)) => Fault::Unavailable,
            _ => Fault::Other,
        }
    }

    run!();
}
