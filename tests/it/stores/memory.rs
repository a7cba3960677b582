use cloakroom::MemoryStore;
use cloakroom::testing::conformance;

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    conformance::check(async || MemoryStore::new()).await;
}
