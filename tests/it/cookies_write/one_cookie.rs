//! One cookie of our name on an answer (SC-02, SC-14).

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use cloakroom::testing::TestClock;
use cloakroom::{LazySession, MemoryStore, SessionCookie, SessionError};

use super::set_cookie::{Cookie, assert_no_cookie, only_cookie};
use super::site::{Site, act, persistent, routes};
use super::{DAY, HOUR, MINUTE};
use crate::support::{Browser, N, layer, send, send_token};

#[tokio::test]
async fn sc_02_ours_takes_the_place_of_the_handlers() {
    let site = Site::new();
    let others = ["a=1; Path=/", "__host-id=2", "b=__Host-id=3"];
    for path in ["/add/cookies", "/remember-1/cookies"] {
        let answer = send(&site.app, path, &[]).await;
        assert_eq!(answer.set_cookies()[..3], others, "others stay, and in their order");
        assert_eq!(answer.set_cookies().len(), 4, "ours is appended");
        assert_eq!(answer.token().map(str::len), Some(64));
    }
    let token = site.guest().await.token.unwrap();
    let removal = send_token(&site.app, "/destroy/cookies", &token).await;
    assert_eq!((&removal.set_cookies()[..3], removal.set_cookies().len()), (&others[..], 4));
    assert!(removal.removes_cookie());
}

#[tokio::test]
async fn sc_02_a_cookie_that_the_handler_sets_stays_if_we_set_none() {
    let site = Site::new();
    for path in ["/ignore/cookies", "/look/cookies"] {
        assert_eq!(send(&site.app, path, &[]).await.set_cookies().len(), 4, "{path}");
    }
}

/// A layer in a layer, both used: the outer one by a middleware.
fn nested(outer: SessionCookie, inner: SessionCookie) -> Router {
    async fn outer_adds(lazy: LazySession, request: Request, next: Next) -> Result<impl IntoResponse, SessionError> {
        act(&lazy, "add").await?;
        Ok(next.run(request).await)
    }
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let around = |cookie| layer(store.clone(), &clock).transport(cookie).unwrap();
    routes().layer(around(inner)).layer(from_fn(outer_adds)).layer(around(outer))
}

#[tokio::test]
async fn sc_02_nested_layers_of_one_name_set_one_cookie() {
    let app = nested(SessionCookie::new("id"), SessionCookie::new("id"));
    let answer = send(&app, "/add", &[]).await;
    assert_eq!(only_cookie(&answer).name, N);
    assert_eq!(answer.body, "2", "both work on one session");
    let again = send_token(&app, "/add", answer.token().unwrap()).await;
    assert_eq!(again.body, "4");
    assert_no_cookie(&again);
}

#[tokio::test]
async fn sc_02_nested_layers_of_two_names_set_a_cookie_each() {
    let app = nested(SessionCookie::new("outer"), SessionCookie::new("inner"));
    let answer = send(&app, "/add", &[]).await;
    let cookies: Vec<_> = answer.set_cookies().into_iter().map(Cookie::parse).collect();
    let names: Vec<_> = cookies.iter().map(|cookie| &*cookie.name).collect();
    assert_eq!(names, ["__Host-inner", "__Host-outer"]);
    assert_ne!(cookies[0].value, cookies[1].value);
    let both = format!("__Host-inner={}; __Host-outer={}", cookies[0].value, cookies[1].value);
    let again = send(&app, "/add", &[both.as_bytes()]).await;
    assert_eq!(again.body, "2");
    assert_no_cookie(&again);
}

#[tokio::test]
async fn sc_14_one_cookie_at_most_whatever_happens() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = Browser::new(&site.app);
    let paths = ["/look", "/add", "/add", "/regenerate", "/remember-1", "/regenerate-save-add", "/destroy", "/add"];
    for path in paths {
        for _ in 0..2 {
            site.clock.advance(MINUTE * 10);
            assert!(browser.get(path).await.set_cookies().len() <= 1, "{path}");
        }
    }
}
