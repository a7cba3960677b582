//! What the standards ask for, by their numbers. `SECURITY.md` has the table, and each row of it names its tests.

mod in_flight;
mod session_management;
mod table;
mod web_testing_guide;

use axum::Router;
use axum::extract::{Form, Query};
use axum::routing::{get, post};
use cloakroom::testing::{CountingStore, TestClock};
use cloakroom::{MemoryStore, Session, SessionError, SessionStatus};

use crate::support::layer;
use crate::support::routes::routes;

type Store = CountingStore<MemoryStore>;

/// The usual routes, and those that tell who is there.
fn app(clock: &TestClock) -> (Router, Store) {
    async fn who(session: Session) -> String {
        session.user().unwrap_or_else(|| "nobody".to_owned())
    }
    async fn query(Query(_): Query<Vec<(String, String)>>, session: Session) -> String {
        who(session).await
    }
    async fn form(session: Session, Form(_): Form<Vec<(String, String)>>) -> String {
        who(session).await
    }
    async fn log_in(session: Session) -> Result<&'static str, SessionError> {
        session.login("ada")?;
        Ok("welcome")
    }
    async fn status(session: Session) -> &'static str {
        if session.status() == SessionStatus::Resumed { "resumed" } else { "new" }
    }
    let store = CountingStore::new(MemoryStore::new());
    let app = routes()
        .route("/who", get(who))
        .route("/log-in", get(log_in))
        .route("/log-out", get(async |session: Session| session.logout()))
        .route("/status", get(status))
        .route("/query", get(query))
        .route("/form", post(form))
        .layer(layer(store.clone(), clock));
    (app, store)
}
