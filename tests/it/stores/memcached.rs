use std::time::{Duration, Instant};

use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, StoreErrorKind, Timestamp};
use cloakroom::testing::{TestClock, conformance};
use cloakroom::{ConfigError, MemcachedServer, MemcachedStore, SessionId, SessionManager, SessionStatus, SessionStore};
use tokio::task::JoinSet;

use super::{new_session, open};
use crate::support::server::{self, Server};

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

async fn store(server: &Server) -> MemcachedStore {
    MemcachedStore::connect([server.address()]).await.unwrap()
}

fn record(id: [u8; 16]) -> Record {
    Record {
        id: SessionId::from_bytes(id),
        version: 1,
        user: None,
        expires_at: NOW.saturating_add(Duration::from_mins(1)),
        payload: Payload::from_bytes(id.to_vec()),
    }
}

async fn created(store: &MemcachedStore, id: [u8; 16]) -> Record {
    let record = record(id);
    assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    record
}

fn settings() -> conformance::Settings {
    // Of 1,000 savers each would lose 500 races on average, by two round trips each: that takes minutes.
    conformance::Settings::default().max_payload(999_999).cleans_up_by_itself()
}

/// Items that a server has, or another of its counters.
fn counter(server: &Server, name: &str) -> u64 {
    use std::io::{BufRead as _, BufReader, Write as _};
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"stats\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let mut lines = lines.take_while(|line| line != "END");
    let line = lines.find(|line| line.split(' ').nth(1) == Some(name)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(server) = server::memcached() else { return };
    let make = async || store(&server).await.timeout(Duration::from_secs(30));
    conformance::check_with(settings(), make).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_on_two_servers_by_weight() {
    let (Some(one), Some(two)) = (server::memcached(), server::memcached()) else { return };
    let servers = || [(one.address().to_string(), 1), (two.address().to_string(), 3)];
    let make = async || MemcachedStore::connect(servers()).await.unwrap().timeout(Duration::from_secs(30));
    conformance::check_with(settings(), make).await;

    let store = make().await;
    for server in [&one, &two] {
        let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
        std::io::Write::write_all(&mut stream, b"flush_all\r\n").unwrap();
        std::io::Read::read_exact(&mut stream, &mut [0; 4]).unwrap();
    }
    let writes = [&one, &two].map(|server| counter(server, "total_items"));
    for n in 0..400_u16 {
        let mut id = [3; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        created(&store, id).await;
    }
    let [few, many] = [0, 1].map(|at| counter([&one, &two][at], "total_items") - writes[at]);
    assert_eq!(few + many, 400);
    // Five standard deviations around 100.
    assert!((57..=143).contains(&few), "{few} and {many}");
    // Whoever lists them in another order finds the same.
    let [first, second] = servers();
    let reordered = MemcachedStore::connect([second, first]).await.unwrap();
    let mut id = [3; 16];
    for n in 0..400_u16 {
        id[..2].copy_from_slice(&n.to_be_bytes());
        assert!(reordered.load(SessionId::from_bytes(id), NOW).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn calls_and_round_trips() {
    let Some(server) = server::memcached() else { return };
    let store = store(&server).await;
    let commands = || ["cmd_get", "cmd_set", "cmd_touch"].map(|name| counter(&server, name));
    let mut before = commands();
    let mut cost = || {
        let (after, old) = (commands(), before);
        before = after;
        [0, 1, 2].map(|at| after[at] - old[at])
    };
    let record = created(&store, [1; 16]).await;
    assert_eq!(cost(), [0, 1, 0]);
    store.load(record.id, NOW).await.unwrap().unwrap();
    assert_eq!(cost(), [1, 0, 0]);
    assert_eq!(store.save(&Record { version: 2, ..record.clone() }, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(cost(), [1, 1, 0]);
    assert_eq!(store.touch(record.id, 2, record.expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(cost(), [1, 1, 0]);
    store.delete(record.id).await.unwrap();
    assert_eq!(cost(), [0, 0, 0]);
    assert_eq!(counter(&server, "delete_hits"), 1);
}

#[tokio::test]
async fn says_so_when_the_server_is_gone() {
    let Some(mut server) = server::memcached() else { return };
    let (used, unused) = (store(&server).await, store(&server).await);
    created(&used, [1; 16]).await;
    server.kill();
    conformance::check_unreachable(used, Duration::from_secs(2)).await;
    conformance::check_unreachable(unused, Duration::from_secs(2)).await;
}

/// A server that takes connections and never answers.
#[tokio::test]
async fn gives_up_on_a_server_that_does_not_answer() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let store = MemcachedStore::connect([silent.local_addr().unwrap()]).await.unwrap();
    conformance::check_unreachable(store.timeout(Duration::from_millis(100)), Duration::from_secs(2)).await;
}

#[tokio::test]
async fn recovers_by_itself_when_the_server_is_back() {
    let Some(mut server) = server::memcached() else { return };
    let store = store(&server).await;
    let manager = SessionManager::new(store.clone()).clock(TestClock::default());
    let before = new_session(&manager).await;
    server.kill();
    assert!(manager.open(before.expose().as_bytes()).await.is_err(), "down is not anonymous");
    server.restart();
    // Everything is lost, as documented. The store works as if nothing had been.
    assert_eq!(open(&manager, &before).await.status(), SessionStatus::New);
    let after = new_session(&manager).await;
    assert_eq!(open(&manager, &after).await.status(), SessionStatus::Resumed);
    assert_eq!(store.save(&Record { version: 2, ..record([9; 16]) }, 1, NOW).await.unwrap(), SaveOutcome::Gone);
}

/// `kill -9` while 16 clients write, and again: errors for as long as it is down, and never a wrong answer.
#[tokio::test(flavor = "multi_thread")]
async fn writers_survive_a_kill() {
    let Some(mut server) = server::memcached() else { return };
    let store = store(&server).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for writer in 0..16_u8 {
        let (store, stop) = (store.clone(), stop.clone());
        writers.spawn(async move {
            let (mut round, mut slowest) = (0_u32, Duration::ZERO);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let mut id = [writer; 16];
                id[..4].copy_from_slice(&round.to_be_bytes());
                let started = Instant::now();
                let result = store.create(&record(id), NOW).await;
                slowest = slowest.max(started.elapsed());
                match result {
                    Ok(outcome) => assert_eq!(outcome, CreateOutcome::Created),
                    Err(_) => tokio::task::yield_now().await,
                }
                if let Ok(Some(found)) = store.load(SessionId::from_bytes(id), NOW).await {
                    assert_eq!(found.payload.to_bytes().unwrap(), id.to_vec());
                }
            }
            slowest
        });
    }
    let mut server = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(100));
            server.kill();
            std::thread::sleep(Duration::from_millis(50));
            server.restart();
        }
        server
    })
    .await
    .unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let slowest = writers.join_all().await.into_iter().max().unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    created(&store, [200; 16]).await;
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_calls_that_are_cut_short_leave_it_correct() {
    let Some(server) = server::memcached() else { return };
    let store = store(&server).await.timeout(Duration::from_secs(10));
    let mut records = Vec::new();
    for n in 0..20 {
        records.push(created(&store, [n; 16]).await);
    }
    let (mut cut, mut n) = (0, 0_u64);
    while cut < 200 {
        n += 1;
        let record = &records[usize::try_from(n).unwrap() % 20];
        let call = async {
            if n % 3 == 0 {
                store.touch(record.id, 1, record.expires_at, NOW).await.map(drop)
            } else {
                store.load(record.id, NOW).await.map(drop)
            }
        };
        // Dropped after one, two or three polls: with the command sent, and the answer still to be read.
        let mut call = std::pin::pin!(Some(call));
        let mut done = false;
        for _ in 0..=n % 3 {
            let inner = call.as_mut().as_pin_mut().unwrap();
            done = poll_once(inner).await.is_ready();
            if done {
                break;
            }
            tokio::task::yield_now().await;
        }
        cut += u32::from(!done);
        call.set(None);
        let other = &records[usize::try_from(n * 7 + 1).unwrap() % 20];
        let found = store.load(other.id, NOW).await.unwrap().unwrap();
        assert_eq!(found.payload.to_bytes().unwrap(), other.id.as_bytes().to_vec());
    }
}

async fn poll_once<F: Future>(mut future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context))).await
}

#[tokio::test]
async fn ids_of_any_bytes_and_prefixes_keep_apart() {
    let Some(server) = server::memcached() else { return };
    let (one, other) = (store(&server).await.prefix("one:").unwrap(), store(&server).await.prefix("").unwrap());
    for id in [[0; 16], [0xff; 16], *b"\r\nget a\r\n\0 \x7f\xc3\xa4.,", *b"                "] {
        let record = created(&one, id).await;
        assert!(other.load(record.id, NOW).await.unwrap().is_none());
        created(&other, id).await;
        one.delete(record.id).await.unwrap();
        assert!(one.load(record.id, NOW).await.unwrap().is_none());
        assert!(other.load(record.id, NOW).await.unwrap().is_some());
    }
    let longest = "x".repeat(200);
    created(&one.clone().prefix(&longest).unwrap(), [1; 16]).await;
    for bad in ["a b", "a\n", "\u{e4}", &"x".repeat(201)] {
        assert!(matches!(one.clone().prefix(bad), Err(ConfigError::Limit { .. })), "{bad:?}");
    }
}

#[tokio::test]
async fn the_largest_record_fits_and_a_larger_one_leaves_the_session_alone() {
    let Some(server) = server::memcached() else { return };
    let store = store(&server).await.prefix(&"x".repeat(200)).unwrap();
    let sized = |bytes: usize| Record { payload: Payload::from_bytes(vec![7; bytes - 21]), ..record([1; 16]) };
    let largest = sized(MemcachedStore::MAX_RECORD_BYTES);
    assert_eq!(store.create(&largest, NOW).await.unwrap(), CreateOutcome::Created);
    let next = Record { version: 2, ..sized(MemcachedStore::MAX_RECORD_BYTES + 1) };
    let kind = store.save(&next, 1, NOW).await.unwrap_err().kind();
    assert!(matches!(kind, StoreErrorKind::TooLarge { .. }), "{kind:?}");
    assert_eq!(store.load(largest.id, NOW).await.unwrap().unwrap().version, 1);
    let small = store.clone().max_record_bytes(100);
    let error = small.create(&Record { id: SessionId::from_bytes([2; 16]), ..sized(101) }, NOW).await.unwrap_err();
    assert!(matches!(error.kind(), StoreErrorKind::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn a_record_far_in_the_future_is_kept() {
    let Some(server) = server::memcached() else { return };
    let store = store(&server).await;
    let days = |days: u64| NOW.saturating_add(Duration::from_hours(24 * days));
    for (byte, expires_at) in [(1, days(29)), (2, days(31)), (3, days(400)), (4, Timestamp::MAX)] {
        let record = Record { expires_at, ..record([byte; 16]) };
        assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
        assert_eq!(store.load(record.id, days(28)).await.unwrap().unwrap().expires_at, expires_at);
        assert_eq!(store.touch(record.id, 1, days(40), NOW).await.unwrap(), SaveOutcome::Saved);
        assert!(store.load(record.id, days(39)).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_item_that_is_no_record_is_corrupt_and_stays() {
    let Some(server) = server::memcached() else { return };
    let store = store(&server).await;
    let id = record([0xab; 16]).id;
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    let command = format!("set cloakroom:{} 0 0 7\r\nforeign\r\n", "ab".repeat(16));
    std::io::Write::write_all(&mut stream, command.as_bytes()).unwrap();
    std::io::Read::read_exact(&mut stream, &mut [0; 8]).unwrap();
    for _ in 0..2 {
        assert_eq!(store.load(id, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
        let saved = store.save(&Record { version: 2, ..record([0xab; 16]) }, 1, NOW).await;
        assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
    store.delete(id).await.unwrap();
    assert!(store.load(id, NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn an_address_that_cannot_be_is_an_error_at_once() {
    assert!(MemcachedStore::connect([MemcachedServer::new("no port")]).await.is_err());
    assert!(MemcachedStore::connect::<&str>([]).await.is_err());
}
