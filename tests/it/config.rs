//! Sessions from a file or the environment, and stores that a URL names.

use cloakroom::store::{StoreErrorKind, StoreUrl};
use cloakroom::testing::TestClock;
use cloakroom::{MemoryStore, SealingKey, SessionConfig, SessionManager, Token};
use serde::Deserialize;

use crate::support::bytes_store::BytesStore;
use crate::support::redis::{Cluster, Guarded, MASTER};
use crate::support::server;
use crate::support::{Browser, routes, send};

fn read(text: &str) -> SessionConfig {
    toml::from_str(text).unwrap()
}

fn refusal(text: &str) -> String {
    toml::from_str::<SessionConfig>(text).expect_err(text).to_string()
}

#[tokio::test]
async fn a_file_says_what_the_options_say() {
    let config = read(
        r#"
        store = "memory:"
        [cookie]
        name = "sid"
        same_site = "strict"
        path = "/shop"
        [policy]
        preset = "aal1"
        idle = "2 weeks"
        persistent = true
        [limits]
        data_bytes = "1 KiB"
        depth = 8
        "#,
    );
    let layer = config.layer().await.unwrap();
    let answer = Browser::new(&routes::routes().layer(layer)).get("/add").await;
    assert!(answer.set_cookies()[0].starts_with("__Secure-sid="), "{answer:?}");
    for attribute in ["SameSite=Strict", "Path=/shop", "Max-Age=1209600", "Secure", "HttpOnly"] {
        assert!(answer.set_cookies()[0].contains(attribute), "{answer:?}");
    }
}

#[tokio::test]
async fn an_idle_session_ends_when_the_file_says() {
    let clock = TestClock::default();
    let manager = read(r#"policy.idle = "7 minutes""#).manager_with(MemoryStore::new()).unwrap().clock(clock.clone());
    let mut browser = Browser::new(&routes::routes().layer(cloakroom::SessionLayer::with_manager(manager)));
    browser.get("/add").await;
    clock.advance(std::time::Duration::from_secs(7 * 60 - 1));
    assert_eq!(browser.get("/add").await.body, "2");
    clock.advance(std::time::Duration::from_secs(7 * 60));
    assert_eq!(browser.get("/add").await.body, "1");
}

#[test]
fn every_format_of_serde_will_do() {
    let toml = read("policy.idle = \"30 minutes\"\ncookie.partitioned = true\nlimits.depth = 8\n");
    let json =
        r#"{"policy": {"idle": "30 minutes"}, "cookie": {"partitioned": true}, "limits": {"depth": 8}, "store": null}"#;
    let json: SessionConfig = serde_json::from_str(json).unwrap();
    assert_eq!(format!("{toml:?}"), format!("{json:?}"));
    let value: SessionConfig = serde_json::from_value(serde_json::json!({"limits": {"depth": "8"}})).unwrap();
    assert!(format!("{value:?}").contains("limits.depth"));
}

#[test]
fn errors_name_the_key() {
    for (text, said) in [
        (
            "policy.idle = '30 parsecs'",
            r#"policy.idle: "30 parsecs" is not a duration; write it as "30 minutes" or "1h 30m""#,
        ),
        ("policy.idle = 30", r#"policy.idle: "30" is not a duration"#),
        ("policy.idle = ['1h']", "policy.idle: cannot be a list"),
        ("policy = 'aal2'", "policy: is no setting"),
        ("policy.idel = '1h'", "policy.idel: is no setting; the settings are store, namespace"),
        ("cookie.same_site = 'Lax'", r#"cookie.same_site: "Lax" is none of strict, lax, none"#),
        ("cookie.secure = false", "cookie.secure: is no setting"),
        ("limits.data_bytes = '64 KB of data'", "limits.data_bytes: "),
        ("limits.depth = -1", "limits.depth: "),
        ("store.url = 'memory:'", "store: has one value"),
        ("store = 'mongodb://localhost'", "store: it has to begin with one of memory: file:"),
        ("codec = 'xml'", r#"codec: "xml" is none of json, message-pack"#),
    ] {
        assert!(refusal(text).contains(said), "{text}: {}", refusal(text));
    }
}

#[tokio::test]
async fn contradictions_are_told_before_the_store_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sessions.db");
    let store = format!("store = 'sqlite:{}'\n", file.display());
    for (text, said) in [
        ("cookie = {insecure_http = true, same_site = 'none'}", "SameSite=None needs a Secure cookie"),
        ("cookie = {name = '__Host-id', domain = 'example.org'}", "cannot have a Domain"),
        ("policy = {idle = '2 days'}", "policy.idle is too long beside policy.absolute"),
        ("limits.depth = 1000", "limits.depth"),
    ] {
        let error = read(&format!("{store}{text}")).layer().await.unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
        assert!(!file.exists());
    }
    // What one source alone contradicts may be mended by the other.
    let mended = read("policy.idle = '2 days'").overridden_by(read("policy.absolute = '3 days'"));
    mended.layer_with(MemoryStore::new()).unwrap();
    let error = read("").layer().await.unwrap_err();
    assert_eq!(error.to_string(), "store: say where sessions are kept, such as \"sqlite:sessions.db\"");
}

#[tokio::test]
async fn a_password_in_the_file_is_never_shown() {
    let good = "store = 'redis://ada:hunter2@127.0.0.1:1/0?prefix=hunter2'";
    let config = read(good);
    let error = config.layer().await.unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string);
    let shown = format!("{config:?} {error} {error:?} {source:?}");
    assert!(shown.contains("redis://***@127.0.0.1:1/0") && !shown.contains("hunter2"), "{shown}");

    for bad in [
        "store = 'redis://ada:hunter2@127.0.0.1?hunter=2'",
        "store = 'mysql://ada:hunter2@127.0.0.1?prefix=hunter2'",
        "store = 'redis://ada:hunter2@127.0.0.1'\npolicy.idel = '1h'",
        "stor = 'redis://ada:hunter2@127.0.0.1'",
    ] {
        #[derive(Debug, Deserialize)]
        struct App {
            #[allow(dead_code)]
            session: SessionConfig,
        }

        let alone = toml::from_str::<SessionConfig>(bad).unwrap_err();
        let within = toml::from_str::<App>(&format!("[session]\n{bad}")).unwrap_err();
        let shown = format!("{alone} {alone:?} {within}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn records_are_sealed_by_keys_that_are_never_shown() {
    let (store, key) = (BytesStore::default(), SealingKey::generate().unwrap());
    let app = |text: &str| routes::routes().layer(read(text).layer_with(store.clone()).unwrap());
    let keys = format!("sealing.keys = '{}'\n", *key.expose());
    let mut browser = Browser::new(&app(""));
    browser.get("/add").await;
    let id = Token::parse(browser.token.as_ref().unwrap().as_bytes()).unwrap().id();
    for (settings, first_byte) in [("'written'", b'{'), ("'accepted'", 0x02)] {
        let mut next = Browser::new(&app(&format!("{keys}sealing.insecure_plain_records = {settings}")));
        next.token = browser.token.clone();
        next.get("/add").await;
        assert_eq!(store.row(id).unwrap().bytes[0], first_byte, "{settings}");
    }
    let mut strict = Browser::new(&app(&keys));
    strict.token = browser.token.clone();
    assert_eq!(strict.get("/add").await.body, "4");
    assert_eq!(strict.get("/n").await.body, "4");

    let config = read(&keys);
    let shown = format!("{config:?} {:?}", config.layer_with(MemoryStore::new()).unwrap());
    let secret = key.expose();
    assert!(secret.as_bytes().windows(10).all(|part| !shown.contains(str::from_utf8(part).unwrap())), "{shown}");
    for bad in ["hunter2", "hunter2hunter2hunter2hunter2hunter2hunter2hu", "", "30 hunter2"] {
        let said = refusal(&format!("sealing.keys = '{bad}'"));
        assert!(said.contains("sealing.keys: a sealing key ") && !said.contains("hunter2"), "{said}");
    }
    assert!(refusal("sealing.insecure_plain_records = 'yes'").contains("is none of refused, accepted, written"));
}

/// A session that is written and found again.
async fn check(url: &str) {
    let store = url.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    let app = |store| routes::routes().layer(cloakroom::SessionLayer::with_manager(SessionManager::new(store)));
    let mut browser = Browser::new(&app(store));
    assert_eq!(browser.get("/add").await.body, "1", "{url}");
    if url.starts_with("memory") {
        return;
    }
    let again = url.parse::<StoreUrl>().unwrap().connect().await.unwrap();
    let mut elsewhere = Browser::new(&app(again));
    elsewhere.token = browser.token.clone();
    assert_eq!(elsewhere.get("/add").await.body, "2", "{url}");
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_stores_by_url() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    check("memory:").await;
    check("memory:?max_entries=10&max_bytes=100000").await;
    check(&format!("file:{path}/sessions")).await;
    check(&format!("file://{path}/more%20sessions")).await;
    check(&format!("sqlite:{path}/sessions.db")).await;
    check(&format!("sqlite:{path}/sessions.db?table=others&create_schema=true")).await;
    assert!(folder.path().join("more sessions").is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_by_url() {
    let Some(server) = server::redis() else { return };
    check(&format!("redis://127.0.0.1:{}/1?prefix=shop:", server.port)).await;
    let mut connection = crate::support::redis::connection(&server).await;
    let mut keys = async |database: u8| -> Vec<String> {
        cloakroom::redis::cmd("SELECT").arg(database).exec_async(&mut connection).await.unwrap();
        cloakroom::redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap()
    };
    assert!(keys(1).await.iter().any(|key| key.starts_with("shop:")));
    assert!(keys(0).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_cluster_and_sentinels_by_url() {
    if let Some(cluster) = Cluster::start() {
        let nodes: Vec<_> = cluster.urls().iter().map(|url| url.replace("redis://", "")).collect();
        check(&format!("redis-cluster://{}?prefix=shop:", nodes.join(","))).await;
    }
    if let Some(guarded) = Guarded::start("") {
        let sentinels: Vec<_> = guarded.urls().iter().map(|url| url.replace("redis://", "")).collect();
        check(&format!("redis-sentinel://{}/{MASTER}?db=1", sentinels.join(","))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memcached_by_url() {
    let (Some(one), Some(two)) = (server::memcached(), server::memcached()) else { return };
    check(&format!("memcached://127.0.0.1:{}?weight=2,127.0.0.1:{}?prefix=shop:", one.port, two.port)).await;
}

/// A server that has just started says for a while that it is not ready.
async fn ready(url: &str) {
    while let Err(error) = url.parse::<StoreUrl>().unwrap().connect().await {
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_servers_by_url() {
    let mut urls = Vec::new();
    let postgres = tokio::task::spawn_blocking(server::postgres).await.unwrap();
    urls.extend(postgres.iter().map(|server| format!("postgres://postgres@127.0.0.1:{}/postgres", server.port)));
    let mysql = tokio::task::spawn_blocking(server::mariadb).await.unwrap();
    urls.extend(mysql.iter().map(|server| format!("mysql://root@127.0.0.1:{}/mysql", server.port)));
    for url in urls {
        ready(&url).await;
        // Nothing is created unless it is said.
        let store = format!("{url}?table=visits").parse::<StoreUrl>().unwrap().connect().await.unwrap();
        let app = routes::routes().layer(cloakroom::SessionLayer::new(store));
        assert!(Browser::new(&app).get("/add").await.status.is_server_error());
        check(&format!("{url}?table=visits&create_schema=true")).await;
        check(&format!("{url}?table=visits")).await;
    }
}

#[tokio::test]
async fn tokens_travel_as_the_file_says() {
    let layer =
        read("transport = 'x-session-token, cookie'\ncookie.name = 'sid'").layer_with(MemoryStore::new()).unwrap();
    let app = routes::routes().layer(layer);
    let answer = Browser::new(&app).get("/add").await;
    assert!(answer.set_cookies().is_empty() && answer.headers["x-session-token"].len() == 64, "{answer:?}");
    let shown = send(&app, "/add", &[b"__Host-sid=x"]).await;
    assert!(shown.set_cookies()[0].starts_with("__Host-sid="), "{shown:?}");
    for (text, said) in [
        (
            "transport = 'cookie, set-cookie'",
            r#"transport: "set-cookie" is none of cookie, bearer, and the name of a header"#,
        ),
        ("transport = 'query'", r#"transport: "query" is none of"#),
        ("transport = ''", r#"transport: "" is none of"#),
    ] {
        assert!(refusal(text).contains(said), "{}", refusal(text));
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_told_by_its_key_even_if_the_store_is_missing() {
    for (text, said) in [
        ("cookie.name = 'a b'", "cookie.name: \"__Host-a b\""),
        ("cookie.domain = 'x y'", "cookie.domain: "),
        ("cookie.path = 'x;y'", "cookie.path: "),
        ("cookie = {name = '__Host-id', domain = 'example.org'}", "cookie.name: "),
        ("cookie = {insecure_http = true, same_site = 'none'}", "cookie.insecure_http: "),
        ("policy = {idle = '2h', absolute = '1h'}", "policy.idle: policy.idle is too long beside policy.absolute"),
        ("policy.absolute = '0s'", "policy.absolute: "),
        ("policy.touch_after = '2h'", "policy.touch_after: "),
        ("policy = {idle = '500 days', absolute = '600 days', persistent = true}", "policy.idle: "),
        ("limits.depth = 1000", "limits.depth: "),
        ("limits.operation_timeout = '0s'", "limits.operation_timeout: "),
        ("name = 'a b'", "name: "),
        ("", "store: say where sessions are kept"),
        ("store = 'sqlite:/nonexistent/x.db'", "store: "),
    ] {
        let error = read(text).layer().await.unwrap_err().to_string();
        assert!(error.starts_with(said), "{text}: {error}");
    }
    let limited = read("store = 'memory:'\npolicy.max_sessions = '3, end-oldest'");
    assert!(limited.layer().await.is_ok());
    let error = limited.layer_with(cloakroom::NoopStore).unwrap_err().to_string();
    assert!(error.starts_with("policy.max_sessions: policy.max_sessions has to find"), "{error}");
}
