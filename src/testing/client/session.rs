//! The client's session, as the store has it: prepared by a test, and looked at.
//!
//! Both go through the application's layer, with a handler of ours in the application's place. So the token travels as it
//! does for the application, whatever the transport.

use std::panic::Location;

use http::{Request, Response};
use serde::Serialize;
use serde_json::Value;
use tower::{ServiceExt as _, service_fn};
use tower_layer::Layer as _;

use super::{TestClient, fail};
use crate::data::Path;
use crate::error::SessionError;
use crate::event::chain;
use crate::http::LazySession;
use crate::session::{Level, Session};
use crate::state::SessionStatus;

impl TestClient {
    /// Does something with the client's session, as a handler would: opens it or begins a new one, stores what was changed,
    /// and keeps the cookie. Gives what the function returned.
    ///
    /// ```
    /// # use axum::Router;
    /// # use cloakroom::testing::TestClient;
    /// # use cloakroom::{MemoryStore, SessionLayer};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// # let sessions = SessionLayer::new(MemoryStore::new());
    /// # let client = TestClient::new(Router::new().layer(sessions.clone()), &sessions);
    /// client.session(|session| session.insert("cart.tea", 2)).await;
    /// client.assert_session_eq("cart.tea", 2).await;
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When awaited, with the error of the function or of the store, or if browsers would not keep the cookie.
    #[track_caller]
    pub fn session<T>(&self, change: impl FnOnce(&Session) -> Result<T, SessionError>) -> impl Future<Output = T> {
        let location = Location::caller();
        async move {
            let mut change = Some(change);
            let name = self.layer.manager().session_name();
            let handler = service_fn(move |request: Request<()>| {
                let change = change.take();
                async move {
                    let session = LazySession::named(request.extensions(), name)?.load().await?;
                    let change = change.expect("one request is sent");
                    change(&session).map(|value| Response::new(Ok(value)))
                }
            });
            let layer = self.layer.clone().on_error(|error: &SessionError| Response::new(Err(chain(error))));
            let answered = layer.layer(handler).oneshot(self.session_request()).await;
            let (parts, outcome) = match answered {
                Ok(response) => response.into_parts(),
                Err(error) => fail(location, format_args!("the session could not be prepared: {}", chain(&error))),
            };
            if let Some(refused) = self.receive(&parts.headers, &self.session_address()).first() {
                fail(location, format_args!("browsers ignore the cookie of the session: {}", refused.reason));
            }
            match outcome {
                Ok(value) => value,
                Err(error) => fail(location, format_args!("the session could not be stored: {error}")),
            }
        }
    }

    /// The client's cookie opens a session.
    ///
    /// Like all assertions of the client this looks into the store, and changes nothing: not even the time at which the
    /// session expires.
    ///
    /// # Panics
    ///
    /// When awaited, if there is no session.
    #[track_caller]
    pub fn assert_has_session(&self) -> impl Future<Output = ()> {
        self.assert_session(|session| match session.status() {
            SessionStatus::Resumed => Ok(()),
            _ => Err("there is no session".to_owned()),
        })
    }

    /// The client's cookie, if it has one, opens no session.
    ///
    /// # Panics
    ///
    /// When awaited, if there is a session.
    #[track_caller]
    pub fn assert_no_session(&self) -> impl Future<Output = ()> {
        self.assert_session(|session| match session.status() {
            SessionStatus::Resumed => Err(format!("there is a session: it {}", keys(session))),
            _ => Ok(()),
        })
    }

    /// The client's session has a value at this path.
    ///
    /// # Panics
    ///
    /// When awaited, if there is none.
    #[track_caller]
    pub fn assert_session_has(&self, path: impl Path) -> impl Future<Output = ()> {
        self.assert_session(move |session| match value(session, &path)? {
            Some(_) => Ok(()),
            None => Err(format!("the session has nothing at {:?}: it {}", name(&path), keys(session))),
        })
    }

    /// The client's session has no value at this path, or there is no session.
    ///
    /// # Panics
    ///
    /// When awaited, if there is a value.
    #[track_caller]
    pub fn assert_session_missing(&self, path: impl Path) -> impl Future<Output = ()> {
        self.assert_session(move |session| match value(session, &path)? {
            Some(found) => Err(format!("the session has {found} at {:?}", name(&path))),
            None => Ok(()),
        })
    }

    /// The client's session has this value at this path. The two are compared as JSON.
    ///
    /// # Panics
    ///
    /// When awaited, if the value is another one, or there is none.
    #[track_caller]
    pub fn assert_session_eq(&self, path: impl Path, expected: impl Serialize) -> impl Future<Output = ()> {
        let expected = json(&expected);
        self.assert_session(move |session| match value(session, &path)? {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(format!("the session has {found} at {:?}, not {expected}", name(&path))),
            None => {
                let what = keys(session);
                Err(format!("the session has nothing at {:?} where {expected} is expected: it {what}", name(&path)))
            }
        })
    }

    /// This flash value is there for the client's next request, and it is this one. The two are compared as JSON.
    ///
    /// # Panics
    ///
    /// When awaited, if it is another one, or there is none.
    #[track_caller]
    pub fn assert_flash(&self, name: impl Into<String>, expected: impl Serialize) -> impl Future<Output = ()> {
        let (name, expected) = (name.into(), json(&expected));
        self.assert_session(move |session| match session.visible_flash(&name).map(|found| json_of(&found)) {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(format!("the flash value {name:?} is {found}, not {expected}")),
            None => Err(format!("there is no flash value {name:?}, where {expected} is expected")),
        })
    }

    /// No flash value of this name is there for the client's next request.
    ///
    /// # Panics
    ///
    /// When awaited, if there is one.
    #[track_caller]
    pub fn assert_no_flash(&self, name: impl Into<String>) -> impl Future<Output = ()> {
        let name = name.into();
        self.assert_session(move |session| match session.visible_flash(&name) {
            Some(found) => Err(format!("the flash value {name:?} is {found}")),
            None => Ok(()),
        })
    }

    /// This message is among those that the client's next page shows.
    ///
    /// # Panics
    ///
    /// When awaited, if it is not.
    #[track_caller]
    pub fn assert_message(&self, level: Level, text: impl Into<String>) -> impl Future<Output = ()> {
        let text = text.into();
        self.assert_session(move |session| {
            let messages = session.messages().map_err(|error| chain(&error))?;
            if messages.iter().any(|message| message.level() == level && message.text() == text) {
                return Ok(());
            }
            let there: Vec<_> = messages.iter().map(|message| format!("[{}] {message}", message.level())).collect();
            Err(format!("the message [{level}] {text} is not there; there are {there:?}"))
        })
    }

    /// This user is logged in.
    ///
    /// # Panics
    ///
    /// When awaited, if somebody else is, or nobody.
    #[track_caller]
    pub fn assert_user(&self, user: impl Into<String>) -> impl Future<Output = ()> {
        let user = user.into();
        self.assert_session(move |session| match session.user() {
            Some(found) if found == user => Ok(()),
            Some(found) => Err(format!("the user {found:?} is logged in, not {user:?}")),
            None => Err(format!("nobody is logged in, where {user:?} is expected")),
        })
    }

    /// Nobody is logged in.
    ///
    /// # Panics
    ///
    /// When awaited, if somebody is.
    #[track_caller]
    pub fn assert_no_user(&self) -> impl Future<Output = ()> {
        self.assert_session(|session| match session.user() {
            Some(found) => Err(format!("the user {found:?} is logged in")),
            None => Ok(()),
        })
    }

    #[track_caller]
    fn assert_session(&self, judge: impl FnOnce(&Session) -> Result<(), String>) -> impl Future<Output = ()> {
        let location = Location::caller();
        async move {
            let mut judge = Some(judge);
            // A request that fails changes nothing: its session is loaded, and forgotten.
            let name = self.layer.manager().session_name();
            let handler = service_fn(move |request: Request<()>| {
                let judge = judge.take();
                async move {
                    let load = async { LazySession::named(request.extensions(), name)?.load().await };
                    let session = load
                        .await
                        .map_err(|error| Err(format!("the session could not be loaded: {}", chain(&error))))?;
                    let judge = judge.expect("one request is sent");
                    Err::<Response<()>, Result<(), String>>(judge(&session))
                }
            });
            let layer = self.layer.clone().on_error(|_: &SessionError| Response::new(()));
            if let Err(Err(message)) = layer.layer(handler).oneshot(self.session_request()).await {
                fail(location, message);
            }
        }
    }

    /// A request that shows the session's cookie, whatever path it is for.
    fn session_request(&self) -> Request<()> {
        let mut request = Request::new(());
        let address = self.session_address();
        self.show_cookies(request.headers_mut(), &address);
        *request.uri_mut() = address;
        request
    }
}

/// By way of the text, as the session keeps it: an `f32` is another number as a `Value`.
#[track_caller]
fn json(value: &impl Serialize) -> Value {
    let value = serde_json::to_string(value).and_then(|text| serde_json::from_str(&text));
    value.unwrap_or_else(|error| panic!("the expected value cannot be written as JSON: {error}"))
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

fn value(session: &Session, path: &impl Path) -> Result<Option<Value>, String> {
    session.get(&*segments(path)).map_err(|error| format!("{:?} cannot be read: {}", name(path), chain(&error)))
}

fn name(path: &impl Path) -> String {
    segments(path).join(".")
}

/// An empty segment stays one, for the session to refuse it.
fn segments(path: &impl Path) -> Vec<&str> {
    let mut segments = path.segments();
    std::iter::from_fn(|| segments.next_checked().unwrap_or(Some(""))).collect()
}

fn keys(session: &Session) -> String {
    match session.keys() {
        keys if keys.is_empty() => "is empty".to_owned(),
        keys => format!("has the keys {}", keys.join(", ")),
    }
}
