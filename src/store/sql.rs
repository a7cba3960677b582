//! Stores in SQL databases: what they share. A [`Dialect`] says where they differ.

mod connections;
mod dialect;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sqlx::{SqlSafeStr as _, SqlStr};

use super::{
    CreateOutcome, ExpiredRecord, Page, Payload, Record, SaveOutcome, SessionId, StoreError, StoreErrorKind, Timestamp,
    Version,
};
use connections::{Connections, Lease};
use dialect::{Dialect, Row, Select, Value};
use table::{LISTED, Statements, Table};

#[cfg(feature = "mysql")]
pub use mysql::MysqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// How often a write is tried that the database itself took back, because of a deadlock or of its isolation level.
const TRIES: usize = 5;

/// No server takes less in one packet. A smaller one was not refused for its size.
const SMALLEST_PACKET: usize = 1 << 20;

/// What a packet has beside the payload and the user, and then some.
const PACKET_OVERHEAD: usize = 128;

/// A table of sessions and the connections to it.
struct Sql<DB: Dialect> {
    connections: Connections<DB>,
    statements: Arc<Statements>,
}

impl<DB: Dialect> Clone for Sql<DB> {
    fn clone(&self) -> Self {
        Self { connections: self.connections.clone(), statements: self.statements.clone() }
    }
}

impl<DB: Dialect> fmt::Debug for Sql<DB> {
    /// Leaves out where the connections go: URLs hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.statements.table, DB::NAME)
    }
}

impl<DB: Dialect> Sql<DB> {
    fn new(connections: Connections<DB>) -> Self {
        Self { connections, statements: Arc::new(Statements::new::<DB>(Table::default())) }
    }

    fn set_table(&mut self, table: Table) {
        self.statements = Arc::new(Statements::new::<DB>(table));
    }

    fn schema(&self) -> String {
        schema_of::<DB>(&self.statements.table)
    }

    async fn create_schema(&self) -> Result<(), StoreError> {
        for statement in &self.statements.schema {
            // Of two that create the same table at the same time, one may be told that it exists all the same.
            let mut tries = TRIES;
            while let Err(error) = self.run(statement, &[]).await {
                tries -= 1;
                if tries == 0 || !connections::is_duplicate::<DB>(&error) {
                    return Err(connections::store_error::<DB>(error));
                }
            }
        }
        Ok(())
    }

    /// A write, as one statement: how many rows it met.
    async fn run(&self, statement: &SqlStr, values: &[Value<'_>]) -> Result<u64, sqlx::Error> {
        let mut tries = TRIES;
        loop {
            let mut lease = self.connections.writes.lease().await?;
            let result = DB::execute(lease.connection(), statement.clone(), values).await;
            tries -= 1;
            match lease.settle(result) {
                Err(error) if tries > 0 && connections::was_taken_back::<DB>(&error) => {}
                result => return result,
            }
        }
    }

    async fn write(&self, statement: &SqlStr, values: &[Value<'_>]) -> Result<u64, StoreError> {
        self.run(statement, values).await.map_err(connections::store_error::<DB>)
    }

    /// A write of a payload and a user, who may be too large together. A duplicate counts as no row.
    async fn write_payload(&self, statement: &SqlStr, values: &[Value<'_>], size: usize) -> Result<u64, StoreError> {
        let error = match self.run(statement, values).await {
            Ok(rows) => return Ok(rows),
            Err(error) if connections::is_duplicate::<DB>(&error) => return Ok(0),
            Err(error) => error,
        };
        let packet = size + PACKET_OVERHEAD;
        if packet >= SMALLEST_PACKET
            && connections::may_be_size::<DB>(&error)
            && let Ok(Some(limit)) = self.packet_limit().await
            && packet > limit
        {
            return Err(StoreError::too_large(size, limit));
        }
        Err(connections::store_error::<DB>(error))
    }

    async fn packet_limit(&self) -> Result<Option<usize>, sqlx::Error> {
        let mut lease = self.connections.writes.fresh_lease().await?;
        let result = DB::packet_limit(lease.connection()).await;
        lease.settle(result)
    }

    async fn rows(&self, statement: &SqlStr, values: &[Value<'_>]) -> Result<Vec<Row>, StoreError> {
        self.fetch(self.connections.reads.lease().await, statement, values, Select::Many).await
    }

    /// Reading can be done twice. A held connection that turns out to be dead costs no more than that.
    async fn fetch(
        &self,
        mut lease: Result<Lease<'_, DB>, sqlx::Error>,
        statement: &SqlStr,
        values: &[Value<'_>],
        select: Select,
    ) -> Result<Vec<Row>, StoreError> {
        loop {
            let mut leased = lease.map_err(connections::store_error::<DB>)?;
            let may_be_stale = leased.is_reused();
            let result = DB::fetch(leased.connection(), statement.clone(), values, select).await;
            match leased.settle(result) {
                Ok(rows) => return Ok(rows),
                Err(error) if may_be_stale && connections::is_lost::<DB>(&error) => {
                    lease = self.connections.reads.fresh_lease().await;
                }
                Err(error) => return Err(connections::store_error::<DB>(error)),
            }
        }
    }

    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let payload = record.payload.to_bytes()?;
        let values = [
            Value::Int(bigint(record.version)?),
            user_value::<DB>(record)?,
            Value::Int(record.expires_at.as_millis()),
            Value::Bytes(&payload),
            Value::Bytes(record.id.as_bytes()),
            Value::Int(now.as_millis()),
        ];
        let (statements, size) = (&self.statements, size_of(record, &payload));
        for _ in 0..TRIES {
            for (statement, values) in [(&statements.create, &values[..5]), (&statements.replace_expired, &values)] {
                if self.write_payload(statement, values, size).await? > 0 {
                    return Ok(CreateOutcome::Created);
                }
            }
            // What had expired may have been swept between the two.
            if self.missed(record.id, now).await? == SaveOutcome::Conflict {
                return Ok(CreateOutcome::Exists);
            }
        }
        Err(StoreError::unavailable("the record was there and gone again whenever it was to be created"))
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let values = [Value::Bytes(id.as_bytes()), Value::Int(now.as_millis())];
        let lease = self.connections.lease_for_load().await;
        let row = self.fetch(lease, &self.statements.load, &values, Select::One).await?.pop();
        row.map(|row| row.into_record(id)).transpose()
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let payload = record.payload.to_bytes()?;
        let values = [
            Value::Int(bigint(record.version)?),
            user_value::<DB>(record)?,
            Value::Int(record.expires_at.as_millis()),
            Value::Bytes(&payload),
            Value::Bytes(record.id.as_bytes()),
            Value::Int(bigint(expected)?),
            Value::Int(now.as_millis()),
        ];
        let rows = self.write_payload(&self.statements.save, &values, size_of(record, &payload)).await?;
        self.outcome(rows, record.id, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let values = [
            Value::Int(expires_at.as_millis()),
            Value::Bytes(id.as_bytes()),
            Value::Int(bigint(expected)?),
            Value::Int(now.as_millis()),
        ];
        let rows = self.write(&self.statements.touch, &values).await?;
        self.outcome(rows, id, now).await
    }

    async fn outcome(&self, rows: u64, id: SessionId, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        if rows > 0 { Ok(SaveOutcome::Saved) } else { self.missed(id, now).await }
    }

    /// Why a write met no row. Beside a `create` in an occupied place, the only case in which an operation takes a second
    /// statement.
    async fn missed(&self, id: SessionId, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        // A live record that cannot be read has another version for certain: this one did not meet it.
        match self.load(id, now).await {
            Ok(None) => Ok(SaveOutcome::Gone),
            Ok(Some(_)) => Ok(SaveOutcome::Conflict),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => Ok(SaveOutcome::Conflict),
            Err(error) => Err(error),
        }
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        let values = [Value::Bytes(id.as_bytes())];
        let mut result = self.run(&self.statements.delete, &values).await;
        // A logout has to work on a full disk too.
        if let (Err(error), Some(make_room)) = (&result, DB::MAKE_ROOM)
            && connections::is_disk_full::<DB>(error)
        {
            let made_room = self.run(&make_room.into_sql_str(), &[]).await;
            result = made_room.and(self.run(&self.statements.delete, &values).await);
        }
        result.map(drop).map_err(connections::store_error::<DB>)
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = [Value::Int(now.as_millis()), Value::Int(limit)];
        let rows = self.rows(&self.statements.expired, &values).await?;
        Ok(rows.into_iter().filter_map(Row::into_expired).collect())
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        let (statement, now) = (&self.statements.delete_expired, Value::Int(now.as_millis()));
        let mut rows = 0;
        if DB::ID_AMONG.is_some() {
            let named: Vec<u8> = ids.iter().flat_map(|id| *id.as_bytes()).collect();
            rows = self.write(statement, &[Value::Bytes(&named), now]).await?;
        } else {
            for ids in ids.chunks(LISTED) {
                // To name a record again does no harm.
                let named = ids.iter().chain(std::iter::repeat(&ids[0])).take(LISTED);
                let mut values: Vec<_> = named.map(|id| Value::Bytes(id.as_bytes())).collect();
                values.push(now);
                rows += self.write(statement, &values).await?;
            }
        }
        Ok(usize::try_from(rows).unwrap_or(usize::MAX))
    }

    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
        // No id is so short that nothing comes before it.
        let after = bookmark.map_or(&[][..], |id| id);
        let values = [Value::Bytes(after), Value::Int(i64::try_from(limit).unwrap_or(i64::MAX))];
        let rows = self.rows(&self.statements.page, &values).await?;
        let (mut page, found, mut last) = (Page::default(), rows.len(), None);
        for row in rows {
            // Without an id it is another's row: ids have 16 bytes.
            let Some(id) = row.id() else { continue };
            last = Some(id);
            match row.into_record(id) {
                Ok(record) => page.records.push(record),
                Err(_) => page.unreadable.push(id),
            }
        }
        page.next = Page::behind(last, found, limit);
        Ok(page)
    }

    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let values = [Value::User(Some(user)), Value::Int(now.as_millis())];
        let rows = self.rows(&self.statements.records_of, &values).await?;
        let read = |row: Row| {
            let id = row.id().ok_or_else(|| StoreError::corrupt("an id that has not 16 bytes"))?;
            row.into_record(id)
        };
        rows.into_iter().map(read).collect()
    }
}

fn schema_of<DB: Dialect>(table: &Table) -> String {
    DB::schema(table).iter().flat_map(|statement| [statement.as_str(), ";\n"]).collect()
}

fn size_of(record: &Record, payload: &[u8]) -> usize {
    payload.len() + record.user.as_ref().map_or(0, |user| user.len())
}

fn bigint(version: Version) -> Result<i64, StoreError> {
    i64::try_from(version).map_err(StoreError::other)
}

fn user_value<DB: Dialect>(record: &Record) -> Result<Value<'_>, StoreError> {
    let user = record.user.as_deref();
    match user {
        // A database that is not strict would cut it off, and one user would be another.
        Some(user) if user.len() > DB::USER_BYTES => {
            Err(StoreError::other(format!("the user's id has more than {} bytes", DB::USER_BYTES)))
        }
        user => Ok(Value::User(user)),
    }
}

impl Row {
    fn id(&self) -> Option<SessionId> {
        self.id.as_deref()?.try_into().ok().map(SessionId::from_bytes)
    }

    /// What cannot be read of it is left out: it is to be deleted all the same.
    fn into_expired(self) -> Option<ExpiredRecord> {
        Some(ExpiredRecord {
            id: self.id()?,
            version: Version::try_from(self.version).unwrap_or_default(),
            user: self.user.and_then(|user| String::from_utf8(user).ok()).map(Into::into),
        })
    }

    fn into_record(self, id: SessionId) -> Result<Record, StoreError> {
        Ok(Record {
            id,
            version: Version::try_from(self.version).map_err(StoreError::corrupt)?,
            user: match self.user {
                Some(user) => Some(String::from_utf8(user).map_err(StoreError::corrupt)?.into()),
                None => None,
            },
            expires_at: Timestamp::from_millis(self.expires_at),
            payload: Payload::from_bytes(self.payload),
        })
    }
}

/// What all stores in SQL databases can do, on a struct around [`Sql`].
macro_rules! sql_store {
    ($store:ident, $database:ty) => {
        impl $store {
            /// As [`schema`](Self::schema), without a connection.
            pub(in crate::store) fn schema_for(table: Option<&str>) -> Result<String, ConfigError> {
                let table = table.map(Table::parse).transpose()?.unwrap_or_default();
                Ok(super::schema_of::<$database>(&table))
            }

            /// Keeps the sessions in this table instead of `cloakroom_sessions`, or in one of another schema
            /// (`schema.table`).
            ///
            /// # Errors
            ///
            /// [`ConfigError::TableName`] if the name, or the schema's, has other characters than ASCII letters, digits and
            /// underscores, begins with a digit, or has more than 48 of them.
            pub fn table(mut self, name: &str) -> Result<Self, ConfigError> {
                self.0.set_table(Table::parse(name)?);
                Ok(self)
            }

            /// The statements of [`create_schema`](Self::create_schema), for migrations of your own.
            pub fn schema(&self) -> String {
                self.0.schema()
            }

            /// Creates the table and its indices unless they exist.
            ///
            /// # Errors
            ///
            /// If the database is not reachable, or does not let this user create tables.
            pub async fn create_schema(&self) -> Result<(), StoreError> {
                self.0.create_schema().await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl SessionStore for $store {
            async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
                self.0.create(record, now).await
            }

            async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
                self.0.load(id, now).await
            }

            async fn save(
                &self,
                record: &Record,
                expected: Version,
                now: Timestamp,
            ) -> Result<SaveOutcome, StoreError> {
                self.0.save(record, expected, now).await
            }

            async fn touch(
                &self,
                id: SessionId,
                expected: Version,
                expires_at: Timestamp,
                now: Timestamp,
            ) -> Result<SaveOutcome, StoreError> {
                self.0.touch(id, expected, expires_at, now).await
            }

            async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
                self.0.delete(id).await
            }

            async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
                self.0.expired(now, limit).await
            }

            async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
                self.0.delete_expired(ids, now).await
            }

            fn user_index(&self) -> Option<&dyn UserIndex> {
                Some(self)
            }

            fn fresh_reads(&self) -> Option<&dyn FreshReads> {
                None
            }

            fn inventory(&self) -> Option<&dyn Inventory> {
                Some(self)
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl Inventory for $store {
            async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
                self.0.page(bookmark, limit).await
            }
        }

        #[async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl UserIndex for $store {
            async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
                self.0.records_of(user, now).await
            }
        }

        impl fmt::Debug for $store {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($store)).field(&self.0).finish()
            }
        }
    };
}
use sql_store;
