//! Who is logged in, and new secrets: at once and with grace.

use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::TestClock;
use cloakroom::{
    Clock as _, ErrorKind, MemoryStore, Session, SessionError, SessionLayer, SessionManager, SessionPolicy,
    SessionStore,
};
use http::StatusCode;

use crate::support::{Browser, layer, send_token};

type Text = Result<String, SessionError>;

fn routes() -> Router {
    async fn visit(session: Session) -> Text {
        let n = session.increment("visits", 1)?;
        Ok(format!("{n} {}", session.user().as_deref().unwrap_or("-")))
    }
    async fn who(session: Session) -> String {
        session.user().unwrap_or_else(|| "-".to_owned())
    }
    async fn login(session: Session, Path(user): Path<String>) -> Text {
        session.login(&user)?;
        Ok(session.user().unwrap())
    }
    async fn login_and_fail(session: Session) -> Result<StatusCode, SessionError> {
        session.login("ada")?;
        session.insert("half", true)?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    async fn renew(session: Session) -> Result<(), SessionError> {
        session.regenerate_with_grace(Duration::from_secs(30))
    }
    Router::new()
        .route("/", get(visit))
        .route("/who", get(who))
        .route("/login/{user}", get(login))
        .route("/login-and-fail", get(login_and_fail))
        .route("/logout", get(async |session: Session| session.logout()))
        .route("/renew", get(renew))
        .route("/regenerate", get(async |session: Session| session.regenerate()))
        .route("/keeping-cookie", get(async |session: Session| session.destroy_keeping_cookie()))
}

fn app(store: impl SessionStore, clock: &TestClock) -> Router {
    routes().layer(layer(store, clock))
}

async fn users(store: &MemoryStore, user: &str, clock: &TestClock) -> usize {
    store.user_index().unwrap().records_of(user, clock.now().into()).await.unwrap().len()
}

#[tokio::test]
async fn a_login_keeps_what_the_visitor_did_and_gives_a_new_secret() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let app = app(store.clone(), &clock);
    let mut browser = Browser::new(&app);
    browser.get("/").await;
    let before = browser.token.clone().unwrap();
    assert_eq!(browser.get("/login/ada").await.body, "ada");
    assert_eq!(browser.get("/").await.body, "2 ada");
    assert_ne!(browser.token.as_ref().unwrap(), &before);
    assert_eq!(send_token(&app, "/who", &before).await.body, "-", "the old secret is dead");
    assert_eq!(users(&store, "ada", &clock).await, 1);

    assert!(browser.get("/logout").await.removes_cookie());
    assert_eq!(browser.get("/").await.body, "1 -");
    assert_eq!(users(&store, "ada", &clock).await, 0);
}

#[tokio::test]
async fn a_login_begins_a_session_where_there_is_none() {
    let clock = TestClock::default();
    let mut browser = Browser::new(&app(MemoryStore::new(), &clock));
    assert!(browser.get("/login/ada").await.token().is_some());
    assert_eq!(browser.get("/who").await.body, "ada");
}

/// What Ada had in her session is not for Grace to see.
#[tokio::test]
async fn the_login_of_somebody_else_leaves_nothing_of_the_one_before() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let mut browser = Browser::new(&app(store.clone(), &clock));
    browser.get("/login/ada").await;
    browser.get("/").await;
    browser.get("/login/ada").await;
    assert_eq!(browser.get("/").await.body, "2 ada", "the same user again keeps the data");
    browser.get("/login/grace").await;
    assert_eq!(browser.get("/").await.body, "1 grace");
    assert_eq!((users(&store, "ada", &clock).await, users(&store, "grace", &clock).await), (0, 1));
}

#[tokio::test]
async fn a_login_counts_even_if_its_page_fails_and_data_do_not() {
    for visited in [false, true] {
        let clock = TestClock::default();
        let mut browser = Browser::new(&app(MemoryStore::new(), &clock));
        if visited {
            browser.get("/").await;
        }
        assert_eq!(browser.get("/login-and-fail").await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(browser.get("/").await.body, format!("{} ada", 1 + u8::from(visited)));
    }
}

#[tokio::test]
async fn a_login_restarts_the_absolute_deadline_and_forgets_an_earlier_remember() {
    let clock = TestClock::default();
    let manager = SessionManager::new(MemoryStore::new()).clock(clock.clone());
    let session = manager.create();
    session.insert("x", 1).unwrap();
    session.remember(Duration::from_hours(24 * 30)).unwrap();
    session.save().await.unwrap();
    clock.advance(Duration::from_hours(2));
    session.login("ada").unwrap();
    session.save().await.unwrap();
    assert_eq!(session.absolute_remaining(), Some(SessionPolicy::aal2().absolute_lifetime()));
    assert_eq!((session.idle_remaining(), session.is_persistent()), (Some(Duration::from_hours(1)), Some(false)));
    assert_eq!(session.info().user.as_deref(), Some("ada"));
}

#[tokio::test]
async fn a_user_without_a_usable_name_is_not_logged_in() {
    let session = SessionManager::new(MemoryStore::new()).create();
    for user in ["", "a\0b", &"x".repeat(1025)] {
        assert_eq!(session.login(user).unwrap_err().kind(), ErrorKind::InvalidUser);
    }
    assert_eq!(session.user(), None);
    session.login("x".repeat(1024)).unwrap();
    session.destroy().unwrap();
    assert_eq!(session.user(), None);
    assert_eq!(session.login("ada").unwrap_err().kind(), ErrorKind::Destroyed);
}

#[tokio::test]
async fn who_logs_in_and_out_in_one_request_leaves_nothing() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let manager = layer(store.clone(), &clock).manager().clone();
    let session = manager.create();
    session.login("ada").unwrap();
    session.consent().unwrap();
    session.logout().unwrap();
    assert!(matches!(manager.commit(&session).await.unwrap(), cloakroom::TokenChange::Keep));
    assert_eq!(users(&store, "ada", &clock).await, 0);
}

#[tokio::test]
async fn with_grace_the_old_secret_is_served_and_told_the_same_new_one() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let mut browser = Browser::new(&app);
    browser.get("/").await;
    let old = browser.token.clone().unwrap();
    browser.get("/renew").await;
    let new = browser.token.clone().unwrap();
    assert_ne!(old, new);

    clock.advance(Duration::from_secs(29));
    for visit in 2..4 {
        let answer = send_token(&app, "/", &old).await;
        assert_eq!((answer.body.as_str(), answer.token()), (&*format!("{visit} -"), Some(&*new)));
    }
    let answer = send_token(&app, "/who", &old).await;
    assert_eq!(answer.token(), Some(&*new), "a request that only reads is told as well");
    assert_eq!(send_token(&app, "/", &new).await.token(), None, "who has the new one is told nothing");

    clock.advance(Duration::from_secs(1));
    let late = send_token(&app, "/", &old).await;
    assert_eq!(late.body, "1 -", "after the grace it opens nothing");
    assert!(late.set_cookies().is_empty(), "and takes nothing away from the browser, which may hold the new one");
    assert_eq!(send_token(&app, "/", &new).await.body, "5 -");
}

#[tokio::test]
async fn graces_add_up_over_several_renewals() {
    let clock = TestClock::default();
    let app = app(MemoryStore::new(), &clock);
    let mut browser = Browser::new(&app);
    browser.get("/").await;
    let first = browser.token.clone().unwrap();
    clock.advance(Duration::from_secs(10));
    browser.get("/renew").await;
    clock.advance(Duration::from_secs(10));
    browser.get("/renew").await;
    let last = browser.token.clone();
    assert_eq!(send_token(&app, "/who", &first).await.token(), last.as_deref());
    clock.advance(Duration::from_secs(20));
    assert_eq!(send_token(&app, "/who", &first).await.token(), None, "its own grace is over");
}

#[tokio::test]
async fn a_login_outdoes_a_grace() {
    for end in ["/login/ada", "/regenerate"] {
        let clock = TestClock::default();
        let app = app(MemoryStore::new(), &clock);
        let mut browser = Browser::new(&app);
        browser.get("/").await;
        let old = browser.token.clone().unwrap();
        browser.get("/renew").await;
        let between = browser.token.clone().unwrap();
        browser.get(end).await;
        for dead in [old, between] {
            let answer = send_token(&app, "/", &dead).await;
            assert_eq!(answer.body, "1 -", "{end}");
            assert!(answer.set_cookies().is_empty());
        }
    }
    let session = SessionManager::new(MemoryStore::new()).create();
    session.insert("x", 1).unwrap();
    session.save().await.unwrap();
    session.regenerate().unwrap();
    session.regenerate_with_grace(Duration::from_hours(1)).unwrap();
    session.save().await.unwrap();
}

/// A request with the old secret is at work while another one renews it: its changes are kept, and it is told the new one.
#[tokio::test]
async fn a_request_that_is_under_way_during_a_renewal_keeps_its_changes() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create();
    session.insert("n", 0).unwrap();
    let cloakroom::TokenChange::Issue(old) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let open = async || manager.open(old.token.expose().as_bytes()).await.unwrap();
    let (renews, slow) = (open().await, open().await);
    renews.regenerate_with_grace(Duration::from_secs(30)).unwrap();
    slow.increment("n", 1).unwrap();
    let cloakroom::TokenChange::Issue(new) = manager.commit(&renews).await.unwrap() else { panic!("no token") };
    let cloakroom::TokenChange::Issue(told) = manager.commit(&slow).await.unwrap() else { panic!("not told") };
    assert_eq!(*told.token.expose(), *new.token.expose());
    assert_eq!(open().await.get("n").unwrap(), Some(1));
}

#[tokio::test]
async fn destroy_keeping_cookie_tells_the_client_at_its_next_request() {
    let clock = TestClock::default();
    let mut browser = Browser::new(&app(MemoryStore::new(), &clock));
    browser.get("/").await;
    assert!(browser.get("/keeping-cookie").await.set_cookies().is_empty());
    assert!(browser.token.is_some());
    assert!(browser.get("/who").await.removes_cookie());
}

#[tokio::test]
async fn with_consent_still_to_come_a_login_is_stored() {
    let policy = SessionPolicy::default().on_consent(true);
    let app = routes().layer(SessionLayer::new(MemoryStore::new()).policy(policy).unwrap());
    let mut browser = Browser::new(&app);
    browser.get("/login/ada").await;
    assert_eq!(browser.get("/who").await.body, "ada");
}
