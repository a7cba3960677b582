//! Whatever a hook does, who wants to log out is logged out.

use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use axum::http::StatusCode;
use cloakroom::testing::TestClock;
use cloakroom::{MemoryStore, SessionEvent};

use super::routes;
use crate::support::{Browser, layer};

#[tokio::test]
async fn a_hook_that_panics_prevents_no_logout() {
    let store = MemoryStore::new();
    let panics = layer(store.clone(), &TestClock::default()).on_event(|_| panic!("a bug in the hook"));
    let app = routes().layer(panics);
    let mut browser = Browser::new(&app);
    for (path, sessions) in [("/login", 1), ("/logout", 0), ("/login", 1)] {
        assert_eq!(browser.get(path).await.status, StatusCode::OK);
        assert_eq!(store.len(), sessions);
    }
}

/// The tests' runtime has one thread: would the hook block it, nobody would be answered.
#[tokio::test]
async fn a_hook_that_never_returns_prevents_no_logout_and_no_other_client() {
    let (end_of_test, parked) = mpsc::channel::<()>();
    let (parked, store) = (Mutex::new(parked), MemoryStore::new());
    let hook = move |event: &SessionEvent| {
        if matches!(event, SessionEvent::Resumed { .. }) {
            let _ = parked.lock().unwrap().recv();
        }
    };
    let app = routes().layer(layer(store.clone(), &TestClock::default()).on_event(hook));
    let mut browser = Browser::new(&app);
    browser.get("/login").await;
    assert_eq!(store.len(), 1);
    assert_eq!(browser.get("/logout").await.status, StatusCode::OK);
    assert!(store.is_empty());
    let mut other = Browser::new(&app);
    let started = std::time::Instant::now();
    for path in ["/login", "/read", "/logout"] {
        assert_eq!(other.get(path).await.status, StatusCode::OK);
    }
    assert!(store.is_empty() && started.elapsed() < Duration::from_secs(1), "nobody waits for it a second time");
    drop(end_of_test);
}

#[tokio::test]
async fn who_is_answered_knows_that_the_hook_has_heard() {
    let (heard, hears) = mpsc::channel();
    let slow = move |event: &SessionEvent| {
        std::thread::yield_now();
        heard.send(event.name()).unwrap();
    };
    let app = routes().layer(layer(MemoryStore::new(), &TestClock::default()).on_event(slow));
    let mut browser = Browser::new(&app);
    for (path, events) in [("/write", &["created"][..]), ("/login", &["resumed", "logged_in"])] {
        browser.get(path).await;
        assert_eq!(hears.try_iter().collect::<Vec<_>>(), events);
    }
}

#[tokio::test]
async fn a_hook_may_spawn_tasks() {
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let hook = move |event: &SessionEvent| {
        let (sent, name) = (sent.clone(), event.name());
        tokio::spawn(async move { sent.send(name) });
    };
    let app = routes().layer(layer(MemoryStore::new(), &TestClock::default()).on_event(hook));
    Browser::new(&app).get("/write").await;
    assert_eq!(received.recv().await, Some("created"));
}
