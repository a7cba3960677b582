//! What whoever steals a store gets to read: on every store, through its own client and, where it has files, on the disk.

use std::fs;
use std::path::Path;

use cloakroom::Clock as _;
use cloakroom::store::{StoreErrorKind, StoreUrl};

use super::*;
use crate::support::server;

async fn connect(url: &str) -> std::sync::Arc<dyn SessionStore> {
    loop {
        match url.parse::<StoreUrl>().unwrap().connect().await {
            Ok(store) => return store,
            // A server that has just started says for a while that it is not ready.
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Sessions are sealed, opened, changed and ended there, and what is stored of them says nothing.
async fn check(url: &str) {
    let (store, key) = (connect(url).await, key());
    let app = sealed(store.clone(), copy(&key));
    let mut browser = Browser::new(&app);
    browser.get("/login/ada").await;
    browser.get("/pay").await;
    assert_eq!(browser.get("/add").await.body, "1", "{url}");

    let again = sealed(connect(url).await, key);
    let mut elsewhere = moved(&browser, &again);
    assert_eq!(elsewhere.get("/add").await.body, "2", "{url}");
    assert_eq!(elsewhere.get("/who").await.body, "ada", "{url}");
    assert_eq!(elsewhere.get("/card").await.body, CARD, "{url}");

    let now = TestClock::default().now().into();
    let record = store.load(id_of(&browser), now).await.unwrap().unwrap();
    let bytes = record.payload.to_bytes().unwrap();
    assert_eq!(bytes[0], 0x02, "{url}");
    assert_unreadable(&bytes, url);

    let with_another_key = sealed(store.clone(), SealingKey::generate().unwrap());
    assert_eq!(moved(&browser, &with_another_key).get("/card").await.body, "", "{url}");
    assert_eq!(browser.get("/card").await.body, CARD, "{url}");
    browser.get("/logout").await;
    assert!(store.load(record.id, now).await.unwrap().is_none(), "{url}");
}

/// Neither the data nor the document's own members.
fn assert_unreadable(bytes: &[u8], what: &str) {
    for word in [CARD, "card", "\"data\"", "digest", "deadline"] {
        let found = bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!found, "{what} shows {word:?}");
    }
}

fn read_all(folder: &Path) -> Vec<u8> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { read_all(&path) } else { fs::read(path).unwrap() }).collect()
}

/// With its write-ahead log, and what deleted rows have left in its pages.
#[tokio::test(flavor = "multi_thread")]
async fn files_on_the_disk_show_nothing() {
    for scheme in ["file:{}/sessions", "sqlite:{}/sessions.db?create_schema=true"] {
        let folder = tempfile::tempdir().unwrap();
        let url = scheme.replace("{}", folder.path().to_str().unwrap());
        let store = connect(&url).await;
        let mut browser = Browser::new(&sealed(store.clone(), key()));
        browser.get("/pay").await;
        browser.get("/login/ada").await;
        let on_disk = read_all(folder.path());
        assert!(on_disk.windows(3).any(|part| part == b"ada"), "the user is a column, and the test sees the files");
        assert_unreadable(&on_disk, &url);
        browser.get("/logout").await;
        assert_unreadable(&read_all(folder.path()), &url);
        check(&url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_shows_nothing() {
    let Some(server) = server::redis() else { return };
    check(&format!("redis://127.0.0.1:{}", server.port)).await;
    let mut browser = Browser::new(&sealed(connect(&format!("redis://127.0.0.1:{}", server.port)).await, key()));
    browser.get("/pay").await;
    let mut connection = crate::support::redis::connection(&server).await;
    let keys: Vec<String> = cloakroom::redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        let dump: Vec<u8> = cloakroom::redis::cmd("DUMP").arg(&key).query_async(&mut connection).await.unwrap();
        assert_unreadable(&dump, &key);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memcached_shows_nothing() {
    let Some(server) = server::memcached() else { return };
    check(&format!("memcached://127.0.0.1:{}", server.port)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_shows_nothing() {
    let Some(server) = tokio::task::spawn_blocking(server::postgres).await.unwrap() else { return };
    check(&format!("postgres://postgres@127.0.0.1:{}/postgres?create_schema=true", server.port)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql_shows_nothing() {
    let Some(server) = tokio::task::spawn_blocking(server::mariadb).await.unwrap() else { return };
    check(&format!("mysql://root@127.0.0.1:{}/mysql?create_schema=true", server.port)).await;
}
