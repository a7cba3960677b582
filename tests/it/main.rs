//! Behaviour through HTTP, a module for each topic.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::missing_panics_doc)]

mod support;

mod smoke;
