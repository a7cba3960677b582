//! The fault matrix: stores that are down, slow, or wrong. A test's number is that of its row in the requirements.

mod clocks;
mod records;
mod unsure;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::store::StoreErrorKind;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ErrorKind, LazySession, Limits, MemoryStore, Session, SessionError, SessionEvent, SessionId, SessionLayer,
    SessionManager, SessionPolicy, Token,
};
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use tokio::time::Instant;
use tower::ServiceExt as _;

use crate::support::routes::{Change, add, routes};
use crate::support::{Answer, EventLog, layer, manager, send, send_token};

const DOWN: [Fault; 2] = [Fault::Down, Fault::Broken];

/// An application whose store fails on demand, and one session in it, at n = 1.
struct House {
    app: Router,
    faults: FaultStore<MemoryStore>,
    store: CountingStore<FaultStore<MemoryStore>>,
    clock: TestClock,
    events: EventLog,
    token: String,
}

impl House {
    async fn new() -> Self {
        Self::with(Router::new(), |layer| layer).await
    }

    /// With more routes, and options for the layer.
    async fn with(more: Router, options: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let (events, clock) = (EventLog::default(), TestClock::default());
        let faults = FaultStore::new(MemoryStore::new());
        let store = CountingStore::new(faults.clone());
        let layer = options(layer(store.clone(), &clock).on_event(events.hook()));
        let app = routes().merge(more).layer(layer);
        let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
        store.reset();
        Self { app, faults, store, clock, events, token }
    }

    async fn send(&self, path: &str) -> Answer {
        send_token(&self.app, path, &self.token).await
    }

    /// What the store has, found without the layer and its faults.
    async fn open(&self, token: &str) -> Session {
        self.healthy().open(token.as_bytes()).await.unwrap()
    }

    /// Another process, which does not feel the faults.
    fn healthy(&self) -> SessionManager {
        manager(self.faults.inner().clone(), &self.clock)
    }

    /// Where the counter stands.
    async fn n(&self) -> Option<u64> {
        self.open(&self.token).await.get("n").unwrap()
    }

    fn id(&self) -> SessionId {
        id_of(&self.token)
    }
}

fn id_of(token: &str) -> SessionId {
    Token::parse(token.as_bytes()).unwrap().id()
}

/// The answer of a store that is not there: try again, and keep your cookie.
fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
    assert_eq!(answer.headers[header::RETRY_AFTER], "1");
    assert!(answer.set_cookies().is_empty());
}

#[tokio::test]
async fn rel_01_routes_that_leave_their_session_alone_do_not_notice_that_the_store_is_down() {
    let house = House::new().await;
    for fault in [Fault::Down, Fault::Broken, Fault::Corrupt, Fault::Never] {
        house.faults.everything(fault);
        let (with, without) = (house.send("/ignore").await, send(&routes(), "/ignore", &[]).await);
        assert_eq!((with.status, with.headers, with.body), (without.status, without.headers, without.body));
    }
    assert_eq!(house.store.calls(), Calls::default());
}

#[tokio::test]
async fn rel_01_a_visitor_without_a_session_needs_no_store_to_read() {
    let house = House::new().await;
    house.faults.everything(Fault::Down);
    assert_eq!(send(&house.app, "/n", &[]).await.body, "0");
    assert_eq!(send_token(&house.app, "/n", "garbage").await.body, "0");
}

#[tokio::test]
async fn rel_01_a_store_that_is_down_makes_nobody_anonymous() {
    let optional = get(async |session: Option<Session>| session.is_some().to_string());
    let house = House::with(Router::new().route("/optional", optional), |layer| layer).await;
    house.faults.always(Operation::Load, Fault::Down);
    for path in ["/n", "/optional", "/add", "/login", "/logout"] {
        assert_unavailable(&house.send(path).await);
        assert_eq!(house.store.reset(), Calls { load: 1, ..Calls::default() });
    }
    house.faults.heal();
    assert_eq!(house.send("/n").await.body, "1");
}

#[tokio::test]
async fn rel_01_a_store_that_is_broken_is_an_error_of_the_server_and_makes_nobody_anonymous() {
    let house = House::new().await;
    house.faults.always(Operation::Load, Fault::Broken);
    let answer = house.send("/n").await;
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::INTERNAL_SERVER_ERROR, vec![]));
    assert!(!answer.headers.contains_key(header::RETRY_AFTER));
    assert!(!answer.body.contains("table"), "what is inside is not for strangers");
}

#[tokio::test]
async fn rel_01_a_handler_can_tell_why_there_is_no_session_and_answer_by_itself() {
    let handler = get(async |lazy: LazySession| {
        let error = lazy.load().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(std::error::Error::source(&error).is_some());
        "a page without a session"
    });
    let house = House::with(Router::new().route("/page", handler), |layer| layer).await;
    house.faults.always(Operation::Load, Fault::Down);
    let answer = house.send("/page").await;
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::OK, vec![]));
}

#[tokio::test]
async fn rel_01_a_handler_that_asks_again_is_served_once_the_store_is_back() {
    let handler = get(async |lazy: LazySession| {
        assert!(lazy.load().await.is_err());
        add(&lazy.load().await?)
    });
    let house = House::with(Router::new().route("/again", handler), |layer| layer).await;
    house.faults.once(Operation::Load, Fault::Down);
    assert_eq!(house.send("/again").await.body, "2");
    assert_eq!(house.n().await, Some(2));
}

#[tokio::test]
async fn rel_02_when_nothing_can_be_stored_the_handlers_answer_is_replaced_and_the_old_state_stands() {
    let handler = get(async |session: Session| ([("x-done", "yes")], add(&session)));
    let house = House::with(Router::new().route("/done", handler), |layer| layer).await;
    house.faults.always(Operation::Save, Fault::Down);
    house.faults.always(Operation::Touch, Fault::Down);
    for (path, operation) in [("/done", "save"), ("/login", "save"), ("/logout", "touch")] {
        let answer = house.send(path).await;
        assert_unavailable(&answer);
        assert!(!answer.headers.contains_key("x-done"));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
        let mut failed = house.events.take();
        failed.retain(|event| !matches!(event, SessionEvent::Created { .. }));
        assert!(
            matches!(&failed[0], SessionEvent::StoreFailed { operation: failed, kind: StoreErrorKind::Unavailable, .. }
            if *failed == operation),
            "{failed:?}"
        );
        assert_eq!(house.n().await, Some(1));
    }
}

#[tokio::test]
async fn rel_02_no_cookie_is_set_for_a_session_that_could_not_be_created() {
    for fault in DOWN {
        let house = House::new().await;
        house.faults.always(Operation::Create, fault);
        let answer = send(&house.app, "/add", &[]).await;
        assert!(answer.status.is_server_error());
        assert!(answer.set_cookies().is_empty());
        assert_eq!(house.faults.inner().len(), 1);
    }
}

#[tokio::test]
async fn rel_02_on_error_makes_the_answer() {
    let faults = FaultStore::new(MemoryStore::new());
    let on_error = |error: &SessionError| -> Response<Body> {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        Response::builder().status(StatusCode::IM_A_TEAPOT).header("x-own", "1").body("my own page".into()).unwrap()
    };
    let app = routes().layer(layer(faults.clone(), &TestClock::default()).on_error(on_error));
    faults.always(Operation::Create, Fault::Down);
    let answer = send(&app, "/add", &[]).await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::IM_A_TEAPOT, "my own page"));
    assert_eq!(answer.headers["x-own"], "1");
    assert!(answer.set_cookies().is_empty());
}

/// A page of its own says to caches, clients and middleware what the layer's says, unless it has something to say itself.
#[tokio::test]
async fn rel_02_an_own_answer_is_marked_as_the_layers_is() {
    let plain = |error: &SessionError| Response::builder().status(error.status()).body(Body::empty()).unwrap();
    let outspoken = |error: &SessionError| {
        let answer =
            Response::builder().status(error.status()).header("retry-after", "30").header("cache-control", "private");
        answer.extension(ErrorKind::Store).body(Body::empty()).unwrap()
    };
    let faults = FaultStore::new(MemoryStore::new());
    faults.always(Operation::Create, Fault::Down);
    let layer = || layer(faults.clone(), &TestClock::default());
    for (app, kind, retry_after, cache) in [
        (routes().layer(layer().on_error(plain)), ErrorKind::Unavailable, "1", "no-store"),
        (routes().layer(layer().on_error(outspoken)), ErrorKind::Store, "30", "private"),
    ] {
        let answer = app.oneshot(Request::get("/add").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.extensions().get::<ErrorKind>(), Some(&kind));
        assert_eq!(answer.headers()["retry-after"], retry_after);
        assert_eq!(answer.headers()["cache-control"], cache);
    }
}

fn best_effort(layer: SessionLayer) -> SessionLayer {
    layer.policy(SessionPolicy::default().best_effort(true)).unwrap()
}

#[tokio::test]
async fn rel_02_best_effort_lets_data_go_and_says_so() {
    let house = House::with(Router::new(), best_effort).await;
    house.faults.always(Operation::Save, Fault::Down);
    house.faults.always(Operation::Create, Fault::Down);
    let answer = house.send("/add").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "2"));
    let ours = house.id();
    assert_eq!(house.events.count(|event| matches!(event, SessionEvent::Lost { id: Some(id), .. } if *id == ours)), 1);
    assert_eq!(house.n().await, Some(1));

    let answer = send(&house.app, "/add", &[]).await;
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::OK, vec![]));
    assert_eq!(house.faults.inner().len(), 1);
}

#[tokio::test]
async fn rel_02_best_effort_never_lets_go_what_changes_a_sessions_life() {
    let remember = get(async |session: Session| session.remember(Duration::from_hours(9)));
    let house = House::with(Router::new().route("/remember", remember), best_effort).await;
    house.faults.everything(Fault::Down);
    house.faults.always(Operation::Load, Fault::Yield(0));
    for path in ["/login", "/logout", "/remember"] {
        assert_unavailable(&house.send(path).await);
    }
    assert_eq!(house.events.count(|event| matches!(event, SessionEvent::Lost { .. })), 0);
}

#[tokio::test]
async fn rel_02_best_effort_does_not_hide_a_broken_store() {
    let house = House::with(Router::new(), best_effort).await;
    house.faults.always(Operation::Save, Fault::Broken);
    assert_eq!(house.send("/add").await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn rel_02_a_read_does_not_fail_because_the_expiry_cannot_be_moved() {
    for fault in [Fault::Down, Fault::Broken, Fault::AnswerLost] {
        let house = House::new().await;
        house.faults.always(Operation::Touch, fault);
        house.clock.advance(Duration::from_mins(10));
        let answer = house.send("/n").await;
        assert_eq!((answer.status, &*answer.body, answer.set_cookies()), (StatusCode::OK, "1", vec![]));
        assert_eq!(house.store.reset().touch, 1);
    }
}

#[tokio::test]
async fn rel_02_a_token_that_was_stored_in_the_middle_reaches_the_client_although_the_final_commit_fails() {
    let handler = get(async |session: Session| {
        session.regenerate()?;
        session.save().await?;
        add(&session)
    });
    let house = House::with(Router::new().route("/", handler), |layer| layer).await;
    house.faults.once(Operation::Save, Fault::Yield(0));
    house.faults.once(Operation::Save, Fault::Broken);
    let answer = house.send("/").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.n().await, None, "the old secret is dead");
    let token = answer.token().expect("the client has to learn the secret that is good now");
    assert_eq!(house.open(token).await.get("n").unwrap(), Some(1));
}

#[tokio::test]
async fn rel_02_a_removal_that_was_stored_in_the_middle_reaches_the_client_although_the_handler_fails() {
    let handler = get(async |session: Session| {
        session.destroy()?;
        session.save().await?;
        add(&session)
    });
    let house = House::with(Router::new().route("/", handler), |layer| layer).await;
    let answer = house.send("/").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.removes_cookie());
}

#[tokio::test]
async fn rel_02_who_saves_in_the_middle_is_told_of_a_failure_and_the_commit_tries_once_more() {
    let handler = get(async |session: Session| {
        add(&session)?;
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Store);
        add(&session)
    });
    let house = House::with(Router::new().route("/", handler), |layer| layer).await;
    house.faults.once(Operation::Save, Fault::Broken);
    assert_eq!(house.send("/").await.body, "3");
    assert_eq!(house.n().await, Some(3));
}

/// How long an answer takes on a clock that jumps to the next thing that somebody waits for.
async fn timed(answer: impl Future<Output = Answer>) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = answer.await;
    (answer, started.elapsed())
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[tokio::test(start_paused = true)]
async fn rel_03_a_store_that_takes_a_second_is_waited_for() {
    let house = House::new().await;
    house.faults.everything(Fault::Slow(seconds(1)));
    let (answer, took) = timed(house.send("/add")).await;
    assert_eq!((&*answer.body, took.as_secs()), ("2", 2));
}

#[tokio::test(start_paused = true)]
async fn rel_03_a_load_that_takes_too_long_is_given_up_after_the_operation_timeout() {
    for fault in [Fault::Slow(seconds(30)), Fault::Never] {
        let house = House::new().await;
        house.faults.always(Operation::Load, fault);
        let (answer, took) = timed(house.send("/add")).await;
        assert_unavailable(&answer);
        assert_eq!(took.as_secs(), 5);
        let timed_out =
            |event: &SessionEvent| matches!(event, SessionEvent::StoreFailed { kind: StoreErrorKind::TimedOut, .. });
        assert_eq!(house.events.count(timed_out), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn rel_03_a_write_that_takes_too_long_is_tried_once_more_and_then_given_up() {
    for (path, operation) in [("/add", Operation::Save), ("/login", Operation::Save), ("/logout", Operation::Touch)] {
        let house = House::new().await;
        house.faults.always(operation, Fault::Never);
        let (answer, took) = timed(house.send(path)).await;
        assert_unavailable(&answer);
        assert_eq!(took.as_secs(), 10, "{path}");
        assert_eq!(house.n().await, Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn rel_03_the_operation_timeout_is_an_option() {
    let limits = Limits::default().operation_timeout(Duration::from_millis(200));
    let house = House::with(Router::new(), |layer| layer.limits(limits).unwrap()).await;
    house.faults.always(Operation::Load, Fault::Never);
    assert_eq!(timed(house.send("/n")).await.1.as_millis(), 200);
}

#[tokio::test(start_paused = true)]
async fn rel_03_a_commit_has_a_deadline_of_its_own() {
    let limits = Limits::default().operation_timeout(seconds(5)).commit_timeout(seconds(7));
    let house = House::with(Router::new(), |layer| layer.limits(limits).unwrap()).await;
    house.faults.always(Operation::Save, Fault::Slow(seconds(4)));
    let request = tokio::spawn(timed({
        let (app, token) = (house.app.clone(), house.token.clone());
        async move { send_token(&app, "/add", &token).await }
    }));
    tokio::time::sleep(seconds(1)).await;
    let another = house.open(&house.token).await;
    add(&another).unwrap();
    house.healthy().commit(&another).await.unwrap();
    let (answer, took) = request.await.unwrap();
    assert_unavailable(&answer);
    assert_eq!(took.as_secs(), 7);
    assert_eq!(house.n().await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn rel_03_while_one_request_waits_for_the_store_others_do_not() {
    let house = House::new().await;
    let other = send(&house.app, "/add", &[]).await.token().unwrap().to_owned();
    for operation in [Operation::Load, Operation::Save] {
        house.faults.once(operation, Fault::Never);
        let stuck = tokio::spawn({
            let (app, token) = (house.app.clone(), house.token.clone());
            async move { send_token(&app, "/add", &token).await }
        });
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        for token in [&other, &house.token] {
            let (answer, took) = timed(send_token(&house.app, "/add", token)).await;
            assert_eq!((answer.status, took), (StatusCode::OK, Duration::ZERO));
        }
        assert!(!stuck.is_finished());
        stuck.await.unwrap();
    }
}

/// Does something to its session and answers with the status that the path asks for.
fn answering(what: Change) -> Router {
    let handler = move |session: Session, Path(status): Path<u16>| async move {
        what(&session).unwrap();
        StatusCode::from_u16(status).unwrap()
    };
    Router::new().route("/{status}", get(handler))
}

fn add_one(session: &Session) -> Result<(), SessionError> {
    add(session).map(drop)
}

#[tokio::test]
async fn rel_13_data_are_kept_unless_the_answer_is_a_server_error() {
    for (status, n) in [("204", 2), ("302", 2), ("404", 2), ("499", 2), ("500", 1), ("503", 1), ("599", 1)] {
        let house = House::with(answering(add_one), |layer| layer).await;
        let answer = house.send(&format!("/{status}")).await;
        assert_eq!(answer.status.as_str(), status);
        assert_eq!(house.n().await, Some(n), "{status}");
    }
}

#[tokio::test]
async fn rel_13_a_new_session_is_not_stored_for_a_server_error() {
    let house = House::with(answering(add_one), |layer| layer).await;
    assert!(send(&house.app, "/500", &[]).await.set_cookies().is_empty());
    assert_eq!(house.store.calls(), Calls::default());
}

#[tokio::test]
async fn rel_13_what_changes_a_sessions_life_is_kept_whatever_the_answer() {
    let regenerate = |session: &Session| {
        session.regenerate()?;
        session.insert("more", true)
    };
    let house = House::with(answering(regenerate), |layer| layer).await;
    let answer = house.send("/500").await;
    let renewed = house.open(answer.token().unwrap()).await;
    assert_eq!((answer.status.as_u16(), renewed.keys()), (500, vec!["n".to_owned()]));
    assert_eq!(house.n().await, None);

    let house = House::with(answering(Session::destroy), |layer| layer).await;
    let answer = house.send("/500").await;
    assert!(answer.status.is_server_error() && answer.removes_cookie());
    assert!(house.faults.inner().is_empty());

    let house = House::with(answering(|session| session.remember(Duration::from_hours(9))), |layer| layer).await;
    assert_eq!(house.send("/500").await.token(), Some(&*house.token));
    assert_eq!(house.open(&house.token).await.is_persistent(), Some(true));
}

#[tokio::test]
async fn rel_13_data_of_a_server_error_are_kept_where_the_layer_is_told_so() {
    let house = House::with(answering(add_one), |layer| layer.save_on_server_error(true)).await;
    assert_eq!(house.send("/500").await.status.as_u16(), 500);
    assert_eq!(house.n().await, Some(2));
}

#[tokio::test]
async fn rel_14_a_streaming_body_that_writes_the_session_is_told_that_it_is_too_late() {
    let handler = get(async |session: Session| {
        add(&session).unwrap();
        let body = Full::<bytes::Bytes>::from("streamed").map_frame(move |frame| {
            assert_eq!(session.insert("late", 1).unwrap_err().kind(), ErrorKind::Committed);
            assert_eq!(session.get("n").unwrap(), Some(2), "reading goes on");
            frame
        });
        Body::new(body)
    });
    let house = House::with(Router::new().route("/stream", handler), |layer| layer).await;
    assert_eq!(house.send("/stream").await.body, "streamed");
    assert_eq!(house.send("/keys").await.body, "n");
}

#[tokio::test]
async fn rel_14_a_session_that_is_loaded_after_the_answer_can_only_be_read() {
    let (told, hears) = tokio::sync::oneshot::channel();
    let told = std::sync::Arc::new(std::sync::Mutex::new(Some(told)));
    let handler = get(async move |lazy: LazySession| {
        let told = told.lock().unwrap().take().unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let session = lazy.load().await.unwrap();
            told.send((session.get::<u64>("n").unwrap(), session.insert("late", 1).unwrap_err().kind())).unwrap();
        });
    });
    let house = House::with(Router::new().route("/later", handler), |layer| layer).await;
    assert_eq!(house.send("/later").await.status, StatusCode::OK);
    assert_eq!(house.store.calls(), Calls::default());
    assert_eq!(hears.await.unwrap(), (Some(1), ErrorKind::Committed));
}
