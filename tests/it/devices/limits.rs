//! At most so many sessions for each user.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ConfigError, ErrorKind, MemoryStore, NoopStore, Session, SessionError, SessionLayer, SessionManager, SessionPolicy,
    SessionStore, WhenFull,
};
use http::StatusCode;

use super::{MINUTE, logged_in, new_session, open, routes};
use crate::support::{Browser, manager};

fn at_most(most: usize, when_full: WhenFull) -> SessionPolicy {
    SessionPolicy::default().max_sessions(most, when_full)
}

fn limited(store: impl SessionStore, clock: &TestClock, most: usize, when_full: WhenFull) -> SessionManager {
    manager(store, clock).policy(at_most(most, when_full)).unwrap()
}

fn app(manager: SessionManager) -> Router {
    async fn greet_or_ask(session: Session) -> Result<&'static str, SessionError> {
        session.login("ada")?;
        session.insert("private", true)?;
        match session.save().await {
            Err(error) if error.kind() == ErrorKind::TooManySessions => {
                session.insert("asked", true)?;
                Ok("log out elsewhere first")
            }
            saved => saved.map(|()| "welcome"),
        }
    }
    async fn keys(session: Session) -> String {
        format!("{:?} {:?}", session.user(), session.keys())
    }
    routes()
        .route("/greet-or-ask", get(greet_or_ask))
        .route("/keys", get(keys))
        .route("/logout", get(async |session: Session| session.logout()))
        .layer(SessionLayer::with_manager(manager))
}

async fn count(manager: &SessionManager) -> usize {
    manager.sessions_of("ada").await.unwrap().len()
}

async fn log_in(manager: &SessionManager) -> Result<(), SessionError> {
    let session = manager.create();
    session.login("ada")?;
    manager.commit(&session).await.map(drop)
}

#[test]
fn a_store_without_a_user_index_cannot_have_a_limit() {
    let error = SessionLayer::new(NoopStore).policy(at_most(3, WhenFull::EndOldest)).unwrap_err();
    assert_eq!(error, ConfigError::NeedsUserIndex { option: "SessionPolicy::max_sessions" });
    assert!(error.to_string().contains("user index"));
}

#[tokio::test]
async fn asvs_7_1_2_one_login_more_ends_the_oldest_session() {
    let clock = TestClock::default();
    let manager = limited(MemoryStore::new(), &clock, 2, WhenFull::EndOldest);
    let app = app(manager.clone());
    let mut browsers = Vec::new();
    for _ in 0..3 {
        browsers.push(logged_in(&app, "ada").await);
        clock.advance(MINUTE);
    }
    assert_eq!(browsers[0].get("/user").await.status, StatusCode::UNAUTHORIZED);
    // Whoever shows again who they are is the newest.
    browsers[1].get("/again").await;
    clock.advance(MINUTE);
    logged_in(&app, "ada").await;
    logged_in(&app, "bob").await;
    assert_eq!(browsers[2].get("/user").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(browsers[1].get("/user").await.body, "ada");
    assert_eq!(count(&manager).await, 2);
}

/// As when the limit is new, or was lowered.
#[tokio::test]
async fn only_a_login_ends_the_sessions_that_are_too_many() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let unlimited = manager(store.clone(), &clock);
    let token = new_session(&unlimited, |session| session.login("ada").unwrap()).await;
    log_in(&unlimited).await.unwrap();
    let limited = limited(store, &clock, 1, WhenFull::EndOldest);
    let session = open(&limited, &token).await;
    session.insert("n", 1).unwrap();
    limited.commit(&session).await.unwrap();
    assert_eq!(count(&limited).await, 2);
    clock.advance(Duration::from_millis(1));
    log_in(&limited).await.unwrap();
    assert_eq!(count(&limited).await, 1);
}

#[tokio::test]
async fn wstg_sess_11_of_a_hundred_logins_the_first_works_no_more() {
    let clock = TestClock::default();
    let app = app(limited(MemoryStore::new(), &clock, 5, WhenFull::EndOldest));
    let mut first = logged_in(&app, "ada").await;
    let mut last = first.clone();
    for _ in 0..99 {
        clock.advance(Duration::from_millis(1));
        last = logged_in(&app, "ada").await;
    }
    assert_eq!(first.get("/user").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(last.get("/user").await.body, "ada");
}

#[tokio::test]
async fn sessions_of_another_name_or_application_do_not_count() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    for when_full in [WhenFull::EndOldest, WhenFull::RefuseNewest] {
        let one = limited(store.clone(), &clock, 1, when_full);
        for manager in [one.clone().namespace("other"), one.clone().name("admin").unwrap(), one] {
            manager.revoke_user("ada").await.unwrap();
            log_in(&manager).await.unwrap();
            assert_eq!(count(&manager).await, 1);
        }
        assert_eq!(store.user_index().unwrap().records_of("ada", clock.timestamp()).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn asvs_7_1_2_one_login_more_is_refused_and_leaves_the_visitors_session_as_it_was() {
    let clock = TestClock::default();
    let manager = limited(MemoryStore::new(), &clock, 1, WhenFull::RefuseNewest);
    let app = app(manager.clone());
    let mut here = logged_in(&app, "ada").await;
    let mut visitor = Browser::new(&app);
    visitor.get("/visit").await;
    let before = visitor.token.clone();
    for (path, status) in [("/login/ada", StatusCode::CONFLICT), ("/greet-or-ask", StatusCode::OK)] {
        let answer = visitor.get(path).await;
        assert_eq!((answer.status, visitor.token == before), (status, true), "{path}");
        assert!(answer.body.to_lowercase().contains("log out"), "{}", answer.body);
    }
    assert_eq!(visitor.get("/keys").await.body, r#"None ["cart", "asked"]"#, "what was meant for the user is gone");
    assert_eq!(count(&manager).await, 1);

    here.get("/login/ada").await;
    assert_eq!(here.get("/user").await.body, "ada", "who is there may log in again");
    here.get("/logout").await;
    assert_eq!(visitor.get("/greet-or-ask").await.body, "welcome");
    assert_eq!(visitor.get("/keys").await.body, r#"Some("ada") ["cart", "asked", "private"]"#);
}

#[tokio::test]
async fn a_login_that_is_refused_does_not_clear_the_data_of_whoever_is_logged_in() {
    let clock = TestClock::default();
    let manager = limited(MemoryStore::new(), &clock, 1, WhenFull::RefuseNewest);
    log_in(&manager).await.unwrap();
    let token = new_session(&manager, |session| {
        session.login("bob").unwrap();
        session.insert("draft", 1).unwrap();
    })
    .await;
    let session = open(&manager, &token).await;
    session.login("ada").unwrap();
    assert_eq!(manager.commit(&session).await.unwrap_err().kind(), ErrorKind::TooManySessions);
    let session = open(&manager, &token).await;
    assert_eq!((session.user().as_deref(), session.get("draft").unwrap()), (Some("bob"), Some(1)));
}

/// Eight processes, whose calls to the store come between each other's in many ways.
#[tokio::test]
async fn asvs_7_1_2_in_whatever_order_logins_reach_the_store_as_many_stay_as_may() {
    for when_full in [WhenFull::EndOldest, WhenFull::RefuseNewest] {
        for (calls, steps) in (0..4).flat_map(|calls| (0..4).map(move |steps| (calls, steps))) {
            let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
            store.everything(Fault::Yield(calls));
            let mut logins = tokio::task::JoinSet::new();
            for n in 0..8 {
                let manager = limited(store.clone(), &clock, 3, when_full);
                logins.spawn(async move {
                    for _ in 0..n * steps {
                        tokio::task::yield_now().await;
                    }
                    log_in(&manager).await
                });
            }
            let refused = logins.join_all().await.into_iter().filter_map(Result::err).collect::<Vec<_>>();
            let (kind, at_least) = match when_full {
                WhenFull::RefuseNewest => (ErrorKind::TooManySessions, 5),
                // Who learns that the own session was one too many; others have been answered before.
                _ => (ErrorKind::Ended, 0),
            };
            assert!(refused.iter().all(|error| error.kind() == kind), "{refused:?}");
            assert!((at_least..=5).contains(&refused.len()), "{when_full:?} {calls} {steps}: {refused:?}");
            assert_eq!(count(&limited(store, &clock, 3, when_full)).await, 3, "{when_full:?} {calls} {steps}");
        }
    }
}

/// While one login is about to end the oldest session, that one logs in again and is the newest: if each ended the other, the
/// user would be left with none.
#[tokio::test(start_paused = true)]
async fn a_session_that_logs_in_again_at_that_moment_is_not_ended_as_the_oldest() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let manager = limited(store.clone(), &clock, 1, WhenFull::EndOldest);
    let old = new_session(&manager, |session| session.login("ada").unwrap()).await;
    let (again, new) = (open(&manager, &old).await, manager.create());
    clock.advance(MINUTE);
    store.once(Operation::Touch, Fault::Slow(Duration::from_secs(1)));
    new.login("ada").unwrap();
    let newcomer = tokio::spawn({
        let manager = manager.clone();
        async move { manager.commit(&new).await }
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    clock.advance(MINUTE);
    again.login("ada").unwrap();
    manager.commit(&again).await.unwrap();
    assert_eq!(newcomer.await.unwrap().unwrap_err().kind(), ErrorKind::Ended);
    let left = manager.sessions_of("ada").await.unwrap();
    assert_eq!(left.iter().map(|device| device.id).collect::<Vec<_>>(), [old.id()]);
}

/// The process dies, or loses its store, after the login is stored.
#[tokio::test]
async fn what_a_login_could_not_end_the_next_one_does() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let manager = limited(store.clone(), &clock, 1, WhenFull::EndOldest);
    log_in(&manager).await.unwrap();
    for fault in [Fault::Down, Fault::Broken] {
        clock.advance(MINUTE);
        store.once(Operation::Touch, fault);
        log_in(&manager).await.expect("the login stands");
        assert_eq!(count(&manager).await, 2);
        clock.advance(MINUTE);
        log_in(&manager).await.unwrap();
        assert_eq!(count(&manager).await, 1);
    }
}

#[tokio::test]
async fn a_login_whose_answer_got_lost_is_counted_once() {
    for when_full in [WhenFull::EndOldest, WhenFull::RefuseNewest] {
        let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
        let manager = limited(store.clone(), &clock, 1, when_full);
        let token = new_session(&manager, |session| session.insert("x", 1).unwrap()).await;
        // The seat is created, the login is saved.
        store.once(Operation::Save, Fault::AnswerLost);
        let session = open(&manager, &token).await;
        session.login("ada").unwrap();
        session.save().await.unwrap();
        assert_eq!((count(&manager).await, session.user().as_deref()), (1, Some("ada")));
    }
}

/// A process that dies between its seat and its login keeps the seat for as long as the login could have taken.
#[tokio::test]
async fn a_seat_that_nobody_gives_back_is_free_after_a_while() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let manager = limited(store.clone(), &clock, 1, WhenFull::RefuseNewest);
    store.always(Operation::Save, Fault::Broken);
    let session = manager.create();
    session.login("ada").unwrap();
    session.save().await.unwrap();
    session.destroy().unwrap();
    manager.commit(&session).await.unwrap();
    store.heal();
    assert_eq!(log_in(&manager).await.unwrap_err().kind(), ErrorKind::TooManySessions);
    clock.advance(Duration::from_secs(20));
    log_in(&manager).await.unwrap();
}

#[tokio::test]
async fn without_a_limit_a_login_costs_one_call_and_nothing_else_ever_costs_more() {
    for (policy, login) in [
        (SessionPolicy::default(), 1),
        (at_most(1, WhenFull::EndOldest), 1),
        // A load and a create for the seat, a create for the login, a load and a save to give the seat back.
        (at_most(1, WhenFull::RefuseNewest), 5),
    ] {
        let (store, clock) = (CountingStore::new(MemoryStore::new()), TestClock::default());
        let manager = manager(store.clone(), &clock).policy(policy).unwrap();
        let token = new_session(&manager, |session| session.login("ada").unwrap()).await;
        let calls = store.reset();
        assert_eq!(calls.load + calls.create + calls.save + calls.touch + calls.delete, login);
        let session = open(&manager, &token).await;
        session.insert("x", 1).unwrap();
        manager.commit(&session).await.unwrap();
        let calls = store.reset();
        assert_eq!(calls.load + calls.create + calls.save + calls.touch + calls.delete, 2);
    }
}
