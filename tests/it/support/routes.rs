//! Handlers that do one thing each with their session.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::{Session, SessionError};

/// Something to do with a session.
pub type Change = fn(&Session) -> Result<(), SessionError>;

/// A router without a layer: `/ignore`, `/n`, `/add`, `/set/{key}`, `/keys`, `/login`, `/logout`.
pub fn routes() -> Router {
    Router::new()
        .route("/ignore", get(|| async { "ignored" }))
        .route("/n", get(|session: Session| async move { n(&session) }))
        .route("/add", get(|session: Session| async move { add(&session) }))
        .route("/set/{key}", get(set))
        .route("/keys", get(|session: Session| async move { session.keys().join(",") }))
        .route("/login", get(login))
        .route("/logout", get(|session: Session| async move { session.destroy() }))
}

/// The counter.
pub fn n(session: &Session) -> Result<String, SessionError> {
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

/// Counts one more.
pub fn add(session: &Session) -> Result<String, SessionError> {
    session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).map(|n| n.to_string())
}

async fn set(session: Session, Path(key): Path<String>) -> Result<(), SessionError> {
    session.insert(&*key, true)
}

async fn login(session: Session) -> Result<(), SessionError> {
    session.regenerate()?;
    session.insert("user", "ada")
}
