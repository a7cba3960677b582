//! Forms that only this session's own pages can send.

use axum::extract::{FromRequest, FromRequestParts as _, RawForm, Request};
use axum::http::StatusCode;
use cloakroom::Session;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::errors::Error;

/// A form with the text that `session().csrf()` has put into it. As an argument of a handler, so that no handler forgets
/// to check it.
pub struct OwnForm<T>(pub T);

#[derive(Deserialize)]
struct Shown {
    #[serde(default)]
    csrf: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for OwnForm<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let session = Session::from_request_parts(&mut parts, state).await?;
        let form = RawForm::from_request(Request::from_parts(parts, body), state).await;
        let RawForm(form) = form.map_err(|_| NOT_OURS)?;
        let Shown { csrf } = serde_urlencoded::from_bytes(&form).map_err(|_| NOT_OURS)?;
        session.verify_csrf(csrf)?;
        serde_urlencoded::from_bytes(&form).map(Self).map_err(|_| NOT_OURS)
    }
}

const NOT_OURS: Error = Error::Refused(StatusCode::BAD_REQUEST, "The form was not filled in as its page has it.");

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
