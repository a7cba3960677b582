//! The cart, which several tabs may change at once.

use axum::Router;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use cloakroom::{Bag, Level, Session};
use minijinja::context;
use minijinja::value::Serde;
use serde::Deserialize;

use crate::Shop;
use crate::cart::{Cart, MOST};
use crate::catalogue::{self, Product};
use crate::errors::Error;
use crate::forms::OwnForm;

pub fn routes() -> Router<Shop> {
    Router::new().route("/cart", get(show).post(change)).route("/cart/add", post(add)).route("/cart/order", post(order))
}

async fn show(State(shop): State<Shop>, session: Session, cart: Bag<Cart>) -> Result<Html<String>, Error> {
    let found = cart.items().filter_map(|(id, number)| Some((catalogue::find(id)?, number)));
    let lines: Vec<_> = found
        .map(|(product, number)| context! { product => Serde(product), number, sum => product.price * number })
        .collect();
    let total: u32 = cart.items().filter_map(|(id, number)| Some(catalogue::find(id)?.price * number)).sum();
    shop.views.page("cart.html", session, context! { lines, total, most => MOST })
}

#[derive(Deserialize)]
struct Add {
    product: String,
}

/// The one form without a text of its own against forgery: the catalogue would have to begin a session for everybody who
/// looks at it. What browsers say comes from another site is refused by the layer all the same.
async fn add(State(shop): State<Shop>, mut cart: Bag<Cart>, Form(form): Form<Add>) -> Result<Redirect, Error> {
    let product = known(&form.product)?;
    // Done again if another tab was faster: nothing is lost.
    cart.update(|cart| cart.add(product.id, 1))?;
    cart.session().message(Level::Success, format!("{}: it is in your cart.", product.name))?;
    shop.news.changed(cart.session()).await?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct Change {
    product: String,
    number: u32,
}

async fn change(
    State(shop): State<Shop>,
    mut cart: Bag<Cart>,
    OwnForm(form): OwnForm<Change>,
) -> Result<Redirect, Error> {
    let product = known(&form.product)?;
    cart.update(move |cart| cart.set(product.id, form.number))?;
    shop.news.changed(cart.session()).await?;
    Ok(Redirect::to("/cart"))
}

#[derive(Deserialize)]
struct Order {}

/// Nobody pays here, and nothing is sent.
async fn order(State(shop): State<Shop>, mut cart: Bag<Cart>, _: OwnForm<Order>) -> Result<Redirect, Error> {
    let ordered = cart.clone();
    // Not the whole cart: another tab may have put something in since this one was shown.
    cart.update(move |cart| cart.take_away(&ordered))?;
    cart.session().message(Level::Success, "Thank you for your order. It goes nowhere, this is an example.")?;
    shop.news.changed(cart.session()).await?;
    Ok(Redirect::to("/"))
}

fn known(id: &str) -> Result<&'static Product, Error> {
    catalogue::find(id).ok_or(Error::Refused(StatusCode::NOT_FOUND, "The shop has no such thing."))
}
