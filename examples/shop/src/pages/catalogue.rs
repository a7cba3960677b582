//! What there is to buy. Who only looks has no session, and gets no cookie.

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use cloakroom::Session;
use minijinja::context;
use minijinja::value::Serde;

use crate::Shop;
use crate::catalogue::PRODUCTS;
use crate::errors::Error;

pub fn routes() -> Router<Shop> {
    Router::new().route("/", get(catalogue))
}

async fn catalogue(State(shop): State<Shop>, session: Session) -> Result<Html<String>, Error> {
    shop.views.page("catalogue.html", session, context! { products => Serde(PRODUCTS) })
}
