//! A small shop: what sessions are for, in one application.
//!
//! ```sh
//! cargo run -p shop                                        # http://127.0.0.1:3000, everything in ./shop.db
//! cargo run -p shop -- --listen 127.0.0.1:8080             # elsewhere; port 0 takes one that is free
//! cargo run -p shop -- --store redis://127.0.0.1           # sessions in Redis
//! cargo run -p shop -- --help
//! ```

mod store;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cloakroom::{SessionCookie, SessionLayer};
use shop::{Accounts, DEMO, Shop, policy};
use tokio::net::TcpListener;

/// A small shop that shows what cloakroom is for.
#[derive(Parser)]
struct Arguments {
    /// Where to listen; port 0 takes one that is free.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: String,

    /// Where sessions are kept: sqlite:…, file:…, memory:, redis:…, postgres:…, mysql:…, memcached:…
    #[arg(long, value_name = "URL", default_value = "sqlite:shop.db")]
    store: String,

    /// The SQLite file with the accounts. Instances that share it and the store are one shop.
    #[arg(long, value_name = "FILE", default_value = "shop.db")]
    accounts: PathBuf,

    /// For browsers that do not send secure cookies to this address over plain HTTP. For development only.
    #[arg(long)]
    insecure_http: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let (store, place) = store::connect(&arguments.store).await?;
    let mut sessions = SessionLayer::new(store).policy(policy())?;
    if arguments.insecure_http {
        sessions = sessions.transport(SessionCookie::new_for_http("id"))?;
    }
    let shop = Shop::new(sessions, Accounts::open(&arguments.accounts).await?);

    let listener = TcpListener::bind(&arguments.listen)
        .await
        .map_err(|error| format!("{} cannot be used, give another --listen: {error}", arguments.listen))?;
    println!("sessions in {place}, accounts in {}", arguments.accounts.display());
    for (name, password) in DEMO {
        println!("log in as {name} with the password {password:?}");
    }
    println!("listening on http://{}", listener.local_addr()?);
    shop.serve(listener, ctrl_c()).await?;
    Ok(())
}

async fn ctrl_c() {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
