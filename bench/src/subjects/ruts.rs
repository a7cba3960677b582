//! ruts 0.13 with its store in memory (moka), which has to be told how many sessions it may hold.

use std::sync::Arc;

use axum::http::StatusCode;
use ruts::store::Ttl;
use ruts::store::moka::MokaStore;
use ruts::{CookieOptions, Session, SessionLayer};
use serde::Serialize;
use tower_cookies::CookieManagerLayer;

use crate::rig::{AxumRig, PAUSE, Rig};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, StatusCode>;
type InMemory = Session<MokaStore>;

pub(super) fn rig() -> Box<dyn Rig> {
    let store = MokaStore::builder().max_capacity(1_000_000).build();
    let app = routes!(change)
        .layer(SessionLayer::new(Arc::new(store)).with_cookie_options(CookieOptions::default()))
        .layer(CookieManagerLayer::new());
    Box::new(AxumRig::new(app))
}

async fn read(session: InMemory) -> Handled {
    counter(&session).await?;
    let user: Option<User> = session.get(USER).await.map_err(failed)?;
    if user.is_some_and(|user| user.is_as_it_was()) { Ok(DONE) } else { Err(StatusCode::CONFLICT) }
}

async fn change(session: InMemory) -> Handled {
    let visits = counter(&session).await?;
    set(&session, COUNTER, &(visits + 1)).await
}

async fn begin(session: InMemory) -> Handled {
    set(&session, COUNTER, &1_u64).await
}

async fn fill(session: InMemory) -> Handled {
    for (key, value) in ten_keys() {
        match key {
            COUNTER => set(&session, key, &value.as_u64().unwrap_or_default()).await?,
            USER => set(&session, key, &serde_json::from_value::<User>(value).map_err(failed)?).await?,
            // Its format has no values whose type is only known when they are read.
            _ => set(&session, key, &value.to_string()).await?,
        };
    }
    Ok(DONE)
}

async fn slow(session: InMemory) -> Handled {
    let visits = counter(&session).await?;
    tokio::time::sleep(PAUSE).await;
    set(&session, COUNTER, &(visits + 1)).await
}

async fn show(session: InMemory) -> Handled<String> {
    Ok(counter(&session).await?.to_string())
}

async fn counter(session: &InMemory) -> Handled<u64> {
    session.get(COUNTER).await.map_err(failed)?.ok_or(StatusCode::CONFLICT)
}

async fn set<T: Serialize + Send + Sync>(session: &InMemory, key: &str, value: &T) -> Handled {
    let an_hour = Ttl::new(3_600).map_err(failed)?;
    session.set(key, value, an_hour, None).await.map_err(failed).map(|()| DONE)
}

fn failed<E>(_: E) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}
