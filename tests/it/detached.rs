//! Sessions of what outlives a request: WebSockets, streams of events, tasks.

mod end;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    DetachedSession, ErrorKind, MemoryStore, Session, SessionError, SessionManager, SessionStatus, Token, TokenChange,
};
use http::StatusCode;
use tokio::task::JoinSet;

use crate::support::routes::{add, routes};
use crate::support::{Browser, layer, manager};

const HOUR: Duration = Duration::from_hours(1);

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
}

/// A session at n = 1, stored by a request, and what goes on with it.
async fn connected(manager: &SessionManager) -> (Token, DetachedSession) {
    let session = manager.create();
    add(&session).unwrap();
    let detached = session.detach().await.unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    (issued.token, detached)
}

async fn n(manager: &SessionManager, token: &Token) -> Option<u64> {
    open(manager, token).await.get("n").unwrap()
}

/// Takes a detached session out of its handler.
#[derive(Clone, Default)]
struct Hands(Arc<Mutex<Option<DetachedSession>>>);

impl Hands {
    fn give(&self, session: DetachedSession) {
        *self.0.lock().unwrap() = Some(session);
    }

    fn take(&self) -> DetachedSession {
        self.0.lock().unwrap().take().unwrap()
    }
}

#[tokio::test]
async fn rel_14_a_detached_session_writes_on_after_the_answer() {
    let hands = Hands::default();
    let give = hands.clone();
    let connect = get(async move |session: Session| {
        add(&session)?;
        give.give(session.detach().await?);
        Ok::<_, SessionError>(())
    });
    let layer = layer(MemoryStore::new(), &TestClock::default());
    let app = routes().route("/connect", connect).layer(layer);
    let mut browser = Browser::new(&app);
    assert!(browser.get("/connect").await.token().is_some());
    let session = hands.take();
    assert_eq!(browser.get("/n").await.body, "1");
    add(&session).unwrap();
    session.save().await.unwrap();
    assert_eq!(browser.get("/n").await.body, "2");
    add(&session).unwrap();
    assert_eq!(browser.get("/n").await.body, "2", "nothing is stored without a save");
    session.save().await.unwrap();
    assert_eq!(browser.get("/n").await.body, "3");
}

#[tokio::test]
async fn a_request_and_what_was_detached_from_it_keep_their_own_changes() {
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let (token, _) = connected(&manager).await;
    let request = open(&manager, &token).await;
    request.insert("before", true).unwrap();
    let detached = request.detach().await.unwrap();
    request.insert("after", true).unwrap();
    detached.insert("beside", true).unwrap();
    assert_eq!((detached.contains("before").unwrap(), detached.contains("after").unwrap()), (true, false));
    detached.save().await.unwrap();
    manager.commit(&request).await.unwrap();
    assert_eq!(open(&manager, &token).await.keys(), ["n", "before", "beside", "after"]);
    detached.reload().await.unwrap();
    assert!(detached.contains("after").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_requests_at_once_lose_no_count() {
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let (token, _) = connected(&manager).await;
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let (manager, token) = (manager.clone(), token.clone());
        tasks.spawn(async move {
            let detached = open(&manager, &token).await.detach().await.unwrap();
            for _ in 0..4 {
                add(&detached).unwrap();
                detached.save().await.unwrap();
                let request = open(&manager, &token).await;
                add(&request).unwrap();
                manager.commit(&request).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(n(&manager, &token).await, Some(1 + 16 * 8));
}

#[tokio::test]
async fn a_session_that_was_never_stored_has_nothing_to_detach_from() {
    let refused = get(async |session: Session| session.detach().await.map(drop));
    let layer = layer(MemoryStore::new(), &TestClock::default());
    let app = Router::new().route("/", refused).layer(layer.clone());
    let answer = Browser::new(&app).get("/").await;
    assert_eq!((answer.status, answer.token()), (StatusCode::CONFLICT, None));
    let session = layer.manager().create();
    assert_eq!(session.detach().await.unwrap_err().kind(), ErrorKind::NotStored);

    let (token, _) = connected(layer.manager()).await;
    let logout = open(layer.manager(), &token).await;
    logout.destroy().unwrap();
    assert_eq!(logout.detach().await.unwrap_err().kind(), ErrorKind::Destroyed);
}

#[tokio::test]
async fn a_request_that_was_answered_can_still_be_detached() {
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let (token, _) = connected(&manager).await;
    let request = open(&manager, &token).await;
    manager.commit(&request).await.unwrap();
    assert_eq!(add(&request).unwrap_err().kind(), ErrorKind::Committed);
    let detached = request.detach().await.unwrap();
    add(&detached).unwrap();
    detached.save().await.unwrap();
    assert_eq!(n(&manager, &token).await, Some(2));
}

#[tokio::test]
async fn what_needs_a_new_cookie_is_refused_and_a_logout_is_not() {
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let (token, detached) = connected(&manager).await;
    assert_eq!(detached.regenerate().unwrap_err().kind(), ErrorKind::Committed);
    assert_eq!(detached.remember(HOUR).unwrap_err().kind(), ErrorKind::Committed);
    detached.save().await.unwrap();
    assert_eq!(n(&manager, &token).await, Some(1));

    let another = detached.clone();
    detached.destroy().unwrap();
    detached.save().await.unwrap();
    another.ended().await;
    assert_eq!(open(&manager, &token).await.status(), SessionStatus::New);
}

#[tokio::test(start_paused = true)]
async fn a_save_keeps_the_session_alive_and_waiting_for_its_end_does_not() {
    let (clock, store) = (TestClock::default(), CountingStore::new(MemoryStore::new()));
    let manager = manager(store.clone(), &clock);
    let (token, detached) = connected(&manager).await;
    let expires_at = detached.expires_at().unwrap();
    for round in 1..=3_u32 {
        // Another request has saved since: what the handle knows is out of date.
        let request = open(&manager, &token).await;
        add(&request).unwrap();
        manager.commit(&request).await.unwrap();
        let after = open(&manager, &token).await.expires_at().unwrap();
        clock.advance(HOUR / 2);
        store.reset();
        let silent = tokio::time::timeout(HOUR, detached.ended()).await;
        assert!(silent.is_err());
        let Calls { save, touch, .. } = store.reset();
        assert_eq!((save, touch), (0, 0));
        assert_eq!(open(&manager, &token).await.expires_at().unwrap(), after);

        detached.save().await.unwrap();
        assert_eq!(open(&manager, &token).await.expires_at().unwrap(), expires_at + HOUR / 2 * round);
        store.reset();
        detached.save().await.unwrap();
        assert_eq!(store.reset(), Calls { load: store.calls().load, ..Calls::default() }, "not due");
    }
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_saves_and_not_for_handles() {
    let store = FaultStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let (token, detached) = connected(&manager).await;
    assert_eq!(manager.drain(Duration::ZERO).await, 0);
    store.always(Operation::Save, Fault::Slow(Duration::from_secs(3)));
    add(&detached).unwrap();
    let save = tokio::time::timeout(Duration::from_secs(1), detached.save()).await;
    assert!(save.is_err());
    drop(detached);
    assert_eq!(manager.drain(Duration::from_secs(1)).await, 1);
    assert_eq!(manager.drain(Duration::from_secs(2)).await, 0);
    assert_eq!(n(&manager, &token).await, Some(2));
}
