//! One browser with 32 connections to three processes, answers that get lost, and a new secret every 10 ms.
//!
//! Under load nobody knows how long an answer takes. So all processes read the time from a file, and it stands still
//! while a request is under way for too long: longer than a grace minus a millisecond.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::routing::get;
use cloakroom::store::StoreUrl;
use cloakroom::{Clock, OnReplay, Session, SessionError, SessionLayer, SessionManager, SessionPolicy, SessionStatus};
use http::Request;
use http::header::{COOKIE, HOST, SET_COOKIE};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::stores::postgres;
use crate::support::N;
use crate::support::server;

const CLIENTS: usize = 32;
const PROCESSES: usize = 3;
const INTERVAL: Duration = Duration::from_millis(10);
const GRACE: Duration = Duration::from_millis(5);
const UNDER_WAY_MAX: u64 = 4;
const REQUESTS_PER_MILLISECOND: usize = 8;
/// How many requests; 20,000 if it is not set, for those who wait for the tests.
const REQUESTS: &str = "CLOAKROOM_FIRE_REQUESTS";
const STORE: &str = "CLOAKROOM_FIRE_STORE";
const TIME: &str = "CLOAKROOM_FIRE_TIME";

/// A number of milliseconds in a file.
#[derive(Debug)]
struct TimeInFile(File);

impl TimeInFile {
    fn set(&self, millis: u64) {
        self.0.write_all_at(&millis.to_le_bytes(), 0).unwrap();
    }
}

impl Clock for TimeInFile {
    fn now(&self) -> SystemTime {
        let mut millis = [0; 8];
        self.0.read_exact_at(&mut millis, 0).unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50) + Duration::from_millis(u64::from_le_bytes(millis))
    }
}

async fn manager(store: &str, time: &Path, on_replay: OnReplay) -> SessionManager {
    let store = store.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    let policy = SessionPolicy::aal2().rotate_every(INTERVAL, GRACE).on_replay(on_replay);
    SessionManager::new(store).clock(TimeInFile(File::open(time).unwrap())).policy(policy).unwrap()
}

/// One of the three processes. Ends with its standard input.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_as_a_child_when_told_to() {
    async fn write(session: Session) -> Result<String, SessionError> {
        session.increment("writes", 1)?;
        Ok(session.user().unwrap_or_default())
    }
    let (Ok(store), Some(time)) = (std::env::var(STORE), std::env::var_os(TIME)) else { return };
    let manager = manager(&store, Path::new(&time), OnReplay::EndSession).await;
    let app = Router::new()
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/read", get(async |session: Session| session.user().unwrap_or_default()))
        .route("/write", get(write))
        .layer(SessionLayer::with_manager(manager));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on {}", listener.local_addr().unwrap());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    axum::serve(listener, app).await.unwrap();
}

struct Process {
    child: Child,
    address: SocketAddr,
    /// Kept open: a test says when it takes long, and ends if nobody listens.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(store: &str, time: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["rotation::fire::serves_as_a_child_when_told_to", "--exact", "--nocapture"])
            .env(STORE, store)
            .env(TIME, time)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines.by_ref().map(Result::unwrap).find_map(|line| {
            let (_, address) = line.split_once("listening on ")?;
            Some(address.parse().unwrap())
        });
        Self { child, address: address.unwrap(), _output: lines }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The time, and since when requests are under way.
struct Time {
    file: TimeInFile,
    now: u64,
    answered: usize,
    under_way: [Option<u64>; CLIENTS],
}

impl Time {
    fn begin(&mut self, client: usize) {
        self.under_way[client] = Some(self.now);
    }

    fn end(&mut self, client: usize) {
        self.under_way[client] = None;
        self.answered += 1;
        let oldest = self.under_way.iter().flatten().min().copied().unwrap_or(self.now);
        if self.answered >= REQUESTS_PER_MILLISECOND && self.now - oldest < UNDER_WAY_MAX {
            self.answered = 0;
            self.pass(1);
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += millis;
        self.file.set(self.now);
    }
}

struct Browser {
    jar: Mutex<String>,
    issued: Mutex<BTreeSet<String>>,
    time: Mutex<Time>,
    sent: AtomicUsize,
    written: AtomicUsize,
}

impl Browser {
    /// Keeps what an answer brings. Who is logged out is told to forget.
    fn keep(&self, answer: &http::HeaderMap) {
        for cookie in answer.get_all(SET_COOKIE) {
            let value = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap().1;
            assert!(!value.is_empty(), "the browser was logged out");
            value.clone_into(&mut self.jar.lock().unwrap());
            self.issued.lock().unwrap().insert(value.to_owned());
        }
    }
}

/// A connection that is kept open.
struct Connection(hyper::client::conn::http1::SendRequest<Empty<Bytes>>);

impl Connection {
    async fn open(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn get(&mut self, path: &str, token: &str) -> (http::HeaderMap, String) {
        let request = Request::get(path).header(HOST, "shop").header(COOKIE, format!("{N}={token}"));
        self.0.ready().await.unwrap();
        let response = self.0.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert!(parts.status.is_success(), "{path}: {parts:?}");
        (parts.headers, String::from_utf8(body.into()).unwrap())
    }
}

async fn use_it(browser: Arc<Browser>, client: usize, server: SocketAddr, requests: usize) {
    let mut connection = Connection::open(server).await;
    loop {
        let n = browser.sent.fetch_add(1, Ordering::Relaxed);
        if n >= requests {
            return;
        }
        browser.time.lock().unwrap().begin(client);
        let token = browser.jar.lock().unwrap().clone();
        let path = if n.is_multiple_of(10) { "/write" } else { "/read" };
        let (headers, body) = connection.get(path, &token).await;
        assert_eq!(body, "ada", "the browser was logged out after {n} requests");
        browser.written.fetch_add(usize::from(path == "/write"), Ordering::Relaxed);
        // One answer in a hundred gets lost.
        if n % 100 != 99 {
            browser.keep(&headers);
        }
        browser.time.lock().unwrap().end(client);
    }
}

async fn good(judge: &SessionManager, tokens: &BTreeSet<String>) -> usize {
    let mut good = 0;
    for token in tokens {
        let session = judge.open(token.as_bytes()).await.unwrap();
        good += usize::from(session.status() == SessionStatus::Resumed);
    }
    good
}

async fn under_fire(store: &str) {
    let folder = tempfile::tempdir().unwrap();
    let time = folder.path().join("time");
    let file = TimeInFile(File::create(&time).unwrap());
    file.set(0);
    let judge = manager(store, &time, OnReplay::Report).await;
    let processes: Vec<_> = (0..PROCESSES).map(|_| Process::start(store, &time)).collect();
    let browser = Arc::new(Browser {
        jar: Mutex::default(),
        issued: Mutex::default(),
        time: Mutex::new(Time { file, now: 0, answered: 0, under_way: [None; CLIENTS] }),
        sent: AtomicUsize::new(0),
        written: AtomicUsize::new(0),
    });
    browser.keep(&Connection::open(processes[0].address).await.get("/login", "").await.0);
    let requests = std::env::var(REQUESTS).map_or(20_000, |requests| requests.parse().unwrap());
    let client = |n: usize| use_it(browser.clone(), n, processes[n % PROCESSES].address, requests);
    let clients: Vec<_> = (0..CLIENTS).map(|n| tokio::spawn(client(n))).collect();
    for client in clients {
        client.await.unwrap();
    }

    let issued = browser.issued.lock().unwrap().clone();
    let good = good(&judge, &issued).await;
    assert!((1..=2).contains(&good), "{good} secrets of {} are good", issued.len());
    assert!(issued.len() > requests / 2_000, "{} secrets only", issued.len());
    let token = browser.jar.lock().unwrap().clone();
    let session = judge.open(token.as_bytes()).await.unwrap();
    assert_eq!(session.get("writes").unwrap(), Some(browser.written.load(Ordering::Relaxed)), "no update is lost");

    // Somebody has stolen the token that the browser has now, and the browser goes on.
    let mut connection = Connection::open(processes[0].address).await;
    for _ in 0..=(INTERVAL + GRACE).as_millis() {
        let token = browser.jar.lock().unwrap().clone();
        browser.keep(&connection.get("/read", &token).await.0);
        browser.time.lock().unwrap().pass(1);
    }
    assert_eq!(connection.get("/read", &token).await.1, "", "the thief gets nothing");
    let token = browser.jar.lock().unwrap().clone();
    assert_eq!(connection.get("/read", &token).await.1, "", "and is found: the session is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_out_with_redis() {
    let Some(server) = server::redis() else { return };
    under_fire(&format!("redis://127.0.0.1:{}", server.port)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_logged_out_with_postgres() {
    let Some(server) = server::postgres() else { return };
    under_fire(&format!("{}?create_schema=true", postgres::database(&server).await)).await;
}
