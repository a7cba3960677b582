//! The pitch, as a test: start, modify, persist.

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{MemoryStore, Session, SessionError};

use crate::support::{Browser, layer, send_token};

async fn visits(session: Session) -> Result<String, SessionError> {
    session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1).map(|n| n.to_string())
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy()
}

#[tokio::test]
async fn visits_are_counted_until_logout_and_then_from_one() {
    let store = CountingStore::new(MemoryStore::new());
    let app = Router::new()
        .route("/", get(visits))
        .route("/logout", get(logout))
        .layer(layer(store.clone(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    assert_eq!(browser.get("/").await.body, "1");
    assert_eq!(store.reset(), Calls { create: 1, ..Calls::default() });
    assert_eq!(browser.get("/").await.body, "2");
    assert_eq!(store.reset(), Calls { load: 1, save: 1, ..Calls::default() });

    let old = browser.token.clone().unwrap();
    assert!(browser.get("/logout").await.removes_cookie());
    assert_eq!(store.reset(), Calls { load: 1, touch: 1, delete: 1, ..Calls::default() });
    assert_eq!(browser.token, None);
    let replay = send_token(&app, "/", &old).await;
    assert_eq!(replay.body, "1");
    assert_ne!(replay.token(), Some(&*old));
}
