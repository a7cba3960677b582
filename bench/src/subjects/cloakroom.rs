//! The library, with its memory store and its defaults.

use axum::Router;
use axum::http::StatusCode;
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer};

use crate::rig::{AxumRig, PAUSE, Rig};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

pub(super) fn rig() -> Box<dyn Rig> {
    Box::new(AxumRig::new(routes(SessionLayer::new(MemoryStore::new()))))
}

/// The workloads, with sessions of this layer.
pub(crate) fn routes(sessions: SessionLayer) -> Router {
    routes!(update).layer(sessions)
}

async fn read(session: Session) -> Result<Result<&'static str, StatusCode>, SessionError> {
    let visits: Option<u64> = session.get(COUNTER)?;
    let user: Option<User> = session.get(USER)?;
    let is_as_it_was = visits.is_some() && user.is_some_and(|user| user.is_as_it_was());
    Ok(if is_as_it_was { Ok(DONE) } else { Err(StatusCode::CONFLICT) })
}

async fn change(session: Session) -> Result<&'static str, SessionError> {
    let visits: Option<u64> = session.get(COUNTER)?;
    session.insert(COUNTER, visits.unwrap_or_default() + 1)?;
    Ok(DONE)
}

async fn update(session: Session) -> Result<&'static str, SessionError> {
    add_one(&session)
}

async fn begin(session: Session) -> Result<&'static str, SessionError> {
    session.insert(COUNTER, 1)?;
    Ok(DONE)
}

async fn fill(session: Session) -> Result<&'static str, SessionError> {
    for (key, value) in ten_keys() {
        session.insert(key, value)?;
    }
    Ok(DONE)
}

async fn slow(session: Session) -> Result<&'static str, SessionError> {
    session.get::<u64>(COUNTER)?;
    tokio::time::sleep(PAUSE).await;
    add_one(&session)
}

async fn show(session: Session) -> Result<String, SessionError> {
    session.get::<u64>(COUNTER).map(|visits| visits.unwrap_or_default().to_string())
}

fn add_one(session: &Session) -> Result<&'static str, SessionError> {
    session.update(COUNTER, |visits: Option<u64>| visits.unwrap_or_default() + 1)?;
    Ok(DONE)
}
