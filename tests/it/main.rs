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
mod binding;
mod cancellation;
mod carried;
mod cli;
mod codecs;
mod config;
mod consent;
mod cookies_read;
mod cookies_write;
mod csrf;
mod describe;
mod detached;
mod devices;
mod dumps;
mod end_by;
mod events;
mod example_configured;
mod example_csrf;
mod example_grpc;
mod example_in_cookie;
mod example_lines;
mod example_live;
mod example_templates;
mod example_visits;
mod example_visits_file;
mod example_visits_memcached;
mod example_visits_mysql;
mod example_visits_postgres;
mod example_visits_redis;
mod example_visits_sqlite;
mod examples;
mod expiry;
mod extractors;
mod faults;
mod features;
mod flash;
mod info;
mod links;
mod log_scan;
mod login;
mod manager;
mod named;
mod predecessor;
mod races;
mod regressions;
mod rotation;
mod sealed;
mod security;
mod session;
mod site_data;
mod smoke;
mod stores;
mod support;
mod templates;
mod test_client;
mod transports;
mod untouched;
mod user_agent;
mod values;
