//! Stores that fail on the way: nobody is logged out, and nobody is logged in again.

use cloakroom::MemoryStore;
use cloakroom::store::{Inheritance, Predecessor, StoreError, TowerSessionsPredecessor};
use cloakroom::testing::{Fault, FaultStore, Operation};
use http::StatusCode;
use tower_sessions::MemoryStore as OldStore;

use super::{N, before, is_in, new_app, visitor, without_id};

#[tokio::test]
async fn a_store_that_is_down_is_an_error_and_the_next_request_goes_on() {
    for operation in [Operation::Load, Operation::Create] {
        for calls in 0..3 {
            for fault in [Fault::Down, Fault::AnswerLost] {
                let (old, store) = (OldStore::default(), FaultStore::new(MemoryStore::new()));
                let app = new_app(store.clone(), before(&old));
                let mut browser = visitor(&old).await;
                // The first calls of this kind go well.
                (0..calls).for_each(|_| store.once(operation, Fault::Yield(1)));
                store.once(operation, fault);
                let answer = browser.get(&app, "/").await;
                if answer.status != StatusCode::OK {
                    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
                    assert_eq!(browser.names(), ["id"], "{operation:?} {calls} {fault:?}");
                }
                store.heal();
                assert_eq!(
                    without_id(&browser.get(&app, "/").await),
                    "7 milk,bread 0",
                    "{operation:?} {calls} {fault:?}"
                );
                assert_eq!(browser.names(), [N]);
                let devices = browser.get(&app, "/devices").await.body;
                assert_eq!(devices, "1", "{operation:?} {calls} {fault:?}");
            }
        }
    }
}

/// A predecessor whose store does not load, or not delete.
#[derive(Debug)]
struct Broken {
    inner: TowerSessionsPredecessor<OldStore>,
    loads: bool,
}

#[async_trait::async_trait]
impl Predecessor for Broken {
    fn session(&self, cookie: &str) -> Option<String> {
        self.inner.session(cookie)
    }

    async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError> {
        if self.loads { self.inner.load(session).await } else { Err(StoreError::unavailable("no connection")) }
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Err(StoreError::unavailable("no connection"))
    }
}

#[tokio::test]
async fn an_old_store_that_is_down_makes_nobody_anonymous() {
    let old = OldStore::default();
    let mut browser = visitor(&old).await;
    let down = new_app(MemoryStore::new(), Broken { inner: before(&old), loads: false });
    let answer = browser.get(&down, "/").await;
    assert_eq!((answer.status, browser.names()), (StatusCode::SERVICE_UNAVAILABLE, vec!["id"]));
}

#[tokio::test]
async fn a_logout_stays_one_though_the_old_session_could_not_be_deleted() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), Broken { inner: before(&old), loads: true });
    let mut browser = visitor(&old).await;
    let as_it_was = browser.clone();
    browser.get(&app, "/").await;
    assert!(is_in(&old, &as_it_was).await);
    browser.get(&app, "/logout").await;
    for _ in 0..2 {
        assert_eq!(as_it_was.clone().send(&app, "/").await.body, "nobody  0 ");
    }
}

/// Whoever goes away in the middle leaves nothing halfway.
#[tokio::test]
async fn a_request_that_is_cut_short_has_taken_over_the_session_or_not() {
    for steps in 0..12 {
        let (old, store) = (OldStore::default(), FaultStore::new(MemoryStore::new()));
        for operation in [Operation::Load, Operation::Create] {
            store.always(operation, Fault::Yield(1));
        }
        let app = new_app(store.clone(), before(&old));
        let mut browser = visitor(&old).await;
        let request = tokio::spawn({
            let (browser, app) = (browser.clone(), app.clone());
            async move { browser.send(&app, "/").await }
        });
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        request.abort();
        let _ = request.await;
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 0", "after {steps} steps");
        assert_eq!(browser.get(&app, "/devices").await.body, "1", "after {steps} steps");
    }
}
