//! Behaviour through HTTP, a module for each topic.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::missing_panics_doc)]
#![allow(
    clippy::unchecked_time_subtraction,
    clippy::duration_suboptimal_units,
    clippy::doc_markdown,
    clippy::similar_names
)]

mod support;

mod architecture;
mod cancellation;
mod codecs;
mod config;
mod cookies_read;
mod cookies_write;
mod example_visits;
mod expiry;
mod extractors;
mod faults;
mod manager;
mod races;
mod regressions;
mod session;
mod smoke;
mod stores;
mod untouched;
mod user_agent;
