//! What the tests of `Set-Cookie` ask for: handlers that do as the path says, and all that stands around them.

use std::time::Duration;

use axum::extract::Path;
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use axum::{Extension, Router};
use cloakroom::testing::{CountingStore, FaultStore, TestClock};
use cloakroom::{DropReason, LazySession, MemoryStore, SessionError, SessionEvent, SessionLayer, SessionPolicy};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::support::gate::Gate;
use crate::support::{Browser, EventLog, layer};

/// Does what the path says with the session of this request. The answer's body is the counter.
pub(super) async fn act(lazy: &LazySession, what: &str) -> Result<String, SessionError> {
    if what == "ignore" {
        return Ok(String::new());
    }
    let session = lazy.load().await?;
    let add = || session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    match what {
        "look" => {}
        "add" => drop(add()?),
        "regenerate" => session.regenerate()?,
        "destroy" => session.destroy()?,
        "add-save-destroy" => {
            add()?;
            session.save().await?;
            session.destroy()?;
        }
        "regenerate-save-add" => {
            session.regenerate()?;
            session.save().await?;
            add()?;
        }
        other => {
            let days = other.strip_prefix("remember-").unwrap().parse().unwrap_or(u64::MAX);
            add()?;
            session.remember(Duration::from_secs(days.saturating_mul(86_400)))?;
        }
    }
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

async fn plain(lazy: LazySession, Path(what): Path<String>) -> Result<String, SessionError> {
    act(&lazy, &what).await
}

async fn with_status(lazy: LazySession, Path((what, status)): Path<(String, u16)>) -> impl IntoResponse {
    (StatusCode::from_u16(status).unwrap(), act(&lazy, &what).await)
}

async fn with_cache_control(lazy: LazySession, Path((what, value)): Path<(String, String)>) -> impl IntoResponse {
    let headers =
        [("cache-control", &*value), ("cdn-cache-control", "max-age=60"), ("surrogate-control", "max-age=60")];
    (AppendHeaders(headers.map(|(name, value)| (name, value.to_owned()))), act(&lazy, &what).await)
}

/// Sets cookies of its own as well: one of our name, and others.
async fn with_cookies(lazy: LazySession, Path(what): Path<String>) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    for cookie in ["a=1; Path=/", "__Host-id=handler; Path=/", "__host-id=2", "b=__Host-id=3"] {
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    (headers, act(&lazy, &what).await)
}

/// Loads the session, waits at the gate, and goes on.
async fn held(
    lazy: LazySession,
    Path(what): Path<String>,
    Extension(gate): Extension<Gate>,
) -> Result<String, SessionError> {
    lazy.load().await?;
    gate.pass().await;
    act(&lazy, &what).await
}

pub(super) fn routes() -> Router {
    Router::new()
        .route("/{what}", get(plain))
        .route("/app/{what}", get(plain))
        .route("/{what}/status/{code}", get(with_status))
        .route("/{what}/cache/{directives}", get(with_cache_control))
        .route("/{what}/cookies", get(with_cookies))
        .route("/{what}/held", get(held))
}

pub(super) struct Site {
    pub(super) app: Router,
    pub(super) store: CountingStore<FaultStore<MemoryStore>>,
    pub(super) faults: FaultStore<MemoryStore>,
    pub(super) clock: TestClock,
    pub(super) events: EventLog,
    pub(super) gate: Gate,
}

impl Site {
    pub(super) fn new() -> Self {
        Self::with(|layer| layer)
    }

    pub(super) fn with_policy(policy: SessionPolicy) -> Self {
        Self::with(|layer| layer.policy(policy).unwrap())
    }

    pub(super) fn with(options: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let (clock, events, gate) = (TestClock::default(), EventLog::default(), Gate::default());
        let faults = FaultStore::new(MemoryStore::new());
        let store = CountingStore::new(faults.clone());
        let sessions = options(layer(store.clone(), &clock).on_event(events.hook()));
        let app = routes().layer(sessions).layer(Extension(gate.clone()));
        Self { app, store, faults, clock, events, gate }
    }

    /// A client with a session.
    pub(super) async fn guest(&self) -> Browser {
        let mut browser = Browser::new(&self.app);
        browser.get("/add").await;
        assert!(browser.token.is_some());
        self.store.reset();
        browser
    }

    pub(super) fn has_dropped(&self, reason: DropReason) -> bool {
        self.events.count(|event| matches!(event, SessionEvent::Dropped { reason: why, .. } if *why == reason)) == 1
    }
}

pub(super) fn persistent(idle: Duration, absolute: Duration) -> SessionPolicy {
    SessionPolicy::aal2().idle(idle).absolute(absolute).persistent(true)
}
