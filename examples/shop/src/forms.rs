//! Forms that only this session's own pages can send.

use axum::extract::{FromRequest, FromRequestParts as _, RawForm, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use cloakroom::Session;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A form with the text that `session().csrf()` has put into it. As an argument of a handler, so that no handler forgets
/// to check it.
pub struct OwnForm<T>(pub T);

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OwnForm<T> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, state).await;
        let session = session.map_err(|error| error.into_response())?;
        let form = RawForm::from_request(Request::from_parts(parts, body), state).await;
        let RawForm(form) = form.map_err(|error| error.into_response())?;
        let Shown { csrf } = fields(&form)?;
        session.verify_csrf(csrf).map_err(|error| error.into_response())?;
        fields(&form).map(Self)
    }
}

fn fields<T: DeserializeOwned>(form: &[u8]) -> Result<T, Response> {
    serde_urlencoded::from_bytes(form)
        .map_err(|_| (StatusCode::BAD_REQUEST, "The form was not filled in as its page has it.\n").into_response())
}

/// Where to go after a login: a page of this site, whatever the address bar says.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(from = "String")]
pub struct Next(String);

impl From<String> for Next {
    fn from(path: String) -> Self {
        // `//host` and `/\host` lead elsewhere.
        let is_local = path.starts_with('/') && !path.starts_with("//") && !path.contains('\\');
        Self(if is_local { path } else { "/".to_owned() })
    }
}

impl Next {
    pub fn path(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The address of a page that leads on to there.
    pub fn after(&self, page: &str) -> String {
        match serde_urlencoded::to_string([("next", self.path())]) {
            Ok(query) if self.path() != "/" => format!("{page}?{query}"),
            _ => page.to_owned(),
        }
    }
}
