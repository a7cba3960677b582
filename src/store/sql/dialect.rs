//! Where the databases differ.

use sqlx::{Database, SqlStr};

use super::table::Table;

/// A parameter of a statement.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    User(Option<&'a str>),
}

/// The columns of a record, as every statement that reads selects them.
pub(super) const COLUMNS: &str = "id, version, user_id, expires_at, payload";

pub(super) struct Row {
    pub(super) id: Vec<u8>,
    pub(super) version: i64,
    pub(super) user: Option<Vec<u8>>,
    pub(super) expires_at: i64,
    pub(super) payload: Vec<u8>,
}

/// What an error of the database means for the caller.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is a row with this key.
    Duplicate,
    /// The database took the statement back for the sake of another one. Nothing was written.
    TakenBack,
    /// It is going down, coming up, overloaded, read-only for the time being.
    Unavailable,
    /// The disk is full. Nothing was written.
    DiskFull,
    /// The packet was larger than the server takes.
    PacketTooLarge,
    /// A second try would not mend it.
    Other,
}

pub(super) trait Dialect: Database {
    /// The longest user that its index takes.
    const USER_BYTES: usize;
    /// How names are quoted.
    const QUOTE: char;
    /// The statement that inserts, after the values.
    const ON_DUPLICATE: &'static str;
    /// No bytes, of the type that the payload has.
    const NO_PAYLOAD: &'static str;

    /// That the id is one of those that the first parameter has, one after another in one row of bytes. Without it they are
    /// named in a list of parameters.
    const ID_AMONG: Option<&'static str> = None;

    /// A statement that may make room on a full disk.
    const MAKE_ROOM: Option<&'static str> = None;

    /// Numbered parameters (`$1`) as this database writes them.
    fn parameters(statement: String) -> String;

    /// The statements that create the table and its indices.
    fn schema(table: &Table) -> Vec<String>;

    fn fault(error: &dyn sqlx::error::DatabaseError) -> Fault;

    /// Runs a statement: how many rows it met.
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        statement: SqlStr,
        values: &'c [Value<'c>],
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send + 'c;

    /// Runs a statement that selects [`COLUMNS`].
    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        statement: SqlStr,
        values: &'c [Value<'c>],
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send + 'c;

    /// How many bytes a packet to the server may have, if it says so.
    fn packet_limit(
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Option<usize>, sqlx::Error>> + Send {
        std::future::ready(Ok(None))
    }
}

/// The part of a [`Dialect`] that has the same words for every database, but not the same types. `$user` is the type of
/// the column that keeps the user.
macro_rules! run_with {
    ($user:ty) => {
        async fn execute<'c>(
            connection: &'c mut Self::Connection,
            statement: SqlStr,
            values: &'c [Value<'c>],
        ) -> Result<u64, sqlx::Error> {
            Ok(bind(statement, values).execute(connection).await?.rows_affected())
        }

        async fn fetch<'c>(
            connection: &'c mut Self::Connection,
            statement: SqlStr,
            values: &'c [Value<'c>],
        ) -> Result<Vec<Row>, sqlx::Error> {
            let rows = bind(statement, values).fetch_all(connection).await?;
            let read = |row: <Self as Database>::Row| {
                Ok(Row {
                    id: row.try_get(0)?,
                    version: row.try_get(1)?,
                    user: row.try_get::<Option<$user>, _>(2)?.map(Vec::from),
                    expires_at: row.try_get(3)?,
                    payload: row.try_get(4)?,
                })
            };
            rows.into_iter().map(read).collect()
        }
    };
}

/// The statement with its parameters, for the database of the module that calls it.
macro_rules! bind_with {
    ($database:ty, $user:ty) => {
        fn bind(
            statement: SqlStr,
            values: &[Value<'_>],
        ) -> Query<'static, $database, <$database as Database>::Arguments> {
            let mut query = sqlx::query(statement);
            for value in values {
                query = match *value {
                    Value::Int(int) => query.bind(int),
                    Value::Bytes(bytes) => query.bind(bytes),
                    Value::User(user) => query.bind(user.map(<$user>::from)),
                };
            }
            query
        }
    };
}

pub(super) use {bind_with, run_with};
