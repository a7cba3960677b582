//! What the best session systems of other ecosystems have, row by row.

use std::time::Duration;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use cloakroom::store::SessionStore;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, TestClient, TestClock};
use cloakroom::{
    ErrorKind, Limits, MemoryStore, MigratingStore, ReadOnlySession, SameSite, Session, SessionCookie, SessionError,
    SessionEvent, SessionHeader, SessionLayer, SessionManager, SessionPolicy, SessionStatus, StatelessLayer,
    TokenChange, TowerSessionsStore,
};
use http::StatusCode;

use super::Client;
use crate::support::{Browser, EventLog, N, manager, send, sweep};

fn timed(clock: &TestClock) -> Client {
    Client::new(manager(MemoryStore::new(), clock))
}

#[tokio::test]
async fn as_in_scs_idle_and_absolute_timeouts_hold_together() {
    let clock = TestClock::default();
    let mut client = timed(&clock);
    client.request(|session| session.insert("x", 1).unwrap()).await;
    for _ in 0..30 {
        clock.advance(Duration::from_mins(47));
        client.request(Session::status).await;
    }
    assert_eq!(client.request(Session::status).await, SessionStatus::Resumed, "used again and again");
    clock.advance(Duration::from_mins(31));
    assert_eq!(client.request(Session::status).await, SessionStatus::New, "24 hours overall");
}

#[tokio::test]
async fn as_in_fiber_a_session_can_have_a_life_of_its_own_that_survives() {
    let clock = TestClock::default();
    let mut client = timed(&clock);
    client.request(|session| session.login("ada").unwrap()).await;
    client.request(|session| session.remember(Duration::from_hours(24 * 14)).unwrap()).await;
    clock.advance(Duration::from_hours(24 * 14 - 1));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    assert_eq!(client.request(Session::user).await.as_deref(), Some("ada"));
    clock.advance(Duration::from_hours(1));
    assert_eq!(client.request(Session::status).await, SessionStatus::New);
}

#[tokio::test]
async fn as_in_lua_resty_the_expiry_moves_only_when_that_is_due() {
    let (clock, store) = (TestClock::default(), CountingStore::new(MemoryStore::new()));
    let mut client = Client::new(manager(store.clone(), &clock));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    store.reset();
    client.request(|session| session.get::<u8>("x").unwrap()).await;
    assert_eq!(store.reset(), Calls { load: 1, ..Calls::default() });
    clock.advance(Duration::from_mins(6));
    client.request(|session| session.get::<u8>("x").unwrap()).await;
    assert_eq!(store.reset(), Calls { load: 1, touch: 1, ..Calls::default() });
}

#[tokio::test]
async fn as_in_django_loading_creates_nothing_and_reading_sets_no_cookie() {
    let store = CountingStore::new(MemoryStore::new());
    let app = Router::new()
        .route("/", get(async |session: Session| session.get::<u8>("x").map(|_| ())))
        .layer(SessionLayer::new(store.clone()));
    for cookie in [None, Some(format!("{N}={}", "A".repeat(64)))] {
        let cookies: Vec<_> = cookie.iter().map(String::as_bytes).collect();
        let answer = send(&app, "/", &cookies).await;
        assert!(answer.token().is_none());
    }
    let calls = store.reset();
    assert_eq!((calls.create, calls.save), (0, 0));
}

#[tokio::test]
async fn as_in_rack_a_request_that_fails_stores_no_data() {
    async fn fails(session: Session) -> Result<StatusCode, SessionError> {
        session.insert("half", true)?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    let app = Router::new().route("/", get(fails)).layer(SessionLayer::new(MemoryStore::new()));
    assert!(send(&app, "/", &[]).await.set_cookies().is_empty());
}

#[tokio::test]
async fn as_in_spring_all_cookies_of_our_name_are_tried() {
    let app = Router::new()
        .route("/", get(async |session: Session| session.increment("n", 1).map(|n| n.to_string())))
        .layer(SessionLayer::new(MemoryStore::new()));
    let first = send(&app, "/", &[]).await;
    let good = format!("{N}={}", first.token().unwrap());
    let planted = format!("{N}=planted; {N}={}; {good}", "A".repeat(64));
    assert_eq!(send(&app, "/", &[planted.as_bytes()]).await.body, "2");
}

#[tokio::test]
async fn as_in_spring_a_header_carries_the_token() {
    let app =
        Router::new().route("/", get(async |session: Session| session.increment("n", 1).map(|n| n.to_string()))).layer(
            SessionLayer::new(MemoryStore::new()).transport(SessionHeader::new("x-session-token").unwrap()).unwrap(),
        );
    let first = send(&app, "/", &[]).await;
    assert!(first.set_cookies().is_empty() && first.headers["x-session-token"].len() == 64);
}

#[tokio::test]
async fn as_in_spring_events_tell_what_happens() {
    let log = EventLog::default();
    let faults = FaultStore::new(MemoryStore::new());
    let manager = SessionManager::new(faults.clone()).on_event(log.hook());
    faults.everything(Fault::Down);
    let session = manager.create();
    session.insert("x", 1).unwrap();
    manager.commit(&session).await.unwrap_err();
    assert!(log.count(|event| matches!(event, SessionEvent::StoreFailed { .. })) > 0);
    assert_eq!(log.count(|event| matches!(event, SessionEvent::CommitFailed { .. })), 1);
}

#[tokio::test]
async fn as_in_symfony_sessions_move_to_another_store() {
    let (old, new) = (MemoryStore::new(), MemoryStore::new());
    let mut client = Client::new(SessionManager::new(old.clone()));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    client.manager = SessionManager::new(MigratingStore::new(old, new.clone()));
    assert_eq!(client.request(|session| session.increment("x", 1).unwrap()).await, 2);
    client.manager = SessionManager::new(new);
    assert_eq!(client.request(|session| session.get("x").unwrap()).await, Some(2));
}

#[tokio::test]
async fn as_in_symfony_tokens_are_compared_exactly() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    let good = client.token.clone();
    for place in 0..good.len() {
        let mut other = good.clone();
        other[place] = if other[place] == b'A' { b'B' } else { b'A' };
        assert_eq!(client.manager.open(&other).await.unwrap().status(), SessionStatus::New);
    }
    assert_eq!(client.manager.open(&good.to_ascii_uppercase()).await.unwrap().status(), SessionStatus::New);
}

#[tokio::test]
async fn as_in_symfony_a_route_can_be_declared_stateless() {
    let app = Router::new()
        .route("/", get(async |_: Session| "a session"))
        .layer(StatelessLayer::new())
        .layer(SessionLayer::new(MemoryStore::new()));
    assert_eq!(send(&app, "/", &[]).await.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn as_in_rails_flash_values_are_for_now_kept_or_kept_altogether() {
    let mut client = Client::new(SessionManager::new(MemoryStore::new()));
    client.request(|session| session.flash_now("now", 1).unwrap()).await;
    assert!(client.token.is_empty());
    client.request(|session| session.flash("note", 1).unwrap()).await;
    client.request(|session| session.keep("note").unwrap()).await;
    client.request(|session| session.reflash().unwrap()).await;
    assert_eq!(client.request(|session| session.get("note").unwrap()).await, Some(1));
    assert_eq!(client.request(|session| session.get::<u8>("note").unwrap()).await, None);
}

#[tokio::test]
async fn as_in_laravel_values_are_pulled_pushed_and_counted() {
    let session = SessionManager::new(MemoryStore::new()).create();
    session.push("list", "a").unwrap();
    session.push("list", "b").unwrap();
    assert_eq!(session.take::<Vec<String>>("list").unwrap().unwrap(), ["a", "b"]);
    assert_eq!((session.increment("n", 2).unwrap(), session.decrement("n", 1).unwrap()), (2, 1));
}

#[tokio::test]
async fn as_in_laravel_tests_of_applications_have_assertions() {
    async fn order(session: Session) -> Result<Redirect, SessionError> {
        session.push("orders", "teapot")?;
        session.flash("success", "Thank you.")?;
        Ok(Redirect::to("/orders"))
    }
    let sessions = SessionLayer::new(MemoryStore::new());
    let client = TestClient::new(Router::new().route("/order", get(order)).layer(sessions.clone()), &sessions);
    client.session(|session| session.login("ada")).await;
    client.get("/order").await.assert_redirect("/orders");
    client.assert_session_has("orders").await;
    client.assert_flash("success", "Thank you.").await;
    client.assert_user("ada").await;
}

#[tokio::test]
async fn as_in_laravel_expired_sessions_are_deleted() {
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let mut client = Client::new(manager(store.clone(), &clock));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    clock.advance(Duration::from_hours(1));
    let now = cloakroom::Clock::now(&clock).into();
    assert_eq!(sweep(&store, now, 100).await, 1);
}

#[tokio::test]
async fn as_in_express_cookies_roll_and_sessions_reload() {
    let clock = TestClock::default();
    let policy = SessionPolicy::aal2().persistent(true);
    let mut client = Client::new(manager(MemoryStore::new(), &clock).policy(policy).unwrap());
    client.request(|session| session.insert("x", 1).unwrap()).await;
    clock.advance(Duration::from_mins(10));
    let session = client.open().await;
    let TokenChange::Refresh(rolled) = client.commit(&session).await else { panic!("the cookie does not roll") };
    assert_eq!(rolled.lifetime, Some(Duration::from_hours(1)));

    let session = client.open().await;
    client.request(|session| session.insert("x", 2).unwrap()).await;
    assert_eq!(session.get("x").unwrap(), Some(1));
    session.reload().await.unwrap();
    assert_eq!(session.get("x").unwrap(), Some(2));
}

#[tokio::test]
async fn as_in_express_secure_and_same_site_fit_together_or_are_refused() {
    for same_site in [SameSite::Strict, SameSite::Lax, SameSite::None] {
        for secure in [true, false] {
            let cookie = if secure { SessionCookie::new("id") } else { SessionCookie::new_for_http("id") };
            let layer = SessionLayer::new(MemoryStore::new()).transport(cookie.same_site(same_site));
            assert_eq!(layer.is_ok(), secure || same_site != SameSite::None, "{same_site} {secure}");
        }
    }
}

#[tokio::test]
async fn as_in_lua_resty_a_new_secret_leaves_the_old_one_a_grace() {
    let clock = TestClock::default();
    let mut client = timed(&clock);
    client.request(|session| session.insert("x", 1).unwrap()).await;
    let old = client.token.clone();
    client.request(|session| session.regenerate_with_grace(Duration::from_secs(30)).unwrap()).await;
    let late = client.manager.open(&old).await.unwrap();
    let TokenChange::Issue(issued) = client.manager.commit(&late).await.unwrap() else { panic!("not told") };
    assert_eq!(issued.token.expose().as_bytes(), client.token, "the same new one again");
}

#[tokio::test]
async fn as_in_actix_a_login_changes_the_secret_in_one_step_and_stores_find_the_user() {
    let (clock, store) = (TestClock::default(), CountingStore::new(MemoryStore::new()));
    let mut client = Client::new(manager(store.clone(), &clock));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    store.reset();
    client.request(|session| session.login("ada").unwrap()).await;
    assert_eq!(store.reset(), Calls { load: 1, save: 1, ..Calls::default() });
    let now = cloakroom::Clock::now(&clock).into();
    assert_eq!(store.user_index().unwrap().records_of("ada", now).await.unwrap().len(), 1);
}

#[tokio::test]
async fn as_in_tower_sessions_stores_of_third_parties_can_be_used() {
    let mut client = Client::new(SessionManager::new(TowerSessionsStore::new(crate::stores::ForeignStore::default())));
    client.request(|session| session.insert("x", 1).unwrap()).await;
    assert_eq!(client.request(|session| session.increment("x", 1).unwrap()).await, 2);
}

#[tokio::test]
async fn as_in_axum_session_nothing_is_stored_before_consent() {
    let store = CountingStore::new(MemoryStore::new());
    let manager = SessionManager::new(store.clone()).policy(SessionPolicy::default().on_consent(true)).unwrap();
    let mut client = Client::new(manager);
    client.request(|session| session.insert("x", 1).unwrap()).await;
    assert!(client.token.is_empty() && store.reset() == Calls::default());
    client.request(|session| session.consent().unwrap()).await;
    assert!(!client.token.is_empty());
}

#[tokio::test(start_paused = true)]
async fn as_in_aspnet_a_store_that_is_slow_is_given_up() {
    let faults = FaultStore::new(MemoryStore::new());
    let limits = Limits::default().operation_timeout(Duration::from_secs(1));
    let mut client = Client::new(SessionManager::new(faults.clone()).limits(limits).unwrap());
    client.request(|session| session.insert("x", 1).unwrap()).await;
    faults.everything(Fault::Never);
    let error = client.manager.open(&client.token).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn as_in_adonis_a_session_can_be_read_only_by_type() {
    async fn show(session: ReadOnlySession) -> Result<String, SessionError> {
        Ok(format!("{:?}", session.get::<u8>("x")?))
    }
    let app = Router::new()
        .route("/", get(show))
        .route("/set", get(async |session: Session| session.insert("x", 1)))
        .layer(SessionLayer::new(MemoryStore::new()));
    let mut browser = Browser::new(&app);
    browser.get("/set").await;
    assert_eq!(browser.get("/").await.body, "Some(1)");
}
