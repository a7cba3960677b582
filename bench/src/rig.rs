//! An application that requests are sent to, in process: how a subject is driven.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderValue, Uri};
use axum::response::Response;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use tokio::runtime::Runtime;
use tokio::task::coop::unconstrained;
use tower::Service as _;

use crate::work::DONE;

/// An application with a store that nobody else uses.
pub(crate) trait Rig {
    /// One request, and all of its answer.
    fn ask(&mut self, path: &str, cookie: Option<&str>) -> Answer;

    /// The same request many times, one after another. Panics if an answer is not 200.
    fn repeat(&mut self, path: &'static str, cookie: Option<&str>, times: u64);

    /// The same request many times, all at once. Returns how many were answered with 200.
    fn at_once(&mut self, path: &'static str, cookie: &str, times: u64) -> u64;
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// `name=value`, as the browser sends it back. A cookie that is taken away is none.
    pub(crate) cookie: Option<String>,
}

impl Answer {
    pub(crate) fn new<'a>(status: u16, body: &[u8], set_cookie: impl Iterator<Item = &'a [u8]>) -> Self {
        let pair = |text: &[u8]| String::from_utf8_lossy(text).split(';').next().unwrap_or_default().to_owned();
        let cookies: Vec<_> = set_cookie.map(pair).filter(|pair| !pair.ends_with('=')).collect();
        let cookie = (!cookies.is_empty()).then(|| cookies.join("; "));
        Self { status, body: String::from_utf8_lossy(body).into_owned(), cookie }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.status == 200 && self.body == DONE
    }
}

/// A runtime of one thread, on which `Rig`s run.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// An axum application.
pub(crate) struct AxumRig {
    runtime: Runtime,
    app: Router,
}

impl AxumRig {
    pub(crate) fn new(app: Router) -> Self {
        Self::on(runtime(), app)
    }

    /// With the runtime on which its store was opened.
    pub(crate) fn on(runtime: Runtime, app: Router) -> Self {
        let inside = runtime.enter(); // Some layers start tasks.
        // As `axum::serve` does; without it the layered route would be built again for each request.
        let app = app.with_state(());
        drop(inside);
        Self { runtime, app }
    }
}

impl Rig for AxumRig {
    fn ask(&mut self, path: &str, cookie: Option<&str>) -> Answer {
        let (path, cookie) = (path.parse().expect("a path"), cookie.map(header));
        self.runtime.block_on(async {
            let answer = call(&mut self.app, &path, cookie.as_ref()).await;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            let cookies = head.headers.get_all(SET_COOKIE).into_iter().map(HeaderValue::as_bytes);
            Answer::new(head.status.as_u16(), &body, cookies)
        })
    }

    fn repeat(&mut self, path: &'static str, cookie: Option<&str>, times: u64) {
        let (path, cookie) = (Uri::from_static(path), cookie.map(header));
        // A server's task begins each request with a new budget; here none may run out of it in the midst of one.
        self.runtime.block_on(unconstrained(async {
            for _ in 0..times {
                assert_eq!(call(&mut self.app, &path, cookie.as_ref()).await.status(), 200);
            }
        }));
    }

    fn at_once(&mut self, path: &'static str, cookie: &str, times: u64) -> u64 {
        let (path, cookie) = (Uri::from_static(path), header(cookie));
        self.runtime.block_on(async {
            let one = || {
                let (mut app, path, cookie) = (self.app.clone(), path.clone(), cookie.clone());
                tokio::spawn(async move { call(&mut app, &path, Some(&cookie)).await.status() == 200 })
            };
            let answers = join_all((0..times).map(|_| one())).await;
            answers.into_iter().filter(|answer| matches!(answer, Ok(true))).count() as u64
        })
    }
}

async fn call(app: &mut Router, path: &Uri, cookie: Option<&HeaderValue>) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.clone();
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, cookie.clone());
    }
    let Ok(answer) = app.call(request).await;
    answer
}

fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("cookies are visible ASCII")
}

/// How long the handler of `SLOW` waits between reading and writing.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);
