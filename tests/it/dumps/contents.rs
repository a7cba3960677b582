//! Everything that a store holds, past the store, through the client or the files of its server.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use cloakroom::redis::{Value, cmd};
use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::support::redis;
use crate::support::server::Server;

/// Keys, names, columns and values.
pub type Contents = BTreeSet<Vec<u8>>;

/// All names and files below.
pub fn of_folder(folder: &Path) -> Contents {
    let mut contents = Contents::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        contents.insert(path.file_name().unwrap().as_encoded_bytes().to_vec());
        if path.is_dir() {
            contents.extend(of_folder(&path));
        } else {
            contents.insert(fs::read(path).unwrap());
        }
    }
    contents
}

/// All rows of all tables that this statement names, each value as it comes over the wire.
macro_rules! rows {
    ($connection:ty, $url:expr, $tables:expr) => {{
        let mut connection = <$connection>::connect($url).await.unwrap();
        let tables: Vec<(String,)> = sqlx::query_as($tables).fetch_all(&mut connection).await.unwrap();
        assert!(!tables.is_empty());
        let mut contents = Contents::new();
        for (table,) in tables {
            let statement = AssertSqlSafe(format!("SELECT * FROM {table}"));
            for row in sqlx::query(statement).fetch_all(&mut connection).await.unwrap() {
                for column in 0..row.len() {
                    contents.extend(row.try_get_unchecked::<Option<Vec<u8>>, _>(column).unwrap());
                }
            }
        }
        contents
    }};
}

pub async fn of_postgres(url: &str) -> Contents {
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    rows!(PgConnection, url, tables)
}

pub async fn of_mysql(url: &str) -> Contents {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()";
    rows!(MySqlConnection, url, tables)
}

pub async fn of_sqlite(url: &str) -> Contents {
    rows!(SqliteConnection, url, "SELECT name FROM sqlite_master WHERE type = 'table'")
}

pub async fn of_redis(server: &Server) -> Contents {
    let mut connection = redis::connection(server).await;
    let keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut contents = Contents::new();
    for key in keys {
        let kind: String = cmd("TYPE").arg(&key).query_async(&mut connection).await.unwrap();
        let read = match &*kind {
            "hash" => cmd("HGETALL").arg(&key).clone(),
            "zset" => cmd("ZRANGE").arg(&key).arg(0).arg(-1).arg("WITHSCORES").clone(),
            "string" => cmd("GET").arg(&key).clone(),
            other => panic!("no test reads a {other}"),
        };
        let values: Value = read.query_async(&mut connection).await.unwrap();
        contents.insert(key);
        contents.extend(flat(values));
    }
    contents
}

fn flat(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => vec![bytes],
        Value::Array(values) => values.into_iter().flat_map(flat).collect(),
        Value::Map(entries) => entries.into_iter().flat_map(|(key, value)| [flat(key), flat(value)].concat()).collect(),
        Value::Int(number) => vec![number.to_string().into_bytes()],
        Value::Double(number) => vec![number.to_string().into_bytes()],
        other => panic!("no test reads {other:?}"),
    }
}

/// By its text protocol, which can list all keys.
pub fn of_memcached(server: &Server) -> Contents {
    let stream = TcpStream::connect(server.address()).unwrap();
    let mut answers = BufReader::new(&stream);
    let line = |answers: &mut BufReader<&TcpStream>| {
        let mut line = String::new();
        answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let mut contents = Contents::new();
    (&stream).write_all(b"lru_crawler metadump all\r\n").unwrap();
    let mut keys = Vec::new();
    loop {
        let entry = line(&mut answers);
        let Some(key) = entry.strip_prefix("key=").and_then(|rest| rest.split(' ').next()) else { break };
        keys.push(key.to_owned());
    }
    for key in keys {
        // Keys are listed as they would stand in a URL, and ours need no escape there.
        (&stream).write_all(format!("get {key}\r\n").as_bytes()).unwrap();
        let head = line(&mut answers);
        if head == "END" {
            // It has been deleted, and nobody has cleared it away yet.
            continue;
        }
        let length: usize = head.rsplit(' ').next().unwrap().parse().unwrap();
        let mut value = vec![0; length];
        answers.read_exact(&mut value).unwrap();
        assert_eq!([line(&mut answers), line(&mut answers)], ["", "END"]);
        contents.extend([key.into_bytes(), value]);
    }
    contents
}
