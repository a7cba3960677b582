use std::time::Duration;

use cloakroom::store::{StoreErrorKind, Timestamp};
use cloakroom::testing::{Fault, FaultStore, conformance};
use cloakroom::{MemoryStore, NoopStore, SessionStore, TimeoutStore};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    conformance::check(async || TimeoutStore::new(MemoryStore::new(), Duration::from_mins(1))).await;
}

#[tokio::test(start_paused = true)]
async fn no_call_takes_longer_than_it_may() {
    let inner = FaultStore::new(super::slow_index::SlowIndex);
    inner.everything(Fault::Never);
    let started = tokio::time::Instant::now();
    let store = TimeoutStore::new(inner.clone(), SECOND);
    assert!(store.user_index().is_some());
    conformance::check_unreachable(store.clone(), SECOND).await;
    let error = store.expired(Timestamp::from_millis(0), 1).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    let error = store.delete_expired(&[], Timestamp::from_millis(0)).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::TimedOut);
    assert_eq!(started.elapsed().as_secs(), 8);

    inner.everything(Fault::Slow(SECOND / 2));
    assert_eq!(store.expired(Timestamp::from_millis(0), 1).await.unwrap(), []);
}

#[test]
fn the_user_index_is_the_inner_one() {
    assert!(TimeoutStore::new(NoopStore, SECOND).user_index().is_none());
    assert!(TimeoutStore::new(MemoryStore::new(), Duration::MAX).user_index().is_some());
}
