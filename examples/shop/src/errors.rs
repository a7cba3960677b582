//! What goes wrong, and the pages for it.

use std::fmt::Display;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next as Inner;
use axum::response::{IntoResponse, Response};
use cloakroom::{ErrorKind, SessionError};

use crate::Shop;
use crate::forms::Next;

/// The end of a handler that cannot do what it is asked for.
pub enum Error {
    Session(SessionError),
    /// Theirs: they are told why.
    Refused(StatusCode, &'static str),
    /// Ours: they are told no more than that, and the log gets the rest.
    Broken(Box<dyn Display + Send>),
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl From<minijinja::Error> for Error {
    fn from(error: minijinja::Error) -> Self {
        Self::Broken(Box::new(error))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Session(error) => error.into_response(),
            Self::Refused(status, text) => (status, text).into_response(),
            Self::Broken(error) => {
                eprintln!("a request failed: {error:#}");
                (StatusCode::INTERNAL_SERVER_ERROR, "Something is wrong on our side.").into_response()
            }
        }
    }
}

/// Leads those who have to log in to where they can, and makes pages of all other errors, whoever answers with them: handlers,
/// their arguments, the session layer.
pub async fn dress(State(shop): State<Shop>, request: Request, inner: Inner) -> Response {
    let page = Next::from(request.uri().path().to_owned());
    let answer = inner.run(request).await;
    // Errors of sessions say of which kind they are.
    match answer.extensions().get() {
        Some(ErrorKind::NotLoggedIn) => redirect(answer, &page.after("/login")),
        Some(ErrorKind::LoginTooOld) => redirect(answer, &page.after("/confirm")),
        _ if answer.status().as_u16() >= 400 => as_page(&shop, answer).await,
        _ => answer,
    }
}

/// Its headers stay: among them may be a cookie.
fn redirect(answer: Response, to: &str) -> Response {
    let (mut parts, _) = answer.into_parts();
    parts.status = StatusCode::SEE_OTHER;
    for header in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        parts.headers.remove(header);
    }
    parts.headers.insert(header::LOCATION, HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/")));
    Response::from_parts(parts, Body::empty())
}

async fn as_page(shop: &Shop, answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let text = to_bytes(body, 4096).await.unwrap_or_default();
    let text = if is_text(&parts.headers) { String::from_utf8_lossy(&text) } else { "".into() };
    let Ok(page) = shop.views.error(parts.status, text.trim()) else {
        return parts.status.into_response();
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    Response::from_parts(parts, page.into())
}

fn is_text(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"))
}
