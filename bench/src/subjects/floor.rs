//! The hand-written floors.

use axum::Router;
use axum::http::StatusCode;
use serde::Deserialize as _;
use serde_json::Value;

use crate::floor::{FloorLayer, FloorSession, Scheme};
use crate::rig::{AxumRig, PAUSE, Rig};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, StatusCode>;

pub(super) fn rig<S: Scheme>() -> Box<dyn Rig> {
    Box::new(AxumRig::new(routes::<S>()))
}

pub(super) fn routes<S: Scheme>() -> Router {
    routes!(change::<S>).layer(FloorLayer::<S>::new())
}

async fn read<S: Scheme>(session: FloorSession<S>) -> Handled {
    let data = session.existing()?;
    let data = data.lock();
    counter(&data)?;
    let user = data.get(USER).and_then(|user| User::deserialize(user).ok()).ok_or(StatusCode::CONFLICT)?;
    if user.is_as_it_was() { Ok(DONE) } else { Err(StatusCode::CONFLICT) }
}

async fn change<S: Scheme>(session: FloorSession<S>) -> Handled {
    let data = session.existing()?;
    let mut data = data.lock();
    let visits = counter(&data)?;
    data.insert_in_place(COUNTER, Value::from(visits + 1));
    Ok(DONE)
}

async fn begin<S: Scheme>(session: FloorSession<S>) -> &'static str {
    session.begin().lock().insert_in_place(COUNTER, Value::from(1));
    DONE
}

async fn fill<S: Scheme>(session: FloorSession<S>) -> &'static str {
    let data = session.begin();
    for (key, value) in ten_keys() {
        data.lock().insert_in_place(key, value);
    }
    DONE
}

async fn slow<S: Scheme>(session: FloorSession<S>) -> Handled {
    let data = session.existing()?;
    let visits = counter(&data.lock())?;
    tokio::time::sleep(PAUSE).await;
    data.lock().insert_in_place(COUNTER, Value::from(visits + 1));
    Ok(DONE)
}

async fn show<S: Scheme>(session: FloorSession<S>) -> Handled<String> {
    counter(&session.existing()?.lock()).map(|visits| visits.to_string())
}

fn counter(data: &crate::floor::Values) -> Handled<u64> {
    data.get(COUNTER).and_then(Value::as_u64).ok_or(StatusCode::CONFLICT)
}
