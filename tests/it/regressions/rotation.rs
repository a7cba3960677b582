//! Mistakes around new secrets by the timer.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    MemoryStore, OnReplay, Session, SessionLayer, SessionManager, SessionPolicy, SessionStatus, TokenChange,
};

use super::{new_token, open};
use crate::support::{N, manager, send};

const INTERVAL: Duration = Duration::from_mins(15);
const GRACE: Duration = Duration::from_mins(1);

fn policy() -> SessionPolicy {
    SessionPolicy::aal1().rotate_every(INTERVAL, GRACE)
}

async fn told(manager: &SessionManager, session: &Session) -> Option<String> {
    match manager.commit(session).await.unwrap() {
        TokenChange::Issue(issued) | TokenChange::Refresh(issued) => Some(issued.token.expose().to_string()),
        TokenChange::Keep => None,
        TokenChange::Remove => panic!("taken away"),
    }
}

/// The secret after this one, which its client has shown.
async fn next(manager: &SessionManager, token: &str) -> String {
    let new = told(manager, &open(manager, token).await).await.expect("a new secret is due");
    assert_ne!(new, token);
    told(manager, &open(manager, &new).await).await;
    new
}

/// One replaced secret among the cookies of a request made it anonymous, and took its cookie away: whoever could plant a
/// cookie beside another one, from a host next door, logged people out with a secret of a session of their own. Where
/// replays are only reported, as often as they liked.
#[tokio::test]
async fn a_planted_cookie_with_a_replaced_secret_of_another_session_logs_nobody_out() {
    for reaction in [OnReplay::EndSession, OnReplay::Report] {
        let clock = TestClock::default();
        let manager = manager(MemoryStore::new(), &clock).policy(policy().on_replay(reaction)).unwrap();
        let read = axum::routing::get(async |session: Session| session.keys().join(" "));
        let app = axum::Router::new().route("/", read).layer(SessionLayer::with_manager(manager.clone()));
        let planted = new_token(&manager).await;
        clock.advance(INTERVAL);
        let attackers = next(&manager, &planted).await;
        clock.advance(GRACE);
        let own = new_token(&manager).await;
        for cookies in [format!("{N}={own}; {N}={planted}"), format!("{N}={planted}; {N}={own}")] {
            let answer = send(&app, "/", &[cookies.as_bytes()]).await;
            assert_eq!((&*answer.body, answer.set_cookies().len()), ("n", 0), "{reaction:?}");
        }
        let ended = open(&manager, &attackers).await.keys().is_empty();
        assert_eq!(ended, reaction == OnReplay::EndSession, "the alarm is raised all the same");
    }
}

/// A handler saved and worked on. What that save had to tell the client was told with the answer, whatever had become of the
/// secret in the meantime: the browser, which had been given the next one by then, had the old one again, and was taken for
/// a thief a minute later.
#[tokio::test]
async fn an_answer_does_not_bring_back_the_secret_that_was_good_when_the_handler_saved() {
    let clock = TestClock::default();
    let policy = policy().persistent(true).touch_after(Duration::from_mins(10));
    let manager = manager(MemoryStore::new(), &clock).policy(policy).unwrap();
    let old = new_token(&manager).await;
    clock.advance(INTERVAL - GRACE);
    let slow = open(&manager, &old).await;
    slow.insert("n", 1).unwrap();
    slow.save().await.unwrap();
    clock.advance(GRACE);
    let new = next(&manager, &old).await;
    clock.advance(GRACE);
    assert_eq!(told(&manager, &slow).await, None);
    assert_eq!(open(&manager, &new).await.get("n").unwrap(), Some(1));
}

/// The same where the client holds the data, which makes each save tell it something.
#[cfg(feature = "sealed")]
#[tokio::test]
async fn an_answer_with_data_does_not_bring_back_an_older_secret_either() {
    use cloakroom::{CookieStore, SealingKey};

    for (later, is_told) in [(Duration::ZERO, true), (GRACE, false)] {
        let clock = TestClock::default();
        let sessions = CookieStore::with_revocation(SealingKey::generate().unwrap(), MemoryStore::new());
        let manager = SessionManager::in_cookie(sessions).clock(clock.clone()).policy(policy()).unwrap();
        let text = async |session: &Session| match manager.commit(session).await.unwrap() {
            TokenChange::Issue(issued) => Some((issued.token.expose().to_string(), issued.text().to_string())),
            _ => None,
        };
        let begun = manager.create();
        begun.insert("n", 0).unwrap();
        let (_, old) = text(&begun).await.unwrap();
        clock.advance(INTERVAL);
        let slow = open(&manager, &old).await;
        slow.insert("n", 1).unwrap();
        slow.save().await.unwrap();
        let (token, new) = text(&open(&manager, &old).await).await.unwrap();
        manager.commit(&open(&manager, &new).await).await.unwrap();
        clock.advance(later);
        let told = text(&slow).await;
        assert_eq!(told.as_ref().map(|(token, _)| token), Some(&token).filter(|_| is_told), "{later:?}");
        if let Some((_, text)) = told {
            assert_eq!(open(&manager, &text).await.get("n").unwrap(), Some(1), "with the data that it has saved");
        }
    }
}

/// A connection that is open for long looked for its session by the secret that it had begun with, at each reload. That is
/// known for four rotations, and then the session was over for it.
#[tokio::test]
async fn a_connection_that_reloads_its_session_outlives_any_number_of_new_secrets() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock).policy(policy()).unwrap();
    let mut token = new_token(&manager).await;
    let session = open(&manager, &token).await;
    let detached = session.detach().await.unwrap();
    manager.commit(&session).await.unwrap();
    for n in 0..6 {
        clock.advance(INTERVAL);
        token = next(&manager, &token).await;
        detached.reload().await.unwrap_or_else(|error| panic!("after {n}: {error}"));
    }
    detached.insert("n", 1).unwrap();
    detached.save().await.unwrap();
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(1));
}

/// The alarm ended the session whatever its version: a login that was stored just before lost its session to it.
#[tokio::test]
async fn an_alarm_does_not_end_what_a_login_has_begun_meanwhile() {
    for changes in [false, true] {
        let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
        let manager = manager(store.clone(), &clock).policy(policy()).unwrap();
        let old = new_token(&manager).await;
        clock.advance(INTERVAL);
        let new = next(&manager, &old).await;
        clock.advance(GRACE);
        let owner = open(&manager, &new).await;
        if changes {
            owner.insert("n", 2).unwrap();
        } else {
            owner.login("ada").unwrap();
        }

        store.once(Operation::Touch, Fault::Yield(50));
        let (thief, told) = tokio::join!(open(&manager, &old), told(&manager, &owner));
        assert_eq!(thief.status(), SessionStatus::New);
        let owner = open(&manager, &told.unwrap_or(new)).await;
        let status = if changes { SessionStatus::New } else { SessionStatus::Resumed };
        assert_eq!(owner.status(), status, "a write is no login");
    }
}

/// How long the cookie is to be kept was said as of before its secret was looked up, which takes as long as the store does.
#[tokio::test]
async fn the_lifetime_of_a_cookie_counts_from_the_answer() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let policy = SessionPolicy::aal2().persistent(true).rotate_every(INTERVAL, GRACE);
    let manager = manager(store.clone(), &clock).policy(policy).unwrap();
    let token = new_token(&manager).await;
    clock.advance(Duration::from_mins(10));
    let session = open(&manager, &token).await;
    session.save().await.unwrap();
    store.always(Operation::Load, Fault::Yield(1));
    let mut commit = Box::pin(manager.commit(&session));
    assert!(poll_fn(|context| Poll::Ready(commit.as_mut().poll(context))).await.is_pending());
    clock.advance(Duration::from_secs(4));
    let TokenChange::Refresh(issued) = commit.await.unwrap() else { panic!("nothing to tell") };
    assert_eq!(issued.lifetime, session.idle_remaining());
}
