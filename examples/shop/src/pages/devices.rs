//! Where the user is logged in, and how to end it.

use axum::Router;
use axum::extract::State;
use axum::response::{Html, Redirect};
use axum::routing::get;
use cloakroom::{ErrorKind, Level, Session, SessionId, User};
use minijinja::context;
use minijinja::value::Serde;
use serde::Deserialize;

use super::confirm::RECENT;
use crate::Shop;
use crate::errors::Error;
use crate::forms::OwnForm;

pub fn routes() -> Router<Shop> {
    Router::new().route("/devices", get(page).post(end))
}

async fn page(State(shop): State<Shop>, _: User, session: Session) -> Result<Html<String>, Error> {
    // `None` on stores that cannot find the sessions of a user.
    let devices = match session.devices().await {
        Ok(devices) => Some(devices),
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        Err(error) => return Err(error.into()),
    };
    shop.views.page("devices.html", session, context! { devices => Serde(devices) })
}

#[derive(Deserialize)]
struct End {
    /// `None` for all but this one.
    device: Option<SessionId>,
}

/// An id is no secret, and of use only to the user whose session it is.
async fn end(_: User<RECENT>, session: Session, OwnForm(form): OwnForm<End>) -> Result<Redirect, Error> {
    let ended = match form.device {
        Some(device) => usize::from(session.revoke(device).await?),
        None => session.revoke_others().await?,
    };
    if session.user().is_some() {
        session.message(Level::Success, format!("Devices signed out: {ended}."))?;
    }
    Ok(Redirect::to("/devices"))
}
