//! What a request costs: nothing if it leaves its session alone, and no store call too many if it does not.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{LazySession, MemoryStore, Session, SessionError, SessionPolicy};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

use crate::support::routes::routes;
use crate::support::{Browser, N, layer, send, send_token};

type Store = CountingStore<MemoryStore>;

fn store() -> Store {
    CountingStore::new(MemoryStore::new())
}

/// Answers of every kind that a layer could be tempted to change. None of them looks at the session.
fn ignorant() -> Router {
    let headers = [
        (header::SET_COOKIE, "other=1; Path=/"),
        (header::CACHE_CONTROL, "public, max-age=60"),
        (header::VARY, "accept"),
        (header::CONTENT_TYPE, "text/x-test"),
    ];
    let twice = axum::response::AppendHeaders([(header::SET_COOKIE, "__Host-id=handmade"), (header::VARY, "cookie")]);
    Router::new()
        .route("/", get(async || "ignored"))
        .route("/headers", get(async move || (headers, twice, "with headers")))
        .route("/redirect", get(async || axum::response::Redirect::to("/")))
        .route("/error", get(async || (http::StatusCode::INTERNAL_SERVER_ERROR, vec![0_u8, 255, 10])))
        .route("/lazy", get(async |_: LazySession| "asked, and not loaded"))
}

/// Everything of an answer that a client sees, in order.
#[derive(Debug, PartialEq)]
struct Seen {
    status: http::StatusCode,
    version: http::Version,
    headers: Vec<(String, Vec<u8>)>,
    body: Bytes,
}

async fn see(app: &Router, path: &str, cookies: &[Vec<u8>]) -> Seen {
    let mut request = Request::builder().uri(path);
    for cookie in cookies {
        request = request.header(header::COOKIE, &**cookie);
    }
    let (parts, body) = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    let headers = parts.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    Seen { status: parts.status, version: parts.version, headers, body: body.collect().await.unwrap().to_bytes() }
}

#[tokio::test]
async fn a_thousand_requests_that_ignore_their_session_cost_no_store_call_and_are_answered_as_without_the_layer() {
    let store = store();
    let app = ignorant().merge(routes()).layer(layer(store.clone(), &TestClock::default()));
    let without = ignorant().layer(axum::Extension(()));
    let good = send(&app, "/add", &[]).await.token().unwrap().to_owned();
    store.reset();

    let cookie = |value: &str| vec![format!("{N}={value}").into_bytes()];
    let cookies: [Vec<Vec<u8>>; 8] = [
        vec![],
        cookie(&good),
        cookie(&"A".repeat(64)),
        cookie("garbage"),
        cookie(""),
        vec![b"\xff\xfe;;;=;__Host-id".to_vec(), b"__Host-id=\"".to_vec()],
        (0..9).flat_map(|n| cookie(&format!("{n:064}"))).collect(),
        vec![b"other=1".to_vec(), vec![b'x'; 10_000]],
    ];
    let paths = ["/", "/headers", "/redirect", "/error", "/missing"];
    for request in 0..1_000 {
        let (path, cookies) = (paths[request % paths.len()], &cookies[request % cookies.len()]);
        assert_eq!(see(&app, path, cookies).await, see(&without, path, cookies).await, "{path} {cookies:?}");
    }
    assert_eq!(&*see(&app, "/lazy", &cookies[1]).await.body, b"asked, and not loaded");
    assert_eq!(see(&app, "/lazy", &cookies[1]).await.headers.len(), 2);
    assert_eq!(store.calls(), Calls::default());
}

#[tokio::test]
async fn what_is_done_with_a_session_costs_one_load_and_at_most_one_write() {
    let store = store();
    let login = get(async |session: Session| {
        session.login("ada")?;
        session.remember(Duration::from_hours(100))
    });
    let opened = get(async |session: Option<Session>| session.is_some().to_string());
    let app = routes().route("/login-remembered", login).route("/option", opened);
    let app = app.layer(layer(store.clone(), &TestClock::default()));
    let mut browser = Browser::new(&app);

    for path in ["/n", "/keys", "/option", "/logout"] {
        browser.get(path).await;
        assert_eq!(store.reset(), Calls::default(), "{path} of a visitor without a session");
    }
    let (load, none) = (1, Calls::default());
    for (path, calls) in [
        ("/add", Calls { create: 1, ..none }),
        ("/n", Calls { load, ..none }),
        ("/keys", Calls { load, ..none }),
        ("/option", Calls { load, ..none }),
        ("/add", Calls { load, save: 1, ..none }),
        ("/login-remembered", Calls { load, save: 1, ..none }),
        ("/logout", Calls { load, delete: 1, ..none }),
    ] {
        let answer = browser.get(path).await;
        assert!(answer.status.is_success());
        assert_eq!(store.reset(), calls, "{path}");
    }
}

#[tokio::test]
async fn a_session_that_is_extracted_many_times_is_loaded_once() {
    let store = store();
    let handler = get(async |a: Session, b: Session, lazy: LazySession| {
        lazy.load().await?.insert("x", 1)?;
        assert_eq!((a.get("x")?, b.get("x")?), (Some(1), Some(1)));
        Ok::<_, SessionError>(())
    });
    let app = routes().route("/many", handler).layer(layer(store.clone(), &TestClock::default()));
    let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
    store.reset();
    assert!(send_token(&app, "/many", &token).await.status.is_success());
    assert_eq!(store.reset(), Calls { load: 1, save: 1, ..Calls::default() });
}

#[tokio::test]
async fn what_is_taken_back_is_not_stored_for_a_visitor_without_a_session() {
    let store = store();
    let handler = get(async |session: Session| {
        session.insert("x", 1)?;
        session.remove("x").map(drop)
    });
    let app = Router::new().route("/", handler).layer(layer(store.clone(), &TestClock::default()));
    assert!(send(&app, "/", &[]).await.set_cookies().is_empty());
    assert_eq!(store.calls(), Calls::default());
}

#[tokio::test]
async fn ten_thousand_made_up_tokens_leave_no_record_and_get_no_cookie() {
    let store = MemoryStore::new();
    let app = routes().layer(layer(store.clone(), &TestClock::default()));
    for made_up in 0..10_000 {
        let answer = send_token(&app, "/n", &format!("{made_up:064}")).await;
        assert_eq!((&*answer.body, answer.token()), ("0", None));
    }
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_made_up_token_never_becomes_the_token_of_a_session() {
    let store = MemoryStore::new();
    let app = routes().layer(layer(store.clone(), &TestClock::default()));
    let made_up = "A".repeat(64);
    let answer = send_token(&app, "/add", &made_up).await;
    let issued = answer.token().unwrap();
    assert_ne!(issued[..22], made_up[..22]);
    assert_eq!(send_token(&app, "/n", &made_up).await.body, "0");
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn reading_moves_the_expiry_once_a_tenth_of_the_idle_time_has_passed_and_then_not_for_another() {
    let (store, clock) = (store(), TestClock::default());
    let app = routes().layer(layer(store.clone(), &clock));
    let mut browser = Browser::new(&app);
    browser.get("/add").await;
    store.reset();
    let millisecond = Duration::from_millis(1);
    let nearly_a_tenth = Duration::from_millis(359_999);
    for _ in 0..5 {
        clock.advance(nearly_a_tenth);
        browser.get("/n").await;
        assert_eq!(store.reset(), Calls { load: 1, ..Calls::default() });
        clock.advance(millisecond);
        assert!(browser.get("/n").await.set_cookies().is_empty());
        assert_eq!(store.reset(), Calls { load: 1, touch: 1, ..Calls::default() });
        browser.get("/n").await;
        assert_eq!(store.reset(), Calls { load: 1, ..Calls::default() });
    }
    clock.advance(Duration::from_millis(3_599_999));
    assert_eq!(browser.get("/n").await.body, "1");
    clock.advance(Duration::from_hours(1));
    assert_eq!(browser.get("/n").await.body, "0");
}

#[tokio::test]
async fn a_request_that_ignores_its_session_does_not_keep_it_alive() {
    let (store, clock) = (store(), TestClock::default());
    let mut browser = Browser::new(&routes().layer(layer(store.clone(), &clock)));
    browser.get("/add").await;
    clock.advance(Duration::from_mins(30));
    browser.get("/ignore").await;
    assert_eq!(store.reset(), Calls { create: 1, ..Calls::default() });
    clock.advance(Duration::from_mins(30));
    assert_eq!(browser.get("/n").await.body, "0");
}

#[tokio::test]
async fn reading_never_keeps_a_session_alive_beyond_its_absolute_deadline() {
    let (store, clock) = (store(), TestClock::default());
    let policy = SessionPolicy::aal2().idle(Duration::from_hours(1)).absolute(Duration::from_hours(3));
    let left = get(async |session: Session| format!("{:?}", session.idle_remaining()));
    let app = routes().route("/left", left).layer(layer(store.clone(), &clock).policy(policy).unwrap());
    let mut browser = Browser::new(&app);
    browser.get("/add").await;
    let mut touches = 0;
    for _ in 0..17 {
        clock.advance(Duration::from_mins(10));
        browser.get("/n").await;
        touches += store.reset().touch;
    }
    // 170 minutes have passed. From the 120th on the deadline stands, and there is nothing left to move.
    assert_eq!(touches, 12);
    assert_eq!(browser.get("/left").await.body, "Some(600s)");
    clock.advance(Duration::from_mins(10));
    assert_eq!(browser.get("/n").await.body, "0");
}

/// Counts visits, without axum.
async fn visits<B>(request: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/ignore" {
        return Ok(Response::new("ignored".into()));
    }
    let session = LazySession::of(&request).unwrap().load().await.unwrap();
    let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
    Ok(Response::new(n.to_string().into()))
}

fn token_of(headers: &HeaderMap) -> String {
    let cookie = headers[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn it_works_under_a_bare_service_builder() {
    let sessions = layer(store(), &TestClock::default());
    let service = ServiceBuilder::new().layer(sessions).service(service_fn(visits::<()>));
    let first = service.clone().oneshot(Request::new(())).await.unwrap();
    let again = Request::builder().header(header::COOKIE, token_of(first.headers())).body(()).unwrap();
    let answer = service.oneshot(again).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "2");
}

/// Serves visits over loopback with hyper, HTTP/1.1 and HTTP/2. With sessions if there is a store.
async fn serve(store: Option<Store>) -> SocketAddr {
    let sessions = store.map(|store| layer(store, &TestClock::default()));
    let service = ServiceBuilder::new().option_layer(sessions).service(service_fn(visits));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                server.serve_connection(TokioIo::new(stream), service).await
            });
        }
    });
    address
}

/// The bytes that come back over HTTP/1.1, without the line that says what time it is.
async fn raw(address: SocketAddr, path: &str, cookie: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{cookie}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date:")).collect()
}

#[tokio::test]
async fn over_http_1_it_counts_and_an_untouched_answer_is_the_same_to_the_byte() {
    let store = store();
    let [with, without] = [serve(Some(store.clone())).await, serve(None).await];
    let first = raw(with, "/", "").await;
    let set_cookie = first.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let cookie = format!("Cookie: {}\r\n", set_cookie.split(';').next().unwrap());
    assert!(raw(with, "/", &cookie).await.ends_with("\r\n\r\n2"));

    store.reset();
    for cookie in ["", &*cookie, "Cookie: __Host-id=garbage\r\n"] {
        let answer = raw(with, "/ignore", cookie).await;
        assert_eq!(answer, raw(without, "/ignore", cookie).await);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("ignored"));
    }
    assert_eq!(store.calls(), Calls::default());
}

#[tokio::test]
async fn over_http_2_it_counts_in_requests_that_share_a_connection() {
    let address = serve(Some(store())).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (client, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let request = |cookie: Option<&str>| {
        let mut request = Request::builder().uri("http://localhost/");
        // HTTP/2 clients may send every cookie in a header of its own (RFC 9113 section 8.2.3).
        for cookie in ["other=1"].into_iter().chain(cookie) {
            request = request.header(header::COOKIE, cookie);
        }
        client.clone().send_request(request.body(Full::default()).unwrap())
    };
    let first = request(None).await.unwrap();
    assert_eq!(first.version(), http::Version::HTTP_2);
    let cookie = token_of(first.headers());
    let mut at_once = tokio::task::JoinSet::new();
    for _ in 0..20 {
        at_once.spawn(request(Some(&cookie)));
    }
    assert!(at_once.join_all().await.into_iter().all(|answer| answer.unwrap().status().is_success()));
    let last = request(Some(&cookie)).await.unwrap();
    assert_eq!(last.into_body().collect().await.unwrap().to_bytes(), "22");
}
