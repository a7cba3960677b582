//! The hand-written floor that loses nothing.

use axum::Router;
use axum::http::StatusCode;

use crate::floor::lossless::{LosslessLayer, LosslessSession};
use crate::rig::{AxumRig, PAUSE, Rig};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, StatusCode>;

pub(super) fn rig() -> Box<dyn Rig> {
    Box::new(AxumRig::new(routes(LosslessLayer::new())))
}

/// The workloads, with sessions of this layer.
pub(crate) fn routes(sessions: LosslessLayer) -> Router {
    routes!(update).layer(sessions)
}

async fn read(session: LosslessSession) -> Handled {
    counter(&session)?;
    let user: Option<User> = session.get(USER)?;
    if user.is_some_and(|user| user.is_as_it_was()) { Ok(DONE) } else { Err(StatusCode::CONFLICT) }
}

async fn change(session: LosslessSession) -> Handled {
    let visits = counter(&session)?;
    session.insert(COUNTER, &(visits + 1)).map(|()| DONE)
}

async fn update(session: LosslessSession) -> Handled {
    add_one(&session)
}

async fn begin(session: LosslessSession) -> Handled {
    session.insert(COUNTER, &1).map(|()| DONE)
}

async fn fill(session: LosslessSession) -> Handled {
    for (key, value) in ten_keys() {
        session.insert(key, &value)?;
    }
    Ok(DONE)
}

async fn slow(session: LosslessSession) -> Handled {
    counter(&session)?;
    tokio::time::sleep(PAUSE).await;
    add_one(&session)
}

async fn show(session: LosslessSession) -> Handled<String> {
    Ok(counter(&session)?.to_string())
}

fn counter(session: &LosslessSession) -> Handled<u64> {
    session.get(COUNTER)?.ok_or(StatusCode::CONFLICT)
}

fn add_one(session: &LosslessSession) -> Handled {
    session.update(COUNTER, |visits: Option<u64>| visits.unwrap_or_default() + 1).map(|()| DONE)
}
