//! The same on servers, as far as they can.

use serde_json::json;

use super::{Stage, is_open, json, run, sqlite};
use crate::stores::{mysql, postgres};
use crate::support::server;

/// `sweeps`: whether expired records stay until they are swept.
async fn check(url: &str, sweeps: bool) {
    let stage = Stage::set(url).await;
    let stats = json(&["stats", url]);
    assert_eq!([&stats["live"], &stats["logged_in"], &stats["users"]], [4, 3, 2], "{stats}");
    assert_eq!(json(&["list", url, "--user", "ada"]).as_array().unwrap().len(), 2);
    let id = stage.visitor.id().to_string();
    assert_eq!(json(&["show", url, &id])["data"]["cart"], json!({ "bytes": 16 }));

    // Away and back: to an empty store, nobody is logged out.
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = sqlite(&folder, "elsewhere.db");
    assert_eq!(json(&["migrate", url, &elsewhere])["copied"], 4);
    assert_eq!(json(&["sweep", url])["deleted"], u64::from(sweeps));
    assert_eq!(json(&["revoke", url, "--all", "--yes"])["ended"], 4);
    assert_eq!(json(&["stats", url])["live"], 0);
    assert!(!stage.is_open(&stage.grace).await);
    assert_eq!(json(&["migrate", &elsewhere, url])["copied"], 4);
    for token in [&stage.ada[0], &stage.ada[1], &stage.grace, &stage.visitor] {
        assert!(is_open(&stage.store, token).await);
    }
    assert_eq!(json(&["revoke", url, "--user", "ada"])["ended"], 2, "the index has come along");
    assert_eq!(json(&["revoke", url, &id])["ended"], 1);
    assert_eq!(run(&["show", url, &id]).code, 3);
    assert_eq!(json(&["stats", url])["live"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_redis() {
    let Some(server) = server::redis() else { return };
    // What stands beside it in the database, and a prefix that is a pattern.
    check(&format!("redis://127.0.0.1:{}", server.port), false).await;
    check(&format!("redis://127.0.0.1:{}?prefix=shop%5B*%5D:", server.port), false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_postgres() {
    let Some(server) = server::postgres() else { return };
    check(&format!("{}?create_schema=true", postgres::database(&server).await), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_mariadb() {
    let Some(server) = server::mariadb() else { return };
    check(&format!("{}?create_schema=true", mysql::database(&server).await), true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn to_memcached() {
    let Some(server) = server::memcached() else { return };
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("memcached://127.0.0.1:{}", server.port));
    let stage = Stage::sqlite(&folder).await;
    assert_eq!(json(&["migrate", &stage.url, &url])["copied"], 4);
    let id = stage.visitor.id().to_string();
    assert_eq!(json(&["show", &url, &id])["data"]["cart"], json!({ "bytes": 16 }));
    assert_eq!(json(&["revoke", &url, &id])["ended"], 1);
    assert_eq!(run(&["show", &url, &id]).code, 3);
}
