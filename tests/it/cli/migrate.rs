use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cloakroom::store::{SaveOutcome, StoreUrl, Timestamp};
use cloakroom::{MigratingStore, SessionManager, SessionStatus, SessionStore};
use serde_json::json;
use tempfile::TempDir;

use super::{Stage, is_open, json, run, sqlite};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_stays_logged_in() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let to = format!("file:{}", folder.path().join("files").display());
    let expected = json!({ "copied": 4, "updated": 0, "there_already": 0, "expired": 1, "unreadable": [] });
    assert_eq!(json(&["migrate", &stage.url, &to]), expected);
    let store = to.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    for token in [&stage.ada[0], &stage.ada[1], &stage.grace, &stage.visitor] {
        assert!(is_open(&store, token).await);
        assert!(stage.is_open(token).await, "the old store stays as it is");
        let now = std::time::SystemTime::now().into();
        let [old, new] = [&stage.store, &store].map(|store| store.load(token.id(), now));
        let (old, new) = (old.await.unwrap().unwrap(), new.await.unwrap().unwrap());
        assert_eq!((old.version, &old.user, old.expires_at), (new.version, &new.user, new.expires_at));
        assert_eq!(old.payload.to_bytes().unwrap(), new.payload.to_bytes().unwrap());
    }
    let sessions = SessionManager::new(store.clone()).namespace("shop").sessions_of("ada").await.unwrap();
    assert_eq!(sessions.len(), 2);

    let again = run(&["migrate", &stage.url, &to]);
    assert_eq!(again.text(), "0 sessions copied\n4 sessions there already\n1 session left because expired\n");
}

/// After a first run: the old store, and the URL of the new one with the store itself.
async fn migrated(folder: &TempDir) -> (Stage, String, Arc<dyn SessionStore>) {
    let (stage, to) = (Stage::sqlite(folder).await, sqlite(folder, "new.db"));
    json(&["migrate", &stage.url, &to]);
    let store = to.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    (stage, to, store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_brings_what_has_changed_since_and_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, to, store) = migrated(&folder).await;
    let [old, new] = [&stage.store, &store].map(|store| SessionManager::new(store.clone()).namespace("shop"));
    // The application has gone on with the old store for one visitor, and with the new one for another.
    for (manager, token, count) in [(&old, &stage.visitor, 3), (&new, &stage.ada[0], 5)] {
        for n in 0..count {
            let session = manager.open(token.expose().as_bytes()).await.unwrap();
            session.insert("n", n).unwrap();
            manager.commit(&session).await.unwrap();
        }
    }
    let expected = json!({ "copied": 0, "updated": 1, "there_already": 3, "expired": 1, "unreadable": [] });
    assert_eq!(json(&["migrate", &stage.url, &to]), expected);
    let get =
        async |token: &cloakroom::Token| new.open(token.expose().as_bytes()).await.unwrap().get::<u64>("n").unwrap();
    assert_eq!((get(&stage.visitor).await, get(&stage.ada[0]).await), (Some(2), Some(4)));
}

/// Nobody had written to them, so that their versions said nothing. One copy had expired in the database, which says of it that it
/// exists, and the other one was about to.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_brings_those_who_have_only_read_since() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, to, store) = migrated(&folder).await;
    let now = Timestamp::from(SystemTime::now());
    let soon = now.saturating_add(Duration::from_mins(1));
    for (token, expires_at) in [(&stage.visitor, now), (&stage.grace, soon)] {
        let version = store.load(token.id(), now).await.unwrap().unwrap().version;
        assert_eq!(store.touch(token.id(), version, expires_at, now).await.unwrap(), SaveOutcome::Saved);
    }
    let expected = json!({ "copied": 1, "updated": 1, "there_already": 2, "expired": 1, "unreadable": [] });
    assert_eq!(json(&["migrate", &stage.url, &to]), expected);
    for token in [&stage.visitor, &stage.grace] {
        let [old, new] = [&stage.store, &store].map(|store| store.load(token.id(), now));
        let (old, new) = (old.await.unwrap().unwrap(), new.await.unwrap().unwrap());
        assert_eq!((new.version, new.expires_at), (old.version, old.expires_at));
    }
    let expected = json!({ "copied": 0, "updated": 0, "there_already": 4, "expired": 1, "unreadable": [] });
    assert_eq!(json(&["migrate", &stage.url, &to]), expected);
}

/// The application moves sessions as they are used, the command moves the others, and a logout stays one.
#[tokio::test(flavor = "multi_thread")]
async fn it_may_run_beside_a_migrating_store() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let to = sqlite(&folder, "new.db");
    let store = to.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    let manager = SessionManager::new(MigratingStore::new(stage.store.clone(), store.clone())).namespace("shop");
    let used = manager.open(stage.ada[0].expose().as_bytes()).await.unwrap();
    used.insert("n", 1).unwrap();
    manager.commit(&used).await.unwrap();
    // An old copy that was read before the logout is on its way.
    let late = stage.store.load(stage.ada[1].id(), std::time::SystemTime::now().into()).await.unwrap().unwrap();
    let ended = manager.open(stage.ada[1].expose().as_bytes()).await.unwrap();
    ended.destroy().unwrap();
    manager.commit(&ended).await.unwrap();
    let _ = stage.store.create(&late, std::time::SystemTime::now().into()).await.unwrap();

    let expected = json!({ "copied": 2, "updated": 0, "there_already": 1, "expired": 1, "unreadable": [] });
    assert_eq!(json(&["migrate", &stage.url, &to]), expected);
    let open = async |token: &cloakroom::Token| manager.open(token.expose().as_bytes()).await.unwrap();
    assert_eq!(open(&stage.ada[0]).await.get::<u64>("n").unwrap(), Some(1));
    assert_eq!(open(&stage.ada[1]).await.status(), SessionStatus::New);
    assert!(is_open(&store, &stage.grace).await && is_open(&store, &stage.visitor).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_named_and_left() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("files");
    let stage = Stage::set(&format!("file:{}", root.display())).await;
    let id = stage.visitor.id();
    let name = id.as_uuid().simple().to_string();
    std::fs::write(root.join(&name[..2]).join(&name), "scrambled").unwrap();
    let run = run(&["--json", "migrate", &stage.url, &sqlite(&folder, "new.db")]);
    assert_eq!((run.code, &*run.stderr), (1, &*format!("error: 1 records cannot be read, and were left: {id}\n")));
    let json: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&json["copied"], &json["unreadable"]), (&json!(3), &json!([id])));
}
