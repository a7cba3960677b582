//! Which answers have a cookie (SC-17, SC-18).

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use cloakroom::testing::{Calls, Fault, Operation};
use http::{Method, StatusCode};
use tower::ServiceExt as _;

use super::MINUTE;
use super::set_cookie::{assert_no_cookie, only_cookie};
use super::site::Site;
use crate::support::{Answer, send, send_token};

async fn head(app: &Router, path: &str) -> Answer {
    let request = Request::builder().method(Method::HEAD).uri(path).body(Body::empty()).unwrap();
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

#[tokio::test]
async fn sc_17_every_status_can_bring_a_new_token() {
    let site = Site::new();
    for status in [200, 204, 301, 303, 304, 307, 401, 403, 404, 422, 429, 500, 503] {
        let mut browser = site.guest().await;
        let old = browser.token.clone().unwrap();
        let answer = browser.get(&format!("/regenerate/status/{status}")).await;
        assert_eq!(answer.status, status);
        assert_ne!(only_cookie(&answer).value, old);
        assert_eq!(browser.get("/look").await.body, "1", "{status}: the new token opens the session");
    }
}

#[tokio::test]
async fn sc_17_every_status_can_remove_the_cookie() {
    let site = Site::new();
    for status in [200, 204, 303, 304, 403, 404, 500, 503] {
        let mut browser = site.guest().await;
        let old = browser.token.clone().unwrap();
        let answer = browser.get(&format!("/destroy/status/{status}")).await;
        assert_eq!(answer.status, status);
        assert!(answer.removes_cookie());
        assert_eq!(send_token(&site.app, "/look", &old).await.body, "0", "{status}: the session is gone");
    }
}

#[tokio::test]
async fn sc_17_data_make_a_session_unless_the_answer_is_a_server_error() {
    let site = Site::new();
    for status in [200, 303, 304, 404] {
        only_cookie(&send(&site.app, &format!("/add/status/{status}"), &[]).await);
    }
    site.store.reset();
    for path in ["/add/status/500", "/remember-1/status/503"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_eq!(site.store.reset(), Calls::default(), "{path}");
    }
}

#[tokio::test]
async fn sc_17_an_answer_to_head_has_the_cookie_as_well() {
    let site = Site::new();
    let answer = head(&site.app, "/add").await;
    assert_eq!(answer.body, "");
    assert_eq!(send_token(&site.app, "/look", answer.token().unwrap()).await.body, "1");
}

#[tokio::test]
async fn sc_17_a_new_secret_that_is_stored_reaches_the_client_even_if_the_rest_fails() {
    let site = Site::new();
    let mut browser = site.guest().await;
    // The first save stores the new secret, the second one fails.
    site.faults.once(Operation::Save, Fault::Yield(1));
    site.faults.once(Operation::Save, Fault::Broken);
    let answer = browser.get("/regenerate-save-add").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(site.store.calls().save, 2);
    assert_eq!(browser.get("/look").await.body, "1", "the old secret is dead, so the client needs the new one");
}

#[tokio::test]
async fn sc_18_a_session_that_is_only_used_sets_no_cookie() {
    let site = Site::new();
    let mut browser = site.guest().await;
    for _ in 0..10 {
        site.clock.advance(MINUTE);
        for path in ["/ignore", "/look", "/add", "/look/status/304", "/add/status/404"] {
            assert_no_cookie(&browser.get(path).await);
        }
    }
    site.store.reset();
    site.clock.advance(MINUTE * 10);
    assert_no_cookie(&browser.get("/look").await);
    assert_eq!(site.store.reset().touch, 1, "the expiry moves, and the cookie need not know");
}

#[tokio::test]
async fn sc_18_nothing_is_set_for_a_session_to_which_nothing_is_written() {
    let site = Site::new();
    for path in ["/ignore", "/look", "/regenerate"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_eq!(site.store.reset(), Calls::default(), "{path}");
    }
}
