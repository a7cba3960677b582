//! The layer: an extension, and a future that commits.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::response::{IntoResponse as _, Response};
use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tower::{Layer, Service};

use super::session::{Visit, Work};
use super::store::{InMemory, Store};
use crate::floor::{Scheme as _, Secured};

#[derive(Clone)]
pub(crate) struct LosslessLayer(pub(super) Arc<dyn Store>);

impl LosslessLayer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(InMemory::default()))
    }

    #[cfg(feature = "full")]
    pub(crate) fn in_redis(store: super::InRedis) -> Self {
        Self(Arc::new(store))
    }
}

impl<I> Layer<I> for LosslessLayer {
    type Service = LosslessService<I>;

    fn layer(&self, inner: I) -> LosslessService<I> {
        LosslessService { inner, store: self.0.clone() }
    }
}

#[derive(Clone)]
pub(crate) struct LosslessService<I> {
    inner: I,
    store: Arc<dyn Store>,
}

impl<I: Service<Request, Response = Response>> Service<Request> for LosslessService<I> {
    type Response = Response;
    type Error = I::Error;
    type Future = LosslessFuture<I::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), I::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let visit = Arc::new(Visit::new(self.store.clone()));
        request.extensions_mut().insert(visit.clone());
        LosslessFuture { inner: self.inner.call(request), visit, commit: ToItsEnd(None) }
    }
}

pin_project! {
    pub(crate) struct LosslessFuture<F> {
        #[pin]
        inner: F,
        visit: Arc<Visit>,
        commit: ToItsEnd,
    }
}

impl<F: Future<Output = Result<Response, E>>, E> Future for LosslessFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.commit.0.is_none() {
            let mut answer = ready!(this.inner.poll(cx))?;
            if !this.visit.was_looked_at() {
                return Poll::Ready(Ok(answer));
            }
            answer.headers_mut().append(VARY, HeaderValue::from_static("cookie"));
            let work = this.visit.close().filter(|_| !answer.status().is_server_error());
            let Some(work) = work else { return Poll::Ready(Ok(answer)) };
            this.commit.0 = Some(Box::pin(committed(this.visit.clone(), work, answer)));
        }
        this.commit.poll(cx).map(Ok)
    }
}

async fn committed(visit: Arc<Visit>, work: Work, mut answer: Response) -> Response {
    match visit.commit(work).await {
        Ok(None) => answer,
        Ok(Some(token)) => {
            answer.headers_mut().append(SET_COOKIE, Secured::set_cookie(&token));
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            answer
        }
        Err(status) => status.into_response(),
    }
}

/// Goes on without whoever waits for it.
struct ToItsEnd(Option<Pin<Box<dyn Future<Output = Response> + Send>>>);

impl ToItsEnd {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Response> {
        let commit = self.0.as_mut().expect("it was begun, and is polled until it has ended");
        let answer = ready!(commit.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(answer)
    }
}

impl Drop for ToItsEnd {
    fn drop(&mut self) {
        if let (Some(commit), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(commit);
        }
    }
}
