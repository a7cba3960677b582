use cloakroom::testing::conformance;
use cloakroom::{CachedStore, MemoryStore};
use std::time::Duration;
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    for staleness in [Duration::ZERO, Duration::from_secs(1), Duration::from_hours(1)] {
        conformance::check(async || CachedStore::new(MemoryStore::new(), MemoryStore::new(), staleness)).await;
    }
}
