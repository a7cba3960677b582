//! What the five seed documents describe, row by row.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use cloakroom::store::SessionStore;
use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{
    Bag, BagContent, Codec, ErrorKind, FileStore, JsonCodec, LazySession, MemoryStore, MessagePackCodec, Named,
    NoopStore, Session, SessionConfig, SessionCookie, SessionError, SessionLayer, SessionManager, SessionName,
    SessionPolicy, SessionStatus, SqliteStore, TokenChange,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Client;
use crate::support::{Browser, send};

type Text = Result<String, SessionError>;

struct Hello;

impl SessionName for Hello {
    const NAME: &'static str = "hello-session";
}

#[tokio::test]
async fn seed_000_a_session_is_started_by_name_with_options() {
    async fn start(session: Named<Hello>) -> Text {
        session.insert("started", true)?;
        Ok(session.info().to_string())
    }
    let policy = SessionPolicy::aal2().idle(Duration::from_hours(2));
    let layer = SessionLayer::named::<Hello>(MemoryStore::new()).unwrap().policy(policy).unwrap();
    let answer = send(&Router::new().route("/", get(start)).layer(layer), "/", &[]).await;
    assert!(answer.body.contains(r#""name": "hello-session""#) && answer.body.contains(r#""duration": 7200"#));
    assert!(answer.set_cookies()[0].starts_with("__Host-hello-session="));
}

#[tokio::test]
async fn seed_000_a_session_prints_as_json() {
    let session = SessionManager::new(MemoryStore::new()).create();
    let json: serde_json::Value = serde_json::from_str(&session.info().to_string()).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 12);
    assert_eq!((&json["status"], &json["remaining-time"]), (&json!("new"), &json!(3600)));
}

#[tokio::test]
async fn seed_000_several_sessions_at_once_are_resumed_filled_and_destroyed_apart() {
    async fn fill(main: Session, hello: Named<Hello>) -> Text {
        main.increment("n", 1)?;
        hello.increment("n", 10)?;
        Ok(format!("{} {} {}", main.get::<u8>("n")?.unwrap(), hello.get::<u8>("n")?.unwrap(), main.id() == hello.id()))
    }
    async fn end(hello: Named<Hello>) -> Result<(), SessionError> {
        hello.destroy()
    }
    let store = MemoryStore::new();
    let app = Router::new()
        .route("/", get(fill))
        .route("/end", get(end))
        .layer(SessionLayer::named::<Hello>(store.clone()).unwrap())
        .layer(SessionLayer::new(store));
    let first = send(&app, "/", &[]).await;
    let cookies: Vec<_> = first.set_cookies().iter().map(|cookie| cookie.split(';').next().unwrap()).collect();
    let header = cookies.join("; ");
    assert_eq!(cookies.len(), 2);
    assert_eq!(send(&app, "/", &[header.as_bytes()]).await.body, "2 20 false");
    send(&app, "/end", &[header.as_bytes()]).await;
    assert_eq!(send(&app, "/", &[header.as_bytes()]).await.body, "3 10 false");
}

#[tokio::test]
async fn seed_000_it_works_without_http_as_long_as_the_client_keeps_its_token() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    client.request(|session| session.insert("name", "Ada").unwrap()).await;
    assert_eq!(client.request(|session| session.get("name").unwrap()).await, Some("Ada".to_owned()));
}

#[tokio::test]
async fn seed_001_start_modify_persist_is_automatic_in_handlers_and_by_hand_elsewhere() {
    async fn modify(session: Session) -> Result<(), SessionError> {
        session.insert("my-data-key", "my-value")
    }
    async fn show(session: Session) -> Text {
        Ok(session.get("my-data-key")?.unwrap_or_default())
    }
    let app = Router::new().route("/modify", get(modify)).route("/", get(show));
    let mut browser = Browser::new(&app.layer(SessionLayer::new(MemoryStore::new())));
    browser.get("/modify").await;
    assert_eq!(browser.get("/").await.body, "my-value");

    let store = CountingStore::new(MemoryStore::new());
    let session = SessionManager::new(store.clone()).create();
    session.insert("my-data-key", "my-value").unwrap();
    assert_eq!(store.reset(), Calls::default(), "just setting it does not persist it");
    session.save().await.unwrap();
    assert_eq!(store.reset(), Calls { create: 1, ..Calls::default() });
}

#[tokio::test]
async fn seed_001_asking_twice_in_one_request_gives_the_same_session() {
    async fn twice(first: Session, lazy: LazySession) -> Text {
        first.insert("x", 1)?;
        Ok(format!("{:?}", lazy.load().await?.get::<u8>("x")?))
    }
    let app = Router::new().route("/", get(twice)).layer(SessionLayer::new(MemoryStore::new()));
    assert_eq!(send(&app, "/", &[]).await.body, "Some(1)");
}

#[tokio::test]
async fn seed_001_sessions_do_not_start_by_themselves() {
    let store = CountingStore::new(MemoryStore::new());
    let app = Router::new().route("/", get(async || "nothing")).layer(SessionLayer::new(store.clone()));
    let answer = send(&app, "/", &[b"__Host-id=AAAA"]).await;
    assert!(answer.set_cookies().is_empty() && store.reset() == Calls::default());
}

#[tokio::test]
async fn seed_001_any_serializable_value_can_be_stored() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Anything {
        Nothing,
        Pair(i8, Option<String>),
        Fields { list: Vec<f64>, unit: () },
    }
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    let values =
        || [Anything::Nothing, Anything::Pair(-1, Some("é".into())), Anything::Fields { list: vec![0.5], unit: () }];
    client.request(|session| session.insert("values", values()).unwrap()).await;
    assert_eq!(client.request(|session| session.get("values").unwrap()).await, Some(values()));
}

/// The file of the seed: `cookie_name = dmsession`, `cookie_lifespan = 86400`, and where sessions are kept.
#[tokio::test]
async fn seed_001_name_lifespan_and_store_are_configured_in_a_file() {
    let file = "store = 'memory:'\ncookie.name = 'dmsession'\npolicy = { idle = '86400s', persistent = true }";
    let config: SessionConfig = toml::from_str(file).unwrap();
    let layer = config.layer().await.unwrap();
    let app = Router::new().route("/", get(async |session: Session| session.insert("x", 1))).layer(layer);
    let answer = send(&app, "/", &[]).await;
    let cookie = answer.set_cookies()[0];
    assert!(cookie.starts_with("__Host-dmsession=") && cookie.contains("Max-Age=86400"), "{cookie}");
}

#[tokio::test]
async fn seed_001_values_are_kept_as_compact_bytes_if_wanted() {
    let size = async |codec: Box<dyn Codec>| {
        let store = MemoryStore::new();
        let mut client = Client::new(SessionManager::new(store.clone()).codec(codec));
        client.request(|session| session.insert("list", vec![1000; 100]).unwrap()).await;
        let id = client.open().await.id().unwrap();
        let record = store.load(id, std::time::SystemTime::now().into()).await.unwrap().unwrap();
        record.payload.to_bytes().unwrap().len()
    };
    assert!(size(Box::new(MessagePackCodec)).await < size(Box::new(JsonCodec)).await);
}

#[tokio::test]
async fn seed_002_dot_notation_reaches_into_the_data() {
    let session = SessionManager::new(MemoryStore::new()).create();
    session.insert("secret.api.key", "k").unwrap();
    session.insert("account.current_user_id", 7).unwrap();
    assert!(session.contains("secret.api.key").unwrap() && !session.contains("secret.api.other").unwrap());
    assert_eq!(session.get("account.current_user_id").unwrap(), Some(7));
    assert_eq!(session.get("account").unwrap(), Some(json!({"current_user_id": 7})));
}

#[tokio::test]
async fn seed_002_regenerate_ends_the_old_secret_at_once_or_after_a_grace() {
    let clock = TestClock::default();
    let manager = SessionManager::new(MemoryStore::new()).clock(clock.clone());
    for (grace, alive) in [(None, false), (Some(Duration::from_secs(10)), true)] {
        let mut client = Client::new(manager.clone());
        client.request(|session| session.insert("x", 1).unwrap()).await;
        let old = client.token.clone();
        let renew = |session: &Session| match grace {
            Some(grace) => session.regenerate_with_grace(grace),
            None => session.regenerate(),
        };
        client.request(|session| renew(session).unwrap()).await;
        let status = async || manager.open(&old).await.unwrap().status();
        assert_eq!(status().await == SessionStatus::Resumed, alive);
        clock.advance(Duration::from_secs(10));
        assert_eq!(status().await, SessionStatus::New);
        assert_eq!(client.open().await.get("x").unwrap(), Some(1), "the data are kept");
    }
}

#[tokio::test]
async fn seed_002_destroy_ends_the_session_with_its_cookie_or_without() {
    let manager = SessionManager::new(MemoryStore::new());
    for keeping in [false, true] {
        let mut client = Client::new(manager.clone());
        client.request(|session| session.insert("x", 1).unwrap()).await;
        let session = client.open().await;
        if keeping { session.destroy_keeping_cookie() } else { session.destroy() }.unwrap();
        let change = client.commit(&session).await;
        assert_eq!(matches!(change, TokenChange::Remove), !keeping);
        assert_eq!(client.open().await.status(), SessionStatus::New);
    }
}

#[tokio::test]
async fn seed_002_the_user_is_in_the_session() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    client.request(|session| session.login("7").unwrap()).await;
    assert_eq!(client.request(Session::user).await.as_deref(), Some("7"));
    client.request(|session| session.logout().unwrap()).await;
    assert_eq!(client.request(Session::user).await, None);
}

#[tokio::test]
async fn seed_002_sessions_are_kept_in_files_or_in_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let files = FileStore::open(folder.path().join("sessions")).await.unwrap();
    let database = SqliteStore::open(folder.path().join("sessions.db")).await.unwrap();
    database.create_schema().await.unwrap();
    let stores: [Box<dyn SessionStore>; 2] = [Box::new(files), Box::new(database)];
    for store in stores {
        let mut client = Client::new(SessionManager::new(store));
        client.request(|session| session.insert("x", 1).unwrap()).await;
        assert_eq!(client.request(|session| session.get("x").unwrap()).await, Some(1));
    }
}

#[tokio::test]
async fn seed_003_set_get_has_all_delete_and_reset() {
    let session = SessionManager::new(MemoryStore::new()).create();
    session.insert("key", "value").unwrap();
    assert_eq!(session.get("key").unwrap(), Some("value".to_owned()));
    assert!(session.contains("key").unwrap());
    assert_eq!(session.all().unwrap()["key"], "value");
    assert!(session.remove("key").unwrap());
    session.insert("other", 1).unwrap();
    session.clear().unwrap();
    assert!(session.all().unwrap().is_empty());
}

#[tokio::test]
async fn seed_003_flash_data_last_for_one_request_and_can_be_reset_alone() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    let flash = |session: &Session| {
        session.insert("data", 1).unwrap();
        session.flash("success", "Your action is successful").unwrap();
    };
    client.request(flash).await;
    assert!(client.request(|session| session.get::<String>("success").unwrap()).await.is_some());
    assert!(client.request(|session| session.get::<String>("success").unwrap()).await.is_none());
    client.request(flash).await;
    client.request(|session| session.clear_flash().unwrap()).await;
    assert_eq!(client.request(Session::keys).await, ["data"]);
}

#[tokio::test]
async fn seed_004_a_manager_takes_any_store_and_one_program_has_several() {
    let adapters: [Box<dyn SessionStore>; 2] = [Box::new(MemoryStore::new()), Box::new(NoopStore)];
    let mut kept = Vec::new();
    for adapter in adapters {
        let mut client = Client::new(SessionManager::new(adapter));
        client.request(|session| session.insert("x", 1).unwrap()).await;
        kept.push(client.request(|session| session.get::<u8>("x").unwrap()).await);
    }
    assert_eq!(kept, [Some(1), None]);
}

#[tokio::test]
async fn seed_004_applications_on_one_domain_do_not_see_each_others_data() {
    let store = MemoryStore::new();
    let manager = |name: &str| SessionManager::new(store.clone()).namespace(name);
    let mut shop = Client::new(manager("shop"));
    shop.request(|session| session.insert("x", 1).unwrap()).await;
    let mut blog = Client { manager: manager("blog"), token: shop.token.clone() };
    assert_eq!(blog.request(Session::status).await, SessionStatus::New);
    assert_eq!(shop.request(|session| session.get("x").unwrap()).await, Some(1));

    // Within one session, and switched while the program runs.
    let session = shop.open().await;
    for (id, other) in [("id-1", "id-2"), ("id-2", "id-1")] {
        session.bag(id).unwrap().insert("who", id).unwrap();
        assert_ne!(session.bag(other).unwrap().get::<String>("who").unwrap().as_deref(), Some(id));
    }
}

#[tokio::test]
async fn seed_004_the_methods_of_the_manager_have_their_counterparts() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    let session = client.open().await; // start
    assert_eq!((session.status(), session.id(), session.name()), (SessionStatus::New, None, "id")); // exists, status, getId, getName
    session.insert("userId", 12345).unwrap(); // set
    assert_eq!(session.get("userId").unwrap(), Some(12345)); // get
    assert_eq!(session.get("nobody").unwrap().unwrap_or(7), 7); // get with a default
    assert!(session.contains("userId").unwrap()); // has
    assert_eq!(session.take("userId").unwrap(), Some(12345)); // get with removal
    session.insert("userId", 1).unwrap();
    assert!(session.remove("userId").unwrap()); // remove
    session.insert("x", 1).unwrap();
    client.commit(&session).await;
    assert_eq!(session.policy(), &SessionPolicy::aal2()); // options
    let session = client.open().await;
    assert_eq!(session.status(), SessionStatus::Resumed);
    session.regenerate().unwrap(); // regenerateId
    client.commit(&session).await;
    client.request(|session| session.destroy().unwrap()).await; // destroy
    assert_eq!(client.open().await.status(), SessionStatus::New);
}

#[tokio::test]
async fn seed_004_a_chosen_id_is_refused_and_an_existing_session_is_opened_by_its_token() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    for chosen in [b"phalcon-id".as_slice(), &[b'A'; 64]] {
        let session = client.manager.open(chosen).await.unwrap();
        session.insert("x", 1).unwrap();
        let TokenChange::Issue(issued) = client.commit(&session).await else { panic!("no token") };
        assert_ne!(issued.token.expose().as_bytes(), chosen);
        assert_eq!(client.manager.open(chosen).await.unwrap().status(), SessionStatus::New);
    }
    assert_eq!(client.open().await.status(), SessionStatus::Resumed);
}

#[tokio::test]
async fn seed_004_all_that_can_go_wrong_has_one_type() {
    let session = SessionManager::new(MemoryStore::new()).create();
    session.insert("key", "value").unwrap();
    let error: SessionError = session.get::<u8>("key").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(std::error::Error::source(&error).is_some() && !error.to_string().is_empty());
}

#[derive(Default, Serialize, Deserialize)]
struct InvoicesController {
    name: String,
}

impl BagContent for InvoicesController {
    const NAME: &'static str = "invoices";
}

#[tokio::test]
async fn seed_004_a_bag_keeps_values_for_one_class() {
    async fn index(session: Session, mut persistent: Bag<InvoicesController>) -> Result<(), SessionError> {
        persistent.name = "Dark Helmet".into();
        session.insert("name", "Princess Vespa")
    }
    async fn echo(session: Session, persistent: Bag<InvoicesController>) -> Text {
        Ok(format!("{}, {}", persistent.name, session.get::<String>("name")?.unwrap_or_default()))
    }
    let app = Router::new().route("/index", get(index)).route("/echo", get(echo));
    let mut browser = Browser::new(&app.layer(SessionLayer::new(MemoryStore::new())));
    browser.get("/index").await;
    assert_eq!(browser.get("/echo").await.body, "Dark Helmet, Princess Vespa");
}

#[tokio::test]
async fn seed_004_handlers_get_the_session_by_injection() {
    async fn index(session: Session) -> Result<(), SessionError> {
        session.insert("user-name", "Dark Helmet")
    }
    async fn by_hand(request: axum::extract::Request) -> Text {
        let session = LazySession::of(&request)?.load().await?;
        Ok(session.get("user-name")?.unwrap_or_default())
    }
    let app = Router::new().route("/index", get(index)).route("/by-hand", get(by_hand));
    let cookie = SessionCookie::new("shop");
    let layer = SessionLayer::new(MemoryStore::new()).transport(cookie).unwrap();
    let app = app.layer(layer);
    let answer = send(&app, "/index", &[]).await;
    let cookie = answer.set_cookies()[0].split(';').next().unwrap();
    assert_eq!(send(&app, "/by-hand", &[cookie.as_bytes()]).await.body, "Dark Helmet");
}
