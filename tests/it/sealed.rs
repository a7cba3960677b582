//! Sealed records: what a store cannot read, what nobody can change, and how keys come and go.

mod dumps;
mod rotation;
mod tampering;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::TestClock;
use cloakroom::{
    Codec, KeyRing, SealedCodec, SealingKey, Session, SessionError, SessionId, SessionLayer, SessionStore, Token,
};

use crate::support::{Browser, EventLog, manager, routes};

/// Data that would be seen.
const CARD: &str = "4111 1111 1111 1111";

fn key() -> SealingKey {
    SealingKey::generate().unwrap()
}

/// The same key in another process.
fn copy(key: &SealingKey) -> SealingKey {
    key.expose().parse().unwrap()
}

fn ring<'a>(keys: impl IntoIterator<Item = &'a SealingKey>) -> KeyRing {
    let keys: Vec<_> = keys.into_iter().map(|key| key.expose().to_string()).collect();
    keys.join(",").parse().unwrap()
}

/// The routes of all tests, and one that logs in, one that stores something secret, one that shows it.
fn app(store: impl SessionStore, codec: impl Codec, namespace: &str, events: &EventLog) -> Router {
    async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
        session.login(&user)
    }
    let manager = manager(store, &TestClock::default()).codec(codec).namespace(namespace).on_event(events.hook());
    routes::routes()
        .route("/login/{user}", get(login))
        .route("/who", get(async |session: Session| session.user().unwrap_or_else(|| "-".to_owned())))
        .route("/pay", get(async |session: Session| session.insert("card", CARD)))
        .route("/card", get(async |session: Session| session.get::<String>("card").map(Option::unwrap_or_default)))
        .layer(SessionLayer::with_manager(manager))
}

fn sealed(store: impl SessionStore, keys: impl Into<KeyRing>) -> Router {
    app(store, SealedCodec::new(keys), "", &EventLog::default())
}

fn id_of(browser: &Browser) -> SessionId {
    Token::parse(browser.token.as_ref().unwrap().as_bytes()).unwrap().id()
}

/// The browser in front of another application.
fn moved(browser: &Browser, app: &Router) -> Browser {
    let mut moved = Browser::new(app);
    moved.token.clone_from(&browser.token);
    moved
}
