//! Behaviour through HTTP, a module for each topic.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::missing_panics_doc)]
#![allow(
    clippy::unchecked_time_subtraction,
    clippy::duration_suboptimal_units,
    clippy::doc_markdown,
    clippy::similar_names
)]

mod architecture;
mod bags;
mod cancellation;
mod consent;
mod cookies_read;
mod cookies_write;
mod example_templates;
mod example_visits;
mod expiry;
mod extractors;
mod faults;
mod flash;
mod info;
mod manager;
mod races;
mod regressions;
mod session;
mod smoke;
mod stores;
mod support;
mod templates;
mod untouched;
mod user_agent;
mod values;
