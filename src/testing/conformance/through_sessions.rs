//! The contract as sessions need it: what this crate promises, on this store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Settings;
use super::cases::NOW;
use crate::manager::SessionManager;
use crate::policy::Limits;
use crate::record::{Payload, Record};
use crate::session::{Bag, BagContent, Session};
use crate::state::{SessionStatus, TokenChange};
use crate::store::{SaveOutcome, SessionStore};
use crate::testing::TestClock;
use crate::token::Token;

type Store = Arc<dyn SessionStore>;

fn manager(store: &Store) -> SessionManager {
    let patient = Limits::default()
        .operation_timeout(std::time::Duration::from_mins(1))
        .commit_timeout(std::time::Duration::from_mins(5));
    let clock = TestClock::at(SystemTime::from(NOW));
    SessionManager::new(store.clone()).clock(clock).limits(patient).expect("valid limits")
}

async fn new_session(manager: &SessionManager) -> Token {
    let session = manager.create();
    session.insert("count", 0).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token
}

pub(super) async fn concurrent_counts_add_up(store: Store, settings: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let mut savers = tokio::task::JoinSet::new();
    for _ in 0..settings.concurrent_savers {
        let (manager, token) = (manager.clone(), token.clone());
        savers.spawn(async move {
            let session = manager.open(token.expose().as_bytes()).await.unwrap();
            session.update("count", |count: Option<usize>| count.unwrap_or(0) + 1).unwrap();
            manager.commit(&session).await.unwrap();
        });
    }
    savers.join_all().await;
    let session = manager.open(token.expose().as_bytes()).await.unwrap();
    assert_eq!(session.get("count").unwrap(), Some(settings.concurrent_savers));
}

/// A bag whose fields are the members of one object.
#[derive(Default)]
struct Cart(BTreeMap<String, u32>);

impl BagContent for Cart {
    const NAME: &'static str = "shop.cart";
}

impl Serialize for Cart {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Cart {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self)
    }
}

pub(super) async fn two_fields_of_one_bag_both_survive(store: Store, _: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let open = async || manager.open(token.expose().as_bytes()).await.unwrap();
    let (first, second) = (open().await, open().await);
    let mut carts = (Bag::<Cart>::of(&first).unwrap(), Bag::<Cart>::of(&second).unwrap());
    carts.0.0.insert("teapot".into(), 1);
    carts.1.0.insert("kettle".into(), 2);
    drop(carts);
    manager.commit(&first).await.unwrap();
    manager.commit(&second).await.unwrap();
    let cart = Bag::<Cart>::of(&open().await).unwrap();
    assert_eq!(cart.0, BTreeMap::from([("teapot".into(), 1), ("kettle".into(), 2)]));
}

pub(super) async fn a_flash_value_is_shown_once(store: Store, _: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let request = async |act: fn(&Session) -> Option<String>| {
        let session = manager.open(token.expose().as_bytes()).await.unwrap();
        let shown = act(&session);
        manager.commit(&session).await.unwrap();
        shown
    };
    request(|session| session.flash("success", "saved").map(|()| None).unwrap()).await;
    // A script that polls.
    request(|session| session.increment("polls", 1).map(|_| None).unwrap()).await;
    assert_eq!(request(|session| session.get("success").unwrap()).await.as_deref(), Some("saved"));
    assert_eq!(request(|session| session.get("success").unwrap()).await, None);
}

pub(super) async fn a_slow_request_does_not_bring_a_session_back(store: Store, _: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let slow = manager.open(token.expose().as_bytes()).await.unwrap();
    slow.insert("late", true).unwrap();
    let logout = manager.open(token.expose().as_bytes()).await.unwrap();
    logout.destroy().unwrap();
    assert!(matches!(manager.commit(&logout).await.unwrap(), TokenChange::Remove));
    assert!(matches!(manager.commit(&slow).await.unwrap(), TokenChange::Keep));
    let after = manager.open(token.expose().as_bytes()).await.unwrap();
    assert_eq!(after.status(), SessionStatus::New);
    assert!(store.load(token.id(), NOW).await.unwrap().is_none());
}

async fn stored(store: &Store, token: &Token) -> Record {
    store.load(token.id(), NOW).await.unwrap().expect("the record is there")
}

pub(super) async fn a_swapped_record_is_not_served(store: Store, _: Settings) {
    let manager = manager(&store);
    let (mine, yours) = (new_session(&manager).await, new_session(&manager).await);
    let record = stored(&store, &mine).await;
    let swapped = Record { payload: stored(&store, &yours).await.payload, version: 2, ..record };
    assert_eq!(store.save(&swapped, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let session = manager.open(mine.expose().as_bytes()).await.unwrap();
    assert_eq!(session.status(), SessionStatus::New);
    assert!(manager.open(yours.expose().as_bytes()).await.unwrap().status() == SessionStatus::Resumed);
}

pub(super) async fn a_scrambled_record_is_not_served_and_stays(store: Store, _: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let record = stored(&store, &token).await;
    let scrambled = Record { payload: Payload::from_bytes(b"\0scrambled".as_slice()), version: 2, ..record };
    assert_eq!(store.save(&scrambled, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let session = manager.open(token.expose().as_bytes()).await.unwrap();
    assert_eq!(session.status(), SessionStatus::New);
    session.insert("count", 7).unwrap();
    manager.commit(&session).await.unwrap();
    let kept = stored(&store, &token).await;
    assert_eq!(kept.payload.to_bytes().unwrap().as_ref(), b"\0scrambled");
}
