//! Connections, the store's own or those of a pool, and what their errors mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions, Connection, Pool};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::StoreError;
use super::dialect::{Dialect, Fault};

/// How long it may take to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection that was used that long ago or less is taken to be alive. Any other one is asked first: the server may have
/// been restarted, or a firewall may have forgotten the connection.
const TRUSTED: Duration = Duration::from_secs(10);

/// How long a write waits for a connection that is lent for a read. That takes no time to speak of, unless nobody polls it.
const READ_TIMEOUT: Duration = Duration::from_millis(50);

/// How long a connection that is asked may take to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

type Options<DB> = <<DB as sqlx::Database>::Connection as Connection>::Options;

/// Where connections for reading and for writing come from: the same source, except with SQLite, which has one writer at
/// a time.
pub(super) struct Connections<DB: Dialect> {
    pub(super) reads: Arc<Source<DB>>,
    pub(super) writes: Arc<Source<DB>>,
}

impl<DB: Dialect> Clone for Connections<DB> {
    fn clone(&self) -> Self {
        Self { reads: self.reads.clone(), writes: self.writes.clone() }
    }
}

impl<DB: Dialect> Connections<DB> {
    /// A connection to read one record with: that which writes, if nobody needs it now. It still knows the pages that it has
    /// written; any other of SQLite's connections has to forget its own when somebody has written.
    pub(super) async fn lease_for_load(&self) -> Result<Lease<'_, DB>, sqlx::Error> {
        let idle = if Arc::ptr_eq(&self.reads, &self.writes) { None } else { self.writes.idle_lease() };
        match idle {
            Some(lease) => Ok(lease),
            None => self.reads.lease().await,
        }
    }
}

impl<DB: Dialect> From<Source<DB>> for Connections<DB> {
    fn from(source: Source<DB>) -> Self {
        let source = Arc::new(source);
        Self { reads: source.clone(), writes: source }
    }
}

pub(super) enum Source<DB: Dialect> {
    Held(Held<DB>),
    Pool(Pool<DB>),
}

/// The store's own connections. `sqlx`'s pool would ask a connection whether it lives before and after every statement.
pub(super) struct Held<DB: Dialect> {
    options: Options<DB>,
    /// The one that was used last lies on top.
    idle: Mutex<Vec<Idle<DB>>>,
    permits: Semaphore,
    /// Taken while a connection is [lent](Source::idle_lease).
    lent: Semaphore,
}

struct Idle<DB: Dialect> {
    connection: DB::Connection,
    since: Instant,
}

/// A connection for one call. If the call does not end well nobody uses the connection again. Nor does anybody if it does not
/// end at all because it was cancelled, unless [answers are apart](Dialect::ANSWERS_ARE_APART).
pub(super) struct Lease<'s, DB: Dialect> {
    connection: Leased<'s, DB>,
    is_reused: bool,
}

enum Leased<'s, DB: Dialect> {
    Held(Borrowed<'s, DB>),
    Pooled(Pooled<DB>),
}

struct Borrowed<'s, DB: Dialect> {
    connection: Option<DB::Connection>,
    held: &'s Held<DB>,
    _permit: SemaphorePermit<'s>,
}

impl<DB: Dialect> Drop for Borrowed<'_, DB> {
    fn drop(&mut self) {
        if DB::ANSWERS_ARE_APART
            && let Some(connection) = self.connection.take()
        {
            self.held.push(connection);
        }
    }
}

/// A pool takes back what is dropped. This takes it out of the pool instead.
struct Pooled<DB: Dialect>(Option<PoolConnection<DB>>);

impl<DB: Dialect> Drop for Pooled<DB> {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl<DB: Dialect> Source<DB> {
    /// Connections of the store's own, `max` of them at most.
    pub(super) fn held(options: Options<DB>, max: usize) -> Self {
        Self::Held(Held {
            options: options.disable_statement_logging(),
            idle: Mutex::default(),
            permits: Semaphore::new(max.clamp(1, Semaphore::MAX_PERMITS)),
            lent: Semaphore::new(1),
        })
    }

    /// The same with room for more or fewer connections. A pool stays as it is.
    pub(super) fn with_max(&self, max: usize) -> Option<Self> {
        match self {
            Self::Held(held) => {
                let resized = Self::held(held.options.clone(), max);
                if let Self::Held(new) = &resized {
                    new.lock().append(&mut held.lock());
                }
                Some(resized)
            }
            Self::Pool(_) => None,
        }
    }

    /// A connection for one call.
    pub(super) async fn lease(&self) -> Result<Lease<'_, DB>, sqlx::Error> {
        match self {
            Self::Held(held) => held.lease(true).await,
            Self::Pool(pool) => Lease::of(pool).await,
        }
    }

    /// A connection that can be had without waiting and without asking whether it lives. It is lent: whoever has the next
    /// permit waits for it for a moment, and then does without it.
    fn idle_lease(&self) -> Option<Lease<'_, DB>> {
        match self {
            Self::Held(held) => held.idle_lease(),
            Self::Pool(_) => None,
        }
    }

    /// A connection that nobody has used yet, where that can be had.
    pub(super) async fn fresh_lease(&self) -> Result<Lease<'_, DB>, sqlx::Error> {
        match self {
            Self::Held(held) => held.lease(false).await,
            Self::Pool(pool) => Lease::of(pool).await,
        }
    }
}

impl<DB: Dialect> Held<DB> {
    fn lock(&self) -> MutexGuard<'_, Vec<Idle<DB>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn lease(&self, may_be_reused: bool) -> Result<Lease<'_, DB>, sqlx::Error> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let reused = if may_be_reused { self.reuse().await } else { None };
        let is_reused = reused.is_some();
        let connection = match reused {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        Ok(self.lend(connection, permit, is_reused))
    }

    fn idle_lease(&self) -> Option<Lease<'_, DB>> {
        if self.permits.available_permits() == 0 {
            return None;
        }
        let permit = self.lent.try_acquire().ok()?;
        let connection = self.lock().pop_if(|idle| idle.since.elapsed() <= TRUSTED)?.connection;
        Some(self.lend(connection, permit, true))
    }

    fn lend<'s>(&'s self, connection: DB::Connection, permit: SemaphorePermit<'s>, is_reused: bool) -> Lease<'s, DB> {
        let borrowed = Borrowed { connection: Some(connection), held: self, _permit: permit };
        Lease { connection: Leased::Held(borrowed), is_reused }
    }

    /// An idle connection that is alive, as far as one can tell.
    async fn reuse(&self) -> Option<DB::Connection> {
        let mut idle = match self.pop() {
            Some(idle) => idle,
            None => self.returned().await?,
        };
        if idle.since.elapsed() > TRUSTED {
            let answer = tokio::time::timeout(PING_TIMEOUT, idle.connection.ping()).await;
            if !matches!(answer, Ok(Ok(()))) {
                // The others are older.
                self.forget_idle();
                return None;
            }
        }
        Some(idle.connection)
    }

    /// The connection that is lent, if it comes back in time. Its borrower may be a future that nobody polls until this very
    /// call is done.
    async fn returned(&self) -> Option<Idle<DB>> {
        // Held until it is out of reach of the next borrower.
        let _lent = tokio::time::timeout(READ_TIMEOUT, self.lent.acquire()).await.ok()?.ok()?;
        self.pop()
    }

    fn push(&self, connection: DB::Connection) {
        self.lock().push(Idle { connection, since: Instant::now() });
    }

    fn pop(&self) -> Option<Idle<DB>> {
        self.lock().pop()
    }

    fn forget_idle(&self) {
        let idle = std::mem::take(&mut *self.lock());
        // Not while the stack is locked: closing may take a moment.
        drop(idle);
    }

    async fn connect(&self) -> Result<DB::Connection, sqlx::Error> {
        let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(CONNECT_TIMEOUT, self.options.connect()).await.map_err(late)?
    }
}

impl<DB: Dialect> Lease<'_, DB> {
    async fn of(pool: &Pool<DB>) -> Result<Self, sqlx::Error> {
        let connection = Pooled(Some(pool.acquire().await?));
        Ok(Self { connection: Leased::Pooled(connection), is_reused: false })
    }

    pub(super) fn connection(&mut self) -> &mut DB::Connection {
        let connection = match &mut self.connection {
            Leased::Held(borrowed) => borrowed.connection.as_mut(),
            Leased::Pooled(pooled) => pooled.0.as_deref_mut(),
        };
        connection.expect("it is taken out when the lease ends, and not before")
    }

    /// Whether others have used the connection before, so that the server may have closed it since.
    pub(super) fn is_reused(&self) -> bool {
        self.is_reused
    }

    /// Ends the lease: gives the connection back if it is in order.
    pub(super) fn settle<T>(self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let in_order = match &result {
            Ok(_) => true,
            Err(error) => is_duplicate::<DB>(error) || was_taken_back::<DB>(error),
        };
        match self.connection {
            Leased::Held(mut borrowed) => match borrowed.connection.take() {
                Some(connection) if in_order => borrowed.held.push(connection),
                // The others have most likely broken with it.
                _ if result.as_ref().is_err_and(is_lost::<DB>) => borrowed.held.forget_idle(),
                _ => {}
            },
            Leased::Pooled(mut pooled) if in_order => drop(pooled.0.take()),
            Leased::Pooled(pooled) => drop(pooled),
        }
        result
    }
}

fn fault<DB: Dialect>(error: &sqlx::Error) -> Option<Fault> {
    Some(DB::fault(error.as_database_error()?))
}

pub(super) fn is_duplicate<DB: Dialect>(error: &sqlx::Error) -> bool {
    fault::<DB>(error) == Some(Fault::Duplicate)
}

pub(super) fn is_disk_full<DB: Dialect>(error: &sqlx::Error) -> bool {
    fault::<DB>(error) == Some(Fault::DiskFull)
}

pub(super) fn was_taken_back<DB: Dialect>(error: &sqlx::Error) -> bool {
    fault::<DB>(error) == Some(Fault::TakenBack)
}

/// Whether the connection is gone, or out of step.
pub(super) fn is_lost<DB: Dialect>(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        error => fault::<DB>(error) == Some(Fault::Unavailable),
    }
}

/// Whether a packet that was too large can look like this. The server may hang up before it has said so.
pub(super) fn may_be_size<DB: Dialect>(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(_)) || fault::<DB>(error) == Some(Fault::PacketTooLarge)
}

pub(super) fn store_error<DB: Dialect>(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => StoreError::unavailable(error),
        sqlx::Error::Database(database) => match DB::fault(database.as_ref()) {
            Fault::Unavailable | Fault::TakenBack | Fault::DiskFull => StoreError::unavailable(error),
            Fault::Duplicate | Fault::PacketTooLarge | Fault::Other => StoreError::other(error),
        },
        sqlx::Error::ColumnDecode { .. } => StoreError::corrupt(error),
        _ => StoreError::other(error),
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;
    use sqlx::Sqlite;
    use sqlx::sqlite::SqliteConnectOptions;

    fn are_leased(source: &Source<Sqlite>) -> bool {
        let Source::Held(held) = source else { unreachable!("the test has no pool") };
        held.permits.available_permits() == 0 || held.lent.available_permits() == 0
    }

    #[tokio::test]
    async fn a_load_takes_the_connection_that_writes_while_that_is_idle() {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("sessions.db")).create_if_missing(true);
        let source = || Arc::new(Source::<Sqlite>::held(options.clone(), 1));
        let connections = Connections { reads: source(), writes: source() };
        let (reads, writes) = (&connections.reads, &connections.writes);

        let first = connections.lease_for_load().await.unwrap();
        assert!(are_leased(reads) && !are_leased(writes), "nobody opens it in order to read");
        first.settle(Ok(())).unwrap();

        writes.lease().await.unwrap().settle(Ok(())).unwrap();
        let idle = connections.lease_for_load().await.unwrap();
        assert!(are_leased(writes) && !are_leased(reads) && idle.is_reused());
        idle.settle(Ok(())).unwrap();

        let writing = writes.lease().await.unwrap();
        let meanwhile = connections.lease_for_load().await.unwrap();
        assert!(are_leased(reads), "who writes holds up nobody who reads");
        meanwhile.settle(Ok(())).unwrap();
        writing.settle(Ok(())).unwrap();

        drop(connections.lease_for_load().await.unwrap());
        assert!(writes.lease().await.unwrap().is_reused(), "who gives up a load takes no connection along");
        let error = Err::<(), _>(sqlx::Error::WorkerCrashed);
        writes.lease().await.unwrap().settle(error).unwrap_err();
        assert!(!writes.lease().await.unwrap().is_reused());
    }
}
