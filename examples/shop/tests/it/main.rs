//! The shop over real sockets, and in a real browser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

mod browser;
mod flows;
mod instances;
mod pages;
mod program;
#[path = "../../../../tests/it/support/server.rs"]
#[allow(dead_code, reason = "the library's tests start some more")]
mod server;
mod support;
