//! Tokens that open nothing.

use std::time::Duration;

use axum::Router;
use cloakroom::testing::TestClock;
use cloakroom::{MemoryStore, SessionEvent, Token};

use super::routes;
use crate::support::{Browser, EventLog, N, layer, send, send_token};

fn app() -> (Router, EventLog, TestClock) {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let app = routes().layer(layer(MemoryStore::new(), &clock).on_event(events.hook()));
    (app, events, clock)
}

/// The ids and the numbers of those that were held back.
fn unknown(events: &EventLog) -> Vec<(Option<String>, u64)> {
    let unknown = events.take().into_iter().map(|event| match event {
        SessionEvent::UnknownToken { id, suppressed, .. } => (id.map(|id| id.to_string()), suppressed),
        other => panic!("{other:?}"),
    });
    unknown.collect()
}

#[tokio::test]
async fn a_token_that_opens_nothing_is_told_by_its_id_and_without_its_secret() {
    let (app, events, _) = app();
    let made_up = "B".repeat(64);
    send_token(&app, "/read", &made_up).await;
    let id = Token::parse(made_up.as_bytes()).unwrap().id().to_string();
    let told = events.take();
    assert!(matches!(&told[..], [SessionEvent::UnknownToken { id: Some(of), .. }] if of.to_string() == id));
    assert!(!format!("{told:?}").contains("BBBB"));
}

#[tokio::test]
async fn what_is_no_token_is_told_without_an_id() {
    let (app, events, _) = app();
    send_token(&app, "/read", "forged\"} ERROR everything is fine").await;
    assert_eq!(unknown(&events), [(None, 0)]);
}

#[tokio::test]
async fn a_session_that_is_over_is_unknown_and_so_is_a_wrong_secret() {
    let (app, events, clock) = app();
    let mut browser = Browser::new(&app);
    browser.get("/write").await;
    let token = browser.token.clone().unwrap();
    events.take();
    send_token(&app, "/read", &format!("{}{}", &token[..30], "A".repeat(34))).await;
    let id = Token::parse(token.as_bytes()).unwrap().id().to_string();
    clock.advance(Duration::from_hours(1));
    send_token(&app, "/read", &token).await;
    assert_eq!(unknown(&events), [(Some(id.clone()), 0), (Some(id), 0)]);
}

#[tokio::test]
async fn beside_a_good_token_nobody_minds_the_others() {
    let (app, events, _) = app();
    let mut browser = Browser::new(&app);
    browser.get("/write").await;
    events.take();
    let cookies = format!("{N}={}; {N}={}", "B".repeat(64), browser.token.unwrap());
    send(&app, "/read", &[cookies.as_bytes()]).await;
    assert!(events.take().is_empty());
}

#[tokio::test]
async fn who_asks_for_no_session_is_not_looked_at() {
    let (app, events, _) = app();
    send_token(&app, "/ignore", &"B".repeat(64)).await;
    assert!(events.take().is_empty());
}

#[tokio::test]
async fn a_flood_does_not_fill_the_logs() {
    let (app, events, clock) = app();
    for _ in 0..500 {
        send_token(&app, "/read", &"B".repeat(64)).await;
        send_token(&app, "/read", "no token").await;
    }
    assert_eq!(unknown(&events).len(), 10);
    clock.advance(Duration::from_secs(1));
    for _ in 0..100 {
        send_token(&app, "/read", "no token").await;
    }
    assert_eq!(unknown(&events), [(None, 990)]);
}

#[tokio::test]
async fn a_flood_of_several_tokens_does_not_fill_them_either() {
    let (app, events, clock) = app();
    let many = (0..5).map(|n| format!("{N}={n:A>64}")).collect::<Vec<_>>().join("; ");
    let flood = async || {
        for _ in 0..100 {
            send(&app, "/read", &[many.as_bytes()]).await;
        }
        let told = events.take().into_iter().map(|event| match event {
            SessionEvent::AmbiguousToken { tokens, suppressed, .. } => (tokens, suppressed),
            other => panic!("{other:?}"),
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(flood().await, [(5, 0); 10]);
    let (mut one, mut other) = (Browser::new(&app), Browser::new(&app));
    one.get("/write").await;
    other.get("/write").await;
    events.take();
    let both = [one, other].map(|browser| format!("{N}={}", browser.token.unwrap())).join("; ");
    send(&app, "/read", &[both.as_bytes()]).await;
    let told = events.take();
    assert!(matches!(told[..], [SessionEvent::AmbiguousToken { tokens: 2, suppressed: 0, .. }]), "{told:?}");
    clock.advance(Duration::from_secs(1));
    assert_eq!(flood().await, [(5, 90)]);
}
