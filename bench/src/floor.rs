//! Hand-written session layers that do as little as a session layer can: what the library is held against.
//!
//! A cookie scan, a state for the request in the extensions, one look-up in a map, values changed in place. Two requests
//! that write one value overwrite each other, nothing expires by itself, and there is one store. [`Simple`] knows sessions by a
//! random number, which the store keeps as it is. [`Secured`] pays for what security asks for and nothing else. [`lossless`] is a
//! floor on top of that, for those who want to lose nothing: changes that can be done again, and any store.

mod layer;
pub(crate) mod lossless;
mod scheme;
mod store;

pub(crate) use layer::{FloorLayer, FloorSession};
pub(crate) use scheme::{Scheme, Secured, Simple};
pub(crate) use store::Values;
