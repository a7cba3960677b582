//! A reload may have an unfinished commit to bring to its end first, and is dropped as easily as anything else.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use cloakroom::testing::{Fault, FaultStore, Operation, TestClock};
use cloakroom::{MemoryStore, Session, SessionManager, SessionStatus, TokenChange};

use super::LONG;
use crate::support::manager;
use crate::support::routes::add;

/// A session at n = 1, and a handle on it whose save has failed, so that nobody knows whether n is 2.
async fn unsure(change: fn(&Session)) -> (FaultStore<MemoryStore>, SessionManager, Session) {
    let store = FaultStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let session = manager.create();
    add(&session).unwrap();
    session.save().await.unwrap();
    change(&session);
    store.always(Operation::Save, Fault::Down);
    session.save().await.unwrap_err();
    store.heal();
    (store, manager, session)
}

/// What another request finds.
async fn stored(manager: &SessionManager, session: &Session) -> Option<u64> {
    let TokenChange::Issue(issued) = manager.token_change(session) else { panic!("no token") };
    manager.open(issued.token.expose().as_bytes()).await.unwrap().get("n").unwrap()
}

/// The reload had taken the commit out, and took it along when it was dropped.
#[tokio::test]
async fn rel_11_a_commit_that_a_reload_was_finishing_is_finished_wherever_the_reload_is_dropped() {
    let mut dropped = 0;
    for polls in 0.. {
        let (store, manager, session) = unsure(|session| drop(add(session).unwrap())).await;
        store.everything(Fault::Yield(3));
        let mut reload = Box::pin(session.reload());
        let mut ended = false;
        for _ in 0..polls {
            ended = poll_fn(|context| Poll::Ready(reload.as_mut().poll(context))).await.is_ready();
            if ended {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(reload);
        assert_eq!(manager.drain(LONG).await, 0);
        manager.commit(&session).await.unwrap();
        assert_eq!(stored(&manager, &session).await, Some(2), "after {polls} polls");
        if ended {
            break;
        }
        dropped += 1;
    }
    assert!(dropped > 8, "{dropped}");
}

#[tokio::test]
async fn a_reload_that_nobody_polls_any_more_does_not_hold_up_the_commit() {
    let (store, manager, session) = unsure(|session| drop(add(session).unwrap())).await;
    store.once(Operation::Load, Fault::Yield(2));
    add(&session).unwrap();
    let mut given_up = Box::pin(session.reload());
    assert!(poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context))).await.is_pending());
    tokio::time::timeout(Duration::from_secs(1), manager.commit(&session))
        .await
        .expect("no wait for a future that stands still")
        .unwrap();
    assert_eq!(stored(&manager, &session).await, Some(3));
}

/// The reload looked with the secret from before the commit that it had just finished, and took its own session for ended.
#[tokio::test]
async fn a_reload_that_finishes_a_commit_with_a_new_secret_goes_on_with_it() {
    let (_, _, session) = unsure(|session| session.regenerate().unwrap()).await;
    session.reload().await.unwrap();
    assert_eq!(session.get("n").unwrap(), Some(1));
    assert_ne!(session.status(), SessionStatus::Destroyed);
}
