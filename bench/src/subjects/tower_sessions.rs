//! tower-sessions 0.15 with its memory store and its defaults.

use axum::Router;
use axum::http::StatusCode;
use tower_sessions::session::Error;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

use crate::rig::{AxumRig, PAUSE, Rig};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, StatusCode>;

pub(super) fn rig() -> Box<dyn Rig> {
    Box::new(AxumRig::new(routes()))
}

pub(super) fn routes() -> Router {
    routes!(change).layer(SessionManagerLayer::new(MemoryStore::default()))
}

async fn read(session: Session) -> Handled {
    counter(&session).await?;
    let user: Option<User> = session.get(USER).await.map_err(failed)?;
    if user.is_some_and(|user| user.is_as_it_was()) { Ok(DONE) } else { Err(StatusCode::CONFLICT) }
}

async fn change(session: Session) -> Handled {
    let visits = counter(&session).await?;
    insert(&session, visits + 1).await
}

async fn begin(session: Session) -> Handled {
    insert(&session, 1).await
}

async fn fill(session: Session) -> Handled {
    for (key, value) in ten_keys() {
        session.insert(key, value).await.map_err(failed)?;
    }
    Ok(DONE)
}

async fn slow(session: Session) -> Handled {
    let visits = counter(&session).await?;
    tokio::time::sleep(PAUSE).await;
    insert(&session, visits + 1).await
}

async fn show(session: Session) -> Handled<String> {
    Ok(counter(&session).await?.to_string())
}

async fn counter(session: &Session) -> Handled<u64> {
    session.get(COUNTER).await.map_err(failed)?.ok_or(StatusCode::CONFLICT)
}

async fn insert(session: &Session, visits: u64) -> Handled {
    session.insert(COUNTER, visits).await.map_err(failed).map(|()| DONE)
}

fn failed(_: Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
