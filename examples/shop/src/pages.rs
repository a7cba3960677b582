//! The pages, a file for each, with the routes that belong to it.

mod account;
mod admin;
mod cart;
mod catalogue;
mod confirm;
mod devices;
mod login;
mod password;
mod sign_up;

use axum::Router;
use axum::http::StatusCode;

use crate::Shop;
use crate::errors::Error;

pub fn routes() -> Router<Shop> {
    Router::new()
        .merge(catalogue::routes())
        .merge(cart::routes())
        .merge(login::routes())
        .merge(sign_up::routes())
        .merge(account::routes())
        .merge(confirm::routes())
        .merge(password::routes())
        .merge(devices::routes())
        .merge(admin::routes())
        .fallback(|| async { Error::Refused(StatusCode::NOT_FOUND, "There is nothing here.") })
}
