//! Routes that promise to use no session.

use std::task::{Context, Poll};

use http::Request;
use tower_layer::Layer;
use tower_service::Service;

/// Declares that what is inside uses no session: whoever asks for one all the same gets an error
/// ([`ErrorKind::Stateless`](crate::ErrorKind::Stateless), answered 500) instead of a session.
///
/// An answer that depends on a session must not be kept by a shared cache, and a route without one costs no call to the store.
/// Neither can be seen in a handler that got its session through some helper; with this layer a test finds it.
/// It works wherever it stands, outside the [`SessionLayer`](crate::SessionLayer) or inside.
///
/// ```
/// use axum::{Router, routing::get};
/// use cloakroom::{MemoryStore, SessionLayer, StatelessLayer};
///
/// let assets = Router::new().route("/logo", get(async || "<svg/>")).layer(StatelessLayer::new());
/// let app: Router = Router::new()
///     .merge(assets)
///     .layer(SessionLayer::new(MemoryStore::new()));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct StatelessLayer;

impl StatelessLayer {
    /// No sessions inside.
    pub const fn new() -> Self {
        Self
    }
}

impl<S> Layer<S> for StatelessLayer {
    type Service = StatelessService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StatelessService(inner)
    }
}

/// The service that [`StatelessLayer`] makes.
#[derive(Clone, Debug)]
pub struct StatelessService<S>(S);

/// What the extensions of such a request hold.
#[derive(Clone, Copy)]
pub(super) struct Stateless;

impl<S, B> Service<Request<B>> for StatelessService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(Stateless);
        self.0.call(request)
    }
}
