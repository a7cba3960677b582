//! What the feature `metrics` counts and measures.

use std::collections::BTreeMap;

use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{MemoryStore, SessionManager};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use super::routes;
use crate::support::{Browser, layer, manager, send_token};

/// What was recorded while `requests` ran on this thread: counters by their sum, histograms by the number of their values.
fn recorded(requests: impl Future<Output = ()>) -> BTreeMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    metrics::with_local_recorder(&recorder, || runtime.block_on(requests));
    let recorded = recorder.snapshotter().snapshot().into_vec().into_iter().map(|(key, _, _, value)| {
        let key = key.key();
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Histogram(values) => {
                assert!(values.iter().all(|seconds| (0.0..10.0).contains(&seconds.into_inner())));
                values.len() as u64
            }
            DebugValue::Gauge(_) => panic!("no gauge is documented"),
        };
        (format!("{} {}", key.name(), labels.join(" ")), value)
    });
    recorded.collect()
}

fn expected<const N: usize>(metrics: [(&str, u64); N]) -> BTreeMap<String, u64> {
    metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[test]
fn events_are_counted_and_calls_and_commits_measured() {
    let app = routes().layer(layer(MemoryStore::new(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    let recorded = recorded(async {
        for path in ["/write", "/ignore", "/read", "/login", "/logout"] {
            browser.get(path).await;
        }
    });
    assert_eq!(
        recorded,
        expected([
            ("cloakroom_events_total session=id event=created", 1),
            ("cloakroom_events_total session=id event=resumed", 3),
            ("cloakroom_events_total session=id event=logged_in", 1),
            ("cloakroom_events_total session=id event=logged_out", 1),
            ("cloakroom_store_seconds session=id operation=create", 1),
            ("cloakroom_store_seconds session=id operation=load", 3),
            ("cloakroom_store_seconds session=id operation=save", 1),
            ("cloakroom_store_seconds session=id operation=delete", 1),
            ("cloakroom_commit_seconds session=id", 3),
        ])
    );
}

#[test]
fn each_unknown_token_is_counted_however_few_are_told() {
    let app = routes().layer(layer(MemoryStore::new(), &TestClock::default()));
    let recorded = recorded(async {
        for _ in 0..100 {
            send_token(&app, "/read", "no token").await;
        }
    });
    assert_eq!(recorded, expected([("cloakroom_events_total session=id event=unknown_token", 100)]));
}

#[test]
fn failures_are_counted_by_their_kind_under_the_name_of_the_sessions() {
    let store = FaultStore::new(MemoryStore::new());
    let manager: SessionManager = manager(store.clone(), &TestClock::default()).name("admin").unwrap();
    store.once(Operation::Create, Fault::Broken);
    let recorded = recorded(async {
        let session = manager.create();
        session.insert("x", 1).unwrap();
        manager.commit(&session).await.unwrap_err();
    });
    assert_eq!(
        recorded,
        expected([
            ("cloakroom_events_total session=admin event=store_failed", 1),
            ("cloakroom_events_total session=admin event=commit_failed", 1),
            ("cloakroom_store_failures_total session=admin operation=create kind=other", 1),
            ("cloakroom_store_seconds session=admin operation=create", 1),
            ("cloakroom_commit_seconds session=admin", 1),
        ])
    );
}
