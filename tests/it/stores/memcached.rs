use crate::support::server;
use cloakroom::MemcachedStore;
use cloakroom::testing::conformance;
use std::time::Duration;
#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(server) = server::memcached() else { return };
    let settings = conformance::Settings::default().max_payload(999_999).cleans_up_by_itself().concurrent_savers(200);
    let make = async || MemcachedStore::connect([server.address()]).await.unwrap().timeout(Duration::from_secs(30));
    conformance::check_with(settings, make).await;
}
