//! actix-session 0.11 on actix-web 4, with its defaults. It brings no store in memory: it gets a map behind its own trait.

mod rig;
mod store;

use actix_session::{Session, SessionMiddleware};
use actix_web::cookie::Key;
use actix_web::error::{ErrorConflict, ErrorInternalServerError};
use actix_web::test::init_service;
use actix_web::web::{ServiceConfig, get};
use actix_web::{App, Error};

use self::rig::ActixRig;
use self::store::InMemory;
use crate::rig::{PAUSE, Rig};
use crate::work::{BEGIN, CHANGE, COUNTER, DONE, FILL, READ, SHOW, SLOW, UNTOUCHED, UPDATE, USER, User, ten_keys};

type Handled<T = &'static str> = Result<T, Error>;

pub(super) fn bare() -> Box<dyn Rig> {
    Box::new(ActixRig::new(|| init_service(App::new().configure(bare_routes))))
}

pub(super) fn with_sessions() -> Box<dyn Rig> {
    let sessions = SessionMiddleware::new(InMemory::default(), Key::generate());
    Box::new(ActixRig::new(|| init_service(App::new().wrap(sessions).configure(routes))))
}

fn bare_routes(app: &mut ServiceConfig) {
    for path in [UNTOUCHED, READ, CHANGE, UPDATE, BEGIN, FILL] {
        app.route(path, get().to(async || DONE));
    }
}

fn routes(app: &mut ServiceConfig) {
    app.route(UNTOUCHED, get().to(async || DONE))
        .route(READ, get().to(read))
        .route(CHANGE, get().to(change))
        .route(UPDATE, get().to(change))
        .route(BEGIN, get().to(begin))
        .route(FILL, get().to(fill))
        .route(SLOW, get().to(slow))
        .route(SHOW, get().to(show));
}

async fn read(session: Session) -> Handled {
    counter(&session)?;
    let user: Option<User> = session.get(USER).map_err(ErrorInternalServerError)?;
    if user.is_some_and(|user| user.is_as_it_was()) { Ok(DONE) } else { Err(ErrorConflict("another user")) }
}

async fn change(session: Session) -> Handled {
    let visits = counter(&session)?;
    insert(&session, visits + 1)
}

async fn begin(session: Session) -> Handled {
    insert(&session, 1)
}

async fn fill(session: Session) -> Handled {
    for (key, value) in ten_keys() {
        session.insert(key, value).map_err(ErrorInternalServerError)?;
    }
    Ok(DONE)
}

async fn slow(session: Session) -> Handled {
    let visits = counter(&session)?;
    tokio::time::sleep(PAUSE).await;
    insert(&session, visits + 1)
}

async fn show(session: Session) -> Handled<String> {
    Ok(counter(&session)?.to_string())
}

fn counter(session: &Session) -> Handled<u64> {
    session.get(COUNTER).map_err(ErrorInternalServerError)?.ok_or_else(|| ErrorConflict("no counter"))
}

fn insert(session: &Session, visits: u64) -> Handled {
    session.insert(COUNTER, visits).map_err(ErrorInternalServerError).map(|()| DONE)
}
