//! When the session of a connection is over, and how soon the connection learns it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    CachedStore, Clock, DetachedSession, ErrorKind, MemoryStore, Session, SessionError, SessionManager, SessionStatus,
    Token, TokenChange,
};
use tokio::time::Instant;

use super::{HOUR, connected, open};
use crate::support::manager;
use crate::support::routes::{Change, add};

/// The default of `check_every`.
const INTERVAL: Duration = Duration::from_secs(10);

/// Two processes with one store, and a connection to the first.
async fn two_processes() -> (FaultStore<MemoryStore>, [SessionManager; 2], Token, DetachedSession) {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let managers = [manager(store.clone(), &clock), manager(store.clone(), &clock)];
    let (token, detached) = connected(&managers[0]).await;
    (store, managers, token, detached)
}

async fn request(manager: &SessionManager, token: &Token, change: Change) {
    let session = open(manager, token).await;
    change(&session).unwrap();
    manager.commit(&session).await.unwrap();
}

/// Somebody waits from now on. How long, comes out in the end.
fn waiting(detached: &DetachedSession) -> tokio::task::JoinHandle<Duration> {
    let (detached, started) = (detached.clone(), Instant::now());
    tokio::spawn(async move {
        detached.ended().await;
        started.elapsed()
    })
}

async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

fn is_ended(result: Result<impl Sized, SessionError>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::Ended)
}

#[tokio::test(start_paused = true)]
async fn a_logout_or_login_in_this_process_ends_it_at_once() {
    for change in [Session::destroy, Session::regenerate] {
        let (_, [here, _], token, detached) = two_processes().await;
        let waiting = waiting(&detached);
        a_moment().await;
        request(&here, &token, change).await;
        assert!(waiting.await.unwrap() < Duration::from_millis(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_or_login_in_another_process_ends_it_within_the_interval() {
    for change in [Session::destroy, Session::regenerate] {
        for interval in [INTERVAL, Duration::from_secs(60)] {
            let (_, [_, there], token, detached) = two_processes().await;
            let detached = if interval == INTERVAL { detached } else { detached.check_every(interval) };
            let waiting = waiting(&detached);
            a_moment().await;
            request(&there, &token, change).await;
            let waited = waiting.await.unwrap();
            assert!(waited > interval / 2 && waited <= interval + Duration::from_millis(5), "{waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_before_anybody_waited_has_ended_at_once() {
    let (_, [_, there], token, detached) = two_processes().await;
    request(&there, &token, Session::destroy).await;
    assert!(waiting(&detached).await.unwrap() < Duration::from_millis(5));
    assert!(waiting(&detached.clone()).await.unwrap() < Duration::from_millis(5), "and stays so");
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_session_expires_by_the_managers_clock() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let (_, detached) = connected(&manager).await;
    let waiting = waiting(&detached);
    clock.advance(detached.idle_remaining().unwrap() - Duration::from_millis(1));
    tokio::time::sleep(HOUR).await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    assert!(waiting.await.unwrap() <= HOUR + INTERVAL);
}

/// The connection was opened with a secret that somebody else may know, who must not see what the login brings.
#[tokio::test(start_paused = true)]
async fn asvs_7_2_4_a_connection_from_before_the_login_sees_nothing_of_it() {
    let (_, [_, there], token, detached) = two_processes().await;
    request(&there, &token, |session| {
        session.regenerate()?;
        session.insert("user", "ada")
    })
    .await;
    add(&detached).unwrap();
    assert!(is_ended(detached.save().await));
    assert!(is_ended(detached.reload().await));
    assert_eq!(detached.get::<String>("user").unwrap(), None);
    assert!(waiting(&detached).await.unwrap() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn once_it_has_ended_everything_is_refused_and_nothing_comes_back() {
    let (store, [_, there], token, detached) = two_processes().await;
    add(&detached).unwrap();
    request(&there, &token, Session::destroy).await;
    detached.ended().await;
    assert!(is_ended(add(&detached)) && is_ended(detached.insert("n", 1)) && is_ended(detached.clear()));
    assert!(is_ended(detached.save().await), "what was written before gets lost, but not silently");
    assert!(is_ended(detached.save().await) && is_ended(detached.reload().await) && is_ended(detached.detach().await));
    assert_eq!((detached.id(), detached.keys().len()), (None, 0));
    assert_eq!(store.inner().len(), 0);
    assert_eq!(open(&there, &token).await.status(), SessionStatus::New);
}

#[tokio::test(start_paused = true)]
async fn a_slow_save_after_the_logout_brings_nothing_back() {
    let (store, [_, there], token, detached) = two_processes().await;
    store.once(Operation::Save, Fault::Slow(Duration::from_secs(3)));
    add(&detached).unwrap();
    let slow = detached.clone();
    let save = tokio::spawn(async move { slow.save().await });
    a_moment().await;
    request(&there, &token, Session::destroy).await;
    assert!(is_ended(save.await.unwrap()));
    assert_eq!(store.inner().len(), 0);
    // The save has told those who wait.
    assert!(waiting(&detached).await.unwrap() < Duration::from_millis(5));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_or_talks_nonsense_ends_nothing() {
    for fault in [Fault::Down, Fault::Never, Fault::Broken, Fault::Corrupt] {
        let (store, [_, there], token, detached) = two_processes().await;
        let waiting = waiting(&detached);
        store.always(Operation::Load, fault);
        tokio::time::sleep(HOUR).await;
        assert!(!waiting.is_finished(), "{fault:?}");
        store.heal();
        add(&detached).unwrap();
        detached.save().await.unwrap();
        request(&there, &token, Session::destroy).await;
        store.always(Operation::Load, fault);
        tokio::time::sleep(HOUR).await;
        assert!(!waiting.is_finished(), "{fault:?}: nobody knows");
        store.heal();
        let healed = Instant::now();
        waiting.await.unwrap();
        assert!(healed.elapsed() <= INTERVAL + Duration::from_secs(10), "{fault:?}: {:?}", healed.elapsed());
    }
}

/// A loop that handles a message every second asks again and again, and each time forgets the last.
#[tokio::test(start_paused = true)]
async fn a_loop_that_drops_and_asks_anew_learns_it_as_soon_however_slow_the_store() {
    let (store, [_, there], token, detached) = two_processes().await;
    store.always(Operation::Load, Fault::Slow(Duration::from_secs(3)));
    let mut messages = tokio::time::interval(Duration::from_secs(1));
    let (mut handled, mut logged_out) = (0, None);
    loop {
        tokio::select! {
            _ = messages.tick() => handled += 1,
            () = detached.ended() => break,
        }
        if handled == 30 {
            store.heal();
            request(&there, &token, Session::destroy).await;
            store.always(Operation::Load, Fault::Slow(Duration::from_secs(3)));
            logged_out = Some(Instant::now());
        }
    }
    let took = logged_out.expect("not before the logout").elapsed();
    assert!(took <= INTERVAL + Duration::from_secs(4), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn clones_share_one_watch_and_who_does_not_wait_pays_nothing() {
    let store = CountingStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let (_, detached) = connected(&manager).await;
    store.reset();
    tokio::time::sleep(HOUR).await;
    assert_eq!(store.calls(), Calls::default());
    let handles: Vec<_> = (0..10).map(|_| waiting(&detached)).collect();
    tokio::time::sleep(Duration::from_secs(100)).await;
    let Calls { load, .. } = store.reset();
    assert!((10..=13).contains(&load), "{load} loads in 100 seconds");
    handles.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_leaves_nothing_behind() {
    let store = CountingStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let (_, detached) = connected(&manager).await;
    let waiting = waiting(&detached);
    a_moment().await;
    let held = Arc::downgrade(manager.store());
    drop(manager);
    waiting.abort();
    a_moment().await;
    assert!(held.upgrade().is_some());
    drop(detached);
    a_moment().await;
    assert!(held.upgrade().is_none());
    store.reset();
    tokio::time::sleep(HOUR).await;
    assert_eq!(store.calls(), Calls::default());
}

/// The system's clock, until it is told to fail.
#[derive(Clone, Debug, Default)]
struct Panicking(Arc<AtomicBool>);

impl Clock for Panicking {
    fn now(&self) -> SystemTime {
        assert!(!self.0.load(SeqCst), "a bug in the clock");
        SystemTime::now()
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_panics_ends_nothing_and_is_not_the_last() {
    let (store, clock) = (MemoryStore::new(), Panicking::default());
    let here = SessionManager::new(store.clone()).clock(clock.clone());
    let (token, detached) = connected(&here).await;
    let waiting = waiting(&detached);
    clock.0.store(true, SeqCst);
    tokio::time::sleep(HOUR).await;
    assert!(!waiting.is_finished());
    clock.0.store(false, SeqCst);
    request(&SessionManager::new(store), &token, Session::destroy).await;
    assert!(waiting.await.unwrap() <= HOUR + INTERVAL);
}

#[tokio::test(start_paused = true)]
async fn a_cache_does_not_hide_the_end() {
    let (back, clock) = (MemoryStore::new(), TestClock::default());
    let process = || manager(CachedStore::new(MemoryStore::new(), back.clone(), 24 * HOUR), &clock);
    let (here, there) = (process(), process());
    let (token, detached) = connected(&here).await;
    let waiting = waiting(&detached);
    a_moment().await;
    request(&there, &token, Session::destroy).await;
    assert!(waiting.await.unwrap() <= INTERVAL + Duration::from_millis(5));
}

/// The grace is for requests, which are short. A connection that has seen the renewal lives on with the new secret.
#[tokio::test(start_paused = true)]
async fn a_renewal_with_grace_ends_no_connection_and_a_login_after_it_does() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let (token, detached) = connected(&manager).await;
    let waiting = waiting(&detached);
    a_moment().await;
    let session = open(&manager, &token).await;
    session.regenerate_with_grace(Duration::from_mins(1)).unwrap();
    let TokenChange::Issue(renewed) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    tokio::time::sleep(2 * INTERVAL).await;

    clock.advance(Duration::from_mins(2));
    tokio::time::sleep(2 * INTERVAL).await;
    assert!(!waiting.is_finished());
    add(&detached).unwrap();
    detached.save().await.unwrap();

    request(&manager, &renewed.token, |session| session.login("ada")).await;
    waiting.await.unwrap();
    assert!(is_ended(detached.reload().await));
}
