//! Style, script and pictures, compiled in. They ask for no session, so that one around them costs nothing.

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::Shop;

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../static/", $name)))),*]
    };
}

const FILES: [(&str, &str); 11] = files![
    "beret.svg",
    "bowler.svg",
    "cane.svg",
    "gloves.svg",
    "icon.svg",
    "scarf.svg",
    "shop.css",
    "shop.js",
    "straw-hat.svg",
    "trench-coat.svg",
    "umbrella.svg",
];

pub fn routes() -> Router<Shop> {
    Router::new().route("/static/{file}", get(file))
}

async fn file(Path(name): Path<String>) -> Response {
    let Some((_, text)) = FILES.iter().find(|(file, _)| *file == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        _ => "image/svg+xml",
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=3600")], *text).into_response()
}
