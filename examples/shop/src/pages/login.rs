//! Login and logout.

use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use cloakroom::{Level, Session, SessionError};
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::accounts::{ACCOUNT, Account, DEMO};
use crate::errors::Error;
use crate::forms::{Next, OwnForm};
use crate::{MINUTE, Shop};

/// Used or not.
const REMEMBERED: Duration = MINUTE.saturating_mul(60 * 24 * 14);

pub fn routes() -> Router<Shop> {
    Router::new().route("/login", get(page).post(log_in)).route("/logout", post(log_out))
}

#[derive(Deserialize)]
pub struct Target {
    #[serde(default)]
    pub next: Next,
}

async fn page(State(shop): State<Shop>, session: Session, Query(target): Query<Target>) -> Result<Html<String>, Error> {
    shop.views.page("login.html", session, context! { next => target.next.path(), demo => DEMO })
}

#[derive(Deserialize, Serialize)]
struct Login {
    name: String,
    password: String,
    remember: Option<String>,
    next: Next,
}

async fn log_in(
    State(shop): State<Shop>,
    session: Session,
    headers: HeaderMap,
    OwnForm(form): OwnForm<Login>,
) -> Result<Redirect, Error> {
    // A real shop also limits how often somebody may try.
    let Some(account) = shop.accounts.check(&form.name, &form.password).await? else {
        session.flash_input(&form)?; // without the password
        session.message(Level::Error, "Name and password do not go together.")?;
        return Ok(Redirect::to(&form.next.after("/login")));
    };
    enter(&session, &account, &headers)?;
    if form.remember.is_some() {
        session.remember(REMEMBERED)?;
    }
    session.message(Level::Success, format!("Welcome, {}.", account.name))?;
    Ok(Redirect::to(form.next.path()))
}

/// The cart of the visitor stays, and the session gets a new secret: who knew the old one is out.
pub fn enter(session: &Session, account: &Account, headers: &HeaderMap) -> Result<(), SessionError> {
    session.login(&account.id)?;
    ACCOUNT.insert(session, account)?;
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    session.set_label(browser(agent.unwrap_or("")))
}

/// What people call the browser that says this of itself. Browsers name their ancestors as well, so the order counts.
fn browser(agent: &str) -> String {
    let named =
        |names: &[(&str, &'static str)]| names.iter().find(|(part, _)| agent.contains(part)).map(|(_, name)| *name);
    let browser = named(&[
        ("Edg", "Edge"),
        ("OPR", "Opera"),
        ("Firefox", "Firefox"),
        ("Chrom", "Chromium"),
        ("Safari", "Safari"),
    ]);
    let system = named(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS", "macOS"),
        ("Linux", "Linux"),
    ]);
    format!("{} on {}", browser.unwrap_or("A program"), system.unwrap_or("some system"))
}

#[derive(Deserialize)]
struct Logout {}

/// Final: whatever else is under way with this session, nothing brings it back.
async fn log_out(session: Session, _: OwnForm<Logout>) -> Result<Redirect, SessionError> {
    session.logout()?;
    Ok(Redirect::to("/"))
}
