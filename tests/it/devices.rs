//! Logins that have to be recent, lists of devices, the end of sessions from outside, and how many a user may have.

mod limits;

use std::time::{Duration, SystemTime};

use axum::extract::Path;
use axum::routing::get;
use axum::{Json, Router};
use cloakroom::testing::{CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    Clock as _, Conflicts, Device, ErrorKind, MemoryStore, Named, NoopStore, Session, SessionError, SessionEvent,
    SessionId, SessionLayer, SessionManager, SessionName, SessionPolicy, SessionStatus, SessionStore, Token,
    TokenChange, User,
};
use http::StatusCode;

use crate::support::{Browser, EventLog, layer, manager, send_token};

const MINUTE: Duration = Duration::from_mins(1);

async fn login(session: Session, Path(user): Path<String>) -> Result<String, SessionError> {
    session.login(&user)?;
    session.set_label("Firefox\r\non Linux")?;
    Ok(user)
}

fn routes() -> Router {
    async fn user(user: User) -> String {
        user.into_inner()
    }
    async fn recent(user: User<600>) -> String {
        user.to_string()
    }
    async fn maybe(user: Option<User<600>>) -> String {
        user.map_or("nobody".into(), User::into_inner)
    }
    async fn devices(session: Session) -> Result<Json<Vec<Device>>, SessionError> {
        session.devices().await.map(Json)
    }
    async fn revoke(session: Session, Path(id): Path<SessionId>) -> Result<String, SessionError> {
        Ok(session.revoke(id).await?.to_string())
    }
    async fn revoke_others(session: Session) -> Result<String, SessionError> {
        Ok(session.revoke_others().await?.to_string())
    }
    Router::new()
        .route("/login/{user}", get(login))
        .route("/visit", get(async |session: Session| session.insert("cart", "tea")))
        .route("/again", get(async |session: Session| session.reauthenticated()))
        .route("/user", get(user))
        .route("/recent", get(recent))
        .route("/maybe", get(maybe))
        .route("/devices", get(devices))
        .route("/revoke/{id}", get(revoke))
        .route("/revoke-others", get(revoke_others))
}

fn app(store: impl SessionStore, clock: &TestClock) -> Router {
    routes().layer(layer(store, clock))
}

async fn logged_in(app: &Router, user: &str) -> Browser {
    let mut browser = Browser::new(app);
    browser.get(&format!("/login/{user}")).await;
    browser
}

async fn devices(browser: &mut Browser) -> Vec<serde_json::Value> {
    serde_json::from_str(&browser.get("/devices").await.body).unwrap()
}

async fn new_session(manager: &SessionManager, act: impl FnOnce(&Session)) -> Token {
    let session = manager.create();
    act(&session);
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.unwrap()
}

#[tokio::test]
async fn asvs_7_5_1_a_page_may_demand_a_login_and_a_recent_one() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let mut browser = Browser::new(&app);
    for visited in [false, true] {
        if visited {
            browser.get("/visit").await;
        }
        for path in ["/user", "/recent", "/devices", "/again", "/revoke-others"] {
            assert_eq!(browser.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        }
        assert_eq!(browser.get("/maybe").await.body, "nobody");
    }

    browser.get("/login/ada").await;
    clock.advance(Duration::from_secs(600));
    for path in ["/user", "/recent", "/maybe"] {
        assert_eq!(browser.get(path).await.body, "ada", "{path}");
    }
    clock.advance(Duration::from_millis(1));
    assert_eq!(browser.get("/user").await.body, "ada");
    for path in ["/recent", "/maybe"] {
        assert_eq!(browser.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
    }

    let before = browser.token.clone().unwrap();
    assert_eq!(browser.get("/again").await.status, StatusCode::OK);
    assert_eq!(browser.get("/recent").await.body, "ada");
    assert_ne!(browser.token.as_deref(), Some(&*before), "ASVS 7.2.4: a new secret");
    assert_eq!(send_token(&app, "/user", &before).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_moment_of_the_login_is_known_before_it_is_stored_and_survives_everything_but_the_logout() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let session = manager.create();
    assert_eq!(session.auth_age(), None);
    session.login("ada").unwrap();
    assert_eq!(session.auth_age(), Some(Duration::ZERO));
    session.save().await.unwrap();
    for change in [
        |session: &Session| session.insert("x", 1),
        |session: &Session| session.regenerate(),
        |session: &Session| session.set_label("phone"),
        |session: &Session| session.remember(Duration::from_hours(48)),
        |session: &Session| session.clear(),
    ] {
        clock.advance(MINUTE);
        change(&session).unwrap();
        session.save().await.unwrap();
    }
    assert_eq!(session.auth_age(), Some(5 * MINUTE));
    assert_eq!(session.require_recent_login(5 * MINUTE).unwrap(), "ada");
    assert_eq!(session.require_recent_login(4 * MINUTE).unwrap_err().kind(), ErrorKind::LoginTooOld);
    session.logout().unwrap();
    assert_eq!(session.auth_age(), None);
    assert_eq!(session.require_user().unwrap_err().kind(), ErrorKind::NotLoggedIn);
}

#[tokio::test]
async fn reauthentication_restarts_the_absolute_deadline_unless_the_session_is_remembered() {
    for remembered in [false, true] {
        let clock = TestClock::default();
        let session = manager(MemoryStore::new(), &clock).create();
        session.login("ada").unwrap();
        if remembered {
            session.remember(Duration::from_hours(48)).unwrap();
        }
        session.save().await.unwrap();
        clock.advance(30 * MINUTE);
        session.reauthenticated().unwrap();
        assert_eq!(session.auth_age(), Some(Duration::ZERO));
        session.save().await.unwrap();
        assert_eq!(session.auth_age(), Some(Duration::ZERO));
        let full = SessionPolicy::default().absolute_lifetime();
        let expected = if remembered { Duration::from_hours(48) - 30 * MINUTE } else { full };
        assert_eq!(session.absolute_remaining(), Some(expected));
        assert_eq!(session.is_persistent(), Some(remembered));
        assert_eq!(session.user().as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn a_login_may_keep_what_is_on_a_list_and_nothing_else() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let token = new_session(&manager, |session| {
        session.insert("cart", ["tea"]).unwrap();
        session.insert("cart2", 1).unwrap();
        session.flash("success", "saved").unwrap();
    })
    .await;
    let (login, parallel) = (open(&manager, &token).await, open(&manager, &token).await);
    parallel.insert("cart", ["tea", "milk"]).unwrap();
    manager.commit(&parallel).await.unwrap();
    login.login_keeping("ada", ["cart", "locale"]).unwrap();
    login.insert("greeted", true).unwrap();
    login.save().await.unwrap();
    assert_eq!(login.keys(), ["cart", "greeted"]);
    assert_eq!(login.get("cart").unwrap(), Some(vec!["tea".to_owned(), "milk".to_owned()]), "nobody's change is lost");

    login.login_keeping("grace", ["cart"]).unwrap();
    assert!(login.keys().is_empty(), "what is Ada's is not for Grace");
}

#[tokio::test]
async fn a_login_keeps_no_more_if_its_answer_is_a_server_error() {
    let log_in = async |session: Session| {
        session.login_keeping("ada", ["cart"]).unwrap();
        session.insert("greeted", true).unwrap();
        http::StatusCode::INTERNAL_SERVER_ERROR
    };
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let app = Router::new().route("/", get(log_in)).layer(SessionLayer::with_manager(manager.clone()));
    let token = new_session(&manager, |session| {
        session.insert("cart", ["tea"]).unwrap();
        session.insert("opinion", "none").unwrap();
    })
    .await;
    let answer = send_token(&app, "/", &token.expose()).await;
    let session = manager.open(answer.token().unwrap().as_bytes()).await.unwrap();
    assert_eq!((session.user().as_deref(), session.keys()), (Some("ada"), vec!["cart".to_owned()]));
}

/// Nothing of the request's data is written then, so that there is no conflict about them.
#[tokio::test]
async fn a_login_is_stored_with_a_server_error_although_others_have_changed_what_it_read() {
    let policy = SessionPolicy::default().conflicts(Conflicts::Refuse);
    let manager = manager(MemoryStore::new(), &TestClock::default()).policy(policy).unwrap();
    let token = new_session(&manager, |session| session.insert("opinion", "none").unwrap()).await;
    let others = manager.clone();
    let log_in = {
        let token = token.clone();
        async move |session: Session| {
            session.get::<String>("opinion").unwrap();
            let other = open(&others, &token).await;
            other.insert("opinion", "strong").unwrap();
            others.commit(&other).await.unwrap();
            session.login_keeping("ada", ["cart"]).unwrap();
            http::StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let app = Router::new().route("/", get(log_in)).layer(SessionLayer::with_manager(manager.clone()));
    let answer = send_token(&app, "/", &token.expose()).await;
    let session = manager.open(answer.token().unwrap().as_bytes()).await.unwrap();
    assert_eq!((session.user().as_deref(), session.keys()), (Some("ada"), vec![]));
}

#[tokio::test]
async fn a_named_session_has_a_user_of_its_own() {
    struct Admin;
    impl SessionName for Admin {
        const NAME: &'static str = "admin";
    }
    let who = async |user: Named<Admin, User>| user.into_inner().into_inner();
    let promote = async |admin: Named<Admin>| admin.login("root");
    let app = Router::new()
        .route("/who", get(who))
        .route("/promote", get(promote))
        .layer(SessionLayer::named::<Admin>(MemoryStore::new()).unwrap());
    let answer = crate::support::send(&app, "/who", &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = crate::support::send(&app, "/promote", &[]).await;
    let cookie = answer.set_cookies()[0].split(';').next().unwrap().to_owned();
    assert_eq!(crate::support::send(&app, "/who", &[cookie.as_bytes()]).await.body, "root");
}

#[tokio::test]
async fn asvs_7_5_2_a_user_sees_all_devices_and_no_token() {
    let clock = TestClock::default();
    let start = clock.now();
    let app = app(MemoryStore::new(), &clock);
    let mut phone = logged_in(&app, "ada").await;
    clock.advance(10 * MINUTE);
    let mut laptop = logged_in(&app, "ada").await;
    logged_in(&app, "bob").await;
    clock.advance(10 * MINUTE);
    phone.get("/user").await;
    clock.advance(MINUTE);

    let text = laptop.get("/devices").await.body;
    for token in [&phone.token, &laptop.token] {
        // The id is the first third of a token, and no secret.
        let token = token.as_deref().unwrap();
        assert!(!text.contains(token) && !text.contains(&token[22..]), "no secret in {text}");
    }
    let list = devices(&mut laptop).await;
    let seconds = |minutes: u32| (start + minutes * MINUTE).duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let expected = |id: &serde_json::Value, logged_in: u32, seen: u32, is_current: bool| {
        serde_json::json!({
            "id": id,
            "created_at": seconds(logged_in),
            "logged_in_at": seconds(logged_in),
            "last_seen_at": seconds(seen),
            "expires_at": seconds(seen + 60),
            "label": "Firefox  on Linux",
            "is_current": is_current,
        })
    };
    // The list itself is a use of the laptop's session.
    assert_eq!(list, [expected(&list[0]["id"], 10, 21, true), expected(&list[1]["id"], 0, 20, false)]);
}

#[tokio::test]
async fn a_device_was_seen_at_some_time_since_it_was_created_and_no_later_than_now() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let token = new_session(&manager, |session| session.login("ada").unwrap()).await;
    for _ in 0..30 {
        clock.advance(50 * MINUTE);
        let session = open(&manager, &token).await;
        let Ok(list) = session.devices().await else { break };
        manager.commit(&session).await.unwrap();
        let device = &list[0];
        assert!(device.created_at <= device.last_seen_at && device.last_seen_at <= clock.now());
        assert!(device.expires_at > clock.now());
    }
    assert!(manager.sessions_of("ada").await.unwrap().is_empty(), "it has reached its absolute deadline");
}

#[tokio::test]
async fn asvs_7_5_2_a_device_is_signed_out_by_its_id_by_its_owner_alone() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let mut phone = logged_in(&app, "ada").await;
    let mut laptop = logged_in(&app, "ada").await;
    let mut of_bob = logged_in(&app, "bob").await;
    let id = |list: &[serde_json::Value], current: bool| {
        let device = list.iter().find(|device| device["is_current"] == current).unwrap();
        device["id"].as_str().unwrap().to_owned()
    };
    let phone_id = id(&devices(&mut laptop).await, false);

    assert_eq!(of_bob.get(&format!("/revoke/{phone_id}")).await.body, "false");
    assert_eq!(phone.get("/user").await.body, "ada");
    assert_eq!(laptop.get(&format!("/revoke/{phone_id}")).await.body, "true");
    assert_eq!(laptop.get(&format!("/revoke/{phone_id}")).await.body, "false");
    assert_eq!(phone.get("/user").await.status, StatusCode::UNAUTHORIZED);

    let own = id(&devices(&mut laptop).await, true);
    let answer = laptop.get(&format!("/revoke/{own}")).await;
    assert!(answer.removes_cookie(), "one's own session ends as with a logout");
    assert_eq!(of_bob.get("/user").await.body, "bob");
}

/// The list of devices of CVE-2020-5224 gave away session keys.
#[tokio::test]
async fn asvs_7_5_2_an_id_in_place_of_a_token_opens_nothing() {
    let clock = TestClock::default();
    let store = CountingStore::new(MemoryStore::new());
    let app = app(store.clone(), &clock);
    let mut browser = logged_in(&app, "ada").await;
    let id = devices(&mut browser).await[0]["id"].as_str().unwrap().to_owned();
    store.reset();
    for cookie in [id.clone(), id.replace('-', ""), format!("{}{}", id.replace('-', ""), "0".repeat(32))] {
        assert_eq!(send_token(&app, "/user", &cookie).await.status, StatusCode::UNAUTHORIZED, "{cookie}");
    }
    // The id in the form that a token has, with a secret of zeros.
    let token = browser.token.unwrap();
    let forged = format!("{}{}", &token[..20], "A".repeat(44));
    assert_eq!(send_token(&app, "/user", &forged).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn asvs_7_4_3_after_a_change_of_the_password_one_session_is_left_with_a_new_secret() {
    let clock = TestClock::default();
    let log = EventLog::default();
    let app = routes().layer(layer(MemoryStore::new(), &clock).on_event(log.hook()));
    let (mut phone, mut tablet) = (logged_in(&app, "ada").await, logged_in(&app, "ada").await);
    let (mut laptop, mut of_bob) = (logged_in(&app, "ada").await, logged_in(&app, "bob").await);
    let before = laptop.token.clone().unwrap();
    assert_eq!(laptop.get("/revoke-others").await.body, "2");
    assert_eq!(laptop.get("/user").await.body, "ada");
    assert_eq!(send_token(&app, "/user", &before).await.status, StatusCode::UNAUTHORIZED);
    for gone in [&mut phone, &mut tablet] {
        assert_eq!(gone.get("/user").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(of_bob.get("/user").await.body, "bob");
    assert_eq!(log.count(|event| matches!(event, SessionEvent::Revoked { .. })), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_once_when_its_session_is_revoked() {
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let token = new_session(&manager, |session| session.login("ada").unwrap()).await;
    let connection = open(&manager, &token).await.detach().await.unwrap().check_every(Duration::from_hours(1));
    let waiting = connection.clone();
    let ended = tokio::spawn(async move { waiting.ended().await });
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!ended.is_finished());
    assert!(manager.revoke("ada", token.id()).await.unwrap());
    tokio::time::timeout(Duration::from_millis(5), ended).await.expect("at once").unwrap();
    assert_eq!(connection.insert("late", true).unwrap_err().kind(), ErrorKind::Ended);
}

#[tokio::test]
async fn asvs_7_4_5_everything_ends_with_a_policy_that_begins_anew() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let before = manager(store.clone(), &clock);
    let old = new_session(&before, |session| session.login("ada").unwrap()).await;
    clock.advance(MINUTE);
    let policy = SessionPolicy::default().not_before(clock.now());
    let after = manager(store, &clock).policy(policy).unwrap();
    assert_eq!(open(&after, &old).await.status(), SessionStatus::New);
    assert!(after.sessions_of("ada").await.unwrap().is_empty());
    let new = new_session(&after, |session| session.login("ada").unwrap()).await;
    assert_eq!(open(&after, &new).await.user().as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_label_is_bounded_costs_nothing_when_it_stays_and_makes_no_session() {
    let clock = TestClock::default();
    let store = CountingStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &clock);
    let session = manager.create();
    session.set_label("a crawler").unwrap();
    assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Keep));
    assert_eq!(store.reset().create, 0);

    let long = "é".repeat(300);
    let token = new_session(&manager, |session| {
        session.login("ada").unwrap();
        session.set_label(&long).unwrap();
    })
    .await;
    store.reset();
    let session = open(&manager, &token).await;
    assert_eq!(session.label().unwrap(), "é".repeat(256));
    session.set_label(&long).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(store.reset().save, 0);
    let session = open(&manager, &token).await;
    session.set_label("phone").unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(store.reset().save, 1);
    assert_eq!(open(&manager, &token).await.label().as_deref(), Some("phone"));
}

#[tokio::test]
async fn a_store_that_fails_or_cannot_find_users_is_an_error_and_no_empty_list() {
    let clock = TestClock::default();
    let without = manager(NoopStore, &clock);
    assert_eq!(without.sessions_of("ada").await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(without.revoke_user("ada").await.unwrap_err().kind(), ErrorKind::Unsupported);

    let store = FaultStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &clock);
    let token = new_session(&manager, |session| session.login("ada").unwrap()).await;
    store.once(Operation::Delete, Fault::Down);
    assert_eq!(manager.revoke("ada", token.id()).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(manager.revoke("ada", token.id()).await.unwrap());
}
