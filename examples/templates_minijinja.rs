//! A notebook, written with templates of minijinja: the page after a redirect shows once what was kept,
//! what is missing, and what had been typed.
//!
//! ```sh
//! cargo run --example templates_minijinja --features minijinja          # http://127.0.0.1:3000
//! cargo run --example templates_minijinja --features minijinja -- 8080  # another port; 0 takes one that is free
//! ```

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Form, Router};
use cloakroom::{Level, MemoryStore, Session, SessionError, SessionLayer};
use minijinja::{Environment, context};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

type Templates = Arc<Environment<'static>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;

    let mut templates = Environment::new();
    templates.add_template("notebook.html", include_str!("templates/notebook.minijinja.html"))?;
    let app = Router::new()
        .route("/", get(notebook).post(keep))
        .with_state(Templates::new(templates))
        .layer(SessionLayer::new(MemoryStore::new()));

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// The template asks the session itself for what it shows.
async fn notebook(session: Session, State(templates): State<Templates>) -> Result<Html<String>, StatusCode> {
    let page = templates.get_template("notebook.html").and_then(|page| page.render(context! { session }));
    page.map(Html).map_err(|error| {
        eprintln!("{error:#}");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}

#[derive(Deserialize, Serialize)]
struct Note {
    title: String,
    text: String,
}

/// Keeps a note, and has the next page say so.
async fn keep(session: Session, Form(mut note): Form<Note>) -> Result<Redirect, SessionError> {
    if note.text.trim().is_empty() {
        session.flash_input(&note)?;
        session.message(Level::Error, "A note needs a text.")?;
        return Ok(Redirect::to("/"));
    }
    let untitled = note.title.trim().is_empty();
    if untitled {
        "Untitled".clone_into(&mut note.title);
    }
    // First of all what may be refused, if the notebook is full.
    session.push("notes", &note)?;
    session.flash("success", format!("“{}” is kept.", note.title))?;
    if untitled {
        session.message(Level::Warning, "The note had no title.")?;
    }
    Ok(Redirect::to("/"))
}
