use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{CreateOutcome, NoSummary, Payload, Record, SaveOutcome, StoreErrorKind, Timestamp};
use cloakroom::testing::{Fault, FaultStore, Operation, TestClock, conformance};
use cloakroom::{MemoryStore, MigratingStore, NoopStore, SessionId, SessionStatus, SessionStore, SqliteStore};
use tokio::task::JoinSet;

use super::{GatedLoads, new_session, open};
use crate::support::gate::Gate;
use crate::support::{manager, sweep};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000_000).saturating_add(Duration::from_secs(seconds))
}

fn record() -> Record {
    Record {
        id: SessionId::from_bytes([5; 16]),
        version: 7,
        user: Some("ada".into()),
        expires_at: at(60),
        payload: Payload::from_bytes(&b"old"[..]),
    }
}

fn next() -> Record {
    Record { version: 8, expires_at: at(90), payload: Payload::from_bytes(&b"saved"[..]), ..record() }
}

/// With one record in the old store.
async fn begun() -> (MemoryStore, MemoryStore, MigratingStore<MemoryStore, MemoryStore>) {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    (old.clone(), new.clone(), MigratingStore::new(old, new))
}

async fn version(store: &impl SessionStore) -> Option<u64> {
    store.load(record().id, at(1)).await.unwrap().map(|record| record.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    conformance::check(async || MigratingStore::new(MemoryStore::new(), MemoryStore::new())).await;
}

#[tokio::test]
async fn says_so_when_either_store_is_gone() {
    for [old, new] in [[Fault::Down, Fault::Yield(0)], [Fault::Yield(0), Fault::Down]] {
        let stores = [FaultStore::new(MemoryStore::new()), FaultStore::new(MemoryStore::new())];
        stores[0].everything(old);
        stores[1].everything(new);
        let [old, new] = stores;
        let (store, record) = (MigratingStore::new(old, new), record());
        let down = StoreErrorKind::Unavailable;
        assert_eq!(store.create(&record, at(0)).await.unwrap_err().kind(), down);
        assert_eq!(store.load(record.id, at(0)).await.unwrap_err().kind(), down);
        assert_eq!(store.save(&next(), 7, at(0)).await.unwrap_err().kind(), down);
        assert_eq!(store.touch(record.id, 7, at(9), at(0)).await.unwrap_err().kind(), down);
        assert_eq!(store.delete(record.id).await.unwrap_err().kind(), down);
    }
}

#[tokio::test]
async fn a_session_of_the_old_store_is_served_and_moves_when_it_is_written() {
    for operation in ["save", "touch"] {
        let (old, new, store) = begun().await;
        assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Exists);
        assert_eq!(version(&store).await, Some(7));
        assert!(new.is_empty());
        let expected = if operation == "save" {
            assert_eq!(store.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Saved);
            next()
        } else {
            assert_eq!(store.touch(record().id, 7, at(90), at(1)).await.unwrap(), SaveOutcome::Saved);
            Record { expires_at: at(90), ..record() }
        };
        assert!(old.is_empty());
        let found = new.load(record().id, at(1)).await.unwrap().unwrap();
        assert_eq!((found.version, found.expires_at), (expected.version, at(90)), "{operation}");
        assert_eq!(
            (found.user, found.payload.to_bytes().unwrap()),
            (expected.user, expected.payload.to_bytes().unwrap())
        );
        assert_eq!(version(&store).await, Some(expected.version));
    }
}

#[tokio::test]
async fn the_old_stores_versions_and_expiry_count() {
    let (old, new, store) = begun().await;
    assert_eq!(store.save(&next(), 6, at(1)).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(store.touch(record().id, 8, at(90), at(1)).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(store.save(&next(), 7, at(60)).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(store.touch(record().id, 7, at(90), at(60)).await.unwrap(), SaveOutcome::Gone);
    assert!(store.load(record().id, at(60)).await.unwrap().is_none());
    assert_eq!((old.len(), new.len()), (1, 0));
    assert_eq!(sweep(&store, at(60), 10).await, 1);
    assert!(old.is_empty());
}

#[tokio::test]
async fn nothing_is_written_after_a_logout() {
    for moved_before in [false, true] {
        let (old, new, store) = begun().await;
        if moved_before {
            assert_eq!(store.touch(record().id, 7, at(60), at(1)).await.unwrap(), SaveOutcome::Saved);
        }
        store.delete(record().id).await.unwrap();
        assert!(old.is_empty());
        assert_eq!(version(&store).await, None);
        assert_eq!(store.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Gone);
        assert_eq!(store.touch(record().id, 7, at(90), at(1)).await.unwrap(), SaveOutcome::Gone);
        assert_eq!(store.create(&record(), at(1)).await.unwrap(), CreateOutcome::Exists);
        assert!(store.user_index().unwrap().records_of("ada", at(1)).await.unwrap().is_empty());
        store.delete(record().id).await.unwrap();
        // The tombstone is cleaned up when it has expired, and no sweeper is told of it.
        assert_eq!((new.len(), store.expired(at(86_402), 10).await.unwrap()), (1, Vec::new()));
        assert!(new.is_empty());
    }
}

/// A mover that has seen the session before the logout, and writes after it.
#[tokio::test]
async fn a_late_move_does_not_bring_a_session_back() {
    for touches in [false, true] {
        for moved_before in [false, true] {
            let (old, new, direct) = begun().await;
            let gate = Gate::default();
            let slow_old = GatedLoads { inner: old.clone(), gate: gate.clone() };
            let slow = Arc::new(MigratingStore::new(slow_old, new.clone()));
            let mover = slow.clone();
            let moving = tokio::spawn(async move {
                if touches {
                    mover.touch(record().id, 7, at(90), at(1)).await.unwrap()
                } else {
                    mover.save(&next(), 7, at(1)).await.unwrap()
                }
            });
            gate.arrived(1).await;
            if moved_before {
                assert_eq!(direct.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Saved);
            }
            direct.load(record().id, at(1)).await.unwrap();
            direct.delete(record().id).await.unwrap();
            gate.open(1);
            assert_eq!(moving.await.unwrap(), SaveOutcome::Gone);
            assert_eq!(version(&direct).await, None);
            assert_eq!((old.len(), new.len()), (0, 1), "nothing but the tombstone");
        }
    }
}

/// A reader that has looked into the new store before the move, and into the old one after it.
#[tokio::test]
async fn a_reader_between_two_stores_finds_the_session() {
    let (old, new, direct) = begun().await;
    let gate = Gate::default();
    let slow_new = GatedLoads { inner: new.clone(), gate: gate.clone() };
    let slow = Arc::new(MigratingStore::new(old.clone(), slow_new));
    let reading = tokio::spawn({
        let slow = slow.clone();
        async move { version(&*slow).await }
    });
    gate.arrived(1).await;
    assert_eq!(direct.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Saved);
    gate.open(2);
    assert_eq!(reading.await.unwrap(), Some(8));
}

#[tokio::test]
async fn a_move_that_stops_halfway_is_finished_by_whoever_comes_next() {
    for finisher in ["load", "save", "delete_expired"] {
        let (old, new) = (FaultStore::new(MemoryStore::new()), MemoryStore::new());
        assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
        let store = MigratingStore::new(old.clone(), new.clone());
        old.once(Operation::Delete, Fault::Down);
        assert_eq!(store.save(&next(), 7, at(1)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
        assert_eq!((old.inner().len(), new.len()), (1, 1));
        match finisher {
            "load" => assert_eq!(version(&store).await, Some(7)),
            "save" => assert_eq!(store.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Saved),
            _ => assert_eq!(sweep(&store, at(1), 10).await, 0),
        }
        assert_eq!((old.inner().len(), new.len()), (0, 1), "{finisher}");
    }
}

#[tokio::test]
async fn a_logout_that_stops_halfway_is_a_logout() {
    let (old, new) = (FaultStore::new(MemoryStore::new()), MemoryStore::new());
    assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    let store = MigratingStore::new(old.clone(), new);
    assert_eq!(version(&store).await, Some(7));
    old.once(Operation::Delete, Fault::Down);
    store.delete(record().id).await.unwrap_err();
    assert_eq!(version(&store).await, None);
    assert_eq!(store.save(&next(), 7, at(1)).await.unwrap(), SaveOutcome::Gone);
    assert!(store.user_index().unwrap().records_of("ada", at(1)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_user_is_found_in_both_stores_and_each_session_once() {
    let (old, new, store) = begun().await;
    let ada = |byte| Record { id: SessionId::from_bytes([byte; 16]), ..record() };
    assert_eq!(store.create(&ada(6), at(0)).await.unwrap(), CreateOutcome::Created);
    // As after a move that stopped halfway: once as it was, once as another user's by now.
    for (byte, user) in [(7, "ada"), (8, "bob")] {
        assert_eq!(old.create(&ada(byte), at(0)).await.unwrap(), CreateOutcome::Created);
        let newer = Record { version: 9, user: Some(user.into()), ..ada(byte) };
        assert_eq!(new.create(&newer, at(0)).await.unwrap(), CreateOutcome::Created);
    }
    let index = store.user_index().unwrap();
    let found = index.records_of("ada", at(1)).await.unwrap();
    let mut found: Vec<_> = found.iter().map(|record| (record.id.as_bytes()[0], record.version)).collect();
    found.sort_unstable();
    assert_eq!(found, [(5, 7), (6, 7), (7, 9)]);
    assert_eq!(index.records_of("bob", at(1)).await.unwrap().len(), 1);
    assert!(MigratingStore::new(NoopStore, MemoryStore::new()).user_index().is_none());
    assert!(MigratingStore::new(MemoryStore::new(), NoopStore).user_index().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_moves_loses_no_count_and_revives_no_session() {
    let clock = TestClock::default();
    // Every step gives way, so that all orders come about.
    let stores = [MemoryStore::new(), MemoryStore::new()];
    let [old, new] = stores.clone().map(FaultStore::new);
    old.everything(Fault::Yield(1));
    new.everything(Fault::Yield(1));
    let before = manager(stores[0].clone(), &clock);
    // Two processes.
    let managers = [(); 2].map(|()| manager(MigratingStore::new(old.clone(), new.clone()), &clock));
    let mut tokens = Vec::new();
    for _ in 0..40 {
        tokens.push(new_session(&before).await);
    }
    let mut requests = JoinSet::new();
    for request in 0..20 {
        for (session, token) in tokens.iter().enumerate() {
            let (manager, token) = (managers[request % 2].clone(), token.clone());
            requests.spawn(async move {
                let logs_out = session % 2 == 1 && request == 10;
                let session_of_request = open(&manager, &token).await;
                if session % 2 == 0 {
                    assert_eq!(session_of_request.status(), SessionStatus::Resumed, "nobody is logged out");
                }
                if logs_out {
                    // Others may have been no faster: there is nobody else who logs it out.
                    session_of_request.destroy().unwrap();
                } else {
                    session_of_request.update("n", |n: Option<usize>| n.unwrap_or(0) + 1).unwrap();
                }
                let change = manager.commit(&session_of_request).await.unwrap();
                if logs_out {
                    assert!(matches!(change, cloakroom::TokenChange::Remove));
                    assert_eq!(open(&manager, &token).await.status(), SessionStatus::New);
                }
            });
        }
    }
    requests.join_all().await;
    for manager in &managers {
        for (session, token) in tokens.iter().enumerate() {
            let found = open(manager, token).await;
            if session % 2 == 0 {
                assert_eq!(found.get("n").unwrap(), Some(20));
            } else {
                assert_eq!(found.status(), SessionStatus::New);
            }
        }
    }
    assert!(stores[0].is_empty());
}

/// Who logs out without being logged in first makes the record expire, and a database keeps it until it is swept. The mark of the
/// logout takes its place.
#[tokio::test]
async fn a_visitor_can_log_out_where_an_expired_record_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let new = SqliteStore::open(folder.path().join("sessions.db")).await.unwrap();
    let manager = manager(MigratingStore::new(MemoryStore::new(), new.clone()), &TestClock::default());
    let token = new_session(&manager).await;
    let session = open(&manager, &token).await;
    session.destroy().unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(open(&manager, &token).await.status(), SessionStatus::New);
    let found = new.load(token.id(), TestClock::default().timestamp()).await.unwrap().unwrap();
    assert_eq!(found.summary().unwrap_err(), NoSummary::Tombstone);
}

/// A copy of an earlier run of `cloakroom migrate` had expired in the database, which says of it that it exists. The move took that
/// for the session, and deleted the only one that was alive.
#[tokio::test]
async fn an_expired_record_in_the_new_store_does_not_cost_the_session() {
    for touches in [false, true] {
        let (old, folder) = (MemoryStore::new(), tempfile::tempdir().unwrap());
        let new = SqliteStore::open(folder.path().join("sessions.db")).await.unwrap();
        let stale = Record { version: 3, expires_at: at(1), ..record() };
        assert_eq!(new.create(&stale, at(0)).await.unwrap(), CreateOutcome::Created);
        assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
        let store = MigratingStore::new(old.clone(), new.clone());
        let outcome = if touches {
            store.touch(record().id, 7, at(90), at(1)).await
        } else {
            store.save(&next(), 7, at(1)).await
        };
        assert_eq!(outcome.unwrap(), SaveOutcome::Saved);
        let found = new.load(record().id, at(80)).await.unwrap().unwrap();
        assert_eq!(found.version, if touches { 7 } else { 8 });
        assert!(old.is_empty());
    }
}

/// That the new store answers `Exists` is no proof that it has the session. Both copies went.
#[tokio::test]
async fn the_last_copy_stays_where_the_new_store_takes_none() {
    let (old, new) = (MemoryStore::new(), MigratingStore::new(MemoryStore::new(), MemoryStore::new()));
    assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    // Its tombstone is nothing that another such store knows for one.
    assert_eq!(new.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    new.delete(record().id).await.unwrap();
    let store = MigratingStore::new(old.clone(), new);
    assert_eq!(store.save(&next(), 7, at(1)).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert_eq!(version(&old).await, Some(7));
    // Nor does a logout go round for ever.
    assert_eq!(store.delete(record().id).await.unwrap_err().kind(), StoreErrorKind::Unavailable);
}

/// Whoever moves a session, and is slow, would bring it back: what has expired gives up its place.
#[tokio::test]
async fn a_session_that_is_made_to_end_is_not_moved_afterwards() {
    let (old, new) = (MemoryStore::new(), FaultStore::new(MemoryStore::new()));
    assert_eq!(old.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    new.once(Operation::Create, Fault::Yield(9));
    let store = MigratingStore::new(old, new);
    let (next, id) = (next(), record().id);
    let (late, ended) = tokio::join!(store.save(&next, 7, at(1)), store.touch(id, 7, at(0), at(1)));
    assert_eq!((ended.unwrap(), late.unwrap()), (SaveOutcome::Saved, SaveOutcome::Gone));
    assert_eq!(version(&store).await, None);
}

/// An alarm ends a session by its expiry first. A copy that was left in the old store would go on.
#[tokio::test]
async fn a_session_that_is_made_to_end_has_no_old_copy_that_goes_on() {
    let (old, new, store) = begun().await;
    assert_eq!(new.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(store.touch(record().id, 6, at(0), at(1)).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(version(&old).await, Some(7), "nothing has ended");
    assert_eq!(store.touch(record().id, 7, at(0), at(1)).await.unwrap(), SaveOutcome::Saved);
    assert_eq!((version(&old).await, version(&store).await), (None, None));
}
