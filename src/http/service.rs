use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use super::layer::Shared;
use super::lazy::Visit;
use super::{DefaultOnError, OnError, ResponseFuture};

/// The service that [`SessionLayer`](super::SessionLayer) makes.
#[derive(Clone, Debug)]
pub struct SessionService<S, E = DefaultOnError> {
    inner: S,
    shared: Arc<Shared>,
    on_error: E,
}

impl<S, E> SessionService<S, E> {
    pub(super) fn new(inner: S, shared: Arc<Shared>, on_error: E) -> Self {
        Self { inner, shared, on_error }
    }

    /// The service inside.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, E, ReqBody, ResBody> Service<Request<ReqBody>> for SessionService<S, E>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
    E: OnError<ResBody> + Clone,
{
    type Response = Response<ResBody>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future, ResBody, E>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let mut bond = None;
        if let Some(bind) = &self.shared.bind {
            let (read, again) = bind.read(request);
            (bond, request) = (Some(read), again);
        }
        let visit = Visit::begin(&self.shared, &mut request, bond);
        ResponseFuture::new(self.inner.call(request), visit, self.on_error.clone())
    }
}
