//! What the SQL stores are asked beyond the contract.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, SessionId, StoreErrorKind, Timestamp};
use cloakroom::{ConfigError, ErrorKind, SessionManager, SessionStatus, SessionStore, Token, TokenChange};

use crate::support::server::Server;

/// What is asked of a store on a server alike. Takes a `database` from the module: its URL, once the server is ready.
macro_rules! tests {
    (
        store: $store:ident,
        pool: $options:ident,
        server: $start:path,
        schema: $schema:literal,
        source: $source:literal,
        nowhere: $nowhere:literal,
    ) => {
        /// One server for all tests; it is stopped when their process ends.
        static SERVER: std::sync::LazyLock<Option<Server>> = std::sync::LazyLock::new($start);

        async fn shared() -> Option<String> {
            let server = tokio::task::spawn_blocking(|| SERVER.as_ref()).await.unwrap()?;
            Some(database(server).await)
        }

        async fn store(url: &str, table: &str) -> $store {
            let store = $store::connect(url).await.unwrap().table(table).unwrap();
            store.create_schema().await.unwrap();
            store
        }

        /// On connections of the application's.
        async fn pooled(url: &str, table: &str) -> $store {
            let options = $options::new().max_connections(8).acquire_timeout(Duration::from_secs(10));
            $store::with_pool(options.connect(url).await.unwrap()).table(table).unwrap()
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn keeps_the_contract() {
            let Some(url) = shared().await else { return };
            cloakroom::testing::conformance::check(async || store(&url, "contract").await).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn keeps_the_contract_with_a_pool() {
            let Some(url) = shared().await else { return };
            store(&url, concat!($schema, ".contract_pool")).await;
            let store = pooled(&url, "contract_pool").await;
            cloakroom::testing::conformance::check(async || store.clone()).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn table_names_are_checked_and_keep_sessions_apart() {
            let Some(url) = shared().await else { return };
            let one = store(&url, concat!($schema, ".select")).await;
            sql::refuses_bad_names(&one, $store::table);
            sql::a_missing_table_is_no_outage(one.clone().table("missing").unwrap()).await;
            sql::tables_are_separate(one, store(&url, "Other_2").await).await;
            // Several instances of an application may start at once.
            let mut starts = tokio::task::JoinSet::new();
            let store = store(&url, "first").await;
            for _ in 0..8 {
                let store = store.clone().table("at_once").unwrap();
                starts.spawn(async move { store.create_schema().await.unwrap() });
            }
            starts.join_all().await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn cancelled_calls_do_no_harm() {
            let Some(url) = shared().await else { return };
            sql::cancelled_calls_do_no_harm(store(&url, "cancelled").await.max_connections(1)).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn cancelled_calls_do_no_harm_to_a_pool() {
            let Some(url) = shared().await else { return };
            store(&url, "cancelled_pool").await;
            sql::cancelled_calls_do_no_harm(pooled(&url, "cancelled_pool").await).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn survives_kill_9() {
            let Some(server) = $start() else { return };
            let store = store(&database(&server).await, "sessions").await;
            sql::survives_kill_9(store, server).await;
        }

        async fn is_missed_when_it_is_gone(mut server: Server, url: &str) {
            let held = store(url, "sessions").await;
            let options = $options::new().acquire_timeout(Duration::from_millis(300));
            let pooled = $store::with_pool(options.connect(url).await.unwrap());
            server.kill();
            // Processes of the server that serve a connection may live a moment longer.
            tokio::time::sleep(Duration::from_millis(500)).await;
            for store in [held, pooled] {
                cloakroom::testing::conformance::check_unreachable(store, Duration::from_secs(1)).await;
            }
            assert_eq!($store::connect(url).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
        }

        #[tokio::test]
        async fn the_docs_show_the_schema() {
            let store = $store::with_pool($options::new().connect_lazy($nowhere).unwrap());
            let other = store.clone().table("a.b").unwrap();
            sql::the_docs_show_the_schema(&store.schema(), include_str!($source), &other.schema());
        }
    };
}
pub(crate) use tests;

pub const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// What nobody may get into a statement.
pub const BAD_NAMES: &[&str] =
    &["", "a b", "x; DROP TABLE y", "a\"b", "a`b", "a'b", "a.b.c", "1a", "a--", "\u{e4}", "a\0", "$1", "?"];

pub fn refuses_bad_names<S: SessionStore + Clone>(store: &S, table: impl Fn(S, &str) -> Result<S, ConfigError>) {
    for name in BAD_NAMES {
        assert_eq!(table(store.clone(), name).unwrap_err(), ConfigError::TableName { name: (*name).to_owned() });
    }
    let long = "a".repeat(49);
    assert!(table(store.clone(), &long).is_err());
    assert!(table(store.clone(), &long[1..]).is_ok());
}

/// The docs of the store show its SQL, and with another table every name in it is another.
pub fn the_docs_show_the_schema(schema: &str, source: &str, of_other_table: &str) {
    let documented: String = schema.lines().flat_map(|line| ["/// ", line, "\n"]).collect();
    assert!(source.contains(&documented), "the docs do not show:\n{documented}");
    assert!(!of_other_table.contains("cloakroom_sessions"), "{of_other_table}");
}

pub fn record(number: u64, version: u64) -> Record {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Record {
        id: SessionId::from_bytes(id),
        version,
        user: Some(format!("user {number}").into()),
        expires_at: Timestamp::from_millis(NOW.as_millis() + 60_000),
        payload: Payload::from_bytes(format!("{number} in version {version}").into_bytes()),
    }
}

pub async fn tables_are_separate(one: impl SessionStore, other: impl SessionStore) {
    let record = record(1, 1);
    assert_eq!(one.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    assert!(other.load(record.id, NOW).await.unwrap().is_none());
    assert_eq!(other.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    one.delete(record.id).await.unwrap();
    assert!(other.load(record.id, NOW).await.unwrap().is_some());
}

pub async fn a_missing_table_is_no_outage(store: impl SessionStore) {
    for _ in 0..2 {
        assert_eq!(store.load(record(1, 1).id, NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
        assert_eq!(store.create(&record(1, 1), NOW).await.unwrap_err().kind(), StoreErrorKind::Other);
    }
}

/// Cancels 200 loads and as many saves, each after another while, from at once to longer than they take.
pub async fn cancelled_calls_do_no_harm(store: impl SessionStore) {
    const RECORDS: u64 = 8;
    let mut versions = [1_u64; 8];
    for number in 0..RECORDS {
        assert_eq!(store.create(&record(number, 1), NOW).await.unwrap(), CreateOutcome::Created);
    }
    let mut cancelled = 0;
    for round in 0..200_u64 {
        let wait = Duration::from_micros(round * 13 % 1_500);
        let number = round % RECORDS;
        let version = &mut versions[usize::try_from(number).unwrap()];
        let load = store.load(record(number, 1).id, NOW);
        cancelled += u64::from(gives_up_after(wait, load).await);
        let next = record(number, *version + 1);
        cancelled += u64::from(gives_up_after(wait, store.save(&next, *version, NOW)).await);

        // The next call gets its own answer, not the one that was left behind.
        let other = (number + 1) % RECORDS;
        let found = store.load(record(other, 1).id, NOW).await.unwrap().unwrap();
        assert_whole(&found, other);
        assert!(store.load(record(1_000 + round, 1).id, NOW).await.unwrap().is_none());
        // A save that was cancelled may still be on its way: this one decides.
        loop {
            let found = store.load(record(number, 1).id, NOW).await.unwrap().unwrap();
            assert_whole(&found, number);
            *version = found.version + 1;
            if store.save(&record(number, *version), found.version, NOW).await.unwrap() == SaveOutcome::Saved {
                break;
            }
        }
    }
    assert!(cancelled > 50, "too few calls were cancelled to show anything: {cancelled}");
}

/// `true` if it did. Polls the future at least once, and not through tokio's timer, which counts in milliseconds.
async fn gives_up_after<T>(wait: Duration, call: impl Future<Output = T>) -> bool {
    let started = Instant::now();
    let over = std::future::poll_fn(|context| {
        if started.elapsed() >= wait {
            return std::task::Poll::Ready(());
        }
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    });
    tokio::select! {
        biased;
        _ = call => false,
        () = over => true,
    }
}

fn assert_whole(found: &Record, number: u64) {
    let expected = record(number, found.version);
    assert_eq!(found.id, expected.id);
    assert_eq!(found.user, expected.user);
    assert_eq!(found.payload.to_bytes().unwrap(), expected.payload.to_bytes().unwrap());
}

/// What a session costs, in statements on the server as it counts them itself. One connection, so that each statement is
/// prepared once, and before it counts.
pub async fn an_operation_is_one_statement(store: impl SessionStore, executed: impl AsyncFn() -> u64) {
    let manager = SessionManager::new(store);
    for warm in [false, true] {
        let mut before = executed().await;
        let mut expect = async |what: &str, expected: u64| {
            let now = executed().await;
            assert!(!warm || now - before == expected, "{what}: {} statements instead of {expected}", now - before);
            before = now;
        };
        let token = login(&manager).await.unwrap();
        expect("create", 1).await;
        let session = manager.open(token.expose().as_bytes()).await.unwrap();
        expect("read", 1).await;
        session.insert("count", 5).unwrap();
        manager.commit(&session).await.unwrap();
        expect("write", 1).await;
        let session = manager.open(token.expose().as_bytes()).await.unwrap();
        expect("read again", 1).await;
        session.destroy().unwrap();
        manager.commit(&session).await.unwrap();
        expect("logout", 1).await;
    }
}

/// A client: its session, how many increments were acknowledged and how many failed.
struct Client {
    token: Token,
    acknowledged: AtomicU64,
    unsure: AtomicU64,
}

/// `kill -9` of the server while 16 clients write, then a restart. The store is the same one all the time.
pub async fn survives_kill_9(store: impl SessionStore + Clone, mut server: Server) {
    let manager = SessionManager::new(store.clone());
    let done = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let client = Client { token: login(&manager).await.unwrap(), acknowledged: 0.into(), unsure: 0.into() };
        clients.push(Arc::new(client));
    }
    let mut tasks = tokio::task::JoinSet::new();
    for client in clients.clone() {
        let (manager, done) = (manager.clone(), done.clone());
        tasks.spawn(async move {
            while !done.load(Relaxed) {
                if increment(&manager, &client.token).await.is_ok() {
                    client.acknowledged.fetch_add(1, Relaxed);
                } else {
                    client.unsure.fetch_add(1, Relaxed);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        });
    }
    let logouts = tokio::spawn({
        let (manager, done) = (manager.clone(), done.clone());
        async move {
            let mut ended = Vec::new();
            // On a slow machine some have to come after the restart.
            while !done.load(Relaxed) || ended.len() <= 10 {
                let Ok(token) = login(&manager).await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if logout(&manager, &token).await.is_ok() {
                    ended.push(token);
                }
            }
            ended
        }
    });

    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut server = tokio::task::spawn_blocking(move || {
        server.kill();
        std::thread::sleep(Duration::from_millis(500));
        server.restart();
        server
    })
    .await
    .unwrap();

    // It finds back by itself.
    let counts = || clients.iter().map(|client| client.acknowledged.load(Relaxed)).collect::<Vec<_>>();
    let (at_restart, restarted) = (counts(), Instant::now());
    while counts().iter().zip(&at_restart).any(|(now, then)| now < &(then + 10)) {
        assert!(restarted.elapsed() < Duration::from_secs(40), "{:?} and then {:?}", at_restart, counts());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    done.store(true, Relaxed);
    tasks.join_all().await;
    let ended = logouts.await.unwrap();

    for client in &clients {
        let session = manager.open(client.token.expose().as_bytes()).await.unwrap();
        let stored: u64 = session.get("count").unwrap().unwrap();
        let (acknowledged, unsure) = (client.acknowledged.load(Relaxed), client.unsure.load(Relaxed));
        assert!(stored >= acknowledged, "{acknowledged} increments were acknowledged, {stored} are there");
        assert!(stored <= acknowledged + unsure, "{stored} increments, of {acknowledged} and {unsure} unsure ones");
    }
    assert!(clients.iter().any(|client| client.unsure.load(Relaxed) > 0), "nobody noticed that the server was gone");
    let now = SystemTime::now().into();
    for token in ended {
        assert!(store.load(token.id(), now).await.unwrap().is_none(), "a session came back");
        let session = manager.open(token.expose().as_bytes()).await.unwrap();
        assert_eq!(session.status(), SessionStatus::New);
    }
    server.kill();
}

async fn login(manager: &SessionManager) -> Result<Token, ErrorKind> {
    let session = manager.create();
    session.login("ada").unwrap();
    session.insert("count", 0_u64).unwrap();
    match manager.commit(&session).await.map_err(|error| error.kind())? {
        TokenChange::Issue(issued) => Ok(issued.token),
        other => panic!("{other:?}"),
    }
}

async fn logout(manager: &SessionManager, token: &Token) -> Result<(), ErrorKind> {
    let session = manager.open(token.expose().as_bytes()).await.map_err(|error| error.kind())?;
    session.destroy().map_err(|error| error.kind())?;
    manager.commit(&session).await.map(drop).map_err(|error| error.kind())
}

async fn increment(manager: &SessionManager, token: &Token) -> Result<(), ErrorKind> {
    let session = manager.open(token.expose().as_bytes()).await.map_err(|error| error.kind())?;
    assert_eq!(session.status(), SessionStatus::Resumed, "the session is lost");
    session.update("count", |count: Option<u64>| count.unwrap() + 1).map_err(|error| error.kind())?;
    manager.commit(&session).await.map(drop).map_err(|error| error.kind())
}
