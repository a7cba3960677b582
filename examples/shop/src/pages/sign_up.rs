//! A new account. A form with mistakes comes back as it was filled in, without the password.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{Html, Redirect};
use axum::routing::get;
use cloakroom::{Level, Session};
use minijinja::context;
use serde::{Deserialize, Serialize};

use super::login::enter;
use crate::Shop;
use crate::accounts::PASSWORD_LENGTH;
use crate::errors::Error;
use crate::forms::OwnForm;

pub fn routes() -> Router<Shop> {
    Router::new().route("/sign-up", get(page).post(sign_up))
}

async fn page(State(shop): State<Shop>, session: Session) -> Result<Html<String>, Error> {
    shop.views.page("sign_up.html", session, context! { shortest => PASSWORD_LENGTH.start() })
}

#[derive(Deserialize, Serialize)]
struct SignUp {
    name: String,
    password: String,
}

async fn sign_up(
    State(shop): State<Shop>,
    session: Session,
    headers: HeaderMap,
    OwnForm(form): OwnForm<SignUp>,
) -> Result<Redirect, Error> {
    let account = match mistake(&form) {
        None => shop.accounts.sign_up(&form.name, &form.password).await?.ok_or("This name is taken."),
        Some(mistake) => Err(mistake),
    };
    match account {
        Ok(account) => {
            enter(&session, &account, &headers)?;
            session.message(Level::Success, format!("Welcome, {}. Your account is ready.", account.name))?;
            Ok(Redirect::to("/"))
        }
        Err(mistake) => {
            session.flash_input(&form)?;
            session.message(Level::Error, mistake)?;
            Ok(Redirect::to("/sign-up"))
        }
    }
}

fn mistake(form: &SignUp) -> Option<&'static str> {
    if !(1..=32).contains(&form.name.len()) || !form.name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Some("A name has 1 to 32 letters and digits.");
    }
    let is_long_enough = PASSWORD_LENGTH.contains(&form.password.chars().count());
    (!is_long_enough).then_some("A password has 8 to 128 characters.")
}
