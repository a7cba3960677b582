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

/// The columns of a record beside its id, as every statement that reads selects them.
pub(super) const COLUMNS: &str = "version, user_id, expires_at, payload";

/// How many records a statement can select.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Select {
    /// That of an id: [`COLUMNS`] are all.
    One,
    /// Any number: [`COLUMNS`], and the id behind them.
    Many,
}

pub(super) struct Row {
    /// Of a row among [`Many`](Select::Many).
    pub(super) id: Option<Vec<u8>>,
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

    /// Whether the client gives an answer to the call that has asked for it and to no other, even if that was cancelled.
    const ANSWERS_ARE_APART: bool = false;

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
        select: Select,
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send + 'c;

    /// How many bytes a packet to the server may have, if it says so.
    fn packet_limit(
        _connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Option<usize>, sqlx::Error>> + Send {
        std::future::ready(Ok(None))
    }
}

/// The part of a [`Dialect`] that has the same words for every database, but not the same types.
macro_rules! run {
    () => {
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
            select: Select,
        ) -> Result<Vec<Row>, sqlx::Error> {
            let query = bind(statement, values);
            let rows = match select {
                // SQLite's thread has one thing to tell, and not the row, the end, and that there is no more.
                Select::One => query.fetch_optional(connection).await?.into_iter().collect(),
                Select::Many => query.fetch_all(connection).await?,
            };
            rows.iter().map(|row| read(row, select)).collect()
        }
    };
}

/// A statement with its parameters, and a row that it selects, for the database of the module that calls it. `$user` is the
/// type of the column that keeps the user.
macro_rules! bind_and_read {
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

        fn read(row: &<$database as Database>::Row, select: Select) -> Result<Row, sqlx::Error> {
            Ok(Row {
                id: (select == Select::Many).then(|| row.try_get(4)).transpose()?,
                version: row.try_get(0)?,
                user: row.try_get::<Option<$user>, _>(1)?.map(Vec::from),
                expires_at: row.try_get(2)?,
                payload: row.try_get(3)?,
            })
        }
    };
}

pub(super) use {bind_and_read, run};
