//! Coming from `tower-sessions` with sessions that are in use: the real crate writes them, and nobody is logged out.

mod faults;
mod once;
mod signed;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use cloakroom::store::{Inheritance, Predecessor, StoreError, TowerSessionsPredecessor};
use cloakroom::{CookiePrefix, MemoryStore, Session, SessionCookie, SessionError, SessionLayer, SessionStore};
use http::{Request, StatusCode, header};
use tower::ServiceExt as _;
use tower_sessions::{Expiry, MemoryStore as OldStore, SessionManagerLayer};

use crate::support::{Answer, N, log};

/// A browser with a cookie jar, for both applications.
#[derive(Clone, Debug, Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    async fn get(&mut self, app: &Router, path: &str) -> Answer {
        let answer = self.clone().send(app, path).await;
        for cookie in answer.set_cookies() {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            self.0.retain(|(old, _)| old != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        answer
    }

    /// Without listening to the answer.
    async fn send(self, app: &Router, path: &str) -> Answer {
        log::listen();
        let mut request = Request::builder().uri(path);
        for (name, value) in &self.0 {
            request = request.header(header::COOKIE, format!("{name}={value}"));
        }
        Answer::of(app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()).await
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// The application as it was.
fn old_app(store: &OldStore) -> Router {
    async fn log_in(session: tower_sessions::Session) {
        session.insert("user_id", 7).await.unwrap();
        session.insert("cart.items", ["milk", "bread"]).await.unwrap();
    }
    Router::new().route("/login", get(log_in)).layer(SessionManagerLayer::new(store.clone()))
}

fn before(store: &OldStore) -> TowerSessionsPredecessor<OldStore> {
    TowerSessionsPredecessor::new(store.clone()).user(|data| data.get("user_id").map(ToString::to_string))
}

fn old_cookie() -> SessionCookie {
    SessionCookie::new("id").prefix(CookiePrefix::None)
}

/// The application as it is now.
fn new_app(store: impl SessionStore, predecessor: impl Predecessor) -> Router {
    let layer = SessionLayer::new(store).predecessor(old_cookie(), predecessor).unwrap();
    routes().layer(layer)
}

fn routes() -> Router {
    async fn show(session: Session) -> Result<String, SessionError> {
        let items: Vec<String> = session.get(["cart.items"])?.unwrap_or_default();
        let user = session.user().unwrap_or("nobody".to_owned());
        let id = session.id().map(|id| id.to_string()).unwrap_or_default();
        Ok(format!("{user} {} {} {id}", items.join(","), session.get::<u64>("n")?.unwrap_or(0)))
    }
    async fn count(session: Session) -> Result<(), SessionError> {
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).map(drop)
    }
    async fn fail(session: Session) -> Result<StatusCode, SessionError> {
        session.insert("n", 99)?;
        Ok(StatusCode::INTERNAL_SERVER_ERROR)
    }
    async fn devices(session: Session) -> Result<String, SessionError> {
        Ok(session.devices().await?.len().to_string())
    }
    async fn recent(session: Session) -> Result<String, SessionError> {
        session.require_recent_login(Duration::from_mins(10))
    }
    async fn change(session: Session) -> Result<(), SessionError> {
        session.regenerate()
    }
    async fn log_out(session: Session) -> Result<(), SessionError> {
        session.logout()
    }
    Router::new()
        .route("/", get(show))
        .route("/count", get(count))
        .route("/fail", get(fail))
        .route("/devices", get(devices))
        .route("/recent", get(recent))
        .route("/regenerate", get(change))
        .route("/logout", get(log_out))
        .route("/plain", get(|| async { "plain" }))
}

/// Somebody who has logged in to the old application.
async fn visitor(store: &OldStore) -> Browser {
    let mut browser = Browser::default();
    browser.get(&old_app(store), "/login").await;
    assert_eq!(browser.names(), ["id"]);
    browser
}

async fn is_in(store: &OldStore, browser: &Browser) -> bool {
    let id = browser.0.iter().find(|(name, _)| name == "id").unwrap().1.parse().unwrap();
    tower_sessions::SessionStore::load(store, &id).await.unwrap().is_some()
}

/// Everything but the id of the session.
fn without_id(answer: &Answer) -> &str {
    answer.body.rsplit_once(' ').unwrap().0
}

#[tokio::test]
async fn a_visitor_goes_on_with_the_same_data_under_a_new_cookie() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = visitor(&old).await;
    let as_it_was = browser.clone();

    // A page that does not ask for the session changes nothing.
    assert_eq!(browser.get(&app, "/plain").await.set_cookies(), [""; 0]);

    let answer = browser.get(&app, "/").await;
    assert_eq!(without_id(&answer), "7 milk,bread 0");
    assert_eq!(browser.names(), [N], "{:?}", answer.set_cookies());
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert!(!is_in(&old, &as_it_was).await);

    assert_eq!(browser.get(&app, "/").await.set_cookies(), [""; 0], "and that was it");
    browser.get(&app, "/count").await;
    assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 1");
    assert_eq!(browser.get(&app, "/devices").await.body, "1");
}

/// A predecessor that knows when its users have logged in.
#[derive(Debug)]
struct KnowsWhen(TowerSessionsPredecessor<OldStore>);
#[async_trait::async_trait]
impl Predecessor for KnowsWhen {
    fn session(&self, cookie: &str) -> Option<String> {
        self.0.session(cookie)
    }
    async fn load(&self, session: &str) -> Result<Option<Inheritance>, StoreError> {
        let at = std::time::SystemTime::now() - Duration::from_mins(5);
        Ok(self.0.load(session).await?.map(|inheritance| inheritance.logged_in_at(at)))
    }
    async fn delete(&self, session: &str) -> Result<(), StoreError> {
        self.0.delete(session).await
    }
}

#[tokio::test]
async fn nobody_has_just_logged_in() {
    let old = OldStore::default();
    let mut browser = visitor(&old).await;
    let answer = browser.get(&new_app(MemoryStore::new(), before(&old)), "/recent").await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    // Unless the predecessor knows.
    let mut browser = visitor(&old).await;
    let answer = browser.get(&new_app(MemoryStore::new(), KnowsWhen(before(&old))), "/recent").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "7"));
}

#[tokio::test]
async fn who_was_remembered_is_remembered() {
    let old = OldStore::default();
    let time = Duration::from_hours(24 * 14);
    let app = new_app(MemoryStore::new(), before(&old).remember(time));
    let answer = visitor(&old).await.get(&app, "/").await;
    let ours = answer.set_cookies().into_iter().find(|cookie| cookie.starts_with(N)).unwrap().to_owned();
    assert!(ours.contains("Max-Age=1209"), "{ours}");
    let answer = visitor(&old).await.get(&new_app(MemoryStore::new(), before(&old)), "/").await;
    assert!(!answer.set_cookies().iter().any(|cookie| cookie.starts_with(N) && cookie.contains("Max-Age")));
}

#[tokio::test]
async fn a_cookie_that_opens_nothing_is_taken_away_and_nothing_is_stored() {
    let (old, store) = (OldStore::default(), MemoryStore::new());
    let app = new_app(store.clone(), before(&old));
    let gone = visitor(&old).await;
    tower_sessions::SessionStore::delete(&old, &gone.0[0].1.parse().unwrap()).await.unwrap();
    let expired = {
        let app = old_app(&old);
        let short =
            SessionManagerLayer::new(old.clone()).with_expiry(Expiry::OnInactivity(time::Duration::milliseconds(1)));
        drop(app);
        let app = Router::new()
            .route(
                "/",
                get(|session: tower_sessions::Session| async move { session.insert("user_id", 7).await.unwrap() }),
            )
            .layer(short);
        let answer = Browser::default().send(&app, "/").await;
        let value = answer.set_cookies()[0].split([';', '=']).nth(1).unwrap().to_owned();
        std::thread::sleep(Duration::from_millis(2));
        Browser(vec![("id".into(), value)])
    };
    for value in [&*gone.0[0].1, &expired.0[0].1, "", "what?", "AAAAAAAAAAAAAAAAAAAAAA", "\u{e4}", "a=b"] {
        let mut browser = Browser(vec![("id".into(), value.to_owned())]);
        let answer = browser.get(&app, "/").await;
        assert_eq!(answer.body, "nobody  0 ", "{value:?}");
        assert_eq!(browser.names(), [""; 0], "{value:?}: {:?}", answer.set_cookies());
    }
    // Of two that differ neither counts.
    let (one, two) = (visitor(&old).await, visitor(&old).await);
    let both = Browser([one.0, two.0].concat());
    assert_eq!(both.send(&app, "/").await.body, "nobody  0 ");
    assert!(store.is_empty());
}

#[tokio::test]
async fn ours_is_good_so_the_other_is_not_looked_at() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = Browser::default();
    browser.get(&app, "/count").await;
    let other = visitor(&old).await;
    browser.0.extend(other.0.clone());
    let answer = browser.get(&app, "/").await;
    assert_eq!((without_id(&answer), browser.names()), ("nobody  1", vec![N]));
    assert!(is_in(&old, &other).await, "nobody has taken it over");
}

#[tokio::test]
async fn an_answer_that_failed_has_taken_over_the_session_and_nothing_else() {
    let old = OldStore::default();
    let app = new_app(MemoryStore::new(), before(&old));
    let mut browser = visitor(&old).await;
    assert_eq!(browser.get(&app, "/fail").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(browser.names(), [N]);
    assert_eq!(without_id(&browser.get(&app, "/").await), "7 milk,bread 0");
}

#[test]
fn cookies_that_would_meet_are_refused() {
    let before = || before(&OldStore::default());
    let layer = || SessionLayer::new(MemoryStore::new());
    let error = layer().predecessor(SessionCookie::new("id"), before()).unwrap_err();
    assert!(error.to_string().contains("is called \"__Host-id\", as this layer's own"), "{error}");
    let own = SessionCookie::new_for_http("id");
    let layer = layer().predecessor(old_cookie(), before()).unwrap();
    assert!(layer.transport(own).unwrap_err().to_string().contains("\"id\""));
    let in_cookie = cloakroom::CookieStore::without_revocation(cloakroom::SealingKey::generate().unwrap());
    assert!(SessionLayer::in_cookie(in_cookie).predecessor(old_cookie(), before()).is_err());
}

#[tokio::test]
async fn data_that_are_too_large_are_an_error_and_stay_where_they_are() {
    let old = OldStore::default();
    let limits = cloakroom::Limits::default().data_bytes(20);
    let layer = SessionLayer::new(MemoryStore::new()).limits(limits).unwrap();
    let app = routes().layer(layer.predecessor(old_cookie(), before(&old)).unwrap());
    let mut browser = visitor(&old).await;
    let answer = browser.get(&app, "/").await;
    assert_eq!((answer.status, browser.names()), (StatusCode::PAYLOAD_TOO_LARGE, vec!["id"]));
    assert!(is_in(&old, &browser).await);
}
