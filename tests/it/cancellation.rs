//! Clients that go away and handlers that panic: the store holds the old or the new state, whole.

mod panics;
mod reload;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer, SessionManager, SessionStatus, SessionStore, Token};
use http::{HeaderMap, StatusCode, header};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tower::ServiceExt as _;
use tower_http::timeout::TimeoutLayer;

use crate::support::bytes_store::BytesStore;
use crate::support::gate::Gate;
use crate::support::routes::{Change, add, routes};
use crate::support::{N, layer, manager, send, send_token};

const LONG: Duration = Duration::from_secs(5);

/// An application whose store needs several polls for everything, and one session in it, at n = 1.
struct House {
    app: Router,
    layer: SessionLayer,
    memory: MemoryStore,
    faults: FaultStore<MemoryStore>,
    store: CountingStore<FaultStore<MemoryStore>>,
    clock: TestClock,
    token: String,
}

impl House {
    async fn new() -> Self {
        let (memory, clock) = (MemoryStore::new(), TestClock::default());
        let faults = FaultStore::new(memory.clone());
        let store = CountingStore::new(faults.clone());
        let layer = layer(store.clone(), &clock);
        let another = manager(memory.clone(), &clock);
        let app = routes()
            .route("/conflict", get(move |session, headers| add_beside_another(another, session, headers)))
            .route("/save", get(add_and_save_and_add))
            .layer(layer.clone());
        let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
        faults.everything(Fault::Yield(5));
        store.reset();
        Self { app, layer, memory, faults, store, clock, token }
    }

    /// Polls a request until enough is enough, and drops it. Whether it was answered by then.
    async fn abort(&self, path: &str, token: Option<&str>, enough: impl Fn(usize) -> bool) -> bool {
        let mut request = http::Request::builder().uri(path);
        if let Some(token) = token {
            request = request.header(header::COOKIE, format!("{N}={token}"));
        }
        let mut future = Box::pin(self.app.clone().oneshot(request.body(Body::empty()).unwrap()));
        for polls in 0.. {
            if enough(polls) {
                break;
            }
            if poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await.is_ready() {
                return true;
            }
            // An explicit save is a task of its own, which has to have its turn in between.
            if path == "/save" {
                tokio::task::yield_now().await;
            }
        }
        false
    }

    /// Drops a request whose commit has just begun.
    async fn abort_in_commit(&self, path: &str) {
        let before = self.writes();
        assert!(!self.abort(path, Some(&self.token), |_| self.writes() > before).await);
    }

    /// What the store has, found without the layer and its faults.
    async fn stored(&self) -> Session {
        manager(self.memory.clone(), &self.clock).open(self.token.as_bytes()).await.unwrap()
    }

    async fn n(&self) -> u64 {
        self.stored().await.get("n").unwrap().unwrap()
    }

    fn writes(&self) -> usize {
        let Calls { create, save, touch, delete, .. } = self.store.calls();
        create + save + touch + delete
    }
}

/// Adds one, while another request that commits first adds one as well.
async fn add_beside_another(manager: SessionManager, session: Session, headers: HeaderMap) -> Result<(), SessionError> {
    add(&session)?;
    another_adds(&manager, &headers).await
}

/// A request of the same session that adds one, all at once.
async fn another_adds(manager: &SessionManager, headers: &HeaderMap) -> Result<(), SessionError> {
    let other = manager.open(&headers[header::COOKIE].as_bytes()[N.len() + 1..]).await?;
    add(&other)?;
    manager.commit(&other).await.map(drop)
}

async fn add_and_save_and_add(session: Session) -> Result<(), SessionError> {
    add(&session)?;
    session.save().await?;
    tokio::task::yield_now().await;
    add(&session).map(drop)
}

/// Drops a request after every number of polls that leaves it unanswered, each time in a new house. `left` sees what is
/// left when everything has ended, and how many writes had begun when the request was dropped.
async fn abort_everywhere(path: &str, with_cookie: bool, left: impl AsyncFn(&House, usize)) {
    let mut dropped_in_commit = 0;
    for polls in 0.. {
        let house = House::new().await;
        if house.abort(path, with_cookie.then_some(&*house.token), |polled| polled == polls).await {
            break;
        }
        let begun = house.writes();
        dropped_in_commit += usize::from(begun > 0);
        assert_eq!(house.layer.drain(LONG).await, 0, "after {polls} polls");
        left(&house, begun).await;
    }
    assert!(dropped_in_commit >= 8, "{dropped_in_commit}");
}

#[tokio::test]
async fn rel_11_a_save_that_has_begun_is_finished_wherever_the_request_is_dropped() {
    abort_everywhere("/add", true, async |house, begun| {
        assert_eq!(house.n().await, if begun > 0 { 2 } else { 1 });
    })
    .await;
}

#[tokio::test]
async fn rel_11_a_save_that_meets_a_conflict_is_finished_wherever_the_request_is_dropped() {
    abort_everywhere("/conflict", true, async |house, begun| {
        assert_eq!(house.n().await, if begun > 0 { 3 } else { 1 });
    })
    .await;
}

#[tokio::test]
async fn rel_11_a_create_that_has_begun_is_finished_wherever_the_request_is_dropped() {
    abort_everywhere("/add", false, async |house, begun| {
        assert_eq!(house.memory.len(), if begun > 0 { 2 } else { 1 });
        assert_eq!(house.n().await, 1);
    })
    .await;
}

#[tokio::test]
async fn rel_11_a_logout_that_has_begun_is_finished_wherever_the_request_is_dropped() {
    abort_everywhere("/logout", true, async |house, begun| {
        assert_eq!(house.memory.len(), usize::from(begun == 0));
        if begun == 0 {
            assert_eq!(house.n().await, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn rel_11_a_login_that_has_begun_is_finished_as_a_whole_wherever_the_request_is_dropped() {
    abort_everywhere("/login", true, async |house, begun| {
        let id = Token::parse(house.token.as_bytes()).unwrap().id();
        let record = house.memory.load(id, house.clock.timestamp()).await.unwrap().unwrap();
        let text = String::from_utf8(record.payload.to_bytes().unwrap().to_vec()).unwrap();
        let logged_in = text.contains(r#""user":"ada""#);
        let old_secret_is_good = house.stored().await.status() == SessionStatus::Resumed;
        assert_eq!((logged_in, old_secret_is_good), (begun > 0, begun == 0), "{text}");
    })
    .await;
}

#[tokio::test]
async fn rel_10_an_explicit_save_that_has_begun_is_finished_wherever_the_request_is_dropped() {
    abort_everywhere("/save", true, async |house, begun| {
        // One more than was seen may have been on its way to the store already.
        assert!((begun..=begun + 1).contains(&house.writes()));
        assert_eq!(house.n().await, 1 + house.writes() as u64);
    })
    .await;
}

#[tokio::test]
async fn rel_10_a_request_that_is_dropped_while_its_handler_runs_has_changed_nothing() {
    let house = House::new().await;
    let changes: [Change; 4] =
        [|session| add(session).map(drop), Session::regenerate, Session::destroy, Session::clear];
    for change in changes {
        let handler = get(move |session: Session| async move {
            change(&session).unwrap();
            std::future::pending::<()>().await;
        });
        let house = House { app: Router::new().route("/", handler).layer(house.layer.clone()), ..House::new().await };
        house.abort("/", Some(&house.token), |polls| polls == 100).await;
        assert_eq!(house.layer.drain(Duration::ZERO).await, 0);
        assert_eq!(house.writes(), 0);
        assert_eq!(house.n().await, 1);
    }
}

#[tokio::test]
async fn rel_10_a_save_that_nobody_polls_any_more_does_not_hold_up_the_next() {
    let house = House::new().await;
    house.faults.heal();
    house.faults.once(Operation::Save, Fault::Yield(2));
    let handler = get(async |session: Session| {
        add(&session)?;
        let mut given_up = Box::pin(session.save());
        assert!(poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context))).await.is_pending());
        add(&session)?;
        // As after a `select!` that has gone on with another branch: `given_up` still lives.
        tokio::time::timeout(Duration::from_secs(1), session.save())
            .await
            .expect("no wait for a future that stands still")
    });
    let app = Router::new().route("/", handler).layer(house.layer.clone());
    assert_eq!(send_token(&app, "/", &house.token).await.status, StatusCode::OK);
    assert_eq!(house.n().await, 3);
}

#[tokio::test]
async fn rel_20_drain_waits_for_all_commits_whose_clients_are_gone() {
    let house = House::new().await;
    for _ in 0..20 {
        house.abort_in_commit("/add").await;
    }
    assert_eq!(house.writes(), 20);
    assert!(house.layer.drain(Duration::ZERO).await > 10);
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!(house.n().await, 21);
}

#[tokio::test(start_paused = true)]
async fn rel_20_drain_reports_what_is_left_when_its_time_is_over() {
    let house = House::new().await;
    house.faults.heal();
    house.faults.always(Operation::Save, Fault::Slow(Duration::from_secs(4)));
    house.abort_in_commit("/add").await;
    assert_eq!(house.layer.drain(Duration::from_secs(3)).await, 1);
    assert_eq!(house.n().await, 1);
    assert_eq!(house.layer.drain(Duration::from_secs(2)).await, 0);
    assert_eq!(house.n().await, 2);
}

#[tokio::test(start_paused = true)]
async fn rel_10_a_timeout_layer_around_drops_what_a_slow_handler_has_changed() {
    let house = House::new().await;
    let slow = get(async |session: Session| {
        add(&session)?;
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok::<_, SessionError>(())
    });
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let app = Router::new().route("/", slow).layer(house.layer.clone()).layer(timeout);
    assert_eq!(send_token(&app, "/", &house.token).await.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!((house.writes(), house.n().await), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn rel_11_a_timeout_layer_around_does_not_cut_a_commit() {
    let house = House::new().await;
    house.faults.heal();
    house.faults.always(Operation::Save, Fault::Slow(Duration::from_secs(3)));
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let app = house.app.clone().layer(timeout);
    assert_eq!(send_token(&app, "/add", &house.token).await.status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(house.n().await, 1);
    assert_eq!(house.layer.drain(LONG).await, 0);
    assert_eq!(house.n().await, 2);
}

/// Says so when it is dropped before it has finished.
struct Watched(Option<Arc<Notify>>);

impl Watched {
    fn finish(&mut self) {
        self.0 = None;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(dropped) = &self.0 {
            dropped.notify_one();
        }
    }
}

/// Serves on loopback. The second part is notified when the server drops a request that has no answer yet.
async fn serve(app: Router) -> (std::net::SocketAddr, Arc<Notify>) {
    let dropped = Arc::<Notify>::default();
    let notified = dropped.clone();
    let watch = move |request: Request, next: Next| {
        let mut watched = Watched(Some(dropped.clone()));
        async move {
            let response = next.run(request).await;
            watched.finish();
            response
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app.layer(from_fn(watch))).into_future());
    (address, notified)
}

async fn request_over(address: std::net::SocketAddr, path: &str, token: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {N}={token}\r\n\r\n");
    client.write_all(request.as_bytes()).await.unwrap();
    client
}

async fn n_of(app: &Router, token: &str) -> String {
    send_token(app, "/n", token).await.body
}

#[tokio::test]
async fn rel_11_a_client_that_disconnects_during_the_commit_does_not_stop_it() {
    let (store, gate) = (BytesStore::default(), Gate::default());
    let layer = layer(store.clone(), &TestClock::default());
    let app = routes().layer(layer.clone());
    let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
    let (address, dropped) = serve(app.clone()).await;
    store.hold_saves_at(&gate);

    let client = request_over(address, "/add", &token).await;
    gate.arrived(1).await;
    drop(client);
    dropped.notified().await;
    assert_eq!(layer.drain(Duration::ZERO).await, 1);
    assert_eq!(n_of(&app, &token).await, "1");
    gate.open(1);
    assert_eq!(layer.drain(LONG).await, 0);
    assert_eq!(n_of(&app, &token).await, "2");
}

#[tokio::test]
async fn rel_10_a_client_that_disconnects_while_the_handler_runs_has_changed_nothing() {
    let gate = Gate::default();
    let wait = gate.clone();
    let held = get(move |session: Session| async move {
        let answer = add(&session);
        wait.pass().await;
        answer
    });
    let layer = layer(MemoryStore::new(), &TestClock::default());
    let app = routes().route("/held", held).layer(layer.clone());
    let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
    let (address, dropped) = serve(app.clone()).await;

    let client = request_over(address, "/held", &token).await;
    gate.arrived(1).await;
    drop(client);
    dropped.notified().await;
    gate.open(1);
    assert_eq!(layer.drain(LONG).await, 0);
    assert_eq!(n_of(&app, &token).await, "1");
}
