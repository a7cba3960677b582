//! One session, however many requests come and however many answers get lost.

use axum::routing::get;
use cloakroom::store::{Inheritance, Predecessor, StoreError, TowerSessionsPredecessor};
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer, SessionStore as _};
use tower_sessions::MemoryStore as OldStore;

use super::{N, before, is_in, new_app, old_cookie, routes, visitor, without_id};
use crate::support::gate::Gate;

#[tokio::test]
async fn a_lost_answer_loses_nothing() {
    let (old, store) = (OldStore::default(), MemoryStore::new());
    let app = new_app(store.clone(), before(&old));
    let mut browser = visitor(&old).await;
    let first = browser.clone().send(&app, "/count").await;
    let second = browser.clone().send(&app, "/count").await;
    assert_eq!(first.token(), second.token(), "the same session, and the same secret");
    assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 2");
    assert_eq!(browser.names(), [N]);
    assert_eq!(browser.get(&app, "/devices").await.body, "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn requests_at_the_same_time_become_one_session_and_lose_no_update() {
    for _ in 0..20 {
        let (old, store) = (OldStore::default(), MemoryStore::new());
        let app = new_app(store.clone(), before(&old));
        let mut browser = visitor(&old).await;
        let requests = (0..16).map(|_| {
            let (browser, app) = (browser.clone(), app.clone());
            tokio::spawn(async move { browser.send(&app, "/count").await.token().unwrap().to_owned() })
        });
        let tokens: Vec<_> = futures_util::future::join_all(requests).await.into_iter().map(Result::unwrap).collect();
        assert!(tokens.iter().all(|token| *token == tokens[0]));
        assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 16");
        assert_eq!(browser.get(&app, "/devices").await.body, "1");
        assert_eq!(store.len(), 2, "the session and its deed");
    }
}

#[tokio::test]
async fn after_a_logout_the_old_cookie_leads_nowhere() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = visitor(&old).await;
    let stolen = browser.clone();
    browser.get(&app, "/").await;
    browser.get(&app, "/logout").await;
    assert_eq!(browser.names(), [""; 0]);
    assert_eq!(stolen.send(&app, "/").await.body, "nobody  0 ");
}

#[tokio::test]
async fn a_logout_by_the_old_cookie_is_one() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = visitor(&old).await;
    let again = browser.clone();
    browser.get(&app, "/logout").await;
    assert_eq!(browser.names(), [""; 0]);
    assert!(!is_in(&old, &again).await);
    assert_eq!(again.send(&app, "/").await.body, "nobody  0 ");
}

/// As with any secret that a login has replaced.
#[tokio::test]
async fn after_a_new_secret_the_old_cookie_leads_nowhere() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = visitor(&old).await;
    let stolen = browser.clone();
    browser.get(&app, "/").await;
    browser.get(&app, "/regenerate").await;
    let answer = stolen.send(&app, "/count").await;
    assert_eq!(answer.token(), None, "what a latecomer writes begins no session of its own");
    assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 0");
}

/// Nothing in the store leads to the secret: neither the old cookie nor the token is in it.
#[tokio::test]
async fn who_reads_the_store_is_not_let_in() {
    let (old, store) = (OldStore::default(), MemoryStore::new());
    let browser = visitor(&old).await;
    let answer = browser.clone().send(&new_app(store.clone(), before(&old)), "/").await;
    let page = store.inventory().unwrap().page(None, 10).await.unwrap();
    assert_eq!(page.records.len(), 2);
    for record in page.records {
        let text = String::from_utf8(record.payload.to_bytes().unwrap().to_vec()).unwrap();
        assert!(!text.contains(&browser.0[0].1), "{text}");
        assert!(!text.contains(&answer.token().unwrap()[22..]), "{text}");
    }
}

/// Waits at the gate once it has seen the old session.
#[derive(Debug)]
struct Slow(TowerSessionsPredecessor<OldStore>, Gate);

#[async_trait::async_trait]
impl Predecessor for Slow {
    fn session(&self, cookie: &str) -> Option<String> {
        self.0.session(cookie)
    }

    async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError> {
        let found = self.0.load(session).await;
        self.1.pass().await;
        found
    }

    async fn delete(&self, session: &str) -> Result<(), StoreError> {
        self.0.delete(session).await
    }
}

/// It has seen the old session; then another request takes it over, and logs out. What it stores late must not be a session.
#[tokio::test]
async fn a_slow_request_does_not_bring_a_session_back() {
    let (old, store, gate) = (OldStore::default(), MemoryStore::new(), Gate::default());
    let app = new_app(store.clone(), before(&old));
    let slow_app = new_app(store.clone(), Slow(before(&old), gate.clone()));
    let mut browser = visitor(&old).await;
    let slow = tokio::spawn({
        let browser = browser.clone();
        async move { browser.send(&slow_app, "/count").await }
    });
    gate.arrived(1).await;
    browser.get(&app, "/").await;
    browser.get(&app, "/logout").await;
    gate.open(1);
    let answer = slow.await.unwrap();
    let page = store.inventory().unwrap().page(None, 10).await.unwrap();
    assert!(page.records.iter().all(|record| record.user.is_none()), "nobody is logged in");
    // It began a session of its own, as any visitor would.
    let mut late = super::Browser(vec![(N.into(), answer.token().unwrap().to_owned())]);
    assert_eq!(without_id(&late.get(&app, "/").await), "nobody  1");
}

/// Two requests show the old cookie. One answers, its browser logs in, and then the other one answers.
#[tokio::test]
async fn a_late_answer_does_not_tell_the_secret_that_a_login_has_replaced() {
    let (old, gate) = (OldStore::default(), Gate::default());
    let slow = {
        let gate = gate.clone();
        move |session: Session| async move {
            session.get::<u64>("n")?;
            gate.pass().await;
            Ok::<_, SessionError>(())
        }
    };
    let layer = SessionLayer::new(MemoryStore::new()).predecessor(old_cookie(), before(&old)).unwrap();
    let app = routes().route("/slow", get(slow)).layer(layer);
    let mut browser = visitor(&old).await;
    let late = tokio::spawn({
        let (browser, app) = (browser.clone(), app.clone());
        async move { browser.send(&app, "/slow").await }
    });
    gate.arrived(1).await;
    browser.get(&app, "/").await;
    browser.get(&app, "/regenerate").await;
    gate.open(1);
    assert_eq!(late.await.unwrap().token(), None);
    assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 0");
}
