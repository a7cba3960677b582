//! The layer: one extension, a future with a name, and a header if a session was begun.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use axum::extract::{FromRequestParts, Request};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::Scheme;
use super::store::{Data, Store};

pub(crate) struct FloorLayer<S: Scheme>(Arc<Store<S>>);

impl<S: Scheme> FloorLayer<S> {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Store::new()))
    }
}

impl<S: Scheme> Clone for FloorLayer<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Scheme, I> Layer<I> for FloorLayer<S> {
    type Service = FloorService<S, I>;

    fn layer(&self, inner: I) -> Self::Service {
        FloorService { inner, store: self.0.clone() }
    }
}

pub(crate) struct FloorService<S: Scheme, I> {
    inner: I,
    store: Arc<Store<S>>,
}

impl<S: Scheme, I: Clone> Clone for FloorService<S, I> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), store: self.store.clone() }
    }
}

impl<S: Scheme, I: Service<Request, Response = Response>> Service<Request> for FloorService<S, I> {
    type Response = Response;
    type Error = I::Error;
    type Future = FloorFuture<S, I::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let state =
            Arc::new(State { shown: shown::<S>(request.headers()), store: self.store.clone(), begun: OnceLock::new() });
        request.extensions_mut().insert(FloorSession(state.clone()));
        FloorFuture { inner: self.inner.call(request), state }
    }
}

pub(super) fn shown<S: Scheme>(headers: &HeaderMap) -> Option<S::Token> {
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'));
    pairs.map(<[u8]>::trim_ascii).find_map(|pair| pair.strip_prefix(b"id=")).and_then(S::read)
}

pin_project! {
    pub(crate) struct FloorFuture<S: Scheme, F> {
        #[pin]
        inner: F,
        state: Arc<State<S>>,
    }
}

impl<S: Scheme, F: Future<Output = Result<Response, E>>, E> Future for FloorFuture<S, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut answer = ready!(this.inner.poll(cx))?;
        if let Some(token) = this.state.begun.get() {
            answer.headers_mut().append(SET_COOKIE, S::set_cookie(token));
        }
        Poll::Ready(Ok(answer))
    }
}

struct State<S: Scheme> {
    store: Arc<Store<S>>,
    shown: Option<S::Token>,
    begun: OnceLock<S::Token>,
}

/// What handlers get.
pub(crate) struct FloorSession<S: Scheme>(Arc<State<S>>);

impl<S: Scheme> Clone for FloorSession<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Scheme> FloorSession<S> {
    /// The values of the session that the client has shown.
    pub(crate) fn existing(&self) -> Result<Arc<Data>, StatusCode> {
        self.0.shown.and_then(|token| self.0.store.find(&token)).ok_or(StatusCode::UNAUTHORIZED)
    }

    /// The values of a new session.
    pub(crate) fn begin(&self) -> Arc<Data> {
        self.0.store.add(self.0.begun.get_or_init(S::fresh))
    }
}

impl<S: Scheme, T: Sync> FromRequestParts<T> for FloorSession<S> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().expect("the layer has put it there").clone())
    }
}
