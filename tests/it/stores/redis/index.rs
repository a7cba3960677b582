//! The user index through crashes and races.

use cloakroom::redis::aio::MultiplexedConnection;
use cloakroom::store::UserIndex as _;

use super::*;

const ADA: &str = "session:user:ada";

async fn ids(store: &RedisStore, user: &str, now: Timestamp) -> Vec<SessionId> {
    let mut ids: Vec<_> = store.records_of(user, now).await.unwrap().iter().map(|record| record.id).collect();
    ids.sort_unstable();
    ids
}

async fn entries(connection: &mut MultiplexedConnection) -> Vec<String> {
    cmd("ZRANGE").arg(ADA).arg(0).arg(-1).query_async(connection).await.unwrap()
}

fn later(minutes: u32) -> Timestamp {
    NOW.saturating_add(minutes * MINUTE)
}

#[tokio::test]
async fn a_crash_between_the_index_and_the_record_heals() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let anonymous = create(&store, record(1, None)).await;
    let bobs = create(&store, record(2, Some("bob"))).await;
    // What three logins leave behind whose processes died after the first of two writes.
    for id in [anonymous.id, bobs.id, record(3, None).id] {
        let horizon = later(2).as_millis();
        cmd("ZADD").arg(ADA).arg(horizon).arg(id.to_string()).exec_async(&mut other).await.unwrap();
    }
    assert!(ids(&store, "ada", NOW).await.is_empty());

    // The login is tried again.
    let login = Record { user: Some("ada".into()), ..next(&anonymous) };
    assert_eq!(store.save(&login, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(ids(&store, "ada", NOW).await, [login.id]);
    assert_eq!(ids(&store, "bob", NOW).await, [bobs.id]);

    // What stands for nobody goes at a later login.
    assert_eq!(entries(&mut other).await.len(), 3);
    let second = Record { expires_at: later(60), ..record(4, Some("ada")) };
    assert_eq!(store.create(&second, later(4)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(entries(&mut other).await, [second.id.to_string()]);
}

#[tokio::test]
async fn a_login_under_way_is_not_removed_from_the_index() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let record = record(1, Some("ada"));
    cmd("ZADD").arg(ADA).arg(later(2).as_millis()).arg(record.id.to_string()).exec_async(&mut other).await.unwrap();
    // Somebody looks between the two writes.
    assert!(ids(&store, "ada", NOW).await.is_empty());
    assert_eq!(entries(&mut other).await.len(), 1);
}

#[tokio::test]
async fn a_session_that_is_prolonged_again_and_again_stays_in_the_index() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let mut record = create(&store, record(1, Some("ada"))).await;
    let (mut by_touch, mut writes) = (true, 0);
    for half_minutes in 1..100 {
        let now = NOW.saturating_add(half_minutes * MINUTE / 2);
        let expires_at = now.saturating_add(MINUTE);
        take_calls(&mut other).await;
        let outcome = if by_touch {
            store.touch(record.id, record.version, expires_at, now).await.unwrap()
        } else {
            record = Record { expires_at, ..next(&record) };
            store.save(&record, record.version - 1, now).await.unwrap()
        };
        assert_eq!(outcome, SaveOutcome::Saved);
        writes += u64::from(take_calls(&mut other).await.iter().any(|(name, _)| name == "zadd"));
        by_touch = !by_touch;
        // Others come and go, and trim what is over.
        let visitor = Record { id: SessionId::from_bytes([7; 16]), user: Some("ada".into()), ..record.clone() };
        assert_eq!(store.create(&visitor, now).await.unwrap(), CreateOutcome::Created);
        store.delete(visitor.id).await.unwrap();
        assert_eq!(ids(&store, "ada", now).await, [record.id], "after {half_minutes} half minutes");
    }
    assert!((25..=50).contains(&writes), "{writes} of 99 went to the index: once in an idle timeout is enough");
}

#[tokio::test]
async fn one_round_trip_unless_the_user_changes() {
    let Some(server) = single("") else { return };
    let (store, mut other) = (store(&server).await, connection(&server).await);
    let mut record = create(&store, record(1, None)).await;
    let scripts = async |other: &mut MultiplexedConnection| {
        let calls = take_calls(other).await;
        calls.iter().filter(|(name, _)| name.starts_with("eval")).map(|(_, calls)| calls).sum::<u64>()
    };
    for _ in 0..2 {
        // The second time the server knows the scripts.
        for user in [Some("ada"), Some("bob"), None] {
            record = Record { user: user.map(Arc::from), ..next(&record) };
            scripts(&mut other).await;
            assert_eq!(store.save(&record, record.version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
            let changed = scripts(&mut other).await;
            record = next(&record);
            assert_eq!(store.save(&record, record.version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
            assert_eq!(scripts(&mut other).await, 1);
            if record.version > 7 {
                assert_eq!(changed, if user.is_some() { 3 } else { 1 });
            }
            assert_eq!(ids(&store, "ada", NOW).await.len(), usize::from(user == Some("ada")));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sessions_of_one_user_are_found() {
    let Some(server) = single("") else { return };
    let store = store(&server).await;
    for id in 0..200 {
        create(&store, record(id, Some("ada"))).await;
    }
    assert_eq!(ids(&store, "ada", NOW).await.len(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_listings_at_the_same_time_lose_nobody() {
    let Some(server) = single("") else { return };
    let store = store(&server).await;
    let looking = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                store.records_of("ada", NOW).await.unwrap();
            }
        }
    });
    for id in 0..100 {
        let anonymous = create(&store, record(id, None)).await;
        let login = Record { user: Some("ada".into()), ..next(&anonymous) };
        assert_eq!(store.save(&login, 1, NOW).await.unwrap(), SaveOutcome::Saved);
        assert_eq!(ids(&store, "ada", NOW).await.len(), usize::from(id) + 1);
    }
    looking.abort();
}
