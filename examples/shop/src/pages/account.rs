//! What the shop knows of a user's session.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use cloakroom::{Session, User};
use minijinja::context;

use crate::Shop;
use crate::errors::Error;

pub fn routes() -> Router<Shop> {
    Router::new().route("/account", get(page))
}

/// `User` as an argument: nobody else gets here. What the page shows it asks the session.
async fn page(State(shop): State<Shop>, _: User, session: Session) -> Result<Html<String>, Error> {
    shop.views.page("account.html", session, context! {})
}
