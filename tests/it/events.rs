//! What operators are told: each event once, for its cause and for nothing else.

mod expired;
mod guide;
mod hooks;
mod metrics;
mod traces;
mod unknown;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{MemoryStore, Session, SessionEvent, SessionId, SessionPolicy, WhenFull};

use crate::support::{Browser, EventLog, N, layer, manager, send};

/// An application of which every step is a request.
fn routes() -> Router {
    Router::new()
        .route("/ignore", get(async || "ignored"))
        .route("/read", get(async |session: Session| session.keys().len().to_string()))
        .route("/write", get(async |session: Session| session.increment("n", 1).map(|n| n.to_string())))
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/again", get(async |session: Session| session.reauthenticated()))
        .route("/rotate", get(async |session: Session| session.regenerate()))
        .route("/grace", get(async |session: Session| session.regenerate_with_grace(Duration::from_secs(5))))
        .route("/logout", get(async |session: Session| session.logout()))
        .route("/leave", get(async |session: Session| session.destroy()))
        .route("/revoke", get(async |session: Session| session.revoke_others().await.map(|n| n.to_string())))
        .route("/twice", get(async |one: Session, two: Session| one.insert("x", two.keys().len())))
        .route(
            "/in-vain",
            get(async |session: Session| {
                session.login("ada")?;
                session.insert("x", 1)?;
                session.destroy()
            }),
        )
}

/// A browser, and what is told of its requests.
struct Told {
    app: Router,
    browser: Browser,
    events: EventLog,
    clock: TestClock,
}

impl Told {
    fn new() -> Self {
        let (clock, events) = (TestClock::default(), EventLog::default());
        let app = routes().layer(layer(MemoryStore::new(), &clock).on_event(events.hook_of_all()));
        Self { app: app.clone(), browser: Browser::new(&app), events, clock }
    }

    /// The names of the events of one request.
    async fn of(&mut self, path: &str) -> Vec<&'static str> {
        let answer = self.browser.get(path).await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
        // Nobody waits until it was heard that a session was resumed. But events come in their order.
        let five: Vec<_> = ["A", "B", "C", "D", "E"].map(|name| format!("{N}={}", name.repeat(64))).into();
        send(&self.app, "/read", &[five.join("; ").as_bytes()]).await;
        // Of more than ten within a second not all would be told.
        self.clock.advance(Duration::from_secs(1));
        let mut names = self.names();
        assert_eq!(names.pop(), Some("ambiguous_token"));
        names
    }

    fn names(&self) -> Vec<&'static str> {
        self.events.take().iter().map(SessionEvent::name).collect()
    }
}

/// A number that all events of a session show.
fn id_of(event: &SessionEvent) -> Option<SessionId> {
    match event {
        SessionEvent::Created { id, .. }
        | SessionEvent::Resumed { id, .. }
        | SessionEvent::LoggedIn { id, .. }
        | SessionEvent::LoggedOut { id, .. }
        | SessionEvent::Rotated { id, .. }
        | SessionEvent::Expired { id, .. }
        | SessionEvent::Revoked { id, .. } => Some(*id),
        _ => None,
    }
}

#[tokio::test]
async fn each_event_is_told_once_for_its_cause() {
    let mut told = Told::new();
    assert_eq!(told.of("/write").await, ["created"]);
    assert_eq!(told.of("/read").await, ["resumed"]);
    assert_eq!(told.of("/write").await, ["resumed"]);
    assert_eq!(told.of("/twice").await, ["resumed"]);
    assert_eq!(told.of("/login").await, ["resumed", "logged_in"]);
    assert_eq!(told.of("/login").await, ["resumed", "logged_in"]);
    assert_eq!(told.of("/again").await, ["resumed", "rotated"]);
    assert_eq!(told.of("/rotate").await, ["resumed", "rotated"]);
    assert_eq!(told.of("/grace").await, ["resumed", "rotated"]);
    assert_eq!(told.of("/revoke").await, ["resumed", "rotated"]);
    assert_eq!(told.of("/logout").await, ["resumed", "logged_out"]);
    assert_eq!(told.of("/login").await, ["created", "logged_in"]);
    assert_eq!(told.of("/in-vain").await, ["resumed", "logged_out"]);
    assert_eq!(told.of("/write").await, ["created"]);
    assert_eq!(told.of("/leave").await, ["resumed", "logged_out"]);
}

#[tokio::test]
async fn where_nothing_has_happened_nothing_is_told() {
    let mut told = Told::new();
    for path in ["/ignore", "/read", "/rotate", "/grace", "/logout", "/leave", "/in-vain"] {
        assert!(told.of(path).await.is_empty(), "{path}");
    }
    told.of("/write").await;
    assert!(told.of("/ignore").await.is_empty());
    // The expiry is moved: no news.
    told.clock.advance(Duration::from_mins(20));
    assert_eq!(told.of("/read").await, ["resumed"]);
}

#[tokio::test]
async fn events_say_which_session_and_who() {
    let mut told = Told::new();
    for path in ["/write", "/login", "/grace", "/rotate", "/logout"] {
        assert!(told.browser.get(path).await.status.is_success());
    }
    let events = told.events.take();
    let ids: Vec<_> = events.iter().map(id_of).collect();
    assert!(ids[0].is_some() && ids.iter().all(|id| *id == ids[0]), "{events:?}");
    let who: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::LoggedIn { user, .. } | SessionEvent::LoggedOut { user: Some(user), .. } => Some(&**user),
            _ => None,
        })
        .collect();
    assert_eq!(who, ["ada", "ada"]);
    let graces: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::Rotated { grace, .. } => Some(*grace),
            _ => None,
        })
        .collect();
    assert_eq!(graces, [Some(Duration::from_secs(5)), None]);
}

#[tokio::test]
async fn who_is_revoked_is_told_by_whoever_revokes() {
    let mut told = Told::new();
    told.of("/login").await;
    let mut phone = told.browser.clone();
    phone.token = None;
    assert!(phone.get("/login").await.status.is_success());
    assert_eq!(told.names(), ["created", "logged_in"]);
    assert_eq!(told.browser.get("/revoke").await.body, "1");
    let events = told.events.take();
    let [SessionEvent::Resumed { .. }, SessionEvent::Revoked { user, .. }, SessionEvent::Rotated { .. }] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!(user.as_deref(), Some("ada"));
    // The revoked one does not come back as a logout.
    assert!(phone.get("/logout").await.status.is_success());
    assert_eq!(told.names(), ["unknown_token"]);
}

#[tokio::test]
async fn a_login_that_is_one_too_many_is_told_with_what_it_ends() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let policy = SessionPolicy::aal2().max_sessions(1, WhenFull::EndOldest);
    let app = routes().layer(layer(MemoryStore::new(), &clock).on_event(events.hook()).policy(policy).unwrap());
    send(&app, "/login", &[]).await;
    clock.advance(Duration::from_secs(1));
    send(&app, "/login", &[]).await;
    let names: Vec<_> = events.take().iter().map(SessionEvent::name).collect();
    assert_eq!(names, ["created", "logged_in", "created", "logged_in", "revoked"]);
}

#[tokio::test]
async fn what_the_store_did_not_do_is_not_told() {
    let (clock, events, store) = (TestClock::default(), EventLog::default(), FaultStore::new(MemoryStore::new()));
    let app = routes().layer(layer(store.clone(), &clock).on_event(events.hook()));
    store.always(Operation::Create, Fault::Down);
    assert!(send(&app, "/login", &[]).await.status.is_server_error());
    let names: Vec<_> = events.take().iter().map(SessionEvent::name).collect();
    assert_eq!(names, ["store_failed", "store_failed", "commit_failed"]);
}

#[tokio::test]
async fn what_the_store_did_and_could_not_say_is_told_once() {
    let (clock, events, store) = (TestClock::default(), EventLog::default(), FaultStore::new(MemoryStore::new()));
    let app = routes().layer(layer(store.clone(), &clock).on_event(events.hook()));
    let mut browser = Browser::new(&app);
    for (operation, path) in
        [(Operation::Create, "/login"), (Operation::Save, "/rotate"), (Operation::Delete, "/logout")]
    {
        store.once(operation, Fault::AnswerLost);
        assert!(browser.get(path).await.status.is_success());
    }
    let names: Vec<_> = events.take().iter().map(SessionEvent::name).collect();
    assert_eq!(
        names,
        ["store_failed", "created", "logged_in", "store_failed", "rotated", "store_failed", "logged_out"]
    );
}

#[tokio::test]
async fn without_http_the_same_is_told() {
    let (clock, events) = (TestClock::default(), EventLog::default());
    let manager = manager(MemoryStore::new(), &clock).on_event(events.hook());
    let session = manager.create();
    session.login("ada").unwrap();
    session.save().await.unwrap();
    session.insert("x", 1).unwrap();
    manager.commit(&session).await.unwrap();
    let events = events.take();
    let [SessionEvent::Created { id, .. }, SessionEvent::LoggedIn { user, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((Some(*id), user), (session.id(), &Arc::from("ada")));
}
