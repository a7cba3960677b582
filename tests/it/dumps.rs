//! Whoever steals a store is nobody: all that it holds, tried as a cookie in every form, opens no session and changes nothing.
//!
//! Neither do the ids in lists of devices (as in CVE-2020-5224, where such a list opened the sessions in it).

mod candidates;
mod contents;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::store::StoreUrl;
use cloakroom::testing::TestClock;
use cloakroom::{
    Clock as _, Codec, FileStore, JsonCodec, MemoryStore, SealedCodec, SealingKey, Session, SessionError, SessionId,
    SessionLayer, SessionManager, SessionStatus, SessionStore, Token,
};
use http::StatusCode;

use self::candidates::candidates;
use self::contents::Contents;
use crate::support::{Browser, N, manager, routes, send, server};

/// Sessions of all kinds are made in the store, then everything in it is tried.
async fn check(store: Arc<dyn SessionStore>, dump: impl AsyncFn() -> Contents) {
    check_with(&store, &dump, JsonCodec).await;
    check_with(&store, &dump, SealedCodec::new(SealingKey::generate().unwrap())).await;
}

async fn check_with(store: &Arc<dyn SessionStore>, dump: &impl AsyncFn() -> Contents, codec: impl Codec) {
    let what = format!("{store:?} {codec:?}");
    let manager = manager(store.clone(), &TestClock::default()).codec(codec);
    let app = app(&manager);
    let [mut ada, mut her_phone, mut rotated, mut visitor, mut gone] = [(); 5].map(|()| Browser::new(&app));
    for (browser, paths) in [
        (&mut ada, &["/add", "/login/ada", "/add"][..]),
        (&mut her_phone, &["/login/ada", "/remember"]),
        (&mut rotated, &["/login/bob", "/rotate"]),
        (&mut visitor, &["/add"]),
        (&mut gone, &["/login/carol", "/add", "/logout"]),
    ] {
        for path in paths {
            assert_eq!(browser.get(path).await.status, StatusCode::OK, "{what}: {path}");
        }
    }

    let before = dump().await;
    let shows_ada = before.iter().any(|value| value.windows(3).any(|part| part == b"ada"));
    assert!(shows_ada || before.is_empty(), "{what}: the dump shows the users at least");
    let mut found = before.clone();
    for browser in [&ada, &her_phone, &rotated, &visitor] {
        found.extend(record_of(browser, &**store).await);
    }
    let mut tried = candidates(&found);
    tried.extend(handles(&manager).await);
    assert!((100..20_000).contains(&tried.len()), "{what}: {} candidates", tried.len());
    assert!(tried.iter().filter(|text| Token::parse(text).is_some()).count() > 20, "{what}: some have a token's form");
    for text in &tried {
        let answer = send(&app, "/who", &[&[N.as_bytes(), b"=", text].concat()]).await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "New -"), "{what}: {}", text.escape_ascii());
        assert_eq!(answer.token(), None, "{what}: {}", text.escape_ascii());
    }
    assert_eq!(dump().await, before, "{what}");

    for (mut browser, who) in [(ada, "ada"), (her_phone, "ada"), (rotated, "bob"), (visitor, "-")] {
        assert_eq!(browser.get("/who").await.body, format!("Resumed {who}"), "{what}");
    }
}

fn app(manager: &SessionManager) -> Router {
    async fn login(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
        session.login(&user)
    }
    async fn who(session: Session) -> String {
        let status = if session.status() == SessionStatus::New { "New" } else { "Resumed" };
        format!("{status} {}", session.user().unwrap_or_else(|| "-".to_owned()))
    }
    routes::routes()
        .route("/login/{user}", get(login))
        .route("/who", get(who))
        .route("/remember", get(async |session: Session| session.remember(Duration::from_hours(720))))
        .route("/rotate", get(async |session: Session| session.regenerate_with_grace(Duration::from_mins(1))))
        .layer(SessionLayer::with_manager(manager.clone()))
}

/// What the store says of a session, to whoever can call it.
async fn record_of(browser: &Browser, store: &dyn SessionStore) -> [Vec<u8>; 3] {
    let id = Token::parse(browser.token.as_ref().unwrap().as_bytes()).unwrap().id();
    let record = store.load(id, TestClock::default().now().into()).await.unwrap().unwrap();
    [id.as_bytes().to_vec(), record.payload.to_bytes().unwrap().to_vec(), format!("{record:?}").into_bytes()]
}

/// What a page with a list of devices may show.
async fn handles(manager: &SessionManager) -> BTreeSet<Vec<u8>> {
    let devices = manager.sessions_of("ada").await.unwrap_or_default();
    let texts = devices.iter().flat_map(|device| {
        let id: SessionId = device.id;
        let uuid = id.as_uuid();
        let texts = [uuid.to_string(), uuid.simple().to_string(), uuid.urn().to_string(), format!("{device:?}")];
        let padded = texts.clone().map(|text| format!("{text:A<64}"));
        texts.into_iter().chain(padded).chain([serde_json::to_string(device).unwrap()])
    });
    texts.map(String::into_bytes).collect()
}

async fn connect(url: &str) -> Arc<dyn SessionStore> {
    url.parse::<StoreUrl>().unwrap().connect().await.unwrap()
}

#[tokio::test]
async fn the_memory_of_a_process() {
    check(Arc::new(MemoryStore::new()), async || Contents::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::open(folder.path()).await.unwrap();
    check(Arc::new(store), async || contents::of_folder(folder.path())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}/sessions.db", folder.path().display());
    check(connect(&format!("{url}?create_schema=true")).await, async || contents::of_sqlite(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let Some(server) = tokio::task::spawn_blocking(server::postgres).await.unwrap() else { return };
    let url = super::stores::postgres::database(&server).await;
    check(connect(&format!("{url}?create_schema=true")).await, async || contents::of_postgres(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mysql() {
    let Some(server) = tokio::task::spawn_blocking(server::mariadb).await.unwrap() else { return };
    let url = super::stores::mysql::database(&server).await;
    check(connect(&format!("{url}?create_schema=true")).await, async || contents::of_mysql(&url).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis() {
    let Some(server) = server::redis() else { return };
    let store = connect(&format!("redis://127.0.0.1:{}", server.port)).await;
    check(store, async || contents::of_redis(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memcached() {
    let Some(server) = server::memcached() else { return };
    let store = connect(&format!("memcached://127.0.0.1:{}", server.port)).await;
    check(store, async || contents::of_memcached(&server)).await;
}
