//! A request that a test makes.

#![allow(clippy::needless_pass_by_value, reason = "a form is written in place: `form([(\"name\", \"Ada\")])`")]

use std::fmt;
use std::panic::Location;
use std::pin::Pin;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use serde::Serialize;

use super::{TestClient, TestResponse, fail, url};

/// Browsers give up after 20.
const REDIRECTS_MAX: usize = 20;

/// A request of a [`TestClient`]: sent when it is awaited.
///
/// ```
/// # use axum::{Router, routing::post};
/// # use cloakroom::testing::TestClient;
/// # use cloakroom::{MemoryStore, SessionLayer};
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let sessions = SessionLayer::new(MemoryStore::new());
/// # let app = Router::new().route("/orders", post(async || "thank you")).layer(sessions.clone());
/// # let client = TestClient::new(app, &sessions);
/// let response = client.post("/orders").header("accept-language", "en").form([("tea", "2")]).await;
/// assert_eq!(response.text(), "thank you");
/// # }
/// ```
#[must_use = "a request is sent when it is awaited"]
pub struct TestRequest {
    client: TestClient,
    method: Method,
    address: Uri,
    headers: HeaderMap,
    body: Bytes,
    follow: bool,
    location: &'static Location<'static>,
}

impl TestRequest {
    #[track_caller]
    pub(super) fn new(client: &TestClient, method: Method, path: &str) -> Self {
        Self {
            client: client.clone(),
            method,
            address: client.resolve(path),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            follow: false,
            location: Location::caller(),
        }
    }

    /// Adds a header. The client's cookies are added by themselves.
    ///
    /// # Panics
    ///
    /// If it is no name or no value of a header.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let Ok(name) = HeaderName::try_from(name) else { panic!("{name:?} is no name of a header") };
        let Ok(value) = HeaderValue::from_bytes(value.as_ref()) else {
            panic!("the value for the header {name} holds bytes that no header may: line breaks, for example")
        };
        self.headers.append(name, value);
        self
    }

    /// A form as the body: a struct, a map, or a list of pairs.
    ///
    /// # Panics
    ///
    /// If `fields` cannot be written as a form, which has no lists and no objects as values.
    #[track_caller]
    pub fn form(self, fields: impl Serialize) -> Self {
        match serde_urlencoded::to_string(fields) {
            Ok(text) => self.content("application/x-www-form-urlencoded", text.into()),
            Err(error) => panic!("this cannot be written as a form: {error}"),
        }
    }

    /// JSON as the body.
    ///
    /// # Panics
    ///
    /// If `value` cannot be written as JSON.
    #[track_caller]
    pub fn json(self, value: impl Serialize) -> Self {
        match serde_json::to_vec(&value) {
            Ok(text) => self.content("application/json", text.into()),
            Err(error) => panic!("this cannot be written as JSON: {error}"),
        }
    }

    /// The body, as it is. Its `Content-Type` is for [`header`](Self::header).
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Follows redirects as browsers do, and gives the last answer. A 303 is followed with `GET`, and so is a 301 or 302 that
    /// answers a `POST`; a 307 or 308 brings the method and the body along.
    ///
    /// Awaiting the request panics if they lead to another host, or 20 times round.
    pub const fn follow(mut self) -> Self {
        self.follow = true;
        self
    }

    fn content(mut self, kind: &'static str, body: Bytes) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        self.body(body)
    }

    async fn send(mut self) -> TestResponse {
        for _ in 0..=REDIRECTS_MAX {
            let sent = self.client.send(&self.method, &self.address, &self.headers, &self.body).await;
            let response = match sent {
                Ok(response) => response,
                Err(error) => self.fail(format_args!("the application failed instead of answering: {error}")),
            };
            match response.location() {
                Some(to) if self.follow && response.status().is_redirection() => self.go_on(response.status(), to),
                _ => return response,
            }
        }
        self.fail(format_args!("{REDIRECTS_MAX} redirects, and another one"))
    }

    fn go_on(&mut self, status: StatusCode, to: &str) {
        match url::resolve(&self.address, to) {
            Some(next) if next.host() == self.address.host() => self.address = next,
            _ => self.fail(format_args!("the redirect leads away from the application, to {to:?}")),
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(CONTENT_TYPE);
            self.headers.remove(CONTENT_LENGTH);
        }
    }

    fn fail(&self, message: fmt::Arguments<'_>) -> ! {
        fail(self.location, format_args!("{} {}: {message}", self.method, self.address))
    }
}

impl IntoFuture for TestRequest {
    type Output = TestResponse;
    type IntoFuture = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl fmt::Debug for TestRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestRequest")
            .field("method", &self.method)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
