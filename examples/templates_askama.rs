//! A notebook, written with a template of askama: the page after a redirect shows once what was kept,
//! what is missing, and what had been typed.
//!
//! ```sh
//! cargo run --example templates_askama          # http://127.0.0.1:3000
//! cargo run --example templates_askama -- 8080  # another port; 0 takes one that is free
//! ```

use std::error::Error;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::get;
use axum::{Form, Router};
use cloakroom::{Level, MemoryStore, ReadOnlySession, Session, SessionError, SessionLayer};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::args().nth(1).map_or(Ok(3000), |port| port.parse())?;

    let app = Router::new().route("/", get(notebook).post(keep)).layer(SessionLayer::new(MemoryStore::new()));

    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// The template asks the session itself for what it shows. It is given here, since askama would look for its file in
/// the folder `templates` of the package.
#[derive(Template)]
#[template(
    ext = "html",
    source = r#"<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Notebook</title>
</head>
<body>
  <h1>Notebook</h1>

  {% if session.contains("success")? -%}
  <p role="status">{{ session.get::<String>("success")?.unwrap_or_default() }}</p>
  {%- endif %}
  {% for message in session.messages()? -%}
  <p role="alert" class="{{ message.level() }}">{{ message.text() }}</p>
  {%- endfor %}

  <form method="post" action="/">
    <p><label>Title <input name="title" value="{{ session.old("title")?.unwrap_or_default() }}"></label></p>
    <p><label>Text <textarea name="text">{{ session.old("text")?.unwrap_or_default() }}</textarea></label></p>
    <p><button>Keep</button></p>
  </form>

  <dl>
    {% for note in session.get::<Vec<Note>>("notes")?.unwrap_or_default() -%}
    <dt>{{ note.title }}</dt>
    <dd>{{ note.text }}</dd>
    {% else -%}
    <dt>No notes yet.</dt>
    {% endfor %}
  </dl>
</body>
</html>"#
)]
struct Notebook {
    session: ReadOnlySession,
}

async fn notebook(session: ReadOnlySession) -> Result<Html<String>, StatusCode> {
    Notebook { session }.render().map(Html).map_err(|error| {
        eprintln!("{error}");
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
