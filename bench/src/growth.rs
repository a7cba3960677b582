//! W11: what a request costs by the number of sessions, and a save by the size of the session and of the change.

mod by_size;

use std::error::Error;
use std::time::Instant;

use cloakroom::store::StoreUrl;
use cloakroom::{SessionError, SessionManager};
use futures_util::future::try_join_all;
use sqlx::{Connection as _, Executor as _, MySqlConnection, Row as _};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;
use crate::memory::sessions::{self, Token};
use crate::servers::{self, Server};

const SIZES: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];

/// `--store memory`, `file`, `sqlite`, `redis`, `memcached`, `postgres` or `mariadb`, all without it; `--most 1000000` sessions.
pub(crate) fn run(args: &Args) -> Outcome {
    let wanted = args.value("--store", String::new())?;
    let most = args.value("--most", 1_000_000)?;
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut figures = by_size::run(&runtime)?;
    for store in ["memory", "file", "sqlite", "redis", "memcached", "postgres", "mariadb"] {
        if !wanted.is_empty() && wanted != store {
            continue;
        }
        // A file for each session: a million need a file system that was made for it.
        let most = if store == "file" { most.min(100_000) } else { most };
        match runtime.block_on(place(store))? {
            Some((url, _server, _folder)) => figures.extend(grow(&runtime, store, &url, most)?),
            None => println!("{store}: not installed, left out"),
        }
    }
    Ok(figures)
}

async fn place(store: &str) -> Result<Option<(String, Option<Server>, TempDir)>, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let server = match store {
        "redis" => servers::redis(""),
        "memcached" => servers::memcached(),
        "postgres" => servers::postgres(),
        "mariadb" => servers::mariadb(),
        _ => None,
    };
    let path = folder.path().display();
    let url = match (store, &server) {
        ("memory", _) => "memory:".to_owned(),
        ("file", _) => format!("file:{path}/sessions"),
        ("sqlite", _) => format!("sqlite:{path}/sessions.db"),
        ("redis", Some(server)) => servers::redis_url(server),
        ("memcached", Some(server)) => format!("memcached://{}", servers::memcached_address(server)),
        ("postgres", Some(server)) => format!("{}&create_schema=true", servers::postgres_url(server)),
        ("mariadb", Some(server)) => {
            let url = servers::mariadb_url(server).await?;
            // As the operations chapter asks for: it holds the table.
            let mut connection = MySqlConnection::connect(&url).await?;
            connection.execute("SET GLOBAL innodb_buffer_pool_size = 4294967296").await?;
            // Some versions cut it down to what they were started with, and only warn.
            let size = connection.fetch_one("SELECT CAST(@@innodb_buffer_pool_size AS SIGNED)").await?;
            if size.try_get::<i64, _>(0)? < 4 << 30 {
                return Err("the server has not made its buffer pool larger".into());
            }
            format!("{url}&create_schema=true")
        }
        _ => return Ok(None),
    };
    Ok(Some((url, server, folder)))
}

fn grow(runtime: &Runtime, store: &str, url: &str, most: usize) -> Outcome {
    let manager = SessionManager::new(
        runtime.block_on(async { url.parse::<StoreUrl>()?.connect().await.map_err(Box::<dyn Error>::from) })?,
    );
    let (mut tokens, mut figures) = (Vec::new(), Vec::new());
    for size in SIZES.into_iter().filter(|size| *size <= most) {
        runtime.block_on(fill(&manager, &mut tokens, size))?;
        let (read, save) = runtime.block_on(measure(&manager, &tokens))?;
        figures.push(Figure::of("W11 read", store, "time", "ns", &read).at(size as f64));
        figures.push(Figure::of("W11 save", store, "time", "ns", &save).at(size as f64));
    }
    Ok(figures)
}

/// Many at once, or a million would take hours where each waits for a disk.
async fn fill(manager: &SessionManager, tokens: &mut Vec<Token>, size: usize) -> Result<(), SessionError> {
    let value = sessions::value();
    while tokens.len() < size {
        let some = (size - tokens.len()).min(256);
        let begun = (0..some).map(|_| sessions::begin(manager, &value, None));
        tokens.extend(try_join_all(begun).await?);
    }
    Ok(())
}

/// Nanoseconds for each request, of sessions all over the store.
async fn measure(manager: &SessionManager, tokens: &[Token]) -> Result<(Vec<f64>, Vec<f64>), SessionError> {
    const REQUESTS: usize = 2_000;
    let (value, mut read, mut save) = (sessions::value(), Vec::new(), Vec::new());
    for place in sessions::scattered(tokens.len(), 1).take(REQUESTS) {
        let started = Instant::now();
        sessions::read(manager, &tokens[place]).await?;
        read.push(started.elapsed().as_nanos() as f64);
        let started = Instant::now();
        sessions::write(manager, &tokens[place], &value).await?;
        save.push(started.elapsed().as_nanos() as f64);
    }
    Ok((read, save))
}
