//! The visits example with sessions in MySQL or MariaDB.
//!
//! ```sh
//! export DATABASE_URL=mysql://user:password@localhost/database
//! cargo run --example visits_mysql --features mysql
//! ```

use std::error::Error;
use std::time::Duration;

use axum::extract::{FromRequest as _, Request};
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use cloakroom::{MysqlStore, Session, SessionError, SessionLayer, SweeperSettings};
use serde::Deserialize;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?,
        None => 3000,
    };

    let store = MysqlStore::connect(&std::env::var("DATABASE_URL")?).await?;
    store.create_schema().await?;
    let sessions = SessionLayer::new(store);
    let sweeper = sessions.start_sweeper(SweeperSettings::default());
    let app = Router::new()
        .route("/", get(visits))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(sessions.clone());

    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port} cannot be used, give another one or 0: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(ctrl_c()).await?;

    // What clients that went away have left half stored is stored before the process ends.
    sessions.drain(Duration::from_secs(5)).await;
    sweeper.stop().await;
    Ok(())
}

/// Counts. No visit gets lost, however many come at once.
async fn visits(session: Session) -> Result<String, SessionError> {
    let visits = session.increment("visits", 1)?;
    let user = session.user();
    Ok(format!("visit {visits} by {}\n", user.as_deref().unwrap_or("a stranger")))
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Takes everybody at their word: this is a demo. A real login checks a password or a passkey before it comes this far.
async fn login(session: Session, request: Request) -> axum::response::Result<String> {
    let Login { name } = body_of(request).await?;
    // The session gets a new secret by it, which keeps out whoever knew the old one, or planted it.
    session.login(&name)?;
    Ok(format!("hello, {name}\n"))
}

async fn logout(session: Session) -> Result<&'static str, SessionError> {
    session.logout()?;
    Ok("goodbye\n")
}

/// The fields of a form, or of JSON if the request says that it is JSON.
async fn body_of(request: Request) -> axum::response::Result<Login> {
    let kind = request.headers().get(CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        let Json(login) = Json::from_request(request, &()).await?;
        return Ok(login);
    }
    let Form(login) = Form::from_request(request, &()).await?;
    Ok(login)
}

async fn ctrl_c() {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
