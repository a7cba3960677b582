//! Counters, lists and typed keys.

use cloakroom::testing::TestClock;
use cloakroom::{ErrorKind, Key, MemoryStore, ReadOnlySession, Session, SessionManager, TokenChange};

use crate::support::manager;

fn fresh() -> SessionManager {
    manager(MemoryStore::new(), &TestClock::default())
}

/// Two requests at once, each given as a function, and what is there afterwards.
async fn at_once(before: impl Fn(&Session), a: impl Fn(&Session), b: impl Fn(&Session)) -> Session {
    let manager = fresh();
    let session = manager.create();
    session.insert("there", true).unwrap();
    before(&session);
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let open = async || manager.open(issued.token.expose().as_bytes()).await.unwrap();
    let (first, second) = (open().await, open().await);
    a(&first);
    b(&second);
    manager.commit(&first).await.unwrap();
    manager.commit(&second).await.unwrap();
    open().await
}

#[tokio::test]
async fn counters_of_two_requests_add_up() {
    let up = |session: &Session| assert_eq!(session.increment("n", 5).unwrap(), 5);
    let down = |session: &Session| assert_eq!(session.decrement("n", 2).unwrap(), -2);
    assert_eq!(at_once(|_| {}, up, down).await.get("n").unwrap(), Some(3));
}

#[tokio::test]
async fn lists_of_two_requests_are_joined_in_the_order_of_their_commits() {
    let push = |text: &'static str| move |session: &Session| session.push("a.list", text).unwrap();
    let session = at_once(push("x"), push("y"), push("z")).await;
    assert_eq!(session.get::<Vec<String>>("a.list").unwrap().unwrap(), ["x", "y", "z"]);
}

#[tokio::test]
async fn what_two_requests_make_is_made_by_the_first() {
    let make = |n: u8| move |session: &Session| assert_eq!(session.get_or_insert_with("n", || n).unwrap(), n);
    assert_eq!(at_once(|_| {}, make(1), make(2)).await.get("n").unwrap(), Some(1));
}

#[tokio::test]
async fn a_counter_that_is_no_number_or_leaves_its_range_is_an_error_and_stays() {
    let session = fresh().create();
    session.insert("text", "7").unwrap();
    assert_eq!(session.increment("text", 1).unwrap_err().kind(), ErrorKind::Decode);
    session.insert("n", i64::MAX).unwrap();
    assert_eq!(session.increment("n", 1).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(session.decrement("n", -1).unwrap_err().kind(), ErrorKind::OutOfRange);
    assert_eq!(session.get("n").unwrap(), Some(i64::MAX));
    session.insert("n", i64::MIN + 1).unwrap();
    assert_eq!(session.decrement("n", 1).unwrap(), i64::MIN);
}

#[tokio::test]
async fn a_list_grows_whatever_is_in_it() {
    let session = fresh().create();
    session.insert("list", [[0_u8; 0]; 0]).unwrap();
    session.push("list", [1, 2]).unwrap();
    session.push("list", "a]b").unwrap();
    session.push("list", ()).unwrap();
    assert_eq!(session.get("list").unwrap(), Some(serde_json::json!([[1, 2], "a]b", null])));
    session.insert("no list", "[1]").unwrap();
    assert_eq!(session.push("no list", 1).unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(session.get::<String>("no list").unwrap().as_deref(), Some("[1]"));
}

#[tokio::test]
async fn what_is_there_is_not_made_again() {
    let session = fresh().create();
    session.insert("n", 1).unwrap();
    assert_eq!(session.get_or_insert_with::<u8>("n", || panic!("it is there")).unwrap(), 1);
    assert_eq!(session.get_or_insert_with::<u8>("there", || 7).unwrap(), 7);
    assert_eq!(session.get_or_insert_with("n", String::new).unwrap_err().kind(), ErrorKind::Decode);
}

const VISITS: Key<u32> = Key::new("stats.visits");

#[tokio::test]
async fn a_typed_key_reads_and_writes_what_its_path_does() {
    let session = fresh().create();
    assert_eq!(VISITS.get(&session).unwrap(), None);
    VISITS.insert(&session, &3).unwrap();
    assert_eq!(VISITS.update(&session, |n| n.unwrap_or(0) + 1).unwrap(), 4);
    assert_eq!(session.get("stats.visits").unwrap(), Some(4));
    assert!(VISITS.contains(&session).unwrap());
    assert_eq!(VISITS.read(&ReadOnlySession::from(session.clone())).unwrap(), Some(4));
    assert_eq!(VISITS.take(&session).unwrap(), Some(4));
    assert_eq!(VISITS.get_or_insert_with(&session, || 9).unwrap(), 9);
    assert!(VISITS.remove(&session).unwrap() && !VISITS.remove(&session).unwrap());
    assert_eq!(VISITS.path(), "stats.visits");
}

/// A small number reads as either type, so only the keys themselves can tell.
#[tokio::test]
async fn two_keys_of_one_name_and_different_types_are_not_mixed_up() {
    const SAME: Key<u32> = Key::new("stats.visits");
    const OTHER: Key<u64> = Key::new("stats.visits");
    let manager = fresh();
    let session = manager.create();
    VISITS.insert(&session, &3).unwrap();
    assert_eq!(SAME.get(&session).unwrap(), Some(3));
    let error = OTHER.insert(&session, &4).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyType);
    assert!(error.to_string().contains("\"stats.visits\"") && error.to_string().contains("u64"));
    assert_eq!(OTHER.get(&manager.create()).unwrap_err().kind(), ErrorKind::KeyType, "in every session of the manager");
    assert_eq!(VISITS.get(&session).unwrap(), Some(3));
    // Sessions of another manager are another matter.
    OTHER.insert(&fresh().create(), &4).unwrap();
}
