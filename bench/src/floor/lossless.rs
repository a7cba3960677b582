//! The least that loses nothing and takes any store: what it costs to keep the library's promises, written without its features.
//!
//! Beside what [`Secured`](super::Secured) does: data are one JSON text, and a value is decoded when it is read. Stores stand
//! behind a trait object and replace a record by compare-and-swap. Changes are kept aside until the handler has answered, as a
//! list that is done again on newer data after a conflict; a 5xx stores none. The commit runs to its end if the client goes away.
//! Sessions end when they were idle for too long, and at their deadline. Caches are told what they may not keep.

mod data;
mod layer;
#[cfg(feature = "full")]
mod redis;
mod session;
mod store;
#[cfg(test)]
mod tests;

pub(crate) use layer::LosslessLayer;
#[cfg(feature = "full")]
pub(crate) use redis::{InRedis, SWAP as SWAP_SCRIPT};
pub(crate) use session::LosslessSession;

type Done<T = ()> = Result<T, axum::http::StatusCode>;
