//! What caches are told (design.md, section 5).

use cloakroom::testing::{Calls, Fault};
use http::{StatusCode, header};

use super::set_cookie::{assert_no_cookie, only_cookie};
use super::site::{Site, persistent};
use super::{DAY, HOUR, MINUTE};
use crate::support::{Answer, send, send_token};

/// `Vary` and `Cache-Control`, each as one text.
fn caching(answer: &Answer) -> (String, String) {
    let all = |name| {
        let values = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(" | ")
    };
    (all(header::VARY), all(header::CACHE_CONTROL))
}

fn said(vary: &str, cache_control: &str) -> (String, String) {
    (vary.into(), cache_control.into())
}

#[tokio::test]
async fn caches_hear_nothing_of_a_session_that_is_not_touched() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    for shown in [&*token, "x", &"A".repeat(64)] {
        let answer = send_token(&site.app, "/ignore", shown).await;
        assert_eq!(caching(&answer), said("", ""));
        assert_no_cookie(&answer);
    }
    let public = send_token(&site.app, "/ignore/cache/public,max-age=60", &token).await;
    assert_eq!(caching(&public), said("", "public,max-age=60"));
    assert_eq!(site.store.reset(), Calls::default());
}

#[tokio::test]
async fn caches_keep_answers_apart_by_cookie_once_the_session_is_read_or_written() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    for path in ["/look", "/add"] {
        assert_eq!(caching(&send_token(&site.app, path, &token).await), said("cookie", ""), "{path}");
    }
    assert_eq!(caching(&send(&site.app, "/look", &[]).await), said("cookie", ""), "no session is an answer too");
    let public = send_token(&site.app, "/look/cache/public", &token).await;
    assert_eq!(caching(&public), said("cookie", "public"));
}

#[tokio::test]
async fn caches_store_no_answer_with_our_cookie_unless_they_are_private() {
    let site = Site::new();
    for (given, sent) in [
        ("public", "no-store"),
        ("max-age=60", "no-store"),
        ("private", "private"),
        ("private,max-age=60", "private,max-age=60"),
        ("no-store", "no-store"),
    ] {
        for what in ["add", "regenerate", "destroy"] {
            let token = site.guest().await.token.unwrap();
            let shown = if what == "add" { "x" } else { &*token };
            let answer = send_token(&site.app, &format!("/{what}/cache/{given}"), shown).await;
            only_cookie(&answer);
            assert_eq!(caching(&answer), said("cookie", sent), "{what} {given}");
        }
    }
    assert_eq!(caching(&send(&site.app, "/add", &[]).await), said("cookie", "no-store"));
}

/// What is aimed at some caches outranks what is said to all of them (RFC 9213 section 2.2).
#[tokio::test]
async fn caches_of_a_cdn_get_no_orders_of_their_own_for_an_answer_with_our_cookie() {
    let site = Site::new();
    for (path, count) in [("/ignore/cache/public", 1), ("/look/cache/public", 1), ("/add/cache/public", 0)] {
        let answer = send(&site.app, path, &[]).await;
        for name in ["cdn-cache-control", "surrogate-control"] {
            assert_eq!(answer.headers.get_all(name).iter().count(), count, "{path}");
        }
    }
}

#[tokio::test]
async fn caches_may_keep_a_public_answer_because_a_mere_refresh_is_left_out() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = site.guest().await;
    site.clock.advance(MINUTE * 10);
    let public = browser.get("/look/cache/public").await;
    assert_no_cookie(&public);
    assert_eq!(caching(&public), said("cookie", "public"));
    site.clock.advance(MINUTE * 10);
    let other = browser.get("/look/cache/max-age=60").await;
    assert_eq!(only_cookie(&other).max_age(), Some(3600));
    assert_eq!(caching(&other), said("cookie", "no-store"));
}

#[tokio::test]
async fn caches_store_no_failure_of_the_store() {
    let site = Site::new();
    let mut browser = site.guest().await;
    site.faults.everything(Fault::Down);
    let answer = browser.get("/look").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(caching(&answer).1, "no-store");
}
