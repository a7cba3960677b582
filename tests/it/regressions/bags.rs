//! Mistakes of bags and of other things that write late.

use std::time::Duration;

use std::collections::BTreeMap;

use axum::Router;
use axum::routing::get;
use cloakroom::testing::TestClock;
use cloakroom::{
    Bag, BagContent, Clock as _, Conflicts, ErrorKind, MemoryStore, Session, SessionError, SessionPolicy,
    SessionStore as _,
};
use serde::{Deserialize, Serialize};

use super::{fresh, new_token, open};
use crate::support::{layer, manager, send_token};

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Cart {
    items: BTreeMap<String, u32>,
    coupon: Option<String>,
}

impl BagContent for Cart {
    const NAME: &'static str = "cart";
}

impl Cart {
    /// Leaves a change that cannot be written.
    pub(super) fn overflow(session: &Session) {
        let mut cart = Bag::<Self>::of(session).unwrap();
        cart.coupon = Some("x".repeat(2 << 20));
    }
}

/// One tab paid, which takes the cart away, while another one entered a coupon. The coupon's bag found no cart to change and
/// wrote its whole copy: what was paid for was in the cart again. Within one request a bag that was dropped after
/// somebody had taken the cart away did the same.
#[tokio::test]
async fn a_bag_that_was_taken_away_meanwhile_does_not_come_back_by_the_change_of_one_field() {
    let manager = fresh();
    let token = new_token(&manager).await;
    for (elsewhere, code) in [(true, "TEA"), (false, "CAKE")] {
        let filled = open(&manager, &token).await;
        Bag::<Cart>::of(&filled).unwrap().items.insert("teapot".into(), 1);
        manager.commit(&filled).await.unwrap();

        let (coupon, other) = (open(&manager, &token).await, open(&manager, &token).await);
        let mut cart = Bag::<Cart>::of(&coupon).unwrap();
        cart.coupon = Some(code.into());
        let payment = if elsewhere { &other } else { &coupon };
        if elsewhere {
            cart.flush().unwrap();
        }
        payment.remove("cart").unwrap();
        drop(cart);
        for session in [&other, &coupon] {
            manager.commit(session).await.unwrap();
        }
        let cart = Bag::<Cart>::of(&open(&manager, &token).await).unwrap();
        assert_eq!((cart.items.len(), cart.coupon.as_deref()), (0, Some(code)));
    }
}

/// A bag could not be written, and then the visitor logged out. The logout counted, but its answer was replaced by an error
/// about data that were gone with the session.
#[tokio::test]
async fn a_bag_that_does_not_fit_does_not_replace_the_answer_of_a_logout() {
    async fn log_out(session: Session) -> Result<&'static str, SessionError> {
        Cart::overflow(&session);
        session.logout()?;
        Ok("goodbye")
    }
    let layer = layer(MemoryStore::new(), &TestClock::default());
    let token = new_token(layer.manager()).await;
    let answer = send_token(&Router::new().route("/", get(log_out)).layer(layer), "/", &token).await;
    assert_eq!((answer.body.as_str(), answer.removes_cookie()), ("goodbye", true));
}

/// `Conflicts::Refuse` noted the fields that a bag had in the store. One that both of two requests added was overwritten
/// without a word.
#[tokio::test]
async fn refuse_sees_a_field_that_two_requests_add() {
    let strict = SessionPolicy::default().conflicts(Conflicts::Refuse);
    let manager = fresh().policy(strict).unwrap();
    let token = new_token(&manager).await;
    let (one, two) = (open(&manager, &token).await, open(&manager, &token).await);
    for (session, code) in [(&one, "TEA"), (&two, "CAKE")] {
        Bag::<Cart>::of(session).unwrap().coupon = Some(code.into());
    }
    manager.commit(&one).await.unwrap();
    assert_eq!(manager.commit(&two).await.unwrap_err().kind(), ErrorKind::Conflict);
}

/// Passwords were left out of a form's input if they were fields of the form itself. Nested forms left them in the store.
#[tokio::test]
async fn what_a_form_keeps_has_no_password_at_any_depth() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let session = manager(store.clone(), &clock).create();
    let person = serde_json::json!({"name": "ada", "Password": "hunter2"});
    session.flash_input(&serde_json::json!({"account": person, "people": [[person], 1]})).unwrap();
    session.save().await.unwrap();
    let record = store.load(session.id().unwrap(), clock.now().into()).await.unwrap().unwrap();
    let stored = String::from_utf8(record.payload.to_bytes().unwrap().to_vec()).unwrap();
    assert!(stored.contains(r#"{"account":{"name":"ada"},"people":[[{"name":"ada"}],1]}"#), "{stored}");
}

/// A function of an update held a bag that had changed. The session forgot the update under its lock, the bag was dropped
/// with it, wanted to write to the session, and waited for that lock for ever.
#[test]
fn what_an_update_holds_may_use_the_session_when_it_is_dropped() {
    let done = std::thread::spawn(|| {
        let session = fresh().create();
        let mut cart = Bag::<Cart>::of(&session).unwrap();
        cart.coupon = Some("TEA".into());
        session.update("n", move |n: Option<usize>| n.unwrap_or(0) + cart.items.len()).unwrap();
        session.destroy().unwrap();
    });
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while !done.is_finished() {
        assert!(std::time::Instant::now() < deadline, "the session waits for itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    done.join().unwrap();
}
