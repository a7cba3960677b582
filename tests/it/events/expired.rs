//! Expired sessions, told by whoever sweeps.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    MemoryStore, MigratingStore, SessionEvent, SessionId, SessionManager, SessionPolicy, SessionStore, Sweeper,
    SweeperSettings, TokenChange, WhenFull,
};
use tokio::sync::Notify;

use crate::support::{EventLog, manager};

const MINUTE: Duration = Duration::from_mins(1);

fn swept(manager: &SessionManager) -> Sweeper {
    manager.start_sweeper(SweeperSettings::default().interval(MINUTE).batch(10))
}

async fn new_session(manager: &SessionManager, user: Option<&str>) -> SessionId {
    let session = manager.create();
    session.insert("x", 1).unwrap();
    if let Some(user) = user {
        session.login(user).unwrap();
    }
    manager.commit(&session).await.unwrap();
    session.id().unwrap()
}

fn expired(events: &EventLog) -> Vec<(SessionId, Option<String>)> {
    let expired = events.take().into_iter().filter_map(|event| match event {
        SessionEvent::Expired { id, user, .. } => Some((id, user.map(|user| user.to_string()))),
        _ => None,
    });
    expired.collect()
}

#[tokio::test(start_paused = true)]
async fn every_session_that_expires_is_told_once() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let manager = manager(MemoryStore::new(), &clock).on_event(events.hook());
    let _sweeper = swept(&manager);
    tokio::time::sleep(MINUTE).await;
    let mut ids = BTreeSet::new();
    for n in 0..25 {
        ids.insert(new_session(&manager, (n == 0).then_some("ada")).await);
    }
    clock.advance(Duration::from_hours(1));
    // Creating leaves them to the sweeper.
    for _ in 0..100 {
        new_session(&manager, None).await;
    }
    assert!(expired(&events).is_empty());
    tokio::time::sleep(5 * MINUTE).await;
    let told = expired(&events);
    assert_eq!((told.len(), told.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>()), (25, ids));
    assert_eq!(told.iter().filter_map(|(_, user)| user.as_deref()).collect::<Vec<_>>(), ["ada"]);
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_that_dies_between_telling_and_deleting_has_told() {
    let (clock, events, store) = (TestClock::default(), EventLog::default(), FaultStore::new(MemoryStore::new()));
    let manager = manager(store.clone(), &clock).on_event(events.hook());
    let id = new_session(&manager, None).await;
    clock.advance(Duration::from_hours(1));
    store.once(Operation::DeleteExpired, Fault::Never);
    store.once(Operation::DeleteExpired, Fault::Down);
    let sweeper = swept(&manager);
    tokio::time::sleep(60 * MINUTE).await;
    assert_eq!((expired(&events), sweeper.report().deleted), (vec![(id, None); 3], 1));
    assert!(store.inner().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_several_sweepers_one_does_the_work() {
    let (clock, store, events) = (TestClock::default(), MemoryStore::new(), EventLog::default());
    let managers = [(); 3].map(|()| manager(store.clone(), &clock).on_event(events.hook()));
    for _ in 0..100 {
        new_session(&managers[0], None).await;
    }
    clock.advance(Duration::from_hours(1));
    let sweepers = managers.each_ref().map(swept);
    tokio::time::sleep(10 * MINUTE).await;
    assert_eq!(sweepers.iter().map(|sweeper| sweeper.report().deleted).sum::<u64>(), 100);
    let told = expired(&events);
    assert_eq!(told.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>().len(), 100);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_and_is_no_session_expires_untold() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let store = MigratingStore::new(MemoryStore::new(), MemoryStore::new());
    let seated = SessionPolicy::aal2().max_sessions(3, WhenFull::RefuseNewest);
    let manager = manager(store.clone(), &clock).on_event(events.hook()).policy(seated).unwrap();
    let stays = new_session(&manager, Some("ada")).await;
    // A tombstone.
    let session = manager.create();
    session.login("bob").unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let session = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    session.destroy().unwrap();
    manager.commit(&session).await.unwrap();
    clock.advance(Duration::from_hours(1_000));
    let now = cloakroom::Clock::now(&clock).into();
    let _sweeper = swept(&manager);
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(expired(&events), [(stays, Some("ada".to_owned()))]);
    assert!(store.expired(now, 10).await.unwrap().is_empty());
}

/// The hook is waited for, and others have their turn in between.
#[tokio::test(start_paused = true)]
async fn many_that_expire_do_not_keep_the_thread_for_themselves() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let first = Arc::new(Notify::new());
    let hook = {
        let (note, first) = (events.hook(), first.clone());
        move |event: &SessionEvent| {
            note(event);
            first.notify_one();
        }
    };
    let manager = manager(MemoryStore::new(), &clock);
    for _ in 0..10 {
        new_session(&manager, None).await;
    }
    clock.advance(Duration::from_hours(1));
    let _sweeper = swept(&manager.on_event(hook));
    first.notified().await;
    let mut told_by_then = Vec::new();
    while told_by_then.last() != Some(&10) {
        told_by_then.push(events.count(|event| matches!(event, SessionEvent::Expired { .. })));
        tokio::task::yield_now().await;
    }
    told_by_then.dedup();
    assert!(told_by_then.len() > 5, "{told_by_then:?}");
}
