use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, COOKIE, SET_COOKIE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::get;
use futures_util::FutureExt as _;
use tower::ServiceExt as _;

use super::data::Data;
use super::store::{InMemory, Record, Store};
use super::{Done, LosslessLayer, LosslessSession};
use crate::floor::{Scheme as _, Secured};

/// A store that makes whoever saves wait for a moment.
#[derive(Default)]
struct Waiting(InMemory);

#[async_trait]
impl Store for Waiting {
    async fn create(&self, id: u128, record: Record) -> Done<bool> {
        self.0.create(id, record).await
    }

    async fn load(&self, id: u128) -> Done<Option<Record>> {
        self.0.load(id).await
    }

    async fn save(&self, id: u128, record: Record) -> Done<bool> {
        tokio::task::yield_now().await;
        self.0.save(id, record).await
    }
}

fn app(store: Arc<dyn Store>) -> Router {
    let add = async |session: LosslessSession| session.update("n", |n: Option<u64>| n.unwrap_or_default() + 1);
    let fail = async |session: LosslessSession| {
        session.insert("n", &0)?;
        Err::<(), _>(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let show = async |session: LosslessSession| Ok::<_, StatusCode>(format!("{:?}", session.get::<u64>("n")?));
    let app = Router::new().route("/add", get(add)).route("/fail", get(fail)).route("/show", get(show));
    app.route("/", get(async || "")).layer(LosslessLayer(store))
}

async fn ask(app: &Router, path: &str, cookie: &str) -> Response {
    let request = Request::get(path).header(COOKIE, cookie).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn shown(app: &Router, cookie: &str) -> String {
    let body = axum::body::to_bytes(ask(app, "/show", cookie).await.into_body(), 100).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn begun(app: &Router) -> (HeaderMap, String) {
    let answer = ask(app, "/add", "").await;
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    (answer.headers().clone(), cookie)
}

#[tokio::test]
async fn a_commit_runs_to_its_end_after_the_client_has_gone() {
    let app = app(Arc::new(Waiting::default()));
    let (_, cookie) = begun(&app).await;
    assert!(ask(&app, "/add", &cookie).now_or_never().is_none(), "it waits for the store, and is dropped");
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    assert_eq!(shown(&app, &cookie).await, "Some(2)");
}

#[tokio::test]
async fn requests_at_once_lose_nothing() {
    let app = app(Arc::new(Waiting::default()));
    let (_, cookie) = begun(&app).await;
    futures_util::future::join_all((0..10).map(|_| ask(&app, "/add", &cookie))).await;
    assert_eq!(shown(&app, &cookie).await, "Some(11)");
}

#[tokio::test]
async fn an_answer_of_5xx_stores_nothing() {
    let app = app(Arc::new(InMemory::default()));
    let (_, cookie) = begun(&app).await;
    assert_eq!(ask(&app, "/fail", &cookie).await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(shown(&app, &cookie).await, "Some(1)");
}

#[tokio::test]
async fn caches_are_told_what_they_need() {
    let app = app(Arc::new(InMemory::default()));
    let (headers, cookie) = begun(&app).await;
    assert_eq!([&headers[VARY], &headers[CACHE_CONTROL]], ["cookie", "no-store"]);
    let read = ask(&app, "/show", &cookie).await;
    assert!(read.headers().contains_key(VARY) && !read.headers().contains_key(CACHE_CONTROL));
    assert!(!ask(&app, "/", &cookie).await.headers().contains_key(VARY), "nobody has looked");
}

#[tokio::test]
async fn a_session_ends_when_it_was_idle_and_at_its_deadline_and_slides_when_due() {
    let (store, now) = (Arc::new(InMemory::default()), SystemTime::now());
    let app = app(store.clone());
    let [past, soon, late] =
        [now - Duration::from_secs(1), now + Duration::from_mins(1), now + Duration::from_hours(2)];
    for (idle_until, ends, opens) in [(late, late, true), (soon, late, true), (past, late, false), (late, past, false)]
    {
        let token = Secured::fresh();
        let data = Arc::new(Data::default().with("n", "7"));
        let record = Record { version: 1, digest: Secured::digest(&token), idle_until, ends, data };
        assert!(store.create(Secured::id(&token), record).await.unwrap());
        let header = Secured::set_cookie(&token);
        let cookie = header.to_str().unwrap().split(';').next().unwrap();
        assert_eq!(shown(&app, cookie).await, if opens { "Some(7)" } else { "None" });
        let after = store.load(Secured::id(&token)).await.unwrap().unwrap();
        assert_eq!(after.idle_until != idle_until, idle_until == soon, "it is moved when it is due, and only then");
    }
}
