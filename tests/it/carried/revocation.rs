//! What ends a session for whoever has copied its cookie, and what is given up without revocation.

use std::time::Duration;

use super::*;
use cloakroom::testing::{Fault, FaultStore, Operation};
use cloakroom::{ErrorKind, SessionPolicy, WhenFull};

fn with_revocation() -> TestClient {
    browser(CookieStore::with_revocation(key(), MemoryStore::new()))
}

fn without_revocation() -> TestClient {
    browser(CookieStore::without_revocation(key()))
}

#[tokio::test]
async fn asvs_7_4_1_with_revocation_every_older_cookie_is_dead_after_a_logout() {
    let ada = with_revocation();
    ada.get("/add").await;
    let first = ada.with_stolen_cookies();
    ada.get("/add").await;
    let second = ada.with_stolen_cookies();
    ada.get("/logout").await.assert_removes_session_cookie();
    for thief in [first, second] {
        assert_eq!(text(&thief, "/n").await, "0");
        thief.assert_no_session().await;
    }
}

#[tokio::test]
async fn asvs_7_2_4_with_revocation_a_cookie_from_before_a_login_is_dead() {
    let clock = TestClock::default();
    let ada = browser_at(CookieStore::with_revocation(key(), MemoryStore::new()), &clock);
    ada.get("/add").await;
    let thief = ada.with_stolen_cookies();
    ada.get("/login/ada").await.assert_sets_session_cookie();
    // A latecomer at first: its answer leaves the new cookie alone.
    thief.get("/add").await.assert_no_session_cookie();
    assert_eq!(text(&thief, "/who").await, "-");
    clock.advance(Duration::from_secs(61));
    thief.get("/n").await.assert_removes_session_cookie();
    assert_eq!(text(&ada, "/n").await, "1");
    assert_eq!(text(&ada, "/who").await, "ada");
}

#[tokio::test]
async fn without_revocation_a_copied_cookie_is_good_after_logout_and_login_until_it_expires() {
    let clock = TestClock::default();
    let ada = browser_at(CookieStore::without_revocation(key()), &clock);
    ada.get("/add").await;
    let before_login = ada.with_stolen_cookies();
    ada.get("/login/ada").await.assert_sets_session_cookie();
    let before_logout = ada.with_stolen_cookies();
    ada.get("/logout").await.assert_removes_session_cookie();
    assert_eq!(text(&ada, "/who").await, "-");

    assert_eq!(text(&before_logout, "/who").await, "ada");
    assert_eq!(text(&before_login, "/n").await, "1");
    assert_eq!(text(&before_login, "/who").await, "-");
    clock.advance(Duration::from_hours(24));
    assert_eq!(text(&before_logout, "/who").await, "-");
}

#[tokio::test]
async fn without_revocation_not_before_ends_them_all() {
    let (clock, key) = (TestClock::default(), key());
    let ada = browser_at(CookieStore::without_revocation(copy(&key)), &clock);
    ada.get("/add").await;
    clock.advance(Duration::from_secs(1));
    let layer = SessionLayer::with_manager(manager(CookieStore::without_revocation(key), &clock))
        .policy(SessionPolicy::default().not_before(clock.timestamp().into()))
        .unwrap();
    let after = TestClient::new(app(&layer), &layer);
    assert_eq!(text(&showing(&after, &held(&ada)), "/n").await, "0");
}

#[tokio::test]
async fn an_administrator_ends_a_session_with_revocation_and_is_told_that_it_cannot_be_done_without() {
    let clock = TestClock::default();
    let [with_revocation, without] = both().map(|sessions| manager(sessions, &clock));
    for manager in [&with_revocation, &without] {
        let layer = SessionLayer::with_manager(manager.clone());
        let ada = TestClient::new(app(&layer), &layer);
        ada.get("/login/ada").await;
        let id = ada.session(|session| Ok(session.id())).await.unwrap();
        let revoked = manager.revoke("ada", id).await;
        let listed = manager.sessions_of("ada").await;
        if manager.store().user_index().is_some() {
            assert!(revoked.unwrap());
            assert_eq!(listed.unwrap().len(), 0);
            assert_eq!(text(&ada, "/who").await, "-");
        } else {
            assert_eq!(revoked.unwrap_err().kind(), ErrorKind::Unsupported);
            assert_eq!(listed.unwrap_err().kind(), ErrorKind::Unsupported);
            assert_eq!(text(&ada, "/who").await, "ada");
        }
    }
}

#[tokio::test]
async fn with_revocation_a_user_has_so_many_sessions_and_no_more() {
    for when_full in [WhenFull::EndOldest, WhenFull::RefuseNewest] {
        let sessions = CookieStore::with_revocation(key(), MemoryStore::new());
        let policy = SessionPolicy::default().max_sessions(2, when_full);
        let clock = TestClock::default();
        let layer = SessionLayer::with_manager(manager(sessions, &clock)).policy(policy).unwrap();
        let first = TestClient::new(app(&layer), &layer);
        let others = [first.another_browser(), first.another_browser()];
        for browser in [&first, &others[0]] {
            browser.get("/login/ada").await.assert_status(http::StatusCode::OK);
            clock.advance(Duration::from_secs(1));
        }
        let third = others[1].get("/login/ada").await;
        let refuses = when_full == WhenFull::RefuseNewest;
        assert_eq!(third.status().is_success(), !refuses);
        assert_eq!(text(&first, "/who").await, if refuses { "ada" } else { "-" });
        assert_eq!(text(&others[1], "/who").await, if refuses { "-" } else { "ada" });
    }
}

#[tokio::test]
async fn old_data_can_be_put_back_until_there_is_a_new_secret() {
    let ada = with_revocation();
    ada.get("/add").await;
    let (older, ours) = (held(&ada), ada.with_stolen_cookies());
    ada.get("/add").await;
    assert_eq!(text(&ada, "/n").await, "2");
    assert_eq!(text(&showing(&ada, &older), "/n").await, "1");

    ada.get("/new-secret").await.assert_sets_session_cookie();
    let newer = held(&ada);
    assert_eq!(text(&ada, "/n").await, "2");
    assert_eq!(text(&ours, "/n").await, "0");
    assert_eq!(text(&showing(&ada, &format!("{}{}", &newer[..64], &older[64..])), "/n").await, "0");
}

#[tokio::test]
async fn of_two_requests_at_once_the_later_cookie_stays_and_neither_fails() {
    for ada in [with_revocation(), without_revocation()] {
        ada.get("/add").await;
        let (one, other) = (ada.with_stolen_cookies(), ada.with_stolen_cookies());
        one.get("/set/a").await.assert_sets_session_cookie();
        other.get("/set/b").await.assert_sets_session_cookie();
        assert_eq!(text(&one, "/keys").await, "n,a");
        assert_eq!(text(&other, "/keys").await, "n,b");
    }
}

#[tokio::test]
async fn a_slow_request_does_not_bring_a_session_back() {
    let manager = SessionManager::in_cookie(CookieStore::with_revocation(key(), MemoryStore::new()));
    let session = manager.create();
    session.insert("n", 1).unwrap();
    let cloakroom::TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let slow = manager.open(issued.text().as_bytes()).await.unwrap();
    slow.insert("late", true).unwrap();
    let logout = manager.open(issued.text().as_bytes()).await.unwrap();
    logout.destroy().unwrap();
    assert!(matches!(manager.commit(&logout).await.unwrap(), cloakroom::TokenChange::Remove));
    assert!(matches!(manager.commit(&slow).await.unwrap(), cloakroom::TokenChange::Keep));
    let after = manager.open(issued.text().as_bytes()).await.unwrap();
    assert_eq!(after.status(), cloakroom::SessionStatus::New);
}

#[tokio::test]
async fn a_store_whose_answers_get_lost_loses_and_doubles_nothing() {
    let store = FaultStore::new(MemoryStore::new());
    let ada = browser(CookieStore::with_revocation(key(), store.clone()));
    store.once(Operation::Create, Fault::AnswerLost);
    assert_eq!(text(&ada, "/add").await, "1");
    store.once(Operation::Save, Fault::AnswerLost);
    assert_eq!(text(&ada, "/add").await, "2");
    store.once(Operation::Save, Fault::Down);
    assert_eq!(text(&ada, "/add").await, "3");
    assert_eq!(text(&ada, "/n").await, "3");
}

#[tokio::test]
async fn a_store_that_is_down_makes_nobody_anonymous_and_the_client_keeps_what_it_has() {
    let store = FaultStore::new(MemoryStore::new());
    let ada = browser(CookieStore::with_revocation(key(), store.clone()));
    ada.get("/add").await;
    store.everything(Fault::Down);
    let answer = ada.get("/n").await;
    answer.assert_status(http::StatusCode::SERVICE_UNAVAILABLE).assert_no_session_cookie();
    store.heal();
    store.always(Operation::Save, Fault::Down);
    ada.get("/add").await.assert_status(http::StatusCode::SERVICE_UNAVAILABLE).assert_no_session_cookie();
    store.heal();
    assert_eq!(text(&ada, "/n").await, "1");
}

#[tokio::test]
async fn a_secret_in_grace_is_followed_by_the_new_one_with_the_data_behind_it() {
    let sessions = CookieStore::with_revocation(key(), MemoryStore::new());
    let layer = SessionLayer::in_cookie(sessions);
    let rotate = async |session: Session| session.regenerate_with_grace(Duration::from_mins(1));
    let ada = TestClient::new(
        app(&layer).merge(Router::new().route("/rotate", axum::routing::get(rotate)).layer(layer.clone())),
        &layer,
    );
    ada.get("/add").await;
    let tab = ada.with_stolen_cookies();
    ada.get("/rotate").await.assert_sets_session_cookie();
    tab.get("/n").await.assert_sets_session_cookie();
    assert_eq!(held(&tab)[..64], held(&ada)[..64]);
    assert_eq!(text(&tab, "/add").await, "2");
    assert_eq!(text(&ada, "/n").await, "1");
}

#[tokio::test]
async fn what_is_detached_hears_of_the_end_and_cannot_change_data_that_the_client_holds() {
    let [with_revocation, without] = both().map(SessionManager::in_cookie);
    let begin = async |manager: &SessionManager| {
        let session = manager.create();
        session.insert("n", 1).unwrap();
        session.save().await.unwrap();
        session
    };
    let session = begin(&without).await;
    let error = session.detach().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("CookieStore with revocation"), "{error}");

    let session = begin(&with_revocation).await;
    let detached = session.detach().await.unwrap();
    assert_eq!(detached.get::<u64>("n").unwrap(), Some(1));
    detached.insert("n", 2).unwrap();
    assert_eq!(detached.save().await.unwrap_err().kind(), ErrorKind::Unsupported);
    session.destroy().unwrap();
    session.save().await.unwrap();
    tokio::time::timeout(Duration::from_mins(1), detached.ended()).await.unwrap();
}

#[tokio::test]
async fn secrets_that_a_timer_replaces_take_the_data_along_and_a_replay_ends_the_session() {
    let clock = TestClock::default();
    let minutes = Duration::from_mins;
    let policy = SessionPolicy::default().rotate_every(minutes(15), minutes(1));
    let sessions = CookieStore::with_revocation(key(), MemoryStore::new());
    let layer = SessionLayer::with_manager(manager(sessions, &clock)).policy(policy).unwrap();
    let ada = TestClient::new(app(&layer), &layer);
    ada.get("/add").await;
    let thief = ada.with_stolen_cookies();
    clock.advance(minutes(15));
    let tab = ada.with_stolen_cookies();
    ada.get("/n").await.assert_sets_session_cookie();
    assert_ne!(held(&ada)[..64], held(&thief)[..64]);
    assert_eq!(text(&ada, "/n").await, "1");
    // In the grace: the same new secret, with the data.
    tab.get("/add").await.assert_sets_session_cookie();
    assert_eq!(held(&tab)[..64], held(&ada)[..64]);
    assert_eq!(text(&tab, "/n").await, "2");
    clock.advance(minutes(2));
    assert_eq!(text(&thief, "/n").await, "0");
    assert_eq!(text(&ada, "/n").await, "0");
}
