//! For tests, of applications and of stores (feature `testing`).

mod clock;
mod counting;
mod fault;

pub use clock::TestClock;
pub use counting::{Calls, CountingStore};
pub use fault::{Fault, FaultStore, Operation};
