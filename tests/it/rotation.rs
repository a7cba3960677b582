//! New secrets by the timer, and what becomes of the old ones.

#[cfg(unix)]
mod fire;
mod model;

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    CachedStore, MemoryStore, OnReplay, Session, SessionError, SessionEvent, SessionLayer, SessionManager,
    SessionPolicy, SessionStore, TokenChange,
};
use http::StatusCode;

use crate::support::{Browser, EventLog, N, manager, send, send_token};

const INTERVAL: Duration = Duration::from_mins(15);
const GRACE: Duration = Duration::from_mins(1);

fn policy() -> SessionPolicy {
    SessionPolicy::aal1().rotate_every(INTERVAL, GRACE)
}

fn app_of(manager: SessionManager) -> Router {
    async fn visit(session: Session) -> Result<String, SessionError> {
        Ok(session.increment("visits", 1)?.to_string())
    }
    async fn remember(session: Session) -> Result<(), SessionError> {
        session.remember(Duration::from_hours(24 * 30))
    }
    async fn fails(session: Session) -> (StatusCode, String) {
        (StatusCode::INTERNAL_SERVER_ERROR, session.keys().join(" "))
    }
    Router::new()
        .route("/", get(visit))
        .route("/read", get(async |session: Session| session.keys().join(" ")))
        .route("/fails", get(fails))
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/remember", get(remember))
        .route("/renew", get(async |session: Session| session.regenerate_with_grace(Duration::from_hours(1))))
        .layer(SessionLayer::with_manager(manager))
}

fn app(store: impl SessionStore, clock: &TestClock) -> Router {
    app_of(manager(store, clock).policy(policy()).unwrap())
}

/// A browser with a session that was begun just now.
async fn visitor(app: &Router) -> (Browser, String) {
    let mut browser = Browser::new(app);
    browser.get("/").await;
    let token = browser.token.clone().unwrap();
    (browser, token)
}

/// The browser's secret was replaced and the new one was shown. The old one.
async fn rotated(app: &Router, clock: &TestClock) -> (Browser, String) {
    let (mut browser, old) = visitor(app).await;
    clock.advance(INTERVAL);
    browser.get("/read").await;
    browser.get("/read").await;
    assert_ne!(browser.token.as_ref(), Some(&old));
    (browser, old)
}

#[tokio::test]
async fn a_secret_is_replaced_when_it_is_old_even_by_a_request_that_only_reads() {
    for path in ["/read", "/"] {
        let clock = TestClock::default();
        let app = app(MemoryStore::new(), &clock);
        let (mut browser, old) = visitor(&app).await;
        clock.advance(INTERVAL - Duration::from_millis(1));
        assert_eq!(browser.get(path).await.token(), None, "{path}: not yet");
        clock.advance(Duration::from_millis(1));
        assert!(browser.get(path).await.token().is_some_and(|new| new != old), "{path}");
        // It counts from the moment when the new one was shown.
        clock.advance(Duration::from_mins(10));
        assert_eq!(browser.get(path).await.token(), None);
        clock.advance(INTERVAL - Duration::from_millis(1));
        assert_eq!(browser.get(path).await.token(), None);
        clock.advance(Duration::from_millis(1));
        assert!(browser.get(path).await.token().is_some(), "{path}: again");
    }
}

#[tokio::test]
async fn a_rotation_costs_two_writes_and_goes_with_others() {
    let (store, clock) = (CountingStore::new(MemoryStore::new()), TestClock::default());
    let app = app(store.clone(), &clock);
    let (mut browser, _) = visitor(&app).await;
    let calls = async |browser: &mut Browser, path: &str| {
        store.reset();
        browser.get(path).await;
        let calls = store.reset();
        (calls.load, calls.save, calls.touch)
    };
    clock.advance(INTERVAL);
    assert_eq!(calls(&mut browser, "/read").await, (1, 1, 0), "the new secret");
    assert_eq!(calls(&mut browser, "/read").await, (1, 1, 0), "it has arrived");
    assert_eq!(calls(&mut browser, "/read").await, (1, 0, 0));
    clock.advance(INTERVAL);
    assert_eq!(calls(&mut browser, "/").await, (1, 1, 0));
    assert_eq!(calls(&mut browser, "/").await, (1, 1, 0));
    assert_eq!(calls(&mut browser, "/").await, (1, 1, 0));
}

#[tokio::test]
async fn a_lost_answer_logs_nobody_out_however_long_they_are_away() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let (_, old) = visitor(&app).await;
    clock.advance(INTERVAL);
    let told = send_token(&app, "/read", &old).await;
    let new = told.token().unwrap();
    // Nobody hears of it.
    for _ in 0..3 {
        clock.advance(Duration::from_hours(48));
        let again = send_token(&app, "/", &old).await;
        assert_eq!(again.token(), Some(new), "the same one, and no other before it has arrived");
    }
    assert_eq!(send_token(&app, "/", new).await.body, "5");
    clock.advance(GRACE - Duration::from_millis(1));
    assert_eq!(send_token(&app, "/read", &old).await.token(), Some(new), "the grace runs from its arrival on");
}

#[tokio::test]
async fn any_process_tells_the_same_new_secret() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let here = app(store.clone(), &clock);
    let there = app(store, &clock);
    let (_, old) = visitor(&here).await;
    clock.advance(INTERVAL);
    let first = send_token(&here, "/read", &old).await;
    let second = send_token(&there, "/read", &old).await;
    assert!(first.token().is_some());
    assert_eq!(first.token(), second.token());
}

/// Both have found the secret old. One of them replaces it, and the other's write is kept.
#[tokio::test]
async fn of_two_requests_at_once_one_replaces_the_secret_and_both_keep_what_they_wrote() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let session = manager.create();
    session.insert("n", 0).unwrap();
    let TokenChange::Issue(old) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let open = async |token: &str| manager.open(token.as_bytes()).await.unwrap();
    let old = old.token.expose();
    clock.advance(INTERVAL);
    let (reads, writes, late) = (open(&old).await, open(&old).await, open(&old).await);
    writes.increment("n", 1).unwrap();
    late.increment("n", 1).unwrap();
    let TokenChange::Issue(new) = manager.commit(&reads).await.unwrap() else { panic!("no new secret") };
    let TokenChange::Issue(told) = manager.commit(&writes).await.unwrap() else { panic!("not told") };
    let new = new.token.expose();
    assert_eq!(*told.token.expose(), *new);

    // And one that began before, and takes longer than any grace.
    manager.commit(&open(&new).await).await.unwrap();
    clock.advance(INTERVAL);
    let TokenChange::Issue(newer) = manager.commit(&open(&new).await).await.unwrap() else { panic!("no new secret") };
    let change = manager.commit(&late).await.unwrap();
    assert!(matches!(change, TokenChange::Keep), "others have told the browser: {change:?}");
    let seen = open(&newer.token.expose()).await;
    assert_eq!(seen.get("n").unwrap(), Some(2), "nothing is lost, and nobody is taken for a thief");
}

#[tokio::test]
async fn whoever_shows_an_old_secret_after_its_grace_ends_the_session() {
    let (store, clock, events) = (MemoryStore::new(), TestClock::default(), EventLog::default());
    let app = app_of(manager(store.clone(), &clock).policy(policy()).unwrap().on_event(events.hook()));
    let (mut owner, old) = rotated(&app, &clock).await;
    clock.advance(GRACE);
    events.take();
    let thief = send_token(&app, "/read", &old).await;
    assert!(thief.removes_cookie() && thief.body.is_empty());
    let events = events.take();
    assert!(matches!(events[..], [SessionEvent::Replayed { ended: true, .. }]), "{events:?}");
    let answer = owner.get("/").await;
    assert_eq!(answer.body, "1", "the owner begins anew");
}

#[tokio::test]
async fn the_session_can_go_on_and_the_event_be_all() {
    let (store, clock, events) = (MemoryStore::new(), TestClock::default(), EventLog::default());
    let policy = policy().on_replay(OnReplay::Report);
    let app = app_of(manager(store, &clock).policy(policy).unwrap().on_event(events.hook()));
    let (mut owner, old) = rotated(&app, &clock).await;
    clock.advance(GRACE);
    events.take();
    assert!(send_token(&app, "/read", &old).await.removes_cookie());
    let events = events.take();
    assert!(matches!(events[..], [SessionEvent::Replayed { ended: false, .. }]), "{events:?}");
    assert_eq!(owner.get("/").await.body, "2");
}

/// The thief takes no notice of new secrets, and the owner comes once a minute.
#[tokio::test]
async fn a_thief_is_found_within_one_interval_and_one_grace_of_the_owners_use() {
    for stolen_after in [0, 7, 14] {
        let (clock, events) = (TestClock::default(), EventLog::default());
        let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap().on_event(events.hook());
        let app = app_of(manager);
        let (mut owner, _) = visitor(&app).await;
        for _ in 0..stolen_after {
            clock.advance(Duration::from_mins(1));
            owner.get("/read").await;
        }
        let stolen = owner.token.clone().unwrap();
        let mut minutes = 0;
        while events.count(|event| matches!(event, SessionEvent::Replayed { .. })) == 0 {
            clock.advance(Duration::from_mins(1));
            minutes += 1;
            assert!(minutes <= 15 + 1 + 1, "stolen after {stolen_after} minutes");
            owner.get("/read").await;
            send_token(&app, "/read", &stolen).await;
        }
    }
}

/// If the thief takes the new secret first, the owner's is the old one.
#[tokio::test]
async fn an_owner_who_comes_back_finds_the_thief_who_took_the_new_secret() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let app = app_of(manager(MemoryStore::new(), &clock).policy(policy()).unwrap().on_event(events.hook()));
    let (mut owner, stolen) = visitor(&app).await;
    let mut thief = Browser::new(&app);
    thief.token = Some(stolen);
    clock.advance(INTERVAL);
    thief.get("/read").await;
    thief.get("/read").await;
    clock.advance(GRACE);
    owner.get("/read").await;
    assert_eq!(events.count(|event| matches!(event, SessionEvent::Replayed { ended: true, .. })), 1);
    assert_eq!(thief.get("/").await.body, "1");
}

#[tokio::test]
async fn a_login_ends_what_the_timer_has_left_good_and_is_no_alarm() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let app = app_of(manager(MemoryStore::new(), &clock).policy(policy()).unwrap().on_event(events.hook()));
    let (mut browser, old) = rotated(&app, &clock).await;
    let before = browser.token.clone().unwrap();
    browser.get("/login").await;
    for dead in [&old, &before] {
        let answer = send_token(&app, "/", dead).await;
        assert_eq!(answer.body, "1");
        assert!(answer.set_cookies().is_empty(), "a latecomer, who gets nothing and loses nothing");
    }
    clock.advance(GRACE);
    for dead in [&old, &before] {
        assert!(send_token(&app, "/read", dead).await.removes_cookie());
    }
    assert_eq!(events.count(|event| matches!(event, SessionEvent::Replayed { .. })), 0);
    assert_eq!(browser.get("/").await.body, "2");
}

#[tokio::test]
async fn a_detached_session_outlives_new_secrets_and_ends_with_an_alarm() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let app = app_of(manager.clone());
    let (mut browser, old) = visitor(&app).await;
    let session = manager.open(old.as_bytes()).await.unwrap();
    let detached = session.detach().await.unwrap();
    manager.commit(&session).await.unwrap();
    for n in 0..3 {
        clock.advance(INTERVAL);
        assert!(browser.get("/read").await.token().is_some());
        browser.get("/read").await;
        clock.advance(GRACE);
        detached.insert("n", n).unwrap();
        detached.save().await.unwrap();
    }
    send_token(&app, "/read", &old).await;
    tokio::time::timeout(Duration::from_secs(20), detached.ended()).await.expect("whoever had it is out");
}

#[tokio::test]
async fn a_detached_session_makes_no_secrets() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let (_, token) = visitor(&app_of(manager.clone())).await;
    let detached = manager.open(token.as_bytes()).await.unwrap().detach().await.unwrap();
    clock.advance(INTERVAL);
    detached.insert("x", 1).unwrap();
    detached.save().await.unwrap();
    let session = manager.open(token.as_bytes()).await.unwrap();
    assert!(matches!(manager.token_change(&session), TokenChange::Keep), "the client's is the current one still");
}

#[tokio::test]
async fn a_new_secret_that_cannot_be_stored_fails_no_request_that_only_reads() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let app = app(store.clone(), &clock);
    let (mut browser, old) = visitor(&app).await;
    clock.advance(INTERVAL);
    for fault in [Fault::Down, Fault::AnswerLost] {
        store.always(Operation::Save, fault);
        let answer = browser.get("/read").await;
        assert_eq!((answer.status, answer.token()), (StatusCode::OK, None), "{fault:?}");
        store.heal();
    }
    // The second try did store one, without anybody knowing.
    let new = browser.get("/read").await.token().map(ToOwned::to_owned).unwrap();
    assert_ne!(new, old);
    assert_eq!(browser.get("/").await.body, "2");
    store.always(Operation::Touch, Fault::Down);
    clock.advance(GRACE);
    assert_eq!(send_token(&app, "/read", &old).await.status, StatusCode::SERVICE_UNAVAILABLE, "the alarm is not lost");
    store.heal();
    send_token(&app, "/read", &old).await;
    assert_eq!(browser.get("/").await.body, "1");
}

#[tokio::test]
async fn an_answer_that_fails_brings_no_new_secret() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let (mut browser, _) = visitor(&app).await;
    clock.advance(INTERVAL);
    assert_eq!(browser.get("/fails").await.token(), None);
    assert!(browser.get("/read").await.token().is_some());
}

#[tokio::test]
async fn a_remembered_session_keeps_its_date() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let (mut browser, _) = visitor(&app).await;
    browser.get("/remember").await;
    clock.advance(INTERVAL);
    let answer = browser.get("/read").await;
    let left = Duration::from_hours(24 * 30) - INTERVAL;
    assert!(answer.set_cookies()[0].contains(&format!("; Max-Age={}", left.as_secs())), "{answer:?}");
}

/// Of answers that cross, the browser keeps the token of the one that comes last.
#[tokio::test]
async fn no_new_secret_is_made_while_an_answer_with_the_old_one_may_be_under_way() {
    let clock = TestClock::default();
    let policy = policy().persistent(true).touch_after(Duration::from_mins(14));
    let app = app_of(manager(MemoryStore::new(), &clock).policy(policy).unwrap());
    let (mut browser, old) = visitor(&app).await;
    clock.advance(INTERVAL - Duration::from_secs(10));
    assert_eq!(browser.get("/read").await.token(), Some(&*old), "to be kept for longer");
    clock.advance(GRACE - Duration::from_millis(1));
    assert_eq!(browser.get("/read").await.token(), None);
    clock.advance(Duration::from_millis(1));
    assert!(browser.get("/read").await.token().is_some_and(|new| new != old));
}

#[tokio::test]
async fn that_a_secret_is_to_be_told_does_not_show_that_it_has_arrived() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let (_, old) = visitor(&app_of(manager.clone())).await;
    let open = async |token: &str| manager.open(token.as_bytes()).await.unwrap();
    clock.advance(INTERVAL);
    let TokenChange::Issue(new) = manager.commit(&open(&old).await).await.unwrap() else { panic!("no new secret") };
    let saves = open(&old).await;
    saves.insert("x", 1).unwrap();
    saves.save().await.unwrap();
    assert!(matches!(manager.commit(&saves).await.unwrap(), TokenChange::Issue(_)));
    clock.advance(GRACE);
    let told = manager.commit(&open(&old).await).await.unwrap();
    assert!(matches!(told, TokenChange::Issue(told) if *told.token.expose() == *new.token.expose()));
}

#[tokio::test]
async fn who_comes_to_an_end_after_the_grace_is_not_told_what_others_were_told_before() {
    for writes in [false, true] {
        let clock = TestClock::default();
        let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
        let (mut browser, old) = visitor(&app_of(manager.clone())).await;
        clock.advance(INTERVAL);
        browser.get("/read").await;
        let slow = manager.open(old.as_bytes()).await.unwrap();
        browser.get("/read").await;
        if writes {
            slow.insert("x", 1).unwrap();
        }
        clock.advance(GRACE);
        assert!(matches!(manager.commit(&slow).await.unwrap(), TokenChange::Keep), "writes: {writes}");
    }
}

#[tokio::test]
async fn a_cache_that_is_behind_raises_no_alarm_and_hides_none() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let there = app(store.clone(), &clock);
    let cached = CachedStore::new(MemoryStore::new(), store, Duration::from_secs(60));
    let here = app(cached, &clock);
    let (mut browser, old) = visitor(&here).await;
    clock.advance(INTERVAL);
    let mut other = Browser::new(&there);
    other.token = browser.token.clone();
    other.get("/read").await;
    other.get("/read").await;
    browser.token = other.token.clone();
    assert_eq!(browser.get("/").await.body, "2", "the cache knows the old secret only");
    clock.advance(GRACE);
    assert!(send_token(&here, "/read", &old).await.removes_cookie());
    assert_eq!(other.get("/").await.body, "1");
}

#[tokio::test]
async fn of_two_cookies_one_with_an_old_secret_raises_the_alarm_too() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let (browser, old) = rotated(&app, &clock).await;
    let new = browser.token.clone().unwrap();
    clock.advance(GRACE);
    let both = format!("{N}={new}; {N}={old}");
    assert_eq!(send(&app, "/read", &[both.as_bytes()]).await.body, "");
    assert_eq!(send_token(&app, "/", &new).await.body, "1");
}

/// Sessions from before the policy had a timer, and after it has lost it.
#[tokio::test]
async fn the_timer_can_be_turned_on_and_off_while_sessions_live() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let without = app_of(manager(store.clone(), &clock).policy(SessionPolicy::aal1()).unwrap());
    let with = app(store, &clock);
    let (_, old) = visitor(&without).await;
    clock.advance(INTERVAL);
    let new = send_token(&with, "/read", &old).await.token().unwrap().to_owned();
    assert_eq!(send_token(&without, "/", &new).await.body, "2");
    assert_eq!(send_token(&without, "/", &old).await.token(), Some(&*new), "a minute of grace");
    clock.advance(Duration::from_mins(1));
    assert!(send_token(&without, "/read", &old).await.removes_cookie());
}

#[tokio::test]
async fn a_secret_that_was_given_a_longer_grace_than_the_one_after_it_is_late_and_no_alarm() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let app = app_of(manager.on_event(events.hook()));
    let (mut browser, first) = visitor(&app).await;
    browser.get("/renew").await;
    clock.advance(INTERVAL);
    browser.get("/read").await;
    browser.get("/read").await;
    clock.advance(GRACE);
    events.take();
    let late = send_token(&app, "/read", &first).await;
    assert!(late.body.is_empty() && !late.removes_cookie());
    let events = events.take();
    assert!(!events.iter().any(|event| matches!(event, SessionEvent::Replayed { .. })), "{events:?}");
    assert_eq!(browser.get("/").await.body, "2", "the session goes on");
}

#[tokio::test]
async fn an_alarm_is_raised_although_its_request_is_cancelled() {
    let (memory, clock, events) = (MemoryStore::new(), TestClock::default(), EventLog::default());
    let store = FaultStore::new(memory.clone());
    let manager = manager(store.clone(), &clock).policy(policy()).unwrap().on_event(events.hook());
    let app = app_of(manager.clone());
    let (_, old) = rotated(&app, &clock).await;
    clock.advance(GRACE);
    store.always(Operation::Touch, Fault::Yield(5));
    let mut thief = Box::pin(manager.open(old.as_bytes()));
    let mut polls = 0;
    std::future::poll_fn(|context| {
        polls += 1;
        assert!(thief.as_mut().poll(context).is_pending());
        if polls < 3 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    drop(thief);
    assert_eq!(manager.drain(Duration::from_secs(5)).await, 0);
    assert_eq!(events.count(|event| matches!(event, SessionEvent::Replayed { ended: true, .. })), 1);
    assert!(memory.is_empty());
}
