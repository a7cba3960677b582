//! For tests, of applications and of stores (feature `testing`).

mod clock;
pub mod conformance;
mod counting;
mod fault;

pub use clock::TestClock;
pub use counting::{Calls, CountingStore};
pub use fault::{Fault, FaultStore, Operation};
