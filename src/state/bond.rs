//! What a session is bound to beside its secret, if the application says so.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::{Present, Terms};
use crate::token::{SessionId, TokenDigest};

/// What becomes of a request that shows the right token and not what its session is bound to
/// ([`SessionLayer::bind`](crate::SessionLayer::bind)). In both cases
/// [`SessionEvent::BindingMismatch`](crate::SessionEvent::BindingMismatch) tells the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMismatch {
    /// It has no session. The one whose token it shows stays as it is, and so does the cookie, unless the request writes and so
    /// begins a session of its own.
    #[default]
    Anonymous,
    /// It has its session all the same.
    EventOnly,
}

/// What a request has of what sessions are bound to: nothing, perhaps.
#[derive(Clone)]
pub(crate) struct Bond(Arc<Option<Bytes>>);

impl Bond {
    pub(crate) fn new(shown: Option<Bytes>) -> Self {
        Self(Arc::new(shown))
    }

    /// What a record keeps of it. It depends on the session, so that nobody sees who has the same.
    pub(super) fn digest(&self, id: SessionId, terms: &Terms) -> Option<TokenDigest> {
        (*self.0).as_ref().map(|bytes| terms.digester.digest_bond(id, bytes))
    }

    /// Whether it is what a session is bound to. One that is bound to nothing takes everything.
    pub(crate) fn fits(&self, present: &Present, terms: &Terms) -> bool {
        let Some(kept) = &present.contents.extras.bond else { return true };
        self.digest(present.id(), terms).is_some_and(|shown| kept.matches(&shown))
    }
}

impl fmt::Debug for Bond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bond(..)")
    }
}
