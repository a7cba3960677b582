//! How a session that its client holds begins to end, although the browser keeps the cookie.

use std::time::Duration;

use super::*;
use cloakroom::{ConfigError, Conflicts, SessionPolicy, WhenFull};

const MINUTE: Duration = Duration::from_mins(1);

fn policy() -> SessionPolicy {
    SessionPolicy::default().idle(10 * MINUTE).absolute(30 * MINUTE)
}

fn browsers(clock: &TestClock, policy: &SessionPolicy) -> [TestClient; 2] {
    both().map(|sessions| {
        let layer = SessionLayer::with_manager(manager(sessions, clock)).policy(policy.clone()).unwrap();
        TestClient::new(app(&layer), &layer)
    })
}

#[tokio::test]
async fn an_idle_session_is_over_although_the_browser_keeps_the_cookie() {
    let clock = TestClock::default();
    for ada in browsers(&clock, &policy()) {
        let ben = ada.another_browser();
        ada.get("/add").await;
        ben.get("/add").await;
        clock.advance(10 * MINUTE - Duration::from_millis(1));
        assert_eq!(text(&ben, "/n").await, "1");
        clock.advance(Duration::from_millis(1));
        assert_eq!(text(&ben, "/n").await, "1");
        ada.get("/n").await.assert_removes_session_cookie();
    }
}

#[tokio::test]
async fn the_absolute_lifetime_ends_a_session_in_use() {
    let clock = TestClock::default();
    for ada in browsers(&clock, &policy()) {
        ada.get("/add").await;
        for minute in (5..30).step_by(5) {
            clock.advance(5 * MINUTE);
            assert_eq!(text(&ada, "/n").await, "1", "{minute}");
        }
        clock.advance(5 * MINUTE);
        ada.get("/n").await.assert_removes_session_cookie();
    }
}

/// A header says nothing of lifetimes, so that a token alone would not be told again. But the time is in what is held.
#[tokio::test]
async fn use_is_noted_in_a_header_as_well() {
    let clock = TestClock::default();
    let layer = SessionLayer::with_manager(manager(CookieStore::without_revocation(key()), &clock)).policy(policy());
    let layer = layer.unwrap().transport(cloakroom::SessionHeader::new("x-session").unwrap()).unwrap();
    let app = app(&layer);
    let ask = async |path: &str, held: &str| {
        let request = http::Request::builder().uri(path).header("x-session", held);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let answer = tower::ServiceExt::oneshot(app.clone(), request).await.unwrap();
        answer.headers().get("x-session").map(|held| held.to_str().unwrap().to_owned())
    };
    let held = ask("/add", "").await.unwrap();
    assert_eq!(ask("/n", &held).await, None, "it is not due");
    clock.advance(MINUTE);
    assert_ne!(ask("/n", &held).await.unwrap(), held);
}

#[tokio::test]
async fn use_is_noted_in_the_cookie_only_if_there_is_no_store_and_only_when_it_is_due() {
    let clock = TestClock::default();
    let [with_revocation, without] = browsers(&clock, &policy());
    for ada in [&with_revocation, &without] {
        ada.get("/add").await;
    }
    clock.advance(Duration::from_secs(59));
    without.get("/n").await.assert_no_session_cookie();
    clock.advance(Duration::from_secs(1));
    without.get("/n").await.assert_sets_session_cookie();
    without.get("/n").await.assert_no_session_cookie();
    with_revocation.get("/n").await.assert_no_session_cookie();
}

#[tokio::test]
async fn a_cookie_that_outlives_the_browser_is_prolonged_with_what_it_holds() {
    let clock = TestClock::default();
    for ada in browsers(&clock, &policy().persistent(true)) {
        ada.get("/add").await;
        clock.advance(5 * MINUTE);
        ada.get("/n").await.assert_sets_session_cookie();
        assert_eq!(ada.cookie(N).unwrap().max_age().unwrap().whole_minutes(), 10);
        clock.advance(9 * MINUTE);
        ada.restart();
        assert_eq!(text(&ada, "/n").await, "1");
    }
}

#[tokio::test]
async fn what_cannot_be_promised_is_refused_when_it_is_asked_for() {
    for sessions in both() {
        let error = SessionLayer::in_cookie(sessions).policy(SessionPolicy::default().conflicts(Conflicts::Refuse));
        assert_eq!(error.unwrap_err(), ConfigError::NeedsStore { option: "Conflicts::Refuse" });
    }
    let limited = SessionPolicy::default().max_sessions(3, WhenFull::EndOldest);
    let rotated = SessionPolicy::default().rotate_every(15 * MINUTE, MINUTE);
    let [with_revocation, without] = both();
    assert!(SessionLayer::in_cookie(with_revocation.clone()).policy(limited.clone()).is_ok());
    assert!(SessionLayer::in_cookie(with_revocation).policy(rotated.clone()).is_ok());
    let error = SessionLayer::in_cookie(without.clone()).policy(rotated).unwrap_err();
    assert_eq!(error, ConfigError::NeedsStore { option: "SessionPolicy::rotate_every" });
    let error = SessionLayer::in_cookie(without).policy(limited).unwrap_err();
    assert_eq!(error, ConfigError::NeedsUserIndex { option: "SessionPolicy::max_sessions" });
    for chunks in [0, 5] {
        let [sessions, _] = both();
        let error = SessionLayer::in_cookie(sessions).transport(SessionCookie::new("id").chunks(chunks)).unwrap_err();
        assert_eq!(error.to_string(), "SessionCookie::chunks has to be from 1 to 4");
    }
}
