//! Those of this process who have met a conflict on one session take turns.
//!
//! Without it, of n requests that save one session at once, one succeeds in each round and all others load and try again:
//! the store is asked some n²/2 times. In turns it is asked 2n times. Nothing rests on it: other processes do not take part,
//! and the store compares versions all the same.

use tokio::sync::{Mutex, MutexGuard};

use crate::token::SessionId;

/// Sessions share a turn if their ids fall together, which costs a wait and nothing else.
const PLACES: usize = 64;

#[derive(Debug)]
pub(crate) struct Turns([Mutex<()>; PLACES]);

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

impl Turns {
    /// Waits until it is one's turn, which lasts as long as what is returned.
    pub(crate) async fn wait(&self, id: SessionId) -> MutexGuard<'_, ()> {
        self.0[usize::from(id.as_bytes()[0]) % PLACES].lock().await
    }
}
