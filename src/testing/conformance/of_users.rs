//! What this crate promises about all sessions of a user, on every store that can find them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use super::Settings;
use super::cases::{NOW, new_user};
use crate::error::{ConfigError, ErrorKind, SessionError};
use crate::event::SessionEvent;
use crate::manager::SessionManager;
use crate::policy::{Limits, SessionPolicy, WhenFull};
use crate::record::{Payload, Record};
use crate::session::Session;
use crate::state::{SessionStatus, TokenChange};
use crate::store::{SaveOutcome, SessionStore};
use crate::testing::TestClock;
use crate::token::Token;

type Store = Arc<dyn SessionStore>;

/// As many at once as the store does not mind.
const AT_ONCE: usize = 8;

/// A process of its own.
fn manager(store: &Store) -> SessionManager {
    let patient = Limits::default().operation_timeout(Duration::from_mins(1)).commit_timeout(Duration::from_mins(5));
    SessionManager::new(store.clone())
        .clock(TestClock::at(SystemTime::from(NOW)))
        .limits(patient)
        .expect("valid limits")
}

fn at_most(most: usize, when_full: WhenFull, store: &Store) -> SessionManager {
    manager(store).policy(SessionPolicy::default().max_sessions(most, when_full)).expect("a user index")
}

async fn commit(manager: &SessionManager, session: &Session) -> Token {
    let TokenChange::Issue(issued) = manager.commit(session).await.unwrap() else { panic!("no token") };
    issued.token
}

async fn visitor(manager: &SessionManager) -> Token {
    let session = manager.create();
    session.insert("cart", "teapot").unwrap();
    commit(manager, &session).await
}

async fn logged_in(manager: &SessionManager, user: &str) -> Token {
    let session = manager.create();
    session.login(user).unwrap();
    commit(manager, &session).await
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
}

async fn user_of(manager: &SessionManager, token: &Token) -> Option<String> {
    open(manager, token).await.user()
}

async fn count(manager: &SessionManager, user: &str) -> usize {
    manager.sessions_of(user).await.unwrap().len()
}

pub(super) async fn without_a_user_index_it_is_said_so(store: Store, _: Settings) {
    if store.user_index().is_some() {
        return;
    }
    let manager = manager(&store);
    let errors = [manager.sessions_of("ada").await.err(), manager.revoke_user("ada").await.err()];
    assert!(errors.into_iter().all(|error| error.unwrap().kind() == ErrorKind::Unsupported));
    let policy = SessionPolicy::default().max_sessions(3, WhenFull::EndOldest);
    let error = manager.policy(policy).unwrap_err();
    assert_eq!(error, ConfigError::NeedsUserIndex { option: "SessionPolicy::max_sessions" });
}

pub(super) async fn sessions_of_a_user_are_listed_and_revoked(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let (here, there) = (manager(&store), manager(&store));
    let (ada, bob) = (new_user(), new_user());
    let (first, second) = (logged_in(&here, &ada).await, logged_in(&there, &ada).await);
    let of_bob = logged_in(&here, &bob).await;
    let elsewhere = logged_in(&manager(&store).namespace("elsewhere"), &ada).await;
    let session = open(&here, &first).await;
    let mut devices: Vec<_> = session.devices().await.unwrap().iter().map(|it| (it.id, it.is_current)).collect();
    devices.sort_unstable();
    let mut expected = vec![(first.id(), true), (second.id(), false)];
    expected.sort_unstable();
    assert_eq!(devices, expected);

    for not_ours in [of_bob.id(), elsewhere.id()] {
        assert!(!session.revoke(not_ours).await.unwrap());
        assert!(!here.revoke(&*ada, not_ours).await.unwrap());
    }
    let slow = open(&there, &second).await;
    slow.insert("late", true).unwrap();
    assert!(session.revoke(second.id()).await.unwrap());
    assert!(!session.revoke(second.id()).await.unwrap(), "it is gone");
    there.commit(&slow).await.unwrap();
    assert_eq!(user_of(&there, &second).await, None);
    assert_eq!(user_of(&here, &of_bob).await.as_deref(), Some(&*bob));
    assert_eq!(count(&manager(&store).namespace("elsewhere"), &ada).await, 1);
}

pub(super) async fn asvs_7_4_2_no_writer_survives_the_end_of_all(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let (here, user) = (manager(&store), new_user());
    let mut tokens = Vec::new();
    for _ in 0..10 {
        tokens.push(logged_in(&here, &user).await);
    }
    let mut writers = JoinSet::new();
    for token in tokens.clone() {
        let there = manager(&store);
        writers.spawn(async move {
            for _ in 0..10 {
                let session = open(&there, &token).await;
                if session.status() == SessionStatus::New {
                    break;
                }
                session.increment("n", 1).unwrap();
                there.commit(&session).await.unwrap();
            }
        });
    }
    assert_eq!(here.revoke_user(&*user).await.unwrap(), 10);
    writers.join_all().await;
    assert_eq!(count(&here, &user).await, 0);
    for token in &tokens {
        assert!(store.load(token.id(), NOW).await.unwrap().is_none());
    }
}

pub(super) async fn a_scrambled_session_is_not_listed_and_reported(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let reported = Arc::new(std::sync::Mutex::new(Vec::new()));
    let log = reported.clone();
    let here = manager(&store).on_event(move |event| {
        if let SessionEvent::Corrupt { id, .. } = event {
            log.lock().unwrap().push(*id);
        }
    });
    let user = new_user();
    let (good, bad) = (logged_in(&here, &user).await, logged_in(&here, &user).await);
    let record = store.load(bad.id(), NOW).await.unwrap().unwrap();
    let scrambled = Record { payload: Payload::from_bytes(b"\0scrambled".as_slice()), version: 2, ..record };
    assert_eq!(store.save(&scrambled, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let listed = here.sessions_of(&*user).await.unwrap();
    assert_eq!(listed.iter().map(|device| device.id).collect::<Vec<_>>(), [good.id()]);
    assert_eq!(*reported.lock().unwrap(), [bad.id()]);
}

/// Each in a process of its own, half of them in sessions that exist already.
async fn log_in_at_once(
    store: &Store,
    most: usize,
    when_full: WhenFull,
    user: &Arc<str>,
) -> Vec<(Option<Token>, Result<TokenChange, SessionError>)> {
    let mut logins = JoinSet::new();
    for n in 0..AT_ONCE {
        let (manager, user) = (at_most(most, when_full, store), user.clone());
        logins.spawn(async move {
            let before = if n % 2 == 0 { Some(visitor(&manager).await) } else { None };
            let session = match &before {
                Some(token) => open(&manager, token).await,
                None => manager.create(),
            };
            session.login(&user).unwrap();
            session.insert("private", true).unwrap();
            let stored = manager.commit(&session).await;
            (before, stored)
        });
    }
    logins.join_all().await
}

pub(super) async fn asvs_7_1_2_of_many_logins_at_once_the_newest_stay(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let (most, user) = (3, new_user());
    let logins = log_in_at_once(&store, most, WhenFull::EndOldest, &user).await;
    let here = at_most(most, WhenFull::EndOldest, &store);
    assert_eq!(count(&here, &user).await, most);
    let mut alive = 0;
    for (_, stored) in logins {
        match stored {
            Ok(TokenChange::Issue(issued)) => alive += usize::from(user_of(&here, &issued.token).await.is_some()),
            Ok(_) => panic!("a login is told a token"),
            // It was one too many by then.
            Err(error) => assert_eq!(error.kind(), ErrorKind::Ended),
        }
    }
    assert_eq!(alive, most, "who stays has been told the token");
}

/// A session that would have to make room logs in anew at that very moment, and is the newest by then.
pub(super) async fn asvs_7_1_2_a_session_with_a_new_login_is_not_the_oldest(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    for _ in 0..5 {
        let (here, there) = (at_most(1, WhenFull::EndOldest, &store), at_most(1, WhenFull::EndOldest, &store));
        let user = new_user();
        let old = logged_in(&here, &user).await;
        let (again, new) = (open(&here, &old).await, there.create());
        again.login(&user).unwrap();
        new.login(&user).unwrap();
        let one = tokio::spawn(async move { here.commit(&again).await });
        let other = tokio::spawn(async move { there.commit(&new).await });
        let logins = [one.await.unwrap(), other.await.unwrap()];
        assert!(logins.iter().any(Result::is_ok), "one of them stays, and is told so: {logins:?}");
        assert!(logins.into_iter().filter_map(Result::err).all(|error| error.kind() == ErrorKind::Ended));
        assert_eq!(count(&manager(&store), &user).await, 1);
    }
}

pub(super) async fn asvs_7_1_2_of_many_logins_at_once_the_first_stay(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let (most, user) = (3, new_user());
    let logins = log_in_at_once(&store, most, WhenFull::RefuseNewest, &user).await;
    let here = at_most(most, WhenFull::RefuseNewest, &store);
    assert_eq!(count(&here, &user).await, most);
    let mut welcome = None;
    for (before, stored) in logins {
        match stored {
            Ok(TokenChange::Issue(issued)) => {
                assert_eq!(user_of(&here, &issued.token).await.as_deref(), Some(&*user));
                welcome = Some(issued.token);
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TooManySessions, "{error:?}");
                let Some(before) = before else { continue };
                let session = open(&here, &before).await;
                assert_eq!((session.user(), session.keys()), (None, vec!["cart".to_owned()]), "as it was");
            }
        }
    }

    // A place is free as soon as somebody leaves. Who is there may log in again.
    let welcome = welcome.expect("three were");
    let session = open(&here, &welcome).await;
    session.login(&user).unwrap();
    let welcome = commit(&here, &session).await;
    let session = open(&here, &welcome).await;
    session.logout().unwrap();
    here.commit(&session).await.unwrap();
    logged_in(&here, &user).await;
    let session = here.create();
    session.login(&user).unwrap();
    assert_eq!(here.commit(&session).await.unwrap_err().kind(), ErrorKind::TooManySessions);
}

/// By then the record of the seats has expired, and may not have been cleared away.
pub(super) async fn asvs_7_1_2_a_limit_holds_after_a_long_time_too(store: Store, _: Settings) {
    if store.user_index().is_none() {
        return;
    }
    let clock = TestClock::at(SystemTime::from(NOW));
    let (here, user) = (at_most(1, WhenFull::RefuseNewest, &store).clock(clock.clone()), new_user());
    for _ in 0..3 {
        logged_in(&here, &user).await;
        let session = here.create();
        session.login(&user).unwrap();
        assert_eq!(here.commit(&session).await.unwrap_err().kind(), ErrorKind::TooManySessions);
        clock.advance(Duration::from_hours(25));
    }
}
