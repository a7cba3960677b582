//! A server that counts visits; how it keeps its sessions is in `configured.toml`, and in the environment.
//!
//! ```sh
//! cargo run --example configured --features config,sqlite                                       # as the file says
//! SESSION_STORE=sqlite:sessions.db cargo run --example configured --features config,sqlite      # but in SQLite
//! SESSION_POLICY_IDLE='30 parsecs' cargo run --example configured --features config,sqlite      # what an error looks like
//! ```

use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::{Session, SessionConfig, SessionError, SweeperSettings};
use serde::Deserialize;
use tokio::net::TcpListener;

/// The configuration of an application, of which the sessions are a part.
#[derive(Deserialize)]
struct Config {
    session: SessionConfig,
}

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        let mut source = error.source();
        while let Some(cause) = source {
            eprintln!("because: {cause}");
            source = cause.source();
        }
        std::process::exit(1);
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let port: u16 = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?,
        None => 3000,
    };

    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/configured.toml");
    let config: Config = toml::from_str(&std::fs::read_to_string(file)?)?;
    let config = config.session.overridden_by(SessionConfig::from_env("SESSION")?);
    println!("{config:?}");

    let sessions = config.layer().await?;
    let sweeper = sessions.start_sweeper(SweeperSettings::default());
    let app = Router::new().route("/", get(visits)).layer(sessions.clone());

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(ctrl_c()).await?;
    sessions.drain(Duration::from_secs(5)).await;
    sweeper.stop().await;
    Ok(())
}

async fn visits(session: Session) -> Result<String, SessionError> {
    let visits = session.increment("visits", 1)?;
    Ok(format!("visit {visits}\n"))
}

async fn ctrl_c() {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
