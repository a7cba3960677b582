//! Counters and histograms, through the crate `metrics`. Without the feature nothing is measured, and this is empty.
//!
//! Names and labels are what dashboards are built on: they stand in the guide and are not to change. Labels have few values;
//! ids and users are none.

#![cfg_attr(not(feature = "metrics"), allow(unused_variables, clippy::missing_const_for_fn, clippy::unused_self))]

use std::sync::Arc;
#[cfg(feature = "metrics")]
use std::time::Instant;

use crate::error::StoreErrorKind;

/// An event has happened.
pub(super) fn count(session: &Arc<str>, event: &'static str) {
    #[cfg(feature = "metrics")]
    metrics::counter!("cloakroom_events_total", "session" => session.clone(), "event" => event).increment(1);
}

/// The hook did not keep up, and misses an event.
pub(super) fn count_missed(session: &Arc<str>) {
    #[cfg(feature = "metrics")]
    metrics::counter!("cloakroom_hook_missed_total", "session" => session.clone()).increment(1);
}

/// A call to the store has failed.
pub(super) fn count_failure(session: &Arc<str>, operation: &'static str, kind: StoreErrorKind) {
    #[cfg(feature = "metrics")]
    metrics::counter!(
        "cloakroom_store_failures_total",
        "session" => session.clone(), "operation" => operation, "kind" => name_of(kind)
    )
    .increment(1);
}

#[cfg(feature = "metrics")]
fn name_of(kind: StoreErrorKind) -> &'static str {
    match kind {
        StoreErrorKind::Unavailable => "unavailable",
        StoreErrorKind::TimedOut => "timed_out",
        StoreErrorKind::TooLarge { .. } => "too_large",
        StoreErrorKind::Corrupt => "corrupt",
        StoreErrorKind::Unsupported => "unsupported",
        StoreErrorKind::Other => "other",
    }
}

/// How long something takes.
#[must_use]
pub(crate) struct Stopwatch {
    #[cfg(feature = "metrics")]
    started: Instant,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self {
            #[cfg(feature = "metrics")]
            started: Instant::now(),
        }
    }

    pub(super) fn record_store(self, session: &Arc<str>, operation: &'static str) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("cloakroom_store_seconds", "session" => session.clone(), "operation" => operation)
            .record(self.started.elapsed());
    }

    pub(super) fn record_commit(self, session: &Arc<str>) {
        #[cfg(feature = "metrics")]
        metrics::histogram!("cloakroom_commit_seconds", "session" => session.clone()).record(self.started.elapsed());
    }
}
