mod index;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom::redis::aio::{ConnectionLike, MultiplexedConnection};
use cloakroom::redis::{Client, Cmd, Pipeline, RedisFuture, Value, cmd};
use cloakroom::store::{
    CreateOutcome, Inventory as _, Payload, Record, SaveOutcome, SessionStore, StoreErrorKind, Timestamp,
    UserIndex as _,
};
use cloakroom::testing::TestClock;
use cloakroom::testing::conformance::{self, Settings};
use cloakroom::{RedisStore, Session, SessionId, SessionManager, Token, TokenChange};

use crate::support::load::{Stopwatch, write_during};
use crate::support::manager;
use crate::support::redis::{Twice, connection, let_in, single, take_calls, url, valkey};
use crate::support::server::Server;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const PATIENCE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_mins(1);

fn settings() -> Settings {
    Settings::default().cleans_up_by_itself()
}

fn record(id: u8, user: Option<&str>) -> Record {
    Record {
        id: SessionId::from_bytes([id; 16]),
        version: 1,
        user: user.map(Arc::from),
        expires_at: NOW.saturating_add(MINUTE),
        payload: Payload::from_bytes(b"data".as_slice()),
    }
}

fn next(record: &Record) -> Record {
    Record { version: record.version + 1, ..record.clone() }
}

async fn store(server: &Server) -> RedisStore {
    RedisStore::connect(&url(server)).await.unwrap()
}

/// For tests that keep the whole machine busy.
async fn patient(server: &Server) -> RedisStore {
    store(server).await.timeout(PATIENCE)
}

async fn create(store: &impl SessionStore, record: Record) -> Record {
    assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    record
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(server) = single("") else { return };
    conformance::check_with(settings(), async || patient(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_on_valkey() {
    let Some(server) = valkey() else { return };
    conformance::check_with(settings(), async || patient(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_when_every_command_is_sent_twice() {
    let Some(server) = single("") else { return };
    let make = async || RedisStore::new(Twice::new(connection(&server).await)).timeout(PATIENCE);
    conformance::check_with(settings(), make).await;
}

#[tokio::test]
async fn a_write_that_arrives_again_later_is_known_and_changes_nothing() {
    let Some(server) = single("") else { return };
    let twice = Twice::new(connection(&server).await);
    let (store, mut other) = (RedisStore::new(twice.clone()), connection(&server).await);
    let mut record = create(&store, record(1, None)).await;
    record = next(&record);
    assert_eq!(store.save(&record, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let sent = twice.sent.lock().unwrap().last().unwrap().clone();
    for _ in 0..7 {
        record = next(&record);
        assert_eq!(store.save(&record, record.version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
        let again: Vec<String> = sent.query_async(&mut other).await.unwrap();
        assert_eq!(again, ["done"]);
        assert_eq!(store.load(record.id, NOW).await.unwrap().unwrap().version, record.version);
    }
    store.delete(record.id).await.unwrap();
    let again: Vec<String> = sent.query_async(&mut other).await.unwrap();
    assert_eq!(again, ["gone"]);
}

#[tokio::test]
async fn says_so_when_nobody_answers() {
    let Some(mut server) = single("") else { return };
    let store = store(&server).await;
    // A connection that waits for nine seconds, were it not for the store.
    let patient = Client::open(url(&server)).unwrap().get_connection_manager().await.unwrap();
    server.kill();
    conformance::check_unreachable(store, Duration::from_secs(2)).await;
    conformance::check_unreachable(RedisStore::new(patient), Duration::from_secs(2)).await;
    let error = RedisStore::connect(&url(&server)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    let Some(server) = single("") else { return };
    let store = store(&server).await;
    let mut other = connection(&server).await;
    cmd("CLIENT").arg("PAUSE").arg(60_000).arg("ALL").exec_async(&mut other).await.unwrap();
    let started = Instant::now();
    let error = store.load(record(1, None).id, NOW).await.unwrap_err();
    assert!(matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::TimedOut), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn survives_kill_9_while_clients_write() {
    let Some(mut server) = single("") else { return };
    let store = Stopwatch::new(store(&server).await);
    let manager = SessionManager::new(store.clone());
    let report = write_during(&manager, async || {
        server.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.restart();
    })
    .await;
    println!("{report:?}, longest call {:?}", store.longest());
    assert!(report.acknowledged > 100 && report.failures > 0, "{report:?}");
    assert_eq!((report.lost, report.resurrected), (0, 0), "{report:?}");
    assert!(store.longest() < Duration::from_secs(2), "{:?}", store.longest());
}

#[tokio::test]
async fn a_request_costs_one_command_or_two() {
    let Some(server) = single("") else { return };
    let mut connection = connection(&server).await;
    let clock = TestClock::default();
    let manager = manager(store(&server).await, &clock);
    let warm_up = async {
        // The server has to see each script once.
        let token = new_session(&manager).await;
        let session = open(&manager, &token).await;
        session.insert("n", 2).unwrap();
        manager.commit(&session).await.unwrap();
        let session = open(&manager, &token).await;
        session.destroy().unwrap();
        manager.commit(&session).await.unwrap();
    };
    warm_up.await;
    let from_clients = |mut calls: Vec<(String, u64)>| {
        calls.retain(|(name, _)| {
            ["evalsha", "eval", "get", "getrange", "del", "script|load", "set"].contains(&name.as_str())
        });
        calls
    };

    take_calls(&mut connection).await;
    let token = new_session(&manager).await;
    assert_eq!(from_clients(take_calls(&mut connection).await), [("set".into(), 1)]);

    let session = open(&manager, &token).await;
    assert_eq!(session.get::<u64>("n").unwrap(), Some(1));
    manager.commit(&session).await.unwrap();
    assert_eq!(from_clients(take_calls(&mut connection).await), [("get".into(), 1)]);

    let session = open(&manager, &token).await;
    session.insert("n", 2).unwrap();
    manager.commit(&session).await.unwrap();
    // One script, and what it calls itself.
    let write = from_clients(take_calls(&mut connection).await);
    assert_eq!(write, [("evalsha".into(), 1), ("get".into(), 1), ("getrange".into(), 1), ("set".into(), 1)]);

    let session = open(&manager, &token).await;
    session.destroy().unwrap();
    manager.commit(&session).await.unwrap();
    // A session that is nobody's: ended by one script if it is unchanged, and deleted.
    let end = from_clients(take_calls(&mut connection).await);
    let ended = [("del", 1), ("evalsha", 1), ("get", 1), ("getrange", 2), ("set", 1)];
    assert_eq!(end, ended.map(|(name, calls)| (name.to_owned(), calls)));

    let session = manager.create();
    manager.commit(&session).await.unwrap();
    assert_eq!(take_calls(&mut connection).await, []);
}

async fn new_session(manager: &SessionManager) -> Token {
    let session = manager.create();
    session.insert("n", 1).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
}

#[tokio::test]
async fn cancelled_calls_and_a_flushed_script_cache_leave_the_connection_correct() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let records: Vec<Record> = (0..200).map(|id| Record { version: u64::from(id) + 1, ..record(id, None) }).collect();
    for record in &records {
        create(&store, record.clone()).await;
    }
    for (round, record) in records.iter().enumerate() {
        if round % 20 == 0 {
            cmd("SCRIPT").arg("FLUSH").exec_async(&mut other).await.unwrap();
        }
        let call = async {
            store.load(record.id, NOW).await?;
            store.touch(record.id, record.version, record.expires_at, NOW).await
        };
        tokio::select! {
            biased;
            _ = call => {}
            () = tokio::time::sleep(Duration::from_micros(round as u64 * 3)) => {}
        }
    }
    for record in &records {
        let found = store.load(record.id, NOW).await.unwrap().unwrap();
        assert_eq!((found.id, found.version), (record.id, record.version));
        assert_eq!(store.save(&next(record), record.version, NOW).await.unwrap(), SaveOutcome::Saved);
    }
}

#[tokio::test]
async fn numbers_beyond_2_to_the_53_are_exact() {
    let Some(server) = single("") else { return };
    let store = store(&server).await;
    let millis = Timestamp::from_millis;
    let last = u64::MAX - 1;
    let far = create(&store, Record { version: last, expires_at: Timestamp::MAX, ..record(1, Some("ada")) }).await;
    let found = store.load(far.id, NOW).await.unwrap().unwrap();
    assert_eq!((found.version, found.expires_at), (last, Timestamp::MAX));
    assert_eq!(store.save(&next(&far), last - 1, NOW).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(store.touch(far.id, last - 1, Timestamp::MAX, NOW).await.unwrap(), SaveOutcome::Conflict);
    // Both are the same as a double.
    let end = millis(i64::MAX - 1);
    assert_eq!(store.touch(far.id, last, end, end).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.touch(far.id, last, Timestamp::MAX, end).await.unwrap(), SaveOutcome::Gone);
    let before_end = millis(i64::MAX - 2);
    assert_eq!(store.save(&next(&far), last, before_end).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.user_index().unwrap().records_of("ada", before_end).await.unwrap().len(), 1);

    for (id, expires, now) in [(2, 0, -1), (3, -5, -6), (4, -9, -10), (5, i64::MIN + 1, i64::MIN), (6, 10, 9)] {
        let (expires_at, now) = (millis(expires), millis(now));
        let early = Record { expires_at, ..record(id, Some("bob")) };
        assert_eq!(store.create(&early, now).await.unwrap(), CreateOutcome::Created, "{expires}");
        assert_eq!(store.create(&early, now).await.unwrap(), CreateOutcome::Exists, "{expires}");
        assert_eq!(store.touch(early.id, 1, expires_at, now).await.unwrap(), SaveOutcome::Saved, "{expires}");
        assert_eq!(store.touch(early.id, 1, expires_at, expires_at).await.unwrap(), SaveOutcome::Gone, "{expires}");
        assert_eq!(store.load(early.id, now).await.unwrap().unwrap().expires_at, expires_at);
    }
}

#[tokio::test]
async fn the_server_cleans_up_and_not_too_early() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let mut ttl = async |key: String| cmd("PTTL").arg(key).query_async::<i64>(&mut other).await.unwrap();
    let hour = 60 * 60 * 1_000;
    let one = Record { expires_at: NOW.saturating_add(60 * MINUTE), ..record(1, Some("ada")) };
    let one = create(&store, one).await;
    let key = format!("session:{}", one.id);
    assert!((hour + 50_000..=hour + 60_000).contains(&ttl(key.clone()).await));
    let index = ttl("session:user:ada".into()).await;
    assert!((2 * hour + 50_000..=2 * hour + 60_000).contains(&index), "{index}");
    let (later, forever) = (NOW.saturating_add(600 * MINUTE), Timestamp::MAX);
    for (expires_at, at_least) in [(later, 10 * hour + 50_000), (forever, 1 << 51)] {
        assert_eq!(store.touch(one.id, 1, expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
        assert!(ttl(key.clone()).await >= at_least);
        assert!(ttl("session:user:ada".into()).await >= at_least);
    }
    assert_eq!(store.touch(one.id, 1, NOW.saturating_add(MINUTE), NOW).await.unwrap(), SaveOutcome::Saved);
    assert!(ttl(key).await <= 120_000);
}

#[tokio::test]
async fn what_is_no_record_is_reported_and_stays() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let key = |id: u8| format!("session:{}", SessionId::from_bytes([id; 16]));
    let values: [&[u8]; 7] = [
        b"",
        b"a string",
        b"one 1700000060000  0 -\ndata",
        b"1 soon  0 -\ndata",
        b"1 1700000060000  0\ndata",
        b"1 1700000060000 1700000120000 0 9\ndata",
        b"1 1700000060000 1700000120000 0 1\n\xffdata",
    ];
    for (id, value) in (1..).zip(values) {
        cmd("SET").arg(key(id)).arg(value).exec_async(&mut other).await.unwrap();
        let error = store.load(SessionId::from_bytes([id; 16]), NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
        assert_eq!(store.create(&record(id, None), NOW).await.unwrap(), CreateOutcome::Exists);
        assert_eq!(store.touch(record(id, None).id, 9, NOW, NOW).await.unwrap(), SaveOutcome::Conflict);
        assert_eq!(store.save(&next(&record(id, None)), 9, NOW).await.unwrap(), SaveOutcome::Conflict);
        assert_eq!(cmd("GET").arg(key(id)).query_async::<Vec<u8>>(&mut other).await.unwrap(), value);
    }
    cmd("HSET").arg(key(8)).arg("version").arg(1).exec_async(&mut other).await.unwrap();
    let error = store.save(&next(&record(8, None)), 1, NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error:?}");
    let kept: u64 = cmd("DBSIZE").query_async(&mut other).await.unwrap();
    assert_eq!(kept, 8);
}

#[tokio::test]
async fn a_socket_a_database_and_a_password() {
    let Some(server) = single("--unixsocket DIR/socket --unixsocketperm 777 --requirepass open-sesame") else { return };
    let socket = format!("redis+unix://{}/socket?db=3&pass=open-sesame", server.dir.display());
    let tcp = format!("redis://:open-sesame@{}/3", server.address());
    let elsewhere = format!("redis://:open-sesame@{}/4", server.address());
    let (socket, tcp, elsewhere) = (
        RedisStore::connect(&socket).await.unwrap(),
        RedisStore::connect(&tcp).await.unwrap(),
        RedisStore::connect(&elsewhere).await.unwrap(),
    );
    let record = create(&socket, record(1, None)).await;
    assert!(tcp.load(record.id, NOW).await.unwrap().is_some());
    assert!(elsewhere.load(record.id, NOW).await.unwrap().is_none());
    assert!(tcp.prefix("other:").load(record.id, NOW).await.unwrap().is_none());

    for wrong in [url(&server), format!("redis://:wrong@{}", server.address()), "http://localhost".into()] {
        let error = RedisStore::connect(&wrong).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{error:?}");
        assert!(!format!("{error:?}").contains(":wrong@"));
    }
}

#[tokio::test]
async fn the_permissions_in_the_documentation_are_enough() {
    let Some(server) = single("") else { return };
    let_in(&server, "").await;
    let store = RedisStore::connect(&format!("redis://app:sesame@{}", server.address())).await.unwrap();
    let first = create(&store, record(1, Some("ada"))).await;
    let second = Record { user: Some("bob".into()), ..next(&first) };
    assert_eq!(store.save(&second, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let third = Record { user: None, ..next(&second) };
    assert_eq!(store.save(&third, 2, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.touch(first.id, 3, NOW.saturating_add(MINUTE), NOW).await.unwrap(), SaveOutcome::Saved);
    assert!(store.user_index().unwrap().records_of("ada", NOW).await.unwrap().is_empty());
    store.delete(first.id).await.unwrap();

    let error = store.clone().prefix("elsewhere:").load(first.id, NOW).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Other, "{error:?}");

    let third = format!("redis://app:sesame@{}/3", server.address());
    assert_eq!(RedisStore::connect(&third).await.unwrap_err().kind(), StoreErrorKind::Other);
    assert!(store.inventory().unwrap().page(None, 10).await.is_err());
    let_in(&server, "+select +scan").await;
    create(&RedisStore::connect(&third).await.unwrap(), first).await;
    assert!(store.inventory().unwrap().page(None, 10).await.is_ok());
}

/// Each command takes 100 milliseconds, as where the server is far away.
#[derive(Clone)]
struct Far(MultiplexedConnection);

impl ConnectionLike for Far {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            self.0.req_packed_command(command).await
        })
    }

    fn req_packed_commands<'a>(&'a mut self, _: &'a Pipeline, _: usize, _: usize) -> RedisFuture<'a, Vec<Value>> {
        unimplemented!("the store sends no pipelines")
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// Five steps: to find the ids, and the records, 64 at a time. Somebody waits for a list of devices, and nobody for a tool.
#[tokio::test]
async fn one_deadline_is_for_all_records_of_a_user_and_one_for_each_step_of_a_page() {
    let Some(server) = single("") else { return };
    let near = store(&server).await;
    for id in 0..200 {
        create(&near, record(id, Some("ada"))).await;
    }
    let far = RedisStore::new(Far(connection(&server).await)).timeout(Duration::from_millis(450));
    assert_eq!(far.records_of("ada", NOW).await.unwrap_err().kind(), StoreErrorKind::TimedOut);
    assert_eq!(far.page(None, 1_000).await.unwrap().records.len(), 200);
    assert_eq!(far.timeout(PATIENCE).records_of("ada", NOW).await.unwrap().len(), 200);
}

#[tokio::test]
async fn a_full_server_refuses_and_loses_nothing() {
    let Some(server) = single("--maxmemory-policy noeviction") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let record = create(&store, record(1, Some("ada"))).await;
    assert_eq!(store.touch(record.id, 1, record.expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.save(&next(&record), 9, NOW).await.unwrap(), SaveOutcome::Conflict);
    cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec_async(&mut other).await.unwrap();
    let moved = Record { user: Some("bob".into()), ..next(&record) };
    for change in [&moved, &next(&record)] {
        let error = store.save(change, 1, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other, "{error:?}");
    }
    let found = store.load(record.id, NOW).await.unwrap().unwrap();
    assert_eq!((found.version, found.user), (1, record.user));
    store.delete(record.id).await.unwrap();
    assert!(store.load(record.id, NOW).await.unwrap().is_none());
}
