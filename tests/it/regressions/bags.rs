//! Mistakes of bags and of other things that write late.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::TestClock;
use cloakroom::{Bag, BagContent, Conflicts, ErrorKind, MemoryStore, Session, SessionError, SessionPolicy};
use serde::{Deserialize, Serialize};

use super::{fresh, new_token, open};
use crate::support::{layer, send_token};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cart {
    items: BTreeMap<String, u32>,
    coupon: Option<String>,
}

impl BagContent for Cart {
    const NAME: &'static str = "cart";
}

impl Cart {
    /// Leaves a change that cannot be written.
    pub(super) fn overflow(session: &Session) {
        let mut cart = Bag::<Self>::of(session).unwrap();
        cart.coupon = Some("x".repeat(2 << 20));
    }
}
