#![allow(clippy::cast_possible_wrap, reason = "small numbers")]

use std::time::Duration;

use super::*;
use crate::record::Payload;

const HOUR: i64 = 3_600_000;
const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + millis)
}

fn id(n: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_le_bytes());
    // The shard follows from the last two bytes.
    bytes[14] = n.to_le_bytes()[0];
    SessionId::from_bytes(bytes)
}

fn record(n: u64, user: Option<&str>, expires_at: Timestamp) -> Record {
    let payload = Payload::from_bytes(vec![0; 100]);
    Record { id: id(n), version: 1, user: user.map(Into::into), expires_at, payload }
}

fn next(record: &Record) -> Record {
    Record { version: record.version + 1, ..record.clone() }
}

async fn create(store: &MemoryStore, record: &Record) {
    assert_eq!(store.create(record, NOW).await.unwrap(), CreateOutcome::Created);
}

async fn is_there(store: &MemoryStore, n: u64) -> bool {
    store.load(id(n), NOW).await.unwrap().is_some()
}

async fn ids_of(store: &MemoryStore, user: &str) -> Vec<SessionId> {
    let mut ids: Vec<_> = store.records_of(user, NOW).await.unwrap().iter().map(|record| record.id).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn a_full_store_evicts_what_expires_soonest() {
    let store = MemoryStore::new().max_entries(100);
    for n in 0..100 {
        create(&store, &record(n, None, at(HOUR + n as i64))).await;
    }
    for n in 100..150 {
        create(&store, &record(n, None, at(HOUR + n as i64))).await;
        assert_eq!(store.len(), 100);
    }
    for n in 0..150 {
        assert_eq!(is_there(&store, n).await, n >= 50, "{n}");
    }
}

#[tokio::test]
async fn sessions_without_a_user_make_room_first() {
    let store = MemoryStore::new().max_entries(10);
    for n in 0..5 {
        create(&store, &record(n, Some("ada"), at(1))).await;
    }
    for n in 5..50 {
        create(&store, &record(n, None, at(HOUR))).await;
    }
    for n in 0..5 {
        assert!(is_there(&store, n).await);
    }
    // With nobody else left, users make room for users.
    for n in 50..65 {
        create(&store, &record(n, Some("bob"), at(HOUR))).await;
    }
    assert_eq!(store.len(), 10);
    assert!(ids_of(&store, "ada").await.is_empty());
    assert_eq!(ids_of(&store, "bob").await.len(), 10);
}

#[tokio::test]
async fn a_new_session_is_never_the_one_that_makes_room() {
    let store = MemoryStore::new().max_entries(3);
    for n in 0..3 {
        create(&store, &record(n, Some("ada"), at(HOUR))).await;
    }
    create(&store, &record(9, None, at(1))).await;
    assert!(is_there(&store, 9).await);
    assert_eq!(store.len(), 3);
}

#[tokio::test]
async fn it_is_bounded_in_bytes() {
    let one = shard::size_of(&record(0, None, NOW));
    let store = MemoryStore::new().max_bytes(10 * one);
    for n in 0..100 {
        create(&store, &record(n, None, at(HOUR + n as i64))).await;
        assert!(store.bytes() <= 10 * one);
    }
    assert_eq!((store.len(), store.bytes()), (10, 10 * one));

    // A session that grows pushes others out, and the store is not over its bound when the save returns.
    let newest = record(99, None, at(HOUR + 99));
    let grown = Record { payload: Payload::from_bytes(vec![0; 100 + 3 * one]), ..next(&newest) };
    assert_eq!(store.save(&grown, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!((store.len(), store.bytes()), (7, 10 * one));

    let huge = Record { payload: Payload::from_bytes(vec![0; 20 * one]), ..record(200, None, at(HOUR)) };
    let error = store.create(&huge, NOW).await.unwrap_err();
    assert!(matches!(error.kind(), crate::store::StoreErrorKind::TooLarge { .. }));
    assert_eq!(store.len(), 7);
}

#[tokio::test]
async fn saving_in_a_full_store_evicts_nobody() {
    let store = MemoryStore::new().max_entries(4).max_bytes(4 * shard::size_of(&record(0, None, NOW)));
    for n in 0..4 {
        create(&store, &record(n, None, at(HOUR))).await;
    }
    let mut current = record(2, None, at(HOUR));
    for version in 1..100 {
        current = next(&current);
        assert_eq!(store.save(&current, version, NOW).await.unwrap(), SaveOutcome::Saved);
    }
    assert_eq!(store.len(), 4);
}

#[tokio::test]
async fn expiry_is_exact_to_the_millisecond() {
    let store = MemoryStore::new();
    create(&store, &record(1, Some("ada"), at(1000))).await;
    assert!(store.load(id(1), at(999)).await.unwrap().is_some());
    assert!(store.load(id(1), at(1000)).await.unwrap().is_none());
    assert!(store.records_of("ada", at(1000)).await.unwrap().is_empty());
    assert_eq!(store.touch(id(1), 1, at(HOUR), at(1000)).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(store.save(&next(&record(1, None, at(HOUR))), 1, at(1000)).await.unwrap(), SaveOutcome::Gone);
    // An expired id is free again, as on a store that has cleaned up already.
    assert_eq!(store.create(&record(1, None, at(HOUR)), at(1000)).await.unwrap(), CreateOutcome::Created);
    assert_eq!((store.len(), ids_of(&store, "ada").await.len()), (1, 0));
}

#[tokio::test]
async fn the_user_index_follows_every_change() {
    let store = MemoryStore::new();
    let first = record(1, Some("ada"), at(HOUR));
    create(&store, &first).await;
    create(&store, &record(2, Some("ada"), at(HOUR))).await;
    assert_eq!(ids_of(&store, "ada").await, [id(1), id(2)]);
    let changed = Record { user: Some("bob".into()), ..next(&first) };
    assert_eq!(store.save(&changed, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!((ids_of(&store, "ada").await, ids_of(&store, "bob").await), (vec![id(2)], vec![id(1)]));
    store.delete(id(2)).await.unwrap();
    assert!(ids_of(&store, "ada").await.is_empty());
}

/// Lists what has expired, and deletes it. How many.
async fn sweep(store: &MemoryStore, now: Timestamp, limit: usize) -> usize {
    let ids: Vec<_> = store.expired(now, limit).await.unwrap().iter().map(|record| record.id).collect();
    store.delete_expired(&ids, now).await.unwrap()
}

#[tokio::test]
async fn expired_records_give_their_memory_back() {
    let store = MemoryStore::new();
    for n in 0..20_000 {
        create(&store, &record(n, (n % 2 == 0).then_some("ada"), at(1000 + n as i64))).await;
    }
    assert_eq!(sweep(&store, at(0), usize::MAX).await, 0);
    assert_eq!(sweep(&store, at(1000 + 4_999), 1_000).await, 1_000);
    assert_eq!(sweep(&store, at(1000 + 4_999), usize::MAX).await, 4_000);
    assert_eq!(sweep(&store, at(HOUR), usize::MAX).await, 15_000);
    assert_eq!((store.len(), store.bytes()), (0, 0));
    assert!(store.0.shards.iter().all(|slot| slot.lock().capacity() < 200));
    assert!(store.records_of("ada", NOW).await.unwrap().is_empty());
}

#[tokio::test]
async fn creating_clears_away_what_has_expired() {
    let store = MemoryStore::new();
    for n in 0..1_000 {
        create(&store, &record(n, None, at(1000))).await;
    }
    for n in 1_000..2_000 {
        assert_eq!(store.create(&record(n, None, at(HOUR)), at(2000)).await.unwrap(), CreateOutcome::Created);
    }
    assert_eq!(store.len(), 1_000);
}

#[tokio::test]
async fn what_is_swept_is_left_to_the_sweeper_who_tells_of_it() {
    let store = MemoryStore::new();
    assert!(store.expired(NOW, 10).await.unwrap().is_empty());
    for n in 0..100 {
        create(&store, &record(n, None, at(1000))).await;
    }
    for n in 100..1_000 {
        assert_eq!(store.create(&record(n, None, at(HOUR)), at(2000)).await.unwrap(), CreateOutcome::Created);
    }
    assert_eq!(store.expired(at(2000), usize::MAX).await.unwrap().len(), 100);
}

/// Who waits for a shard is not kept waiting until all of its records are deleted.
#[tokio::test]
async fn each_step_of_a_sweep_begins_with_another_shard() {
    let store = MemoryStore::new();
    for n in 0..1000 {
        create(&store, &record(n, None, at(HOUR))).await;
    }
    let mut shards = std::collections::BTreeSet::new();
    for _ in 0..SHARDS {
        shards.insert(shard_of(store.expired(at(HOUR), 1).await.unwrap()[0].id));
    }
    assert_eq!(shards.len(), SHARDS);
    assert_eq!(store.expired(at(HOUR), 2000).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn what_was_prolonged_is_not_listed() {
    let store = MemoryStore::new();
    for n in 0..1_000 {
        create(&store, &record(n, None, at(1000))).await;
        if n % 2 == 0 {
            assert_eq!(store.touch(id(n), 1, at(HOUR), NOW).await.unwrap(), SaveOutcome::Saved);
        }
    }
    assert_eq!(store.expired(at(1000), usize::MAX).await.unwrap().len(), 500);
    assert_eq!(sweep(&store, at(1000), usize::MAX).await, 500);
    assert!(store.expired(at(1000), 1).await.unwrap().is_empty());
    assert_eq!(sweep(&store, at(HOUR), usize::MAX).await, 500);
}

#[tokio::test]
async fn sliding_and_deleting_leave_no_items_behind() {
    let store = MemoryStore::new();
    create(&store, &record(1, None, at(HOUR))).await;
    for step in 0..10_000 {
        // Back and forth: every move to an earlier time needs an item of its own.
        let expires_at = at(HOUR + if step % 2 == 0 { 5 } else { -step });
        assert_eq!(store.touch(id(1), 1, expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
    }
    for n in 2..10_000 {
        create(&store, &record(n, None, at(HOUR))).await;
        store.delete(id(n)).await.unwrap();
    }
    let items: usize = store.0.shards.iter().map(|slot| slot.lock().queue_items()).sum();
    assert!(items <= SHARDS * 70, "{items} items for one session");
    assert_eq!(sweep(&store, at(2 * HOUR), usize::MAX).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_accounts_are_right_after_everybody_has_done_everything_at_once() {
    let store = MemoryStore::new().max_entries(300);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..8_u64 {
        let store = store.clone();
        tasks.spawn(async move {
            for n in 0..3_000_u64 {
                let key = (task * 7 + n * 13) % 1_000;
                let user = ["ada", "bob"].get((n % 3) as usize).copied();
                let new = record(key, user, at(1 + (n % 50) as i64));
                match n % 5 {
                    0 | 1 => drop(store.create(&new, NOW).await.unwrap()),
                    2 => drop(store.save(&next(&new), 1, NOW).await.unwrap()),
                    3 => drop(store.touch(id(key), 1, at(n as i64 % 90 + 1), NOW).await.unwrap()),
                    _ => store.delete(id(key)).await.unwrap(),
                }
                assert!(store.len() <= 300 + 8);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert!(store.len() <= 300);
    let mut counted = 0;
    for n in 0..1_000 {
        counted += usize::from(is_there(&store, n).await);
    }
    assert_eq!(counted, store.len());
    for user in ["ada", "bob"] {
        assert_eq!(store.0.users.of(user).len(), ids_of(&store, user).await.len());
    }
    sweep(&store, at(HOUR), usize::MAX).await;
    assert_eq!((store.len(), store.bytes()), (0, 0));
    assert!(store.0.shards.iter().all(|slot| slot.soonest.iter().all(|hint| hint.get().is_none())));
}

#[tokio::test]
async fn records_that_never_expire_make_room_too() {
    let store = MemoryStore::new().max_entries(2);
    for n in 0..5 {
        create(&store, &record(n, None, NOW.saturating_add(Duration::MAX))).await;
    }
    assert_eq!(store.len(), 2);
}

#[tokio::test]
async fn who_was_used_last_stays_longest() {
    let store = MemoryStore::new().max_entries(2);
    create(&store, &record(1, None, at(10))).await;
    create(&store, &record(2, None, at(20))).await;
    assert_eq!(store.touch(id(1), 1, at(1000), NOW).await.unwrap(), SaveOutcome::Saved);
    create(&store, &record(3, None, at(500))).await;
    assert!(is_there(&store, 1).await && !is_there(&store, 2).await && is_there(&store, 3).await);
}

#[tokio::test]
async fn the_dead_make_room_before_the_living() {
    let store = MemoryStore::new().max_entries(2);
    create(&store, &record(1, Some("ada"), at(10))).await;
    create(&store, &record(2, None, at(HOUR))).await;
    assert_eq!(store.create(&record(3, None, at(HOUR)), at(10)).await.unwrap(), CreateOutcome::Created);
    assert!(is_there(&store, 2).await && is_there(&store, 3).await);
}

#[tokio::test]
async fn nobody_makes_room_for_a_record_that_is_there_already() {
    let store = MemoryStore::new().max_entries(2);
    create(&store, &record(1, None, at(10))).await;
    create(&store, &record(2, None, at(20))).await;
    for n in [1, 2] {
        let again = Record { version: 5, ..record(n, None, at(30)) };
        assert_eq!(store.create(&again, NOW).await.unwrap(), CreateOutcome::Exists);
    }
    assert!(is_there(&store, 1).await && is_there(&store, 2).await);
}
