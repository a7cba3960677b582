//! A layer that does nothing: what axum takes for any layer.

use std::task::{Context, Poll};

use tower::{Layer, Service};

use super::bare;
use crate::rig::{AxumRig, Rig};

pub(super) fn rig() -> Box<dyn Rig> {
    Box::new(AxumRig::new(bare::routes().layer(Forward)))
}

#[derive(Clone)]
struct Forward;

impl<S> Layer<S> for Forward {
    type Service = Forwarding<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Forwarding(inner)
    }
}

#[derive(Clone)]
struct Forwarding<S>(S);

impl<S: Service<R>, R> Service<R> for Forwarding<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        self.0.call(request)
    }
}
