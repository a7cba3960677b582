//! For administrators: what sessions do, and whose they are.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::get;
use cloakroom::{Level, Session, User};
use minijinja::context;
use minijinja::value::Serde;
use serde::Deserialize;

use super::confirm::RECENT;
use crate::Shop;
use crate::errors::Error;
use crate::forms::OwnForm;

pub fn routes() -> Router<Shop> {
    Router::new().route("/admin", get(page).post(end))
}

async fn page(State(shop): State<Shop>, user: User, session: Session) -> Result<Html<String>, Error> {
    check(&shop, &user).await?;
    let mut accounts = Vec::new();
    for account in shop.accounts.all().await? {
        // `None` on stores that cannot find the sessions of a user.
        let sessions = shop.sessions().sessions_of(&account.id).await.ok().map(|sessions| sessions.len());
        accounts.push(context! { account => Serde(account), sessions });
    }
    let (plot, counts) = (Serde(shop.figures.plot()), Serde(shop.figures.counts()));
    shop.views.page("admin.html", session, context! { accounts, plot, counts })
}

#[derive(Deserialize)]
struct End {
    user: String,
}

/// All sessions of somebody, as when an account was taken over.
async fn end(
    State(shop): State<Shop>,
    admin: User<RECENT>,
    session: Session,
    OwnForm(form): OwnForm<End>,
) -> Result<Redirect, Error> {
    check(&shop, &admin).await?;
    if form.user == *admin {
        session.message(Level::Warning, "These are your own sessions: see your devices.")?;
        return Ok(Redirect::to("/admin"));
    }
    let ended = shop.sessions().revoke_user(&form.user).await?;
    session.message(Level::Success, format!("Sessions ended: {ended}."))?;
    Ok(Redirect::to("/admin"))
}

/// Asks the accounts, not the session: rights that are taken away are gone at once.
async fn check(shop: &Shop, user: &str) -> Result<(), Error> {
    match shop.accounts.by_id(user).await? {
        Some(account) if account.is_admin => Ok(()),
        _ => Err(Error::Refused(StatusCode::FORBIDDEN, "This page is for administrators.")),
    }
}
