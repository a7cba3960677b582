//! The server of `visits` with no store behind it: what a visitor's session has in it is in the visitor's cookie, sealed.
//!
//! ```sh
//! export SESSION_KEYS=$(openssl rand -hex 32)   # without it a new key for every start
//! cargo run --example in_cookie                 # http://127.0.0.1:3000
//! cargo run --example in_cookie -- 8080         # another port; 0 takes one that is free
//! ```
//!
//! A logout tells the browser to forget its cookie. A copy of the cookie that somebody has kept stays good until it expires: see
//! `CookieStore::without_revocation` for what that means, and `CookieStore::with_revocation` for the other way.

use std::env;
use std::error::Error;
use std::time::Duration;

use axum::routing::{get, post};
use axum::{Form, Router};
use cloakroom::{CookieStore, KeyRing, SealingKey, Session, SessionCookie, SessionError, SessionLayer, SessionPolicy};
use serde::Deserialize;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = match env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?,
        None => 3000,
    };
    let keys: KeyRing = match env::var("SESSION_KEYS") {
        Ok(keys) => keys.parse()?,
        Err(_) => SealingKey::generate()?.into(),
    };

    let sessions = SessionLayer::in_cookie(CookieStore::without_revocation(keys))
        .transport(SessionCookie::new("id").chunks(2))?
        // Nobody can end such a session, so it ends soon.
        .policy(SessionPolicy::default().idle(Duration::from_mins(20)).absolute(Duration::from_hours(4)))?;
    let app = Router::new()
        .route("/", get(visits))
        .route("/login", post(login))
        .route("/logout", post(logout))
        .layer(sessions);

    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port} cannot be used, give another one or 0: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(ctrl_c()).await?;
    Ok(())
}

/// Counts. Of two visits at once one gets lost: the browser keeps the cookie that comes last.
async fn visits(session: Session) -> Result<String, SessionError> {
    let visits = session.increment("visits", 1)?;
    let user = session.user();
    Ok(format!("visit {visits} by {}\n", user.as_deref().unwrap_or("a stranger")))
}

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Takes everybody at their word: this is a demo.
async fn login(session: Session, Form(Login { name }): Form<Login>) -> Result<String, SessionError> {
    session.login(&name)?;
    Ok(format!("hello, {name}\n"))
}

async fn logout(session: Session) -> Result<&'static str, SessionError> {
    session.logout()?;
    Ok("goodbye\n")
}

async fn ctrl_c() {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
