//! Sessions as handler arguments in axum, and errors as answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ErrorKind, LazySession, MemoryStore, ReadOnlySession, Session, SessionError, SessionLayer, StatelessLayer, User,
};
use http::StatusCode;
use tower::ServiceExt as _;

use crate::support::{Browser, layer, send, send_token};

async fn write(session: Session) -> Result<(), SessionError> {
    session.insert("name", "Ada")
}

async fn read_only(session: ReadOnlySession) -> Result<String, SessionError> {
    Ok(session.get::<String>("name")?.unwrap_or_else(|| "nobody".into()))
}

async fn optional(session: Option<Session>) -> &'static str {
    if session.is_some() { "there" } else { "none" }
}

async fn optional_read_only(session: Option<ReadOnlySession>) -> &'static str {
    if session.is_some() { "there" } else { "none" }
}

async fn lazily_never(_: LazySession) {}

async fn twice(first: Session, lazy: LazySession, second: Session) -> Result<String, SessionError> {
    first.insert("n", 1)?;
    let third = lazy.load().await?;
    Ok(format!("{:?} {:?}", second.get::<u8>("n")?, third.get::<u8>("n")?))
}

async fn too_large(session: Session) -> Result<(), SessionError> {
    session.insert("x", "x".repeat(1 << 20))
}

fn routes() -> Router {
    Router::new()
        .route("/write", get(write))
        .route("/read", get(read_only))
        .route("/optional", get(optional))
        .route("/optional-read", get(optional_read_only))
        .route("/lazy", get(lazily_never))
        .route("/twice", get(twice))
        .route("/too-large", get(too_large))
}

#[tokio::test]
async fn each_extractor_loads_as_much_as_it_says() {
    let store = CountingStore::new(MemoryStore::new());
    let app = routes().layer(layer(store.clone(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/optional").await.body, "none");
    assert_eq!(browser.get("/optional-read").await.body, "none");
    assert_eq!(browser.get("/read").await.body, "nobody");
    assert_eq!(store.reset(), Calls::default());
    assert_eq!(browser.token, None);

    browser.get("/write").await;
    assert_eq!(store.reset(), Calls { create: 1, ..Calls::default() });
    assert_eq!(browser.get("/optional").await.body, "there");
    assert_eq!(browser.get("/optional-read").await.body, "there");
    assert_eq!(browser.get("/read").await.body, "Ada");
    assert_eq!(store.reset(), Calls { load: 3, ..Calls::default() });
    browser.get("/lazy").await;
    assert_eq!(store.reset(), Calls::default());
}

#[tokio::test]
async fn asking_twice_gives_the_same_session() {
    let store = CountingStore::new(MemoryStore::new());
    let app = routes().layer(layer(store.clone(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    browser.get("/write").await;
    store.reset();
    assert_eq!(browser.get("/twice").await.body, "Some(1) Some(1)");
    assert_eq!(store.reset(), Calls { load: 1, save: 1, ..Calls::default() });
}

#[tokio::test]
async fn a_missing_layer_is_said_so() {
    for path in ["/write", "/read", "/optional", "/lazy"] {
        let answer = send(&routes(), path, &[]).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        assert!(!answer.body.is_empty());
    }
    let error = LazySession::of(&http::Request::new(())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MissingLayer);
    assert!(error.to_string().contains(".layer(SessionLayer::new(store))"));
}

#[tokio::test]
async fn errors_are_answers() {
    let store = FaultStore::new(MemoryStore::new());
    let app = routes().layer(layer(store.clone(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    browser.get("/write").await;

    let answer = browser.get("/too-large").await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.headers.get("retry-after").is_none());

    store.once(Operation::Load, Fault::Down);
    let answer = browser.get("/read").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(answer.set_cookies().is_empty());

    store.once(Operation::Load, Fault::Broken);
    assert_eq!(browser.get("/read").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.get("/read").await.body, "Ada");
}

/// A handler that streams may ask for its session when the answer has left long ago: it can read then, and not write.
#[tokio::test(start_paused = true)]
async fn a_session_that_is_loaded_after_the_answer_is_read_only() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let late = move |lazy: LazySession| async move {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let session = lazy.load().await.unwrap();
            sender.send((session.get::<String>("name").unwrap(), session.insert("name", "Bob"))).unwrap();
        });
    };
    let app = routes().route("/late", get(late)).layer(layer(MemoryStore::new(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    browser.get("/write").await;
    browser.get("/late").await;
    let (name, written) = receiver.recv().await.unwrap();
    assert_eq!(name.as_deref(), Some("Ada"));
    assert_eq!(written.unwrap_err().kind(), cloakroom::ErrorKind::Committed);
    assert_eq!(send_token(&app, "/read", &browser.token.unwrap()).await.body, "Ada");
}

#[tokio::test]
async fn a_route_that_is_declared_stateless_gets_no_session() {
    let reads = async |session: LazySession| session.load().await.map(drop);
    let routes = || {
        Router::new()
            .route("/none", get(async || "fine"))
            .route("/session", get(async |session: Session| session.insert("x", 1)))
            .route("/lazy", get(reads))
    };
    let store = CountingStore::new(MemoryStore::new());
    let inside = routes().layer(StatelessLayer::new()).layer(SessionLayer::new(store.clone()));
    let outside = routes().layer(SessionLayer::new(store.clone())).layer(StatelessLayer::new());
    for app in [inside, outside] {
        assert_eq!(send(&app, "/none", &[]).await.body, "fine");
        for path in ["/session", "/lazy"] {
            let answer = send(&app, path, &[]).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert!(answer.set_cookies().is_empty());
        }
    }
    assert_eq!(store.reset(), Calls::default());
    let request = http::Request::new(());
    assert_eq!(LazySession::of(&request).unwrap_err().kind(), ErrorKind::MissingLayer);
}

/// So that one middleware can make pages of errors, whoever answers with them.
#[tokio::test]
async fn answers_made_of_errors_say_of_which_kind_they_are() {
    let store = FaultStore::new(MemoryStore::new());
    let app = Router::new()
        .route("/user", get(async |_: User| ()))
        .route("/form", get(async |session: Session| session.verify_csrf("")))
        .route("/write", get(async |session: Session| session.insert("x", 1)))
        .route("/none", get(async || StatusCode::IM_A_TEAPOT))
        .layer(layer(store.clone(), &TestClock::default()));
    store.everything(Fault::Down);
    for (path, kind) in [
        ("/user", Some(ErrorKind::NotLoggedIn)),  // an extractor
        ("/form", Some(ErrorKind::CsrfToken)),    // a handler
        ("/write", Some(ErrorKind::Unavailable)), // the layer, at the commit
        ("/none", None),
    ] {
        let answer = app.clone().oneshot(http::Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.extensions().get(), kind.as_ref(), "{path}");
    }
}
