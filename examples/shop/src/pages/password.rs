//! Another password.

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Redirect};
use axum::routing::get;
use cloakroom::{ErrorKind, Level, Session, User};
use minijinja::context;
use serde::Deserialize;

use super::confirm::RECENT;
use crate::Shop;
use crate::accounts::PASSWORD_LENGTH;
use crate::errors::Error;
use crate::forms::OwnForm;

pub fn routes() -> Router<Shop> {
    Router::new().route("/password", get(page).post(change))
}

/// `User<RECENT>`: not for somebody who has found the browser open (ASVS 7.5.1).
async fn page(State(shop): State<Shop>, _: User<RECENT>, session: Session) -> Result<Html<String>, Error> {
    shop.views.page("password.html", session, context! { shortest => PASSWORD_LENGTH.start() })
}

#[derive(Deserialize)]
struct NewPassword {
    password: String,
}

async fn change(
    State(shop): State<Shop>,
    user: User<RECENT>,
    session: Session,
    OwnForm(form): OwnForm<NewPassword>,
) -> Result<Redirect, Error> {
    if !PASSWORD_LENGTH.contains(&form.password.chars().count()) {
        session.message(Level::Error, "A password has 8 to 128 characters.")?;
        return Ok(Redirect::to("/password"));
    }
    // In this order: from now on nobody logs in with the old one, and whoever has done so is out (ASVS 7.4.3).
    shop.accounts.change_password(&user, &form.password).await?;
    match session.revoke_others().await {
        Ok(ended) => {
            session.message(Level::Success, format!("Your password is changed. Other devices signed out: {ended}."))?;
        }
        // Not every store can find the sessions of a user.
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            session.message(Level::Warning, "Your password is changed. Other devices stay signed in for now.")?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(Redirect::to("/account"))
}
