//! What can be done with a session's data and life, without HTTP.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cloakroom::testing::TestClock;
use cloakroom::{
    ErrorKind, IssuedToken, Limits, MemoryStore, Session, SessionError, SessionManager, SessionPolicy, SessionStatus,
    SessionStore as _, TokenChange,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::manager;

fn fresh() -> SessionManager {
    manager(MemoryStore::new(), &TestClock::default())
}

/// Commits a session that has to get a token by it.
async fn issue(manager: &SessionManager, session: &Session) -> IssuedToken {
    match manager.commit(session).await.unwrap() {
        TokenChange::Issue(issued) => issued,
        other => panic!("{other:?}"),
    }
}

async fn reopen(manager: &SessionManager, issued: &IssuedToken) -> Session {
    manager.open(issued.token.expose().as_bytes()).await.unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T, SessionError>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cart {
    items: Vec<String>,
    total: u64,
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    let manager = fresh();
    let session = manager.create();
    let cart = Cart { items: vec!["tea \"Earl\"\n\u{1f375}".into()], total: u64::MAX };
    session.insert("cart", &cart).unwrap();
    session.insert("account.current_user_id", 7).unwrap();
    session.insert(["hosts", "example.org"], 1.5).unwrap();
    session.insert("nothing", None::<u8>).unwrap();

    let again = reopen(&manager, &issue(&manager, &session).await).await;
    for session in [&session, &again] {
        assert_eq!(session.get::<Cart>("cart").unwrap(), Some(cart.clone()));
        assert_eq!(session.get::<u64>("cart.total").unwrap(), Some(u64::MAX));
        assert_eq!(session.get::<i32>("account.current_user_id").unwrap(), Some(7));
        assert_eq!(session.get::<f64>(["hosts", "example.org"]).unwrap(), Some(1.5));
        assert_eq!(session.get::<f64>("hosts.example.org").unwrap(), None);
        assert!(session.contains("nothing").unwrap());
        assert_eq!(session.get::<Option<u8>>("nothing").unwrap(), Some(None));
        assert!(!session.contains("never").unwrap());
        assert_eq!(session.keys(), ["cart", "account", "hosts", "nothing"]);
        assert_eq!(session.all().unwrap()["account"], json!({"current_user_id": 7}));
    }
}

#[tokio::test]
async fn remove_take_and_clear() {
    let manager = fresh();
    let session = manager.create();
    session.insert("a.b", 1).unwrap();
    session.insert("c", 2).unwrap();
    let issued = issue(&manager, &session).await;

    let session = reopen(&manager, &issued).await;
    assert!(session.remove("a.b").unwrap());
    assert!(!session.remove("a.b").unwrap());
    assert!(!session.remove("x.y").unwrap());
    assert_eq!(session.take::<u8>("c").unwrap(), Some(2));
    assert_eq!(session.take::<u8>("c").unwrap(), None);
    manager.commit(&session).await.unwrap();

    let session = reopen(&manager, &issued).await;
    assert_eq!(session.all().unwrap(), BTreeMap::from([("a".to_owned(), json!({}))]));
    session.clear().unwrap();
    assert!(session.keys().is_empty());
    manager.commit(&session).await.unwrap();

    let session = reopen(&manager, &issued).await;
    assert_eq!(session.status(), SessionStatus::Resumed, "an empty session is a session");
    assert!(session.all().unwrap().is_empty());
}

#[tokio::test]
async fn bad_input_is_a_clear_error_and_nothing_is_lost() {
    let limits = Limits::default().data_bytes(200).depth(4);
    let manager = fresh().limits(limits).unwrap();
    let session = manager.create();
    session.insert("n", 1).unwrap();
    session.insert("text", "seven").unwrap();
    let before = session.all().unwrap();

    assert_eq!(kind(session.insert("n.x", 1)), ErrorKind::NotAnObject);
    assert_eq!(kind(session.get::<u8>("n.x.y")), ErrorKind::NotAnObject);
    assert_eq!(kind(session.contains("n.x")), ErrorKind::NotAnObject);
    assert_eq!(kind(session.remove("n.x")), ErrorKind::NotAnObject);
    assert_eq!(kind(session.update("n.x", |old: Option<u8>| old.unwrap_or(0))), ErrorKind::NotAnObject);
    assert_eq!(kind(session.insert("big", "x".repeat(200))), ErrorKind::TooLarge);
    assert_eq!(kind(session.insert("deep", json!([[[[1]]]]))), ErrorKind::TooDeep);
    assert_eq!(kind(session.insert("a.b.c.d.e", 1)), ErrorKind::TooDeep);
    assert_eq!(kind(session.insert("map", HashMap::from([(vec![1], 1)]))), ErrorKind::Encode);
    assert_eq!(kind(session.update("big", |_: Option<String>| "x".repeat(200))), ErrorKind::TooLarge);
    assert_eq!(kind(session.get::<u8>("text")), ErrorKind::Decode);
    assert_eq!(kind(session.take::<u8>("text")), ErrorKind::Decode);
    assert_eq!(kind(session.update("text", |old: Option<u8>| old.unwrap_or(0))), ErrorKind::Decode);
    for path in ["", ".", "a.", ".a", "a..b"] {
        assert_eq!(kind(session.insert(path, 1)), ErrorKind::InvalidPath, "{path:?}");
        assert_eq!(kind(session.get::<u8>(path)), ErrorKind::InvalidPath, "{path:?}");
    }

    assert_eq!(session.all().unwrap(), before);
    let again = reopen(&manager, &issue(&manager, &session).await).await;
    assert_eq!(again.all().unwrap(), before);
}

#[tokio::test]
async fn an_error_names_the_type_and_not_the_value() {
    let session = fresh().create();
    session.insert("password", "hunter2").unwrap();
    let error = session.get::<u8>("password").unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.contains("u8") && !printed.contains("hunter2"), "{printed}");
}

#[tokio::test]
async fn an_update_may_use_the_session_itself() {
    let session = fresh().create();
    session.insert("factor", 3).unwrap();
    let inside = session.clone();
    let result = session
        .update("n", move |n: Option<u64>| n.unwrap_or(1) * inside.get::<u64>("factor").ok().flatten().unwrap_or(1));
    assert_eq!(result.unwrap(), 3);
    assert_eq!(session.get::<u64>("n").unwrap(), Some(3));
}

#[tokio::test]
async fn nothing_written_is_nothing_stored() {
    let store = MemoryStore::new();
    let manager = manager(store.clone(), &TestClock::default());
    for write in [
        |_: &Session| Ok(()),
        |session: &Session| session.get::<u8>("a").map(drop),
        |session: &Session| session.clear(),
        |session: &Session| session.remove("a").map(drop),
        |session: &Session| session.insert("a", 1).and_then(|()| session.remove("a")).map(drop),
        |session: &Session| session.regenerate(),
        |session: &Session| session.remember(Duration::from_secs(60)),
        |session: &Session| session.destroy(),
    ] {
        let session = manager.create();
        write(&session).unwrap();
        assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Keep));
        assert!(store.is_empty());
        assert_eq!(session.id(), None);
    }
}

#[tokio::test]
async fn regenerate_keeps_everything_but_the_secret() {
    let manager = fresh();
    let session = manager.create();
    session.insert("cart", 1).unwrap();
    let old = issue(&manager, &session).await;

    let session = reopen(&manager, &old).await;
    let (id, created) = (session.id(), session.created_at());
    session.regenerate().unwrap();
    session.insert("user", "ada").unwrap();
    let new = issue(&manager, &session).await;
    assert_eq!(new.token.id(), old.token.id());
    assert_ne!(new.token.expose(), old.token.expose());

    let session = reopen(&manager, &new).await;
    assert_eq!((session.id(), session.created_at()), (id, created));
    assert_eq!(session.get::<u8>("cart").unwrap(), Some(1));
    let stranger = reopen(&manager, &old).await;
    assert_eq!(stranger.status(), SessionStatus::New);
    assert!(stranger.all().unwrap().is_empty());
}

#[tokio::test]
async fn destroy_is_final() {
    let store = MemoryStore::new();
    let manager = manager(store.clone(), &TestClock::default());
    let session = manager.create();
    session.insert("user", "ada").unwrap();
    let issued = issue(&manager, &session).await;

    let session = reopen(&manager, &issued).await;
    session.destroy().unwrap();
    assert_eq!(session.status(), SessionStatus::Destroyed);
    assert_eq!((session.id(), session.keys().len()), (None, 0));
    assert_eq!(session.get::<String>("user").unwrap(), None);
    assert_eq!(kind(session.insert("a", 1)), ErrorKind::Destroyed);
    assert_eq!(kind(session.regenerate()), ErrorKind::Destroyed);
    assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Remove));
    assert!(store.is_empty());
    assert_eq!(session.status(), SessionStatus::Destroyed);
    assert_eq!(reopen(&manager, &issued).await.status(), SessionStatus::New);
}

#[tokio::test]
async fn a_token_that_opens_nothing_never_becomes_a_session() {
    let store = MemoryStore::new();
    let manager = manager(store.clone(), &TestClock::default());
    let forged = "A".repeat(64);
    for token in [forged.as_bytes(), b"", b"short", &[0xff; 64], "B".repeat(65).as_bytes()] {
        let session = manager.open(token).await.unwrap();
        assert_eq!(session.status(), SessionStatus::New);
        session.insert("a", 1).unwrap();
        let issued = issue(&manager, &session).await;
        assert_ne!(issued.token.expose().as_bytes(), token);
        assert!(store.load("00000000-0000-0000-0000-000000000000".parse().unwrap(), now()).await.unwrap().is_none());
    }
    // Nothing to say to a client whose token is unknown but that it should forget it.
    let session = manager.open(forged.as_bytes()).await.unwrap();
    assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Remove));
}

fn now() -> cloakroom::store::Timestamp {
    TestClock::default().timestamp()
}

#[tokio::test]
async fn save_stores_at_once_and_the_session_goes_on() {
    let manager = fresh();
    let session = manager.create();
    session.insert("step", 1).unwrap();
    session.save().await.unwrap();
    let id = session.id().expect("a stored session has an id");
    session.insert("step", 2).unwrap();
    session.save().await.unwrap();
    session.save().await.unwrap();
    session.insert("step", 3).unwrap();
    let issued = issue(&manager, &session).await;
    assert_eq!(issued.token.id(), id);
    assert_eq!(reopen(&manager, &issued).await.get::<u8>("step").unwrap(), Some(3));
    assert_eq!(session.status(), SessionStatus::New);
}

#[tokio::test]
async fn save_says_when_the_session_has_ended() {
    let manager = fresh();
    let session = manager.create();
    session.insert("a", 1).unwrap();
    let issued = issue(&manager, &session).await;

    let (ours, theirs) = (reopen(&manager, &issued).await, reopen(&manager, &issued).await);
    theirs.destroy().unwrap();
    manager.commit(&theirs).await.unwrap();
    ours.insert("a", 2).unwrap();
    assert_eq!(kind(ours.save().await), ErrorKind::Ended);
    assert!(ours.keys().is_empty());
    assert!(matches!(manager.commit(&ours).await.unwrap(), TokenChange::Keep));
    assert_eq!(reopen(&manager, &issued).await.status(), SessionStatus::New);
}

#[tokio::test]
async fn reload_shows_what_others_did_under_what_this_one_did() {
    let manager = fresh();
    let session = manager.create();
    session.insert("a", 1).unwrap();
    let issued = issue(&manager, &session).await;

    let (ours, theirs) = (reopen(&manager, &issued).await, reopen(&manager, &issued).await);
    ours.update("n", |n: Option<u8>| n.unwrap_or(0) + 1).unwrap();
    theirs.insert("a", 2).unwrap();
    theirs.update("n", |n: Option<u8>| n.unwrap_or(0) + 10).unwrap();
    manager.commit(&theirs).await.unwrap();
    assert_eq!(ours.get::<u8>("a").unwrap(), Some(1));
    ours.reload().await.unwrap();
    assert_eq!(ours.get::<u8>("a").unwrap(), Some(2));
    assert_eq!(ours.get::<u8>("n").unwrap(), Some(11));

    let last = reopen(&manager, &issued).await;
    last.destroy().unwrap();
    manager.commit(&last).await.unwrap();
    assert_eq!(kind(ours.reload().await), ErrorKind::Ended);
    assert!(ours.keys().is_empty());
    manager.create().reload().await.unwrap();
}

#[tokio::test]
async fn after_the_commit_it_can_be_read_and_not_written() {
    let manager = fresh();
    let session = manager.create();
    session.insert("a", 1).unwrap();
    let kept = session.clone();
    manager.commit(&session).await.unwrap();
    assert_eq!(kept.get::<u8>("a").unwrap(), Some(1));
    for result in [kept.insert("a", 2), kept.clear(), kept.remember(Duration::from_secs(1)), kept.destroy()] {
        assert_eq!(kind(result), ErrorKind::Committed);
    }
    assert_eq!(kind(kept.remove("a")), ErrorKind::Committed);
    assert_eq!(kind(kept.update("a", |_: Option<u8>| 2)), ErrorKind::Committed);
    assert_eq!(kept.get::<u8>("a").unwrap(), Some(1));
}

#[tokio::test]
async fn debug_shows_neither_data_nor_secrets() {
    let manager = fresh();
    let session = manager.create();
    session.insert("password", "hunter2").unwrap();
    let issued = issue(&manager, &session).await;
    let session = reopen(&manager, &issued).await;
    session.insert("password", "hunter3").unwrap();
    let printed = format!("{session:?} {manager:?} {issued:?} {:?}", manager.store());
    assert!(!printed.contains("hunter") && !printed.contains("password"), "{printed}");
    assert!(!printed.contains(&issued.token.expose()[22..]), "{printed}");
    assert!(printed.contains(&issued.token.id().to_string()));
}

#[tokio::test]
async fn what_can_be_asked_about_its_life() {
    let clock = TestClock::default();
    let policy = SessionPolicy::aal2().idle(Duration::from_mins(10)).absolute(Duration::from_hours(1));
    let manager = manager(MemoryStore::new(), &clock).policy(policy.clone()).unwrap();
    let session = manager.create();
    assert_eq!((session.created_at(), session.expires_at(), session.is_persistent()), (None, None, None));
    assert_eq!(session.policy(), &policy);
    session.insert("a", 1).unwrap();
    let issued = issue(&manager, &session).await;
    assert_eq!(issued.lifetime, None);

    clock.advance(Duration::from_mins(4));
    let session = reopen(&manager, &issued).await;
    assert_eq!(session.idle_remaining(), Some(Duration::from_mins(6)));
    assert_eq!(session.absolute_remaining(), Some(Duration::from_mins(56)));
    let started = session.created_at().unwrap();
    assert_eq!(session.expires_at(), Some(started + Duration::from_mins(10)));
    assert_eq!(session.is_persistent(), Some(false));
}
