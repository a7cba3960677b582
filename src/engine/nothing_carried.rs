//! In place of `carried` where the feature `sealed` is off: clients hold their token, and nothing else.

#![allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "the signatures are those of `carried`")]

use std::sync::Arc;

use super::{Engine, ShownToken};
use crate::error::SessionError;
use crate::state::TokenChange;
use crate::store::SessionStore;
use crate::token::TOKEN_CHARS;

/// Never made.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Carried {}

impl Engine {
    pub(super) fn for_client(self: &Arc<Self>, shown: &ShownToken) -> Option<Arc<Self>> {
        shown.carried.is_empty().then(|| self.clone())
    }

    pub(super) fn for_visitor(self: &Arc<Self>) -> Arc<Self> {
        self.clone()
    }

    pub(crate) fn for_detached(self: &Arc<Self>) -> Result<Arc<Self>, SessionError> {
        Ok(self.clone())
    }

    pub(super) fn hand_out(&self, change: TokenChange) -> Result<TokenChange, SessionError> {
        Ok(change)
    }

    pub(super) fn store_of_all(&self) -> &dyn SessionStore {
        self.store()
    }

    pub(crate) fn longest_text(&self) -> usize {
        self.carried.map_or(TOKEN_CHARS, |carried| match carried {})
    }

    pub(crate) fn set_longest_text(self: &mut Arc<Self>, _: usize) {}
}
