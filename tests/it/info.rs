//! What a session says of itself.

use std::time::Duration;

use cloakroom::testing::TestClock;
use cloakroom::{Clock as _, MemoryStore, SessionPolicy, TokenChange};
use serde_json::{Value, json};

use crate::support::manager;

/// The example of the first seed document, key by key.
const KEYS: [&str; 12] = [
    "name",
    "started-at",
    "duration",
    "resumed-at",
    "passed-time",
    "remaining-time",
    "id",
    "is-refresh",
    "is-persistent",
    "status",
    "user",
    "vars",
];

fn keys(text: &str) -> Vec<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("  \"")?.split_once('"'));
    lines.map(|(key, _)| key.to_owned()).collect()
}

#[tokio::test]
async fn info_has_the_keys_of_the_seed_in_their_order_and_counts_in_seconds() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let start = clock.now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let session = manager.create();
    let new = serde_json::to_value(session.info()).unwrap();
    assert_eq!((&new["status"], &new["id"], &new["started-at"]), (&json!("new"), &Value::Null, &json!(start)));
    assert_eq!((&new["passed-time"], &new["remaining-time"]), (&json!(0), &json!(3600)));

    session.insert("cart.teapot", 1).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    clock.advance(Duration::from_mins(5));
    let session = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    clock.advance(Duration::from_secs(2));

    let info = session.info();
    assert_eq!(keys(&info.to_string()), KEYS);
    assert_eq!(
        serde_json::to_value(&info).unwrap(),
        json!({
            "name": "id",
            "started-at": start,
            "duration": 3600,
            "resumed-at": start + 300,
            "passed-time": 302,
            "remaining-time": 3600 - 302,
            "id": session.id().unwrap().to_string(),
            "is-refresh": true,
            "is-persistent": false,
            "status": "resumed",
            "user": null,
            "vars": null,
        })
    );
    let token = issued.token.expose();
    assert!(!info.to_string().contains(&*token) && !format!("{info:?}").contains(&token[22..]));
    let vars = session.info_with_vars().unwrap().vars.unwrap();
    assert_eq!(vars["cart"], json!({"teapot": 1}));
    session.destroy().unwrap();
    let destroyed = serde_json::to_value(session.info()).unwrap();
    assert_eq!((&destroyed["status"], &destroyed["remaining-time"]), (&json!("destroyed"), &json!(0)));
}

#[tokio::test]
async fn a_remembered_session_is_persistent_and_not_refreshed() {
    let manager = manager(MemoryStore::new(), &TestClock::default())
        .policy(SessionPolicy::aal2().idle(Duration::from_mins(30)))
        .unwrap();
    let session = manager.create();
    assert_eq!(session.info().duration, Duration::from_mins(30));
    session.insert("x", 1).unwrap();
    session.remember(Duration::from_hours(48)).unwrap();
    session.save().await.unwrap();
    let info = session.info();
    assert_eq!((info.is_persistent, info.is_refresh, info.duration), (true, false, Duration::from_hours(48)));
    assert_eq!(info.remaining_time, Duration::from_hours(48));
}
