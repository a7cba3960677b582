//! The store in an SQLite file.

use std::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::error::DatabaseError;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Database, Row as _, SqlStr, Sqlite};

use super::connections::{Connections, Source};
use super::dialect::{Dialect, Fault, Row, Select, Value, bind_and_read, run};
use super::table::Table;
use super::{Sql, sql_store};
use crate::error::ConfigError;
use crate::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version,
};

/// How many connections read, if not told otherwise.
const READERS: usize = 4;

/// How long a write waits for another process that writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(4);

/// Keeps sessions in an SQLite file: the durable store for one machine, without a server.
///
/// The file is in WAL mode, and every write is on disk before it is acknowledged (`synchronous = FULL`): a logout stays
/// a logout when the power fails. One connection writes, and reads when nobody writes; up to four more read at the same time.
/// Several processes may use the file.
///
/// Clones share their connections.
///
/// | | |
/// |---|---|
/// | survives a restart | yes |
/// | several machines | no: SQLite's locks need a local file system. Several processes, yes |
/// | user index | yes |
/// | what can be lost | nothing that was acknowledged, unless the disk lies about what it has written |
///
/// With a pool of your own that has `synchronous = NORMAL`, the last writes before a power failure can be lost, logouts
/// included. When only the process dies, nothing is lost either way.
///
/// On a full disk saves fail and logouts overwrite the log that is there. They too fail if the database has grown since its
/// log was last written back (every 4 MB or so), and succeed again as soon as there is room.
///
/// Expired records stay until they are swept away: start a [sweeper](crate::SessionManager::start_sweeper).
///
/// # Example: a file
///
/// ```
/// use cloakroom::{SessionLayer, SqliteStore};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("sessions.db");
/// let store = SqliteStore::open(path).await?;
/// let layer = SessionLayer::new(store);
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(run()).unwrap();
/// ```
///
/// # The table
///
/// [`open`](Self::open) creates it. With a pool, [`create_schema`](Self::create_schema) does, or your own migration with
/// [`schema`](Self::schema):
///
/// ```sql
/// CREATE TABLE IF NOT EXISTS "cloakroom_sessions" (
///   id BLOB NOT NULL PRIMARY KEY,
///   version INTEGER NOT NULL,
///   user_id TEXT,
///   expires_at INTEGER NOT NULL,
///   payload BLOB NOT NULL
/// );
/// CREATE INDEX IF NOT EXISTS "cloakroom_sessions_expires_at" ON "cloakroom_sessions" (expires_at);
/// CREATE INDEX IF NOT EXISTS "cloakroom_sessions_user_id" ON "cloakroom_sessions" (user_id) WHERE user_id IS NOT NULL;
/// ```
#[derive(Clone)]
pub struct SqliteStore(Sql<Sqlite>);

impl SqliteStore {
    /// Opens the file, or creates it, readable for its owner only. The table is created in it.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened or is no database, or if the path is that of a database in memory, where each
    /// connection would have its own: use [`MemoryStore`](crate::MemoryStore), or [`with_pool`](Self::with_pool) with a pool
    /// of one connection.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref().to_owned();
        let text = path.to_string_lossy();
        if text.is_empty() || text.contains(":memory:") || text.starts_with("sqlite:") {
            return Err(StoreError::other("SqliteStore::open needs the path of a file; a URL is for StoreUrl"));
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let created = tokio::task::spawn_blocking(move || create_file(&path)).await;
        created.map_err(StoreError::other)?.map_err(StoreError::other)?;
        let store = Self(Sql::new(Connections {
            reads: Arc::new(Source::held(options.clone(), READERS)),
            // Writers that wait in a queue come sooner to their turn than those that ask SQLite again and again.
            writes: Arc::new(Source::held(options, 1)),
        }));
        store.create_schema().await?;
        Ok(store)
    }

    /// Uses a pool of yours. Its connections should have `journal_mode(Wal)`, `synchronous(Full)` and a `busy_timeout`.
    ///
    /// A pool on a database in memory has to have one connection that is never closed: every connection would have a
    /// database of its own.
    pub fn with_pool(pool: SqlitePool) -> Self {
        Self(Sql::new(Source::Pool(pool).into()))
    }

    /// How many connections read at the same time, at least one; four if not told. Has no effect on a pool.
    #[must_use]
    pub fn max_readers(mut self, readers: usize) -> Self {
        if let Some(reads) = self.0.connections.reads.with_max(readers) {
            self.0.connections.reads = Arc::new(reads);
        }
        self
    }
}

/// SQLite gives its other files the mode that this one has.
fn create_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let with_path = |error: io::Error| {
        io::Error::new(error.kind(), format!("{} cannot be opened ({error}); its folder has to exist", path.display()))
    };
    options.open(path).map(drop).map_err(with_path)
}

sql_store!(SqliteStore, Sqlite);

bind_and_read!(Sqlite, String);

impl Dialect for Sqlite {
    const USER_BYTES: usize = 1 << 20;
    const QUOTE: char = '"';
    const ON_DUPLICATE: &'static str = " ON CONFLICT (id) DO NOTHING";
    const NO_PAYLOAD: &'static str = "x''";

    // Its thread answers each command through a channel of its own, and has reset the statement before it takes the next one.
    const ANSWERS_ARE_APART: bool = true;

    // The log begins anew and overwrites itself. Not `TRUNCATE`: somebody else would take the room.
    const MAKE_ROOM: Option<&'static str> = Some("PRAGMA wal_checkpoint(RESTART)");

    fn parameters(statement: String) -> String {
        statement.replace('$', "?")
    }

    fn schema(table: &Table) -> Vec<String> {
        let (name, schema, t) = (table.qualified('"'), table.schema_prefix('"'), table.local("", '"'));
        let index = |column: &str| format!("{schema}{}", table.local(&format!("_{column}"), '"'));
        vec![
            format!(
                "CREATE TABLE IF NOT EXISTS {name} (\n  id BLOB NOT NULL PRIMARY KEY,\n  version INTEGER NOT NULL,\n  \
                 user_id TEXT,\n  expires_at INTEGER NOT NULL,\n  payload BLOB NOT NULL\n)"
            ),
            format!("CREATE INDEX IF NOT EXISTS {} ON {t} (expires_at)", index("expires_at")),
            format!("CREATE INDEX IF NOT EXISTS {} ON {t} (user_id) WHERE user_id IS NOT NULL", index("user_id")),
        ]
    }

    fn fault(error: &dyn DatabaseError) -> Fault {
        // The low byte is the primary code.
        match error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff) {
            // BUSY, LOCKED, IOERR.
            Some(5 | 6 | 10) => Fault::Unavailable,
            // FULL.
            Some(13) => Fault::DiskFull,
            _ if error.is_unique_violation() => Fault::Duplicate,
            _ => Fault::Other,
        }
    }

    run!();
}
