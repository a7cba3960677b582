//! The password again, for what should not be done by somebody who has found the browser open.

use axum::Router;
use axum::extract::{Query, State};
use axum::response::{Html, Redirect};
use axum::routing::get;
use cloakroom::{Level, Session, User};
use minijinja::context;
use serde::Deserialize;

use super::login::Target;
use crate::Shop;
use crate::accounts::ACCOUNT;
use crate::errors::Error;
use crate::forms::{Next, OwnForm};

/// How old a login may be for such things, in seconds: `User<RECENT>`. `errors::dress` leads those whose login is older here.
pub const RECENT: u64 = 10 * 60;

pub fn routes() -> Router<Shop> {
    Router::new().route("/confirm", get(page).post(confirm))
}

async fn page(
    State(shop): State<Shop>,
    _: User,
    session: Session,
    Query(target): Query<Target>,
) -> Result<Html<String>, Error> {
    shop.views.page("confirm.html", session, context! { next => target.next.path() })
}

#[derive(Deserialize)]
struct Confirm {
    password: String,
    next: Next,
}

async fn confirm(
    State(shop): State<Shop>,
    user: User,
    session: Session,
    OwnForm(form): OwnForm<Confirm>,
) -> Result<Redirect, Error> {
    let name = ACCOUNT.get(&session)?.map_or_else(String::new, |account| account.name);
    let account = shop.accounts.check(&name, &form.password).await?;
    if account.is_none_or(|account| account.id != *user) {
        session.message(Level::Error, "This is not your password.")?;
        return Ok(Redirect::to(&form.next.after("/confirm")));
    }
    // The ten minutes begin anew, with a new secret.
    session.reauthenticated()?;
    Ok(Redirect::to(form.next.path()))
}
