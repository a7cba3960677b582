use std::time::{Duration, SystemTime};

use cloakroom::redis::aio::MultiplexedConnection;
use cloakroom::store::{
    CreateOutcome, Payload, Record, SaveOutcome, SentinelConnection, SessionStore as _, StoreErrorKind, Timestamp,
};
use cloakroom::testing::conformance::{self, Settings};
use cloakroom::{RedisStore, SessionId, SessionManager};

use crate::support::load::{Stopwatch, write_during};
use crate::support::redis::{self, Guarded, MASTER};
use crate::support::server::Server;

async fn connect(guarded: &Guarded) -> RedisStore<SentinelConnection> {
    RedisStore::connect_sentinel(guarded.urls(), MASTER).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(guarded) = Guarded::start("") else { return };
    let settings = Settings::default().cleans_up_by_itself();
    conformance::check_with(settings, async || connect(&guarded).await).await;
}

/// A touch changes no more than the head of a value, in place, if its length stays.
#[tokio::test]
async fn what_is_changed_in_place_is_the_same_on_the_replica_and_after_a_restart() {
    let Some(mut guarded) = Guarded::start("") else { return };
    let store = RedisStore::connect(&redis::url(&guarded.master)).await.unwrap();
    let (now, id) = (Timestamp::from(SystemTime::now()), SessionId::from_bytes([7; 16]));
    let after = |minutes| now.saturating_add(Duration::from_mins(minutes));
    let payload = Payload::from_bytes(b"data".as_slice());
    let record = Record { id, version: 1, user: Some("ada".into()), expires_at: after(1), payload };
    assert_eq!(store.create(&record, now).await.unwrap(), CreateOutcome::Created);
    let (mut master, mut replica) =
        (redis::connection(&guarded.master).await, redis::connection(&guarded.replica).await);
    let mut seen = (Vec::new(), 0);
    // The last one takes a digit more.
    for minutes in [2, 60, 10_000, 200_000_000] {
        assert_eq!(store.touch(id, 1, after(minutes), now).await.unwrap(), SaveOutcome::Saved);
        seen = stored(&mut master, id).await;
        // At least one replica, within a second.
        let followed = cloakroom::redis::cmd("WAIT").arg(1).arg(1_000).query_async::<u8>(&mut master).await;
        assert_eq!(followed.unwrap(), 1);
        assert_eq!(stored(&mut replica, id).await, seen);
    }
    guarded.master.kill();
    guarded.master.restart();
    assert_eq!(stored(&mut redis::connection(&guarded.master).await, id).await, seen);
}

/// The value, and when the server forgets it.
async fn stored(connection: &mut MultiplexedConnection, id: SessionId) -> (Vec<u8>, u64) {
    let mut both = cloakroom::redis::pipe();
    both.cmd("GET").arg(format!("session:{id}")).cmd("PEXPIRETIME").arg(format!("session:{id}"));
    both.query_async(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_killed_while_clients_write() {
    let Some(mut guarded) = Guarded::start("") else { return };
    let store = Stopwatch::new(connect(&guarded).await);
    let manager = SessionManager::new(store.clone());
    let report = write_during(&manager, async || {
        guarded.master.kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    println!("{report:?}, longest call {:?}", store.longest());
    assert!(report.acknowledged > 100 && report.failures > 0, "{report:?}");
    assert!(report.outage < Duration::from_secs(6), "{report:?}");
    assert!(store.longest() < Duration::from_secs(2), "{:?}", store.longest());

    guarded.replica.kill();
    guarded.sentinels.iter_mut().for_each(Server::kill);
    conformance::check_unreachable(store, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_is_replaced_while_clients_write() {
    let Some(guarded) = Guarded::start("") else { return };
    let store = Stopwatch::new(connect(&guarded).await);
    let manager = SessionManager::new(store.clone());
    let report = write_during(&manager, async || {
        let mut sentinel = redis::connection(&guarded.sentinels[0]).await;
        let failover = cloakroom::redis::cmd("SENTINEL").arg("failover").arg(MASTER).clone();
        failover.exec_async(&mut sentinel).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(!redis::is_replica(&guarded.replica));
    })
    .await;
    println!("{report:?}, longest call {:?}", store.longest());
    assert!(report.acknowledged > 100, "{report:?}");
    assert!(report.outage < Duration::from_secs(6), "{report:?}");
    assert!(store.longest() < Duration::from_secs(2), "{:?}", store.longest());
    // The old master still takes writes. Nobody sends them there.
    let mut successor = redis::connection(&guarded.replica).await;
    redis::take_calls(&mut successor).await;
    let _ = manager.open("A".repeat(64).as_bytes()).await.unwrap();
    assert!(redis::take_calls(&mut successor).await.iter().any(|(name, _)| name == "get"));
}

#[tokio::test]
async fn a_sentinel_that_is_down_and_a_master_with_a_password() {
    let Some(mut guarded) = Guarded::start("--requirepass sesame --masterauth sesame") else { return };
    guarded.sentinels[0].kill();
    let connection = SentinelConnection::new(guarded.urls(), MASTER).unwrap();
    let (id, now) = (SessionId::from_bytes([1; 16]), cloakroom::store::Timestamp::from_millis(0));
    let refused = RedisStore::new(connection.clone()).load(id, now).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused:?}");
    let store = RedisStore::new(connection.servers_like("redis://:sesame@any/2").unwrap());
    assert!(store.load(id, now).await.unwrap().is_none());
    let unknown = RedisStore::connect_sentinel(guarded.urls(), "unknown").await.unwrap_err();
    assert_eq!(unknown.kind(), StoreErrorKind::Other, "{unknown:?}");
}

#[tokio::test]
async fn the_permissions_in_the_documentation_are_enough() {
    let Some(guarded) = Guarded::start("") else { return };
    redis::let_in(&guarded.master, "+role +select").await;
    let connection = SentinelConnection::new(guarded.urls(), MASTER).unwrap();
    let store = RedisStore::new(connection.servers_like("redis://app:sesame@any/2").unwrap());
    assert!(store.load(SessionId::from_bytes([1; 16]), Timestamp::from_millis(0)).await.unwrap().is_none());
    redis::let_in(&guarded.master, "+select").await;
    let connection = SentinelConnection::new(guarded.urls(), MASTER).unwrap();
    let store = RedisStore::new(connection.servers_like("redis://app:sesame@any/2").unwrap());
    let refused = store.load(SessionId::from_bytes([1; 16]), Timestamp::from_millis(0)).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Other, "{refused:?}");
}
