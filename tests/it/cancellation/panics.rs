//! Handlers and closures that panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use cloakroom::{Clock, ErrorKind};
use tower_http::catch_panic::CatchPanicLayer;

use super::*;
use crate::support::Answer;

fn have_a_bug() {
    panic!("a bug in the handler");
}

/// A handler that does something to its session and then panics.
fn panicking(change: Change) -> Router {
    let handler = move |session: Session| async move {
        change(&session).unwrap();
        have_a_bug();
    };
    Router::new().route("/", get(handler))
}

/// A handler that does something to its session, saves it, and then panics.
fn panicking_after_save(change: Change) -> Router {
    let handler = move |session: Session| async move {
        change(&session).unwrap();
        session.save().await.unwrap();
        have_a_bug();
    };
    Router::new().route("/", get(handler))
}

async fn caught_outside(house: &House, routes: Router) -> Answer {
    let app = routes.layer(house.layer.clone()).layer(CatchPanicLayer::new());
    send_token(&app, "/", &house.token).await
}

async fn caught_inside(house: &House, routes: Router) -> Answer {
    let app = routes.layer(CatchPanicLayer::new()).layer(house.layer.clone());
    send_token(&app, "/", &house.token).await
}

#[tokio::test]
async fn rel_12_a_handler_that_panics_changes_nothing() {
    let changes: [Change; 5] = [
        |session| session.insert("new", 1),
        |session| add(session).map(drop),
        Session::clear,
        Session::regenerate,
        Session::destroy,
    ];
    for change in changes {
        let house = House::new().await;
        let answer = caught_outside(&house, panicking(change)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.set_cookies().is_empty());
        assert_eq!(house.writes(), 0);
        assert_eq!((house.n().await, house.stored().await.keys()), (1, vec!["n".to_owned()]));
    }
}

#[tokio::test]
async fn rel_12_a_panic_that_nobody_catches_changes_nothing() {
    let house = House::new().await;
    let app = panicking(|session| add(session).map(drop)).layer(house.layer.clone());
    let token = house.token.clone();
    let request = tokio::spawn(async move { send_token(&app, "/", &token).await });
    assert!(request.await.unwrap_err().is_panic());
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!((house.writes(), house.n().await), (0, 1));
}

#[tokio::test]
async fn rel_12_data_of_a_handler_whose_panic_is_caught_inside_the_layer_are_dropped() {
    let house = House::new().await;
    let answer = caught_inside(&house, panicking(|session| add(session).map(drop))).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((house.writes(), house.n().await), (0, 1));
}

#[tokio::test]
async fn rel_12_destroyed_and_saved_before_a_panic_stays_destroyed() {
    let house = House::new().await;
    let answer = caught_outside(&house, panicking_after_save(Session::destroy)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.memory.len(), 0);

    let house = House::new().await;
    let answer = caught_inside(&house, panicking_after_save(Session::destroy)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.removes_cookie());
    assert_eq!(house.memory.len(), 0);
}

#[tokio::test]
async fn rel_12_a_token_that_was_issued_before_a_panic_reaches_the_client() {
    let house = House::new().await;
    let answer = caught_inside(&house, panicking_after_save(Session::regenerate)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    let session = manager(house.memory.clone(), &house.clock).open(answer.token().unwrap().as_bytes()).await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(1));
}

fn add_or_panic_when_done_again(session: &Session) -> Result<(), SessionError> {
    let add = |n: Option<u64>| {
        assert_eq!(n, Some(1), "done again");
        2
    };
    session.update("n", add).map(drop)
}

#[tokio::test]
async fn rel_12_an_update_that_panics_when_it_is_done_again_changes_nothing() {
    let house = House::new().await;
    let another = manager(house.memory.clone(), &house.clock);
    let handler = get(move |session: Session, headers: HeaderMap| async move {
        add_or_panic_when_done_again(&session)?;
        session.insert("new", 1)?;
        another_adds(&another, &headers).await
    });
    let app = routes().route("/", handler).layer(house.layer.clone()).layer(CatchPanicLayer::new());
    assert_eq!(send_token(&app, "/", &house.token).await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!((house.n().await, house.stored().await.keys()), (2, vec!["n".to_owned()]));
    assert_eq!(send_token(&app, "/add", &house.token).await.body, "3");
}

#[tokio::test]
async fn rel_12_an_update_that_panics_when_the_client_is_gone_keeps_nobody_waiting() {
    let house = House::new().await;
    let another = manager(house.memory.clone(), &house.clock);
    let handler = get(move |session: Session, headers: HeaderMap| async move {
        add_or_panic_when_done_again(&session)?;
        another_adds(&another, &headers).await
    });
    let app = Router::new().route("/", handler).layer(house.layer.clone());
    let house = House { app, ..house };
    house.abort_in_commit("/").await;
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!(house.n().await, 2);
}

#[tokio::test]
async fn rel_12_a_session_can_be_used_on_after_an_update_has_panicked() {
    let house = House::new().await;
    let handler = get(async |session: Session| {
        let update = || session.update("n", |_: Option<u64>| -> u64 { panic!("a bug in the closure") });
        assert!(catch_unwind(AssertUnwindSafe(update)).is_err());
        add(&session)
    });
    let app = Router::new().route("/", handler).layer(house.layer.clone());
    assert_eq!(send_token(&app, "/", &house.token).await.body, "2");
    assert_eq!(house.n().await, 2);
}

/// A clock that panics while it is broken.
#[derive(Clone, Debug)]
struct Fragile {
    clock: TestClock,
    is_broken: Arc<AtomicBool>,
}

impl Clock for Fragile {
    fn now(&self) -> SystemTime {
        assert!(!self.is_broken.load(Ordering::SeqCst), "a bug in the clock");
        self.clock.now()
    }
}

#[tokio::test]
async fn rel_12_a_session_whose_end_panics_is_abandoned() {
    let house = House::new().await;
    let clock = Fragile { clock: house.clock.clone(), is_broken: Arc::default() };
    let layer = SessionLayer::with_manager(SessionManager::new(house.store.clone()).clock(clock.clone()));
    let kept = Arc::new(OnceLock::new());
    let handler = get({
        let (kept, is_broken) = (kept.clone(), clock.is_broken.clone());
        move |session: Session| async move {
            add(&session)?;
            is_broken.store(true, Ordering::SeqCst);
            kept.set(session).map_err(drop).unwrap();
            Ok::<_, SessionError>(())
        }
    });
    let app = routes().route("/", handler).layer(layer.clone()).layer(CatchPanicLayer::new());
    let answer = send_token(&app, "/", &house.token).await;
    assert_eq!((answer.status, answer.set_cookies().len()), (StatusCode::INTERNAL_SERVER_ERROR, 0));
    clock.is_broken.store(false, Ordering::SeqCst);
    let kept = kept.get().unwrap();
    assert_eq!(kept.insert("new", 1).unwrap_err().kind(), ErrorKind::Committed);
    assert_eq!(kept.get::<u64>("n").unwrap(), Some(1));
    assert_eq!((layer.drain(LONG).await, house.writes(), house.n().await), (0, 0, 1));
    assert_eq!(send_token(&app, "/add", &house.token).await.body, "2");
}
