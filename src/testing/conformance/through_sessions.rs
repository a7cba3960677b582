//! The contract as sessions need it: what this crate promises, on this store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Settings;
use super::cases::NOW;
use crate::error::ErrorKind;
use crate::manager::SessionManager;
use crate::policy::Limits;
use crate::record::{Payload, Record};
use crate::session::{Bag, BagContent, DetachedSession, Session};
use crate::state::{SessionStatus, TokenChange};
use crate::store::{SaveOutcome, SessionStore};
use crate::testing::TestClock;
use crate::token::Token;

type Store = Arc<dyn SessionStore>;

fn manager(store: &Store) -> SessionManager {
    let patient = Limits::default().operation_timeout(Duration::from_mins(1)).commit_timeout(Duration::from_mins(5));
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
            let session = open(&manager, &token).await;
            session.update("count", |count: Option<usize>| count.unwrap_or(0) + 1).unwrap();
            manager.commit(&session).await.unwrap();
        });
    }
    savers.join_all().await;
    let session = open(&manager, &token).await;
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
    let slow = open(&manager, &token).await;
    slow.insert("late", true).unwrap();
    let logout = open(&manager, &token).await;
    logout.destroy().unwrap();
    assert!(matches!(manager.commit(&logout).await.unwrap(), TokenChange::Remove));
    assert!(matches!(manager.commit(&slow).await.unwrap(), TokenChange::Keep));
    let after = open(&manager, &token).await;
    assert_eq!(after.status(), SessionStatus::New);
    assert!(store.load(token.id(), NOW).await.unwrap().is_none());
}

/// A session, a connection that waits for its end, and another process. Each process has a manager of its own.
async fn detached(store: &Store) -> (Token, DetachedSession, JoinHandle<()>, SessionManager) {
    let here = manager(store);
    let token = new_session(&here).await;
    let session = open(&here, &token).await.detach().await.unwrap().check_every(Duration::from_millis(10));
    let waiting = session.clone();
    let ended = tokio::spawn(async move { waiting.ended().await });
    // Not before the first look.
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!ended.is_finished(), "a session that is alive has not ended");
    (token, session, ended, manager(store))
}

/// It has ended, and nothing that it still does reaches the store.
async fn is_over(session: &DetachedSession, ended: JoinHandle<()>) {
    tokio::time::timeout(Duration::from_mins(1), ended).await.expect("the end is noticed").unwrap();
    assert_eq!(session.insert("late", true).unwrap_err().kind(), ErrorKind::Ended);
    assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Ended);
}

pub(super) async fn a_detached_session_ends_with_a_logout_elsewhere(store: Store, _: Settings) {
    let (token, session, ended, there) = detached(&store).await;
    let unaware = open(&manager(&store), &token).await.detach().await.unwrap();
    let logout = open(&there, &token).await;
    logout.destroy().unwrap();
    there.commit(&logout).await.unwrap();
    unaware.insert("late", true).unwrap();
    assert_eq!(unaware.save().await.unwrap_err().kind(), ErrorKind::Ended);
    is_over(&session, ended).await;
    assert!(store.load(token.id(), NOW).await.unwrap().is_none());
}

pub(super) async fn a_detached_session_ends_with_a_login_elsewhere(store: Store, _: Settings) {
    let (token, session, ended, there) = detached(&store).await;
    let login = open(&there, &token).await;
    login.regenerate().unwrap();
    let TokenChange::Issue(issued) = there.commit(&login).await.unwrap() else { panic!("no token") };
    is_over(&session, ended).await;
    assert!(!open(&there, &issued.token).await.contains("late").unwrap());
}

pub(super) async fn a_detached_session_expires(store: Store, _: Settings) {
    let clock = TestClock::at(SystemTime::from(NOW));
    let manager = manager(&store).clock(clock.clone());
    let token = new_session(&manager).await;
    let session = open(&manager, &token).await.detach().await.unwrap().check_every(Duration::from_millis(10));
    clock.advance(session.idle_remaining().expect("it is stored"));
    let waiting = session.clone();
    is_over(&session, tokio::spawn(async move { waiting.ended().await })).await;
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
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
    let session = open(&manager, &mine).await;
    assert_eq!(session.status(), SessionStatus::New);
    assert!(open(&manager, &yours).await.status() == SessionStatus::Resumed);
}

pub(super) async fn a_scrambled_record_is_not_served_and_stays(store: Store, _: Settings) {
    let manager = manager(&store);
    let token = new_session(&manager).await;
    let record = stored(&store, &token).await;
    let scrambled = Record { payload: Payload::from_bytes(b"\0scrambled".as_slice()), version: 2, ..record };
    assert_eq!(store.save(&scrambled, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let session = open(&manager, &token).await;
    assert_eq!(session.status(), SessionStatus::New);
    session.insert("count", 7).unwrap();
    manager.commit(&session).await.unwrap();
    let kept = stored(&store, &token).await;
    assert_eq!(kept.payload.to_bytes().unwrap().as_ref(), b"\0scrambled");
}
