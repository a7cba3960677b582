//! OWASP ASVS 5.0, chapter V7 and the rows of other chapters that bind a session library, as far as no other test has
//! their number.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cloakroom::testing::{Cookie, TestClock};
use cloakroom::{Session, SessionError, SessionLayer};
use http::header::{COOKIE, SET_COOKIE};
use http::{Method, Request};
use tower::ServiceExt as _;

use super::app;
use crate::support::{Answer, Browser, N, send, send_token};

/// A visitor who is logged in.
async fn ada(app: &Router) -> (Browser, String) {
    let mut browser = Browser::new(app);
    browser.get("/add").await;
    browser.get("/log-in").await;
    let token = browser.token.clone().unwrap();
    (browser, token)
}

#[tokio::test]
async fn asvs_7_2_1_whoever_changes_a_bit_of_the_token_is_nobody() {
    let (app, store) = app(&TestClock::default());
    let (_, token) = ada(&app).await;
    assert_eq!(send_token(&app, "/who", &token).await.body, "ada");
    for at in 0..token.len() {
        for bit in 0..8 {
            let mut changed = token.clone().into_bytes();
            changed[at] ^= 1 << bit;
            store.reset();
            let cookie = [N.as_bytes(), b"=", &changed].concat();
            let Ok(value) = http::HeaderValue::from_bytes(&cookie) else { continue };
            let answer = send(&app, "/who", &[value.as_bytes()]).await;
            assert_eq!(answer.body, "nobody", "bit {bit} of character {at}");
            let is_token = cloakroom::Token::parse(&changed).is_some();
            assert_eq!(store.calls().load, usize::from(is_token), "what is no token is not looked up");
        }
    }
}

#[tokio::test]
async fn asvs_7_2_4_each_login_gives_a_new_token_and_ends_the_one_before() {
    let (app, _) = app(&TestClock::default());
    let (mut browser, first) = ada(&app).await;
    browser.get("/log-in").await;
    let second = browser.token.clone().unwrap();
    assert_ne!(first, second);
    assert_eq!(send_token(&app, "/who", &first).await.body, "nobody");
    assert_eq!(send_token(&app, "/who", &second).await.body, "ada");
}

#[tokio::test]
async fn asvs_7_6_2_there_is_no_session_before_something_is_written() {
    let (app, store) = app(&TestClock::default());
    for _ in 0..100_000 {
        let answer = send(&app, "/keys", &[]).await;
        assert!(answer.set_cookies().is_empty());
    }
    assert_eq!(store.calls(), cloakroom::testing::Calls::default());
}

/// With a parser of cookies that is not ours.
#[tokio::test]
async fn asvs_3_3_1_to_3_3_4_the_cookie_has_the_attributes_that_are_asked_for_and_its_value_is_nowhere_else() {
    let (app, _) = app(&TestClock::default());
    let mut browser = Browser::new(&app);
    let mut issued = BTreeSet::new();
    for path in ["/add", "/log-in", "/who", "/n", "/keys", "/log-out"] {
        let answer = browser.get(path).await;
        for cookie in answer.set_cookies() {
            let cookie = Cookie::parse(cookie.to_owned()).unwrap();
            assert_eq!(cookie.name(), "__Host-id");
            assert_eq!((cookie.secure(), cookie.http_only(), cookie.domain()), (Some(true), Some(true), None));
            assert_eq!(cookie.same_site(), Some(cookie::SameSite::Lax));
            assert_eq!(cookie.path(), Some("/"));
            issued.extend(Some(cookie.value().to_owned()).filter(|value| !value.is_empty()));
        }
        for token in &issued {
            let elsewhere = answer.headers.iter().filter(|(name, _)| *name != SET_COOKIE);
            for (_, value) in elsewhere {
                assert!(!value.to_str().unwrap().contains(token.as_str()));
            }
            assert!(!answer.body.contains(token.as_str()));
        }
    }
    assert_eq!(issued.len(), 2);
}

#[tokio::test]
async fn asvs_14_2_1_a_token_anywhere_but_in_its_cookie_opens_nothing() {
    let (app, _) = app(&TestClock::default());
    let (_, token) = ada(&app).await;
    let query = send(&app, &format!("/query?__Host-id={token}&id={token}"), &[]).await;
    assert_eq!(query.body, "nobody");
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/form?id={token}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", format!("Bearer {token}"))
        .header("x-session-token", &token)
        .header(COOKIE, format!("id={token}; session={token}"))
        .body(Body::from(format!("__Host-id={token}&id={token}")))
        .unwrap();
    assert_eq!(Answer::of(app.oneshot(request).await.unwrap()).await.body, "nobody");
}

/// A cache that many people share, as RFC 9111 section 3 allows it: stores all that is not forbidden to it.
#[tokio::test]
async fn asvs_14_3_2_no_shared_cache_may_keep_what_belongs_to_one_visitor() {
    let may_store = |answer: &Answer| {
        let control = answer.headers.get_all("cache-control").iter().map(|value| value.to_str().unwrap());
        let control: Vec<_> = control.flat_map(|value| value.split(',')).map(str::trim).collect();
        let varies = answer.headers.get_all("vary").iter().any(|value| value.to_str().unwrap().contains("cookie"));
        let forbidden = control.iter().any(|word| ["no-store", "private"].contains(word));
        (!forbidden, varies)
    };
    let routes = |cache_control: &'static str| {
        let header = [("cache-control", cache_control)];
        Router::new()
            .route("/read", get(move |session: Session| async move { (header, session.keys().join(" ")) }))
            .route("/write", get(move |session: Session| async move { session.insert("x", 1).map(|()| header) }))
            .layer(SessionLayer::new(cloakroom::MemoryStore::new()))
    };
    for cache_control in ["public, max-age=600", "max-age=600", "s-maxage=600", "private", "no-store"] {
        let app = routes(cache_control);
        let mut browser = Browser::new(&app);
        for path in ["/write", "/read"] {
            let answer = browser.get(path).await;
            let (stored, varies) = may_store(&answer);
            assert!(!stored || (varies && answer.set_cookies().is_empty()), "{cache_control} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn asvs_16_2_5_debug_output_shows_the_id_and_no_secret() {
    async fn show(session: Session) -> Result<String, SessionError> {
        session.insert("password", "hunter2")?;
        session.save().await?;
        Ok(format!("{session:?} {:?} {:?}", session.info(), session.policy()))
    }
    let store = cloakroom::MemoryStore::new();
    let app = Router::new().route("/", get(show)).layer(SessionLayer::new(store.clone()));
    let mut browser = Browser::new(&app);
    let shown = browser.get("/").await.body;
    let token = browser.token.unwrap();
    let id = cloakroom::Token::parse(token.as_bytes()).unwrap().id().to_string();
    assert!(shown.contains(&id));
    let text = format!("{shown} {store:?}");
    assert!(!text.contains(&token[22..]) && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn asvs_7_3_1_what_the_client_says_about_time_changes_nothing() {
    let clock = TestClock::default();
    let (app, _) = app(&clock);
    let (_, token) = ada(&app).await;
    clock.advance(Duration::from_hours(1));
    let cookies = format!("{N}={token}; Max-Age=999999; Expires=Fri, 31 Dec 9999 23:59:59 GMT");
    assert_eq!(send(&app, "/who", &[cookies.as_bytes()]).await.body, "nobody");
}
