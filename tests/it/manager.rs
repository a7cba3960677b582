//! The manager's options and its background work.

use std::time::Duration;

use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ConfigError, Limits, MemoryStore, Pepper, SessionEvent, SessionManager, SessionPolicy, SessionStatus,
    SweeperSettings, TokenChange,
};

use crate::support::{EventLog, manager};

async fn token_of_a_new_session(manager: &SessionManager) -> String {
    let session = manager.create();
    session.insert("a", 1).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token.expose().to_string()
}

async fn opens(manager: &SessionManager, token: &str) -> bool {
    manager.open(token.as_bytes()).await.unwrap().status() == SessionStatus::Resumed
}

#[tokio::test]
async fn a_token_opens_nothing_in_another_namespace() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let shop = manager(store.clone(), &clock).namespace("shop");
    let forum = manager(store.clone(), &clock).namespace("forum");
    let token = token_of_a_new_session(&shop).await;
    assert!(!opens(&forum, &token).await);
    assert!(opens(&shop, &token).await);
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn a_token_opens_nothing_under_another_pepper() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let pepper = |key: &[u8]| Pepper::new(key).unwrap();
    let plain = manager(store.clone(), &clock);
    let peppered = plain.clone().pepper(&pepper(b"0123456789abcdef0123456789abcdef"));
    let other = plain.clone().pepper(&pepper(b"fedcba9876543210fedcba9876543210"));
    let token = token_of_a_new_session(&peppered).await;
    assert!(opens(&peppered, &token).await);
    assert!(!opens(&plain, &token).await);
    assert!(!opens(&other, &token).await);
}

#[test]
fn contradictions_are_refused_where_they_are_given() {
    let manager = || SessionManager::new(MemoryStore::new());
    let idle_too_long = SessionPolicy::aal2().idle(Duration::from_hours(25));
    assert!(matches!(manager().policy(idle_too_long), Err(ConfigError::NotShorter { .. })));
    assert!(matches!(manager().limits(Limits::default().depth(0)), Err(ConfigError::Limit { .. })));
}

#[test]
fn options_do_not_reach_earlier_clones() {
    let first = SessionManager::new(MemoryStore::new());
    let second = first.clone().policy(SessionPolicy::aal3()).unwrap();
    assert_eq!(first.create().policy(), &SessionPolicy::aal2());
    assert_eq!(second.create().policy(), &SessionPolicy::aal3());
}

/// Lets the sweeper's task run, in paused time.
async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_deletes_what_has_expired_in_batches() {
    let (store, clock, log) = (MemoryStore::new(), TestClock::default(), EventLog::default());
    let manager = manager(store.clone(), &clock).on_event(log.hook());
    for _ in 0..25 {
        token_of_a_new_session(&manager).await;
    }
    let interval = Duration::from_mins(1);
    let sweeper = manager.start_sweeper(SweeperSettings::default().interval(interval).batch(10));
    pass(2 * interval).await;
    assert_eq!((store.len(), sweeper.report().deleted), (25, 0));
    clock.advance(Duration::from_hours(1));
    pass(2 * interval).await;
    assert_eq!((store.len(), sweeper.report().deleted), (0, 25));
    assert!(sweeper.report().sweeps >= 2 && sweeper.report().last_took.is_some());
    assert_eq!(log.count(|event| matches!(event, SessionEvent::Swept { deleted: 25, .. })), 1);

    sweeper.stop().await;
    let swept = log.take().len();
    pass(10 * interval).await;
    assert!(log.take().is_empty(), "{swept} events before the stop");
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_survives_errors_and_a_store_that_hangs() {
    let (store, clock, log) = (FaultStore::new(MemoryStore::new()), TestClock::default(), EventLog::default());
    let manager = manager(store.clone(), &clock).on_event(log.hook());
    token_of_a_new_session(&manager).await;
    clock.advance(Duration::from_hours(1));
    store.once(Operation::DeleteExpired, Fault::Down);
    store.once(Operation::DeleteExpired, Fault::Never);
    store.once(Operation::DeleteExpired, Fault::Broken);
    let interval = Duration::from_mins(1);
    let sweeper = manager.start_sweeper(SweeperSettings::default().interval(interval));
    pass(100 * interval).await;
    assert_eq!((sweeper.report().failures, sweeper.report().deleted), (3, 1));
    assert_eq!(log.count(|event| matches!(event, SessionEvent::StoreFailed { operation: "delete_expired", .. })), 3);
    assert!(store.inner().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_stops_when_it_is_dropped() {
    let log = EventLog::default();
    let manager = manager(MemoryStore::new(), &TestClock::default()).on_event(log.hook());
    drop(manager.start_sweeper(SweeperSettings::default().interval(Duration::from_secs(1))));
    pass(Duration::from_mins(1)).await;
    assert!(log.take().is_empty());
}

/// It went on to the end of whatever had piled up, however long that took.
#[tokio::test(start_paused = true)]
async fn a_sweeper_that_is_dropped_at_work_ends_with_the_step_under_way() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let manager = manager(store.clone(), &clock);
    for _ in 0..25 {
        token_of_a_new_session(&manager).await;
    }
    clock.advance(Duration::from_hours(1));
    let step = Duration::from_secs(1);
    store.always(Operation::DeleteExpired, Fault::Slow(step));
    let sweeper = manager.start_sweeper(SweeperSettings::default().interval(Duration::from_secs(1)).batch(1));
    pass(4 * step).await;
    drop(sweeper);
    let left = store.inner().len();
    assert!((15..25).contains(&left), "it is at work: {left}");
    pass(60 * step).await;
    assert_eq!(store.inner().len(), left - 1);
}
