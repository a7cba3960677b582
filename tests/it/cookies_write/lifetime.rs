//! `Max-Age` (SC-07 to SC-09).

use std::time::Duration;

use cloakroom::testing::{Fault, Operation, TestClock};
use cloakroom::{ConfigError, MemoryStore, SessionCookie, SessionLayer, SessionPolicy};
use http::StatusCode;

use super::set_cookie::{assert_no_cookie, issued_by, only_cookie};
use super::site::{Site, persistent, routes};
use super::{DAY, HOUR, MAX_AGE_MAX, MINUTE, TICK};
use crate::support::{Browser, layer, send, send_token};

#[tokio::test]
async fn sc_07_a_policy_beyond_400_days_is_refused() {
    let layer = |days| SessionLayer::new(MemoryStore::new()).policy(persistent(DAY * days, DAY * 1000));
    assert!(layer(400).is_ok());
    assert_eq!(layer(401).unwrap_err(), ConfigError::CookieLifetime { lifetime: DAY * 401 });
    let site = Site::with_policy(persistent(DAY * 400, DAY * 1000));
    assert_eq!(only_cookie(&send(&site.app, "/add", &[]).await).max_age(), Some(MAX_AGE_MAX));
}

#[tokio::test]
async fn sc_07_remembering_is_cut_off_at_400_days_in_the_cookie_and_on_the_server() {
    for path in ["/remember-500", "/remember-for-ever"] {
        let site = Site::new();
        let answer = send(&site.app, path, &[]).await;
        assert_eq!(only_cookie(&answer).max_age(), Some(MAX_AGE_MAX));
        let token = answer.token().unwrap();
        site.clock.advance(Duration::from_secs(MAX_AGE_MAX).saturating_sub(TICK));
        assert_eq!(send_token(&site.app, "/look", token).await.body, "1", "{path}");
        site.clock.advance(TICK);
        assert_eq!(send_token(&site.app, "/look", token).await.body, "0", "{path}");
    }
}

#[tokio::test]
async fn sc_07_a_persistent_session_that_comes_under_a_longer_policy_says_400_days_at_most() {
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let under = |policy| routes().layer(layer(store.clone(), &clock).policy(policy).unwrap());
    let before = send(&under(persistent(DAY, DAY * 1000)), "/add", &[]).await;
    clock.advance(HOUR * 12);
    let longer = SessionPolicy::aal2().idle(DAY * 900).absolute(DAY * 1000);
    let after = send_token(&under(longer), "/look", before.token().unwrap()).await;
    assert_eq!(only_cookie(&after).max_age(), Some(MAX_AGE_MAX));
}

#[tokio::test]
async fn sc_08_max_age_slides_when_the_touch_is_due_and_ends_at_the_deadline() {
    let site = Site::with_policy(persistent(HOUR, HOUR * 2));
    let mut browser = Browser::new(&site.app);
    assert_eq!(only_cookie(&browser.get("/add").await).max_age(), Some(3600));
    let token = browser.token.clone();
    // After this many seconds more, what the request does, and the new Max-Age.
    for (after, path, max_age) in [
        (359, "/look", None),
        (0, "/add", None),
        (1, "/look", Some(3600)),
        (0, "/look", None),
        (360, "/add", Some(3600)),
        (3599, "/look", Some(2881)),
        (1000, "/look", None),
        (1000, "/add", None),
        (880, "/add", None),
    ] {
        site.clock.advance(Duration::from_secs(after));
        let answer = browser.get(path).await;
        assert_eq!(answer.set_cookies().len(), usize::from(max_age.is_some()), "{after} {path}");
        if max_age.is_some() {
            assert_eq!(only_cookie(&answer).max_age(), max_age, "{after} {path}");
            assert_eq!(browser.token, token, "a refresh brings the same token");
        }
    }
    site.clock.advance(Duration::from_secs(1));
    assert!(browser.get("/look").await.removes_cookie(), "the deadline has come");
}

#[tokio::test]
async fn sc_08_max_age_is_rounded_up() {
    for (idle, max_age) in [(1500, 2), (1001, 2), (1000, 1), (999, 1), (1, 1)] {
        let site = Site::with_policy(persistent(Duration::from_millis(idle), DAY));
        assert_eq!(only_cookie(&send(&site.app, "/add", &[]).await).max_age(), Some(max_age), "{idle} ms");
    }
}

#[tokio::test]
async fn sc_08_no_duration_is_too_long_or_too_short() {
    let endless = Site::with_policy(persistent(DAY * 400, Duration::MAX));
    assert_eq!(only_cookie(&send(&endless.app, "/add", &[]).await).max_age(), Some(MAX_AGE_MAX));
    let session_only = Site::with_policy(SessionPolicy::aal2().idle(Duration::MAX).absolute(Duration::MAX));
    assert_eq!(only_cookie(&send(&session_only.app, "/add", &[]).await).max_age(), None);
    let refused = SessionLayer::new(MemoryStore::new()).policy(persistent(Duration::MAX, Duration::MAX));
    assert!(matches!(refused, Err(ConfigError::CookieLifetime { .. })));
    let site = Site::new();
    assert_eq!(only_cookie(&send(&site.app, "/remember-0", &[]).await).max_age(), Some(1));
}

#[tokio::test]
async fn sc_08_a_session_that_ends_during_its_request_is_not_refreshed() {
    let site = Site::with_policy(persistent(HOUR, HOUR * 2));
    for path in ["/look/held", "/add/held"] {
        let browser = site.guest().await;
        let held = tokio::spawn({
            let mut browser = browser.clone();
            async move { browser.get(path).await }
        });
        site.gate.arrived(1).await;
        site.clock.advance(HOUR * 3);
        site.gate.open(1);
        assert_no_cookie(&held.await.unwrap());
    }
}

#[tokio::test]
async fn sc_08_a_touch_that_fails_is_not_promised_to_the_browser() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = site.guest().await;
    site.clock.advance(MINUTE * 10);
    site.faults.once(Operation::Touch, Fault::Down);
    let answer = browser.get("/look").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "1"));
    assert_no_cookie(&answer);
    assert_eq!(only_cookie(&browser.get("/look").await).max_age(), Some(3600), "the next request makes up for it");
}

#[tokio::test]
async fn sc_09_a_cookie_of_the_browser_session_has_no_end() {
    let issued = issued_by(SessionCookie::new("id")).await;
    assert!(!issued.has("Max-Age") && !issued.has("Expires"), "{issued:?}");
}

#[tokio::test]
async fn sc_09_the_cookie_of_a_remembered_session_gets_an_end() {
    let site = Site::new();
    let mut browser = site.guest().await;
    let before = browser.token.clone();
    assert_eq!(only_cookie(&browser.get("/remember-30").await).max_age(), Some(30 * 86_400));
    assert_eq!(browser.token, before);
    assert_eq!(only_cookie(&browser.get("/regenerate").await).max_age(), Some(30 * 86_400), "and keeps it");
}
