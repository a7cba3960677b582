use std::time::{Duration, Instant};

use cloakroom::store::{SessionStore as _, StoreErrorKind, Timestamp};
use cloakroom::testing::conformance::{self, Settings};
use cloakroom::{RedisStore, SessionId, SessionManager};

use crate::support::load::{Stopwatch, write_during};
use crate::support::redis::{self, Cluster};

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let Some(cluster) = Cluster::start() else { return };
    let settings = Settings::default().cleans_up_by_itself();
    conformance::check_with(settings, async || RedisStore::connect_cluster(cluster.urls()).await.unwrap()).await;
    for node in &cluster.nodes {
        // Keys are spread, or the test has tested one node.
        let mut connection = redis::connection(node).await;
        let keys: u64 = cloakroom::redis::cmd("DBSIZE").query_async(&mut connection).await.unwrap();
        assert!(keys > 5, "{keys} keys");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_permissions_in_the_documentation_are_enough() {
    let Some(cluster) = Cluster::start() else { return };
    let urls: Vec<String> = cluster.urls().iter().map(|url| url.replace("//", "//app:sesame@")).collect();
    for (more, is_enough) in [("", false), ("+cluster|slots +asking", true)] {
        for node in &cluster.nodes {
            redis::let_in(node, more).await;
        }
        let store = RedisStore::connect_cluster(&urls).await;
        assert_eq!(store.is_ok(), is_enough, "{store:?}");
        if let Ok(store) = store {
            let found = store.load(SessionId::from_bytes([1; 16]), Timestamp::from_millis(0)).await;
            assert!(found.unwrap().is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_is_killed_while_clients_write() {
    let Some(mut cluster) = Cluster::start() else { return };
    let store = Stopwatch::new(RedisStore::connect_cluster(cluster.urls()).await.unwrap());
    let manager = SessionManager::new(store.clone());
    let report = write_during(&manager, async || {
        cluster.master().kill();
        tokio::time::sleep(Duration::from_secs(5)).await;
    })
    .await;
    println!("{report:?}, longest call {:?}", store.longest());
    assert!(report.acknowledged > 100 && report.failures > 0, "{report:?}");
    assert!(report.outage < Duration::from_secs(6), "{report:?}");
    assert!(store.longest() < Duration::from_secs(2), "{:?}", store.longest());

    // And now all of them: nobody waits for what does not come.
    for node in &mut cluster.nodes {
        node.kill();
    }
    conformance::check_unreachable(store, Duration::from_secs(2)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_cannot_fail_over_says_so_in_time() {
    let Some(mut cluster) = Cluster::start() else { return };
    let store = RedisStore::connect_cluster(cluster.urls()).await.unwrap();
    let (replicas, masters): (Vec<_>, Vec<_>) = cluster.nodes.iter_mut().partition(|node| redis::is_replica(node));
    for node in replicas.into_iter().chain(masters.into_iter().take(2)) {
        node.kill();
    }
    for round in 0..40_u8 {
        let started = Instant::now();
        let loaded = store.load(SessionId::from_bytes([round; 16]), Timestamp::from_millis(0)).await;
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        if let Err(error) = loaded {
            assert!(matches!(error.kind(), StoreErrorKind::Unavailable | StoreErrorKind::TimedOut), "{error:?}");
        }
    }
}
