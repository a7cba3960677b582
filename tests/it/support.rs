//! What the tests share: a browser's cookie jar over `oneshot`, and requests made by hand.

pub mod bytes_store;
pub mod example;
pub mod gate;
pub mod load;
pub mod log;
pub mod redis;
pub mod routes;
pub mod server;
pub mod tables;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use cloakroom::store::Timestamp;
use cloakroom::testing::TestClock;
use cloakroom::{SessionEvent, SessionLayer, SessionManager, SessionStore};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

/// The default cookie's name.
pub const N: &str = "__Host-id";

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        parts.headers.values().for_each(|value| log::given(value.as_bytes()));
        let answer =
            Self { status: parts.status, headers: parts.headers, body: String::from_utf8(body.into()).unwrap() };
        if answer.status.is_server_error() {
            log::logged(&answer.body);
        }
        answer
    }

    /// All `Set-Cookie` headers.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// The token that was issued, if one was: the value of the one cookie named [`N`].
    pub fn token(&self) -> Option<&str> {
        let ours = |cookie: &&str| cookie.starts_with(N);
        let cookie = self.set_cookies().into_iter().find(ours)?;
        let value = cookie.split(';').next()?.strip_prefix(N)?.strip_prefix('=')?;
        (!value.is_empty()).then_some(value)
    }

    /// Whether the client is told to forget its cookie.
    pub fn removes_cookie(&self) -> bool {
        self.set_cookies().iter().any(|cookie| cookie.starts_with("__Host-id=;") && cookie.contains("Max-Age=0"))
    }
}

/// Sends one request, with these `Cookie` headers.
pub async fn send(app: &Router, path: &str, cookies: &[&[u8]]) -> Answer {
    log::listen();
    let mut request = Request::builder().uri(path);
    for cookie in cookies {
        request = request.header(header::COOKIE, *cookie);
    }
    let request = request.body(Body::empty()).unwrap();
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

/// Sends one request with this token.
pub async fn send_token(app: &Router, path: &str, token: &str) -> Answer {
    send(app, path, &[format!("{N}={token}").as_bytes()]).await
}

/// A browser: keeps the session cookie that it is given and sends it back.
#[derive(Clone, Debug)]
pub struct Browser {
    app: Router,
    pub token: Option<String>,
}

impl Browser {
    pub fn new(app: &Router) -> Self {
        Self { app: app.clone(), token: None }
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let answer = match &self.token {
            Some(token) => send_token(&self.app, path, token).await,
            None => send(&self.app, path, &[]).await,
        };
        if let Some(token) = answer.token() {
            self.token = Some(token.to_owned());
        } else if answer.removes_cookie() {
            self.token = None;
        }
        answer
    }
}

/// The events so far.
#[derive(Clone, Debug, Default)]
pub struct EventLog(Arc<Mutex<Vec<SessionEvent>>>);

impl EventLog {
    /// Notes all events but that a session was resumed: nobody waits until that was heard, so it may come at any later time.
    pub fn hook(&self) -> impl Fn(&SessionEvent) + Send + Sync + 'static + use<> {
        let note = self.hook_of_all();
        move |event| {
            if !matches!(event, SessionEvent::Resumed { .. }) {
                note(event);
            }
        }
    }

    /// Notes all events.
    pub fn hook_of_all(&self) -> impl Fn(&SessionEvent) + Send + Sync + 'static + use<> {
        let log = self.clone();
        move |event| log.0.lock().unwrap().push(event.clone())
    }

    pub fn take(&self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub fn count(&self, matches: impl Fn(&SessionEvent) -> bool) -> usize {
        self.0.lock().unwrap().iter().filter(|event| matches(event)).count()
    }
}

/// One step of a sweep: how many records it has deleted.
pub async fn sweep(store: &impl SessionStore, now: Timestamp, limit: usize) -> usize {
    let ids: Vec<_> = store.expired(now, limit).await.unwrap().iter().map(|record| record.id).collect();
    store.delete_expired(&ids, now).await.unwrap()
}

/// A manager whose time stands still until the test moves it.
pub fn manager(store: impl SessionStore, clock: &TestClock) -> SessionManager {
    log::listen();
    SessionManager::new(store).clock(clock.clone())
}

/// A layer whose time stands still until the test moves it.
pub fn layer(store: impl SessionStore, clock: &TestClock) -> SessionLayer {
    SessionLayer::with_manager(manager(store, clock))
}

#[test]
fn the_servers_come_up() {
    for start in [server::redis, server::memcached, server::postgres, server::mariadb] {
        let Some(mut server) = start() else { return };
        let dir = server.dir.clone();
        server.kill();
        assert!(std::net::TcpStream::connect(server.address()).is_err());
        server.restart();
        drop(server);
        assert!(!dir.exists());
    }
}
