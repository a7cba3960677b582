//! A purse whose forms no other site can send: requests that come from elsewhere are refused by what browsers say of their
//! origin, and forms have to show that they were made for this session.
//!
//! ```sh
//! cargo run --example csrf          # http://127.0.0.1:3000
//! cargo run --example csrf -- 8080  # another port; 0 takes one that is free
//! ```

use std::error::Error;

use axum::extract::Form;
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Router, serve};
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer};
use serde::Deserialize;
use tokio::net::TcpListener;
use tower_http::csrf::CsrfLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;

    let app = Router::new()
        .route("/", get(purse).post(spend))
        .layer(SessionLayer::new(MemoryStore::new()))
        // Around the sessions: what comes from another site is refused before anything is loaded for it.
        .layer(CsrfLayer::new());

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app).await?;
    Ok(())
}

async fn purse(session: Session) -> Result<Html<String>, SessionError> {
    let coins = session.get("coins")?.unwrap_or(10_u32);
    let csrf = session.csrf_token()?;
    Ok(Html(format!(
        "<p>{coins} coins</p>\n\
         <form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">\n\
         <input type=\"number\" name=\"coins\" value=\"1\"> <button>Spend</button></form>\n"
    )))
}

#[derive(Deserialize)]
struct Spend {
    coins: u32,
    csrf: String,
}

async fn spend(session: Session, Form(form): Form<Spend>) -> Result<Redirect, SessionError> {
    session.verify_csrf(&form.csrf)?;
    session.update("coins", move |coins: Option<u32>| coins.unwrap_or(10).saturating_sub(form.coins))?;
    Ok(Redirect::to("/"))
}
