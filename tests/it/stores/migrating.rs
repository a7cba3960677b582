use cloakroom::testing::conformance;
use cloakroom::{MemoryStore, MigratingStore};
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    conformance::check(async || MigratingStore::new(MemoryStore::new(), MemoryStore::new())).await;
}
