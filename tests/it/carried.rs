//! Sessions that their clients hold: what is sealed, what ends them, and how much there is room for.

mod chunks;
mod life;
mod limits;
mod pages;
mod revocation;
mod tampering;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::{TestClient, TestClock};
use cloakroom::{
    CookieStore, MemoryStore, SealingKey, Session, SessionCookie, SessionError, SessionLayer, SessionManager,
};

use crate::support::{N, routes};

/// Data that would be seen.
const CARD: &str = "4111 1111 1111 1111";

/// RFC 4648 section 5.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn key() -> SealingKey {
    SealingKey::generate().unwrap()
}

/// The same key in another process.
fn copy(key: &SealingKey) -> SealingKey {
    key.expose().parse().unwrap()
}

/// Both kinds, each with a key of its own.
fn both() -> [CookieStore; 2] {
    [CookieStore::with_revocation(key(), MemoryStore::new()), CookieStore::without_revocation(key())]
}

fn manager(sessions: CookieStore, clock: &TestClock) -> SessionManager {
    SessionManager::in_cookie(sessions).clock(clock.clone())
}

/// The routes of all tests, and some that log in and out, and store something long or secret.
fn app(layer: &SessionLayer) -> Router {
    async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
        session.login(&user)
    }
    async fn long(session: Session, Path(length): Path<usize>) -> Result<(), SessionError> {
        session.insert("long", "x".repeat(length))
    }
    async fn length(session: Session) -> Result<String, SessionError> {
        Ok(session.get::<String>("long")?.map_or(0, |long| long.len()).to_string())
    }
    routes::routes()
        .route("/login/{user}", get(login))
        .route("/who", get(async |session: Session| session.user().unwrap_or_else(|| "-".to_owned())))
        .route("/pay", get(async |session: Session| session.insert("card", CARD)))
        .route("/new-secret", get(async |session: Session| session.regenerate()))
        .route("/long/{length}", get(long))
        .route("/length", get(length))
        .layer(layer.clone())
}

/// A browser in front of sessions of this kind, whose time stands still.
fn browser(sessions: CookieStore) -> TestClient {
    browser_at(sessions, &TestClock::default())
}

fn browser_at(sessions: CookieStore, clock: &TestClock) -> TestClient {
    let layer = SessionLayer::with_manager(manager(sessions, clock));
    TestClient::new(app(&layer), &layer)
}

/// A browser whose sessions may be spread over so many cookies.
fn browser_with_chunks(sessions: CookieStore, chunks: usize) -> TestClient {
    let layer = SessionLayer::in_cookie(sessions).transport(SessionCookie::new("id").chunks(chunks)).unwrap();
    TestClient::new(app(&layer), &layer)
}

/// The value of the session's cookie.
fn held(browser: &TestClient) -> String {
    browser.cookie(N).unwrap().value().to_owned()
}

/// Another browser in front of the same application, with this in its jar.
fn showing(browser: &TestClient, value: &str) -> TestClient {
    let other = browser.another_browser();
    other.set_cookie(&format!("{N}={value}; Secure; Path=/"));
    other
}

async fn text(browser: &TestClient, path: &str) -> String {
    browser.get(path).await.assert_status(http::StatusCode::OK).text().to_owned()
}
