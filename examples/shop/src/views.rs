//! Pages from templates. Each asks the session itself for what it shows.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Html;
use cloakroom::{Bag, Session};
use minijinja::{Environment, Value, context};

use crate::cart::Cart;
use crate::errors::Error;

macro_rules! templates {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../templates/", $name)))),*]
    };
}

const TEMPLATES: [(&str, &str); 11] = templates![
    "account.html",
    "admin.html",
    "base.html",
    "cart.html",
    "catalogue.html",
    "confirm.html",
    "devices.html",
    "error.html",
    "login.html",
    "password.html",
    "sign_up.html",
];

#[derive(Clone)]
pub struct Views(Arc<Environment<'static>>);

impl Default for Views {
    fn default() -> Self {
        let mut templates = Environment::new();
        templates.add_filter("price", |cents: u32| format!("€ {}.{:02}", cents / 100, cents % 100));
        templates.add_filter("span", span);
        for (name, text) in TEMPLATES {
            templates.add_template(name, text).expect("the templates are part of the program");
        }
        Self(Arc::new(templates))
    }
}

impl Views {
    /// A page for whoever has this session.
    pub fn page(&self, name: &str, session: Session, context: Value) -> Result<Html<String>, Error> {
        let in_cart = Bag::<Cart>::of(&session)?.count();
        let page = context! { session, in_cart, ..context };
        Ok(Html(self.0.get_template(name)?.render(page)?))
    }

    /// A page for anybody, where there may be no session.
    pub fn error(&self, status: StatusCode, text: &str) -> Result<String, minijinja::Error> {
        let title = status.canonical_reason().unwrap_or("Error");
        self.0.get_template("error.html")?.render(context! { title, text })
    }
}

/// How long seconds are for people.
fn span(seconds: u64) -> String {
    let (number, unit) = match seconds {
        0..60 => return "less than a minute".to_owned(),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}
