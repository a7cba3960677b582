//! `axum_session` 0.22 without a database, in the mode in which a session begins when a handler asks for it.

use axum::http::StatusCode;
use axum_session::{Session, SessionConfig, SessionLayer, SessionMode, SessionNullPool, SessionStore};

use crate::rig::{AxumRig, PAUSE, Rig, runtime};
use crate::work::{COUNTER, DONE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, StatusCode>;
type InMemory = Session<SessionNullPool>;

pub(super) fn rig() -> Box<dyn Rig> {
    let runtime = runtime();
    let config = SessionConfig::default().with_mode(SessionMode::Manual);
    let store = runtime.block_on(SessionStore::<SessionNullPool>::new(None, config)).expect("no database, no error");
    let inside = runtime.enter(); // Its layer starts a task.
    let app = routes!(change).layer(SessionLayer::new(store));
    drop(inside);
    Box::new(AxumRig::on(runtime, app))
}

async fn read(session: InMemory) -> Handled {
    counter(&session)?;
    let user: Option<User> = session.get(USER);
    if user.is_some_and(|user| user.is_as_it_was()) { Ok(DONE) } else { Err(StatusCode::CONFLICT) }
}

async fn change(session: InMemory) -> Handled {
    let visits = counter(&session)?;
    session.set(COUNTER, visits + 1);
    Ok(DONE)
}

async fn begin(session: InMemory) -> &'static str {
    session.create_data();
    session.set(COUNTER, 1);
    DONE
}

async fn fill(session: InMemory) -> &'static str {
    session.create_data();
    for (key, value) in ten_keys() {
        session.set(key, value);
    }
    DONE
}

async fn slow(session: InMemory) -> Handled {
    let visits = counter(&session)?;
    tokio::time::sleep(PAUSE).await;
    session.set(COUNTER, visits + 1);
    Ok(DONE)
}

async fn show(session: InMemory) -> Handled<String> {
    Ok(counter(&session)?.to_string())
}

fn counter(session: &InMemory) -> Handled<u64> {
    session.get(COUNTER).ok_or(StatusCode::CONFLICT)
}
