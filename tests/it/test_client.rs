//! `cloakroom::testing::TestClient`: a browser for the tests of applications.

mod assertions;
mod requests;
mod sessions;

use axum::Router;
use cloakroom::testing::{TestClient, TestClock};
use cloakroom::{MemoryStore, SessionLayer};

use crate::support::layer;
use crate::support::routes::routes;

/// A client in front of the routes that all tests have, and its clock.
fn client() -> (TestClient, TestClock) {
    let clock = TestClock::default();
    (client_of(routes(), &layer(MemoryStore::new(), &clock)), clock)
}

fn client_of(routes: Router, sessions: &SessionLayer) -> TestClient {
    TestClient::new(routes.layer(sessions.clone()), sessions)
}

/// What it says when it panics, and where it says that the fault is.
async fn complaint(assertion: impl Future<Output: Send> + Send + 'static) -> String {
    let panic = tokio::spawn(assertion).await.err().expect("it should have complained").into_panic();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast::<&str>().unwrap()).to_owned(),
    }
}
