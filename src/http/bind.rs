//! What the application binds sessions to, as it reads it from a request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use http::request::Parts;

use crate::state::Bond;

type Read = dyn Fn(&Parts) -> Option<Bytes> + Send + Sync;

/// Reads what sessions are bound to.
#[derive(Clone)]
pub(super) struct Bind(Arc<Read>);

impl Bind {
    pub(super) fn by<V>(read: impl Fn(&Parts) -> Option<V> + Send + Sync + 'static) -> Self
    where
        V: AsRef<[u8]> + Send + 'static,
    {
        Self(Arc::new(move |parts| read(parts).map(Bytes::from_owner)))
    }

    pub(super) fn read<B>(&self, request: Request<B>) -> (Bond, Request<B>) {
        let (parts, body) = request.into_parts();
        (Bond::new((self.0)(&parts)), Request::from_parts(parts, body))
    }
}

impl fmt::Debug for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bind")
    }
}
