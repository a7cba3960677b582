//! Nothing is stored before the visitor agreed.

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore};
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer, SessionPolicy};

use crate::support::Browser;

async fn visit(session: Session) -> Result<String, SessionError> {
    let n = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
    session.save().await?;
    Ok(format!("{n} {}", session.has_consent()))
}

async fn agree(session: Session) -> Result<(), SessionError> {
    session.consent()
}

async fn agree_and_write(session: Session) -> Result<String, SessionError> {
    session.insert("visits", 10)?;
    session.consent()?;
    visit(session).await
}

async fn withdraw(session: Session) -> Result<(), SessionError> {
    session.destroy()
}

fn app(store: CountingStore<MemoryStore>) -> Router {
    let policy = SessionPolicy::default().on_consent(true);
    Router::new()
        .route("/", get(visit))
        .route("/agree", get(agree))
        .route("/agree-and-write", get(agree_and_write))
        .route("/withdraw", get(withdraw))
        .layer(SessionLayer::new(store).policy(policy).unwrap())
}

#[tokio::test]
async fn before_consent_nothing_is_stored_and_no_cookie_is_set() {
    let store = CountingStore::new(MemoryStore::new());
    let mut browser = Browser::new(&app(store.clone()));
    for _ in 0..2 {
        let answer = browser.get("/").await;
        assert_eq!(answer.body, "1 false", "what is written is there for the rest of the request");
        assert!(answer.set_cookies().is_empty());
    }
    assert_eq!(store.reset(), Calls::default());
}

#[tokio::test]
async fn consent_stores_an_empty_session_and_later_requests_know() {
    let mut browser = Browser::new(&app(CountingStore::new(MemoryStore::new())));
    assert!(browser.get("/agree").await.token().is_some());
    assert_eq!(browser.get("/").await.body, "1 true");
    assert_eq!(browser.get("/").await.body, "2 true");
}

#[tokio::test]
async fn what_the_request_wrote_before_it_got_consent_is_stored_too() {
    let mut browser = Browser::new(&app(CountingStore::new(MemoryStore::new())));
    assert_eq!(browser.get("/agree-and-write").await.body, "11 true");
    assert_eq!(browser.get("/").await.body, "12 true");
}

#[tokio::test]
async fn destroy_takes_consent_back() {
    let mut browser = Browser::new(&app(CountingStore::new(MemoryStore::new())));
    browser.get("/agree").await;
    assert!(browser.get("/withdraw").await.removes_cookie());
    assert_eq!(browser.get("/").await.body, "1 false");
    assert!(browser.token.is_none());
}

#[tokio::test]
async fn without_that_policy_consent_changes_nothing_but_stores_an_empty_session() {
    let app = Router::new().route("/agree", get(agree)).layer(SessionLayer::new(MemoryStore::new()));
    assert!(Browser::new(&app).get("/agree").await.token().is_some());
}
