//! Sessions that are bound to what the application chooses (ASVS 8.2.4).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{
    LazySession, MemoryStore, OnMismatch, Pepper, Session, SessionError, SessionEvent, SessionLayer, SessionManager,
    SessionStatus, TokenChange,
};
use http::header::{COOKIE, USER_AGENT};
use http::{Request, StatusCode};
use tower::ServiceExt as _;

use crate::support::bytes_store::BytesStore;
use crate::support::{Answer, EventLog, N, manager};

/// Sends a request of a browser that calls itself so, or says nothing.
async fn send(app: &Router, path: &str, agent: Option<&str>, token: Option<&str>) -> Answer {
    let mut request = Request::builder().uri(path);
    if let Some(agent) = agent {
        request = request.header(USER_AGENT, agent);
    }
    if let Some(token) = token {
        request = request.header(COOKIE, format!("{N}={token}"));
    }
    Answer::of(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
}

async fn show(session: Session) -> Result<String, SessionError> {
    Ok(format!("{:?} {}", session.status(), session.get::<u64>("n")?.unwrap_or_default()))
}

fn routes() -> Router {
    Router::new()
        .route("/", get(show))
        .route("/add", get(async |session: Session| session.increment("n", 1).map(|n: i64| n.to_string())))
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/again", get(async |session: Session| session.reauthenticated()))
        .route("/lazy", get(async |_: LazySession| "asked, and not loaded"))
}

fn bound(layer: SessionLayer, on_mismatch: OnMismatch) -> Router {
    routes().layer(layer.bind(on_mismatch, |request| request.headers.get(USER_AGENT).cloned()))
}

fn is_mismatch(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::BindingMismatch { .. })
}

/// An application, what it tells, and a session at n = 1 of a browser that calls itself "Fox/1".
async fn begun(on_mismatch: OnMismatch) -> (Router, EventLog, String) {
    let log = EventLog::default();
    let app = bound(SessionLayer::new(MemoryStore::new()).on_event(log.hook()), on_mismatch);
    let token = send(&app, "/add", Some("Fox/1"), None).await.token().unwrap().to_owned();
    (app, log, token)
}

#[tokio::test]
async fn asvs_8_2_4_a_changed_user_agent_calls_the_hook_once_and_goes_on_if_an_event_is_all_that_is_wanted() {
    let (app, log, token) = begun(OnMismatch::EventOnly).await;
    assert_eq!(send(&app, "/", Some("Fox/1"), Some(&token)).await.body, "Resumed 1");
    assert_eq!(log.count(is_mismatch), 0);
    assert_eq!(send(&app, "/add", Some("Fox/2"), Some(&token)).await.body, "2");
    assert_eq!(log.count(is_mismatch), 1);
    let events = log.take();
    assert!(!format!("{events:?}").contains("Fox"), "{events:?}");
    // With a login it is bound anew.
    let token = send(&app, "/login", Some("Fox/2"), Some(&token)).await.token().unwrap().to_owned();
    log.take();
    assert_eq!(send(&app, "/", Some("Fox/2"), Some(&token)).await.body, "Resumed 2");
    assert_eq!(log.count(is_mismatch), 0);
    let token = send(&app, "/again", Some("Fox/3"), Some(&token)).await.token().unwrap().to_owned();
    log.take();
    assert_eq!(send(&app, "/", Some("Fox/3"), Some(&token)).await.body, "Resumed 2");
    assert_eq!(log.count(is_mismatch), 0);
}

#[tokio::test]
async fn who_shows_the_token_alone_is_anonymous_and_the_owner_goes_on() {
    let (app, log, token) = begun(OnMismatch::Anonymous).await;
    for thief in [Some("Ice/1"), Some(""), None] {
        let answer = send(&app, "/", thief, Some(&token)).await;
        assert_eq!((answer.body.as_str(), answer.set_cookies()), ("New 0", vec![]), "{thief:?}");
    }
    assert_eq!(log.take().iter().filter(|event| is_mismatch(event)).count(), 3);
    assert_eq!(send(&app, "/add", Some("Fox/1"), Some(&token)).await.body, "2");
    assert_eq!(log.count(is_mismatch), 0);
}

#[tokio::test]
async fn what_is_written_without_the_binding_begins_a_session_of_its_own() {
    let (app, _, token) = begun(OnMismatch::Anonymous).await;
    let answer = send(&app, "/add", Some("Ice/1"), Some(&token)).await;
    assert_eq!(answer.body, "1");
    let own = answer.token().unwrap();
    assert_eq!(send(&app, "/", Some("Ice/1"), Some(own)).await.body, "Resumed 1");
    assert_eq!(send(&app, "/", Some("Fox/1"), Some(own)).await.body, "New 0");
    assert_eq!(send(&app, "/add", Some("Fox/1"), Some(&token)).await.body, "2");
    // So does the owner's own browser after an update, and is not shut out.
    let answer = send(&app, "/login", Some("Fox/2"), Some(&token)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(send(&app, "/", Some("Fox/2"), answer.token()).await.body, "Resumed 0");
}

#[tokio::test]
async fn a_session_that_is_bound_to_nothing_takes_everything_until_its_next_login() {
    let store = MemoryStore::new();
    let before = routes().layer(SessionLayer::new(store.clone()));
    let token = send(&before, "/add", Some("Fox/1"), None).await.token().unwrap().to_owned();
    let app = bound(SessionLayer::new(store.clone()), OnMismatch::Anonymous);
    assert_eq!(send(&app, "/add", Some("Ice/1"), Some(&token)).await.body, "2");
    let token = send(&app, "/login", Some("Fox/1"), Some(&token)).await.token().unwrap().to_owned();
    assert_eq!(send(&app, "/", Some("Ice/1"), Some(&token)).await.body, "New 0");
    // A layer that asks for nothing goes by the token.
    assert_eq!(send(&before, "/", Some("Ice/1"), Some(&token)).await.body, "Resumed 2");
    // Who has nothing to show begins a session that is bound to nothing.
    let token = send(&app, "/add", None, None).await.token().unwrap().to_owned();
    assert_eq!(send(&app, "/", Some("Fox/1"), Some(&token)).await.body, "Resumed 1");
}

#[tokio::test]
async fn a_request_that_leaves_its_session_alone_costs_no_call_to_the_store_and_tells_nothing() {
    let store = CountingStore::new(MemoryStore::new());
    let (log, asked) = (EventLog::default(), Arc::<AtomicUsize>::default());
    let counts = asked.clone();
    let layer = SessionLayer::new(store.clone()).on_event(log.hook());
    let app = routes().layer(layer.bind(OnMismatch::Anonymous, move |request| {
        counts.fetch_add(1, Ordering::SeqCst);
        request.headers.get(USER_AGENT).cloned()
    }));
    let token = send(&app, "/add", Some("Fox/1"), None).await.token().unwrap().to_owned();
    store.reset();
    log.take();
    let answer = send(&app, "/lazy", Some("Ice/1"), Some(&token)).await;
    assert_eq!(answer.headers.len(), 2, "{:?}", answer.headers);
    assert_eq!((store.reset(), log.take().len()), (Calls::default(), 0));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn the_store_does_not_show_what_sessions_are_bound_to_nor_which_have_the_same() {
    let store = BytesStore::default();
    let clock = TestClock::default();
    let bonds = async |manager: &SessionManager| {
        let mut bonds = Vec::new();
        for _ in 0..2 {
            let session = manager.create_bound("Fox/1");
            session.insert("n", 1).unwrap();
            session.save().await.unwrap();
            let text = String::from_utf8(store.row(session.id().unwrap()).unwrap().bytes).unwrap();
            assert!(!text.contains("Fox"), "{text}");
            bonds.push(text.split("\"bond\":\"").nth(1).unwrap()[..44].to_owned());
        }
        bonds
    };
    let plain = bonds(&manager(store.clone(), &clock)).await;
    assert_ne!(plain[0], plain[1]);
    let pepper = Pepper::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let peppered = manager(store.clone(), &clock).pepper(&pepper);
    let bonds = bonds(&peppered).await;
    assert_ne!(bonds[0], bonds[1]);
}

#[tokio::test]
async fn without_http_a_session_is_bound_to_what_the_caller_says() {
    let log = EventLog::default();
    let manager = SessionManager::new(MemoryStore::new()).on_event(log.hook());
    let session = manager.create_bound("tls exporter");
    session.insert("n", 1).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
    let token = issued.token.expose();
    let status =
        async |manager: &SessionManager, to: &str| manager.open_bound(token.as_bytes(), to).await.unwrap().status();
    assert_eq!(status(&manager, "tls exporter").await, SessionStatus::Resumed);
    assert_eq!(status(&manager, "another").await, SessionStatus::New);
    assert_eq!(status(&manager, "").await, SessionStatus::New);
    assert_eq!(log.count(is_mismatch), 2);
    let lenient = manager.clone().on_mismatch(OnMismatch::EventOnly);
    assert_eq!(status(&lenient, "another").await, SessionStatus::Resumed);
    assert_eq!(log.count(is_mismatch), 3);

    // Who is not asked logs in, and it stays bound to what it is.
    let session = manager.open(token.as_bytes()).await.unwrap();
    assert_eq!(session.status(), SessionStatus::Resumed);
    session.login("ada").unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
    let token = issued.token.expose();
    assert_eq!(manager.open_bound(token.as_bytes(), "another").await.unwrap().status(), SessionStatus::New);
    assert_eq!(manager.open_bound(token.as_bytes(), "tls exporter").await.unwrap().status(), SessionStatus::Resumed);
}

#[tokio::test]
async fn what_goes_on_beyond_its_request_is_not_asked_again() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create_bound("Fox/1");
    session.insert("n", 1).unwrap();
    let detached = session.detach().await.unwrap().check_every(Duration::from_millis(10));
    detached.insert("n", 2).unwrap();
    detached.save().await.unwrap();
    detached.reload().await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(50), detached.ended()).await.is_err());
    assert_eq!(detached.get("n").unwrap(), Some(2));
}
