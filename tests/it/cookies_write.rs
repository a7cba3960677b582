//! Writing `Set-Cookie`: the cases SC-01 to SC-20; and what caches are told (design.md, section 5).

use std::collections::HashSet;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request};
use axum::middleware::{Next, from_fn};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::get;
use axum::{Extension, Router};
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ConfigError, CookiePrefix, DropReason, LazySession, MemoryStore, SameSite, SessionCookie, SessionError,
    SessionEvent, SessionLayer, SessionPolicy,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tower::ServiceExt as _;

use crate::support::gate::Gate;
use crate::support::{Answer, Browser, EventLog, N, layer, send, send_token};
use crate::user_agent::{From, UserAgent, Visit};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_millis(1);
const MAX_AGE_MAX: u64 = 34_560_000;

/// Does what the path says with the session of this request. The answer's body is the counter.
async fn act(lazy: &LazySession, what: &str) -> Result<String, SessionError> {
    if what == "ignore" {
        return Ok(String::new());
    }
    let session = lazy.load().await?;
    let add = || session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1);
    match what {
        "look" => {}
        "add" => drop(add()?),
        "regenerate" => session.regenerate()?,
        "destroy" => session.destroy()?,
        "add-save-destroy" => {
            add()?;
            session.save().await?;
            session.destroy()?;
        }
        "regenerate-save-add" => {
            session.regenerate()?;
            session.save().await?;
            add()?;
        }
        other => {
            let days = other.strip_prefix("remember-").unwrap().parse().unwrap_or(u64::MAX);
            add()?;
            session.remember(Duration::from_secs(days.saturating_mul(86_400)))?;
        }
    }
    Ok(session.get::<u64>("n")?.unwrap_or(0).to_string())
}

async fn plain(lazy: LazySession, Path(what): Path<String>) -> Result<String, SessionError> {
    act(&lazy, &what).await
}

async fn with_status(lazy: LazySession, Path((what, status)): Path<(String, u16)>) -> impl IntoResponse {
    (StatusCode::from_u16(status).unwrap(), act(&lazy, &what).await)
}

async fn with_cache_control(lazy: LazySession, Path((what, value)): Path<(String, String)>) -> impl IntoResponse {
    let headers =
        [("cache-control", &*value), ("cdn-cache-control", "max-age=60"), ("surrogate-control", "max-age=60")];
    (AppendHeaders(headers.map(|(name, value)| (name, value.to_owned()))), act(&lazy, &what).await)
}

/// Sets cookies of its own as well: one of our name, and others.
async fn with_cookies(lazy: LazySession, Path(what): Path<String>) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    for cookie in ["a=1; Path=/", "__Host-id=handler; Path=/", "__host-id=2", "b=__Host-id=3"] {
        headers.append(header::SET_COOKIE, HeaderValue::from_static(cookie));
    }
    (headers, act(&lazy, &what).await)
}

/// Loads the session, waits at the gate, and goes on.
async fn held(
    lazy: LazySession,
    Path(what): Path<String>,
    Extension(gate): Extension<Gate>,
) -> Result<String, SessionError> {
    lazy.load().await?;
    gate.pass().await;
    act(&lazy, &what).await
}

fn routes() -> Router {
    Router::new()
        .route("/{what}", get(plain))
        .route("/app/{what}", get(plain))
        .route("/{what}/status/{code}", get(with_status))
        .route("/{what}/cache/{directives}", get(with_cache_control))
        .route("/{what}/cookies", get(with_cookies))
        .route("/{what}/held", get(held))
}

struct Site {
    app: Router,
    store: CountingStore<FaultStore<MemoryStore>>,
    faults: FaultStore<MemoryStore>,
    clock: TestClock,
    events: EventLog,
    gate: Gate,
}

impl Site {
    fn new() -> Self {
        Self::with(|layer| layer)
    }

    fn with_policy(policy: SessionPolicy) -> Self {
        Self::with(|layer| layer.policy(policy).unwrap())
    }

    fn with(options: impl FnOnce(SessionLayer) -> SessionLayer) -> Self {
        let (clock, events, gate) = (TestClock::default(), EventLog::default(), Gate::default());
        let faults = FaultStore::new(MemoryStore::new());
        let store = CountingStore::new(faults.clone());
        let sessions = options(layer(store.clone(), &clock).on_event(events.hook()));
        let app = routes().layer(sessions).layer(Extension(gate.clone()));
        Self { app, store, faults, clock, events, gate }
    }

    /// A client with a session.
    async fn guest(&self) -> Browser {
        let mut browser = Browser::new(&self.app);
        browser.get("/add").await;
        assert!(browser.token.is_some());
        self.store.reset();
        browser
    }

    fn has_dropped(&self, reason: DropReason) -> bool {
        self.events.count(|event| matches!(event, SessionEvent::Dropped { reason: why, .. } if *why == reason)) == 1
    }
}

/// A `Set-Cookie` header, taken apart by the grammar of RFC 6265bis section 4.1.1; panics on what it does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    attributes: Vec<(String, Option<String>)>,
}

impl Cookie {
    fn parse(text: &str) -> Self {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_octet = |byte: u8| matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e);
        assert!(text.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{text}");
        let mut parts = text.split("; ");
        let (name, value) = parts.next().unwrap().split_once('=').unwrap();
        assert!(!name.is_empty() && name.bytes().all(is_token), "{text}");
        assert!(value.bytes().all(is_octet), "{text}");
        let attributes: Vec<_> = parts.map(attribute).collect();
        let names: HashSet<_> = attributes.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        assert_eq!(names.len(), attributes.len(), "an attribute twice: {text}");
        Self { name: name.into(), value: value.into(), attributes }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).and_then(|(_, value)| value.as_deref())
    }

    fn has(&self, name: &str) -> bool {
        self.attributes.iter().any(|(found, _)| found == name)
    }

    fn max_age(&self) -> Option<u64> {
        self.attribute("Max-Age").map(|seconds| seconds.parse().unwrap())
    }

    fn without_its_end(&self) -> Self {
        let kept = |(name, _): &(String, _)| name != "Max-Age" && name != "Expires";
        let attributes = self.attributes.iter().filter(|it| kept(it)).cloned().collect();
        Self { value: String::new(), attributes, ..self.clone() }
    }

    fn to_text(&self) -> String {
        let attribute = |(name, value): &(String, Option<String>)| match value {
            Some(value) => format!("; {name}={value}"),
            None => format!("; {name}"),
        };
        format!("{}={}{}", self.name, self.value, self.attributes.iter().map(attribute).collect::<String>())
    }
}

fn attribute(text: &str) -> (String, Option<String>) {
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
    let fits = match (name, value) {
        ("HttpOnly" | "Secure" | "Partitioned", None) => true,
        ("SameSite", Some(value)) => ["Strict", "Lax", "None"].contains(&value),
        ("Path", Some(value)) => value.starts_with('/') && !value.contains(';'),
        ("Domain", Some(value)) => {
            value.split('.').all(|label| label.chars().all(|it| it.is_ascii_alphanumeric() || it == '-'))
        }
        ("Max-Age", Some(value)) => value == "0" || value.parse::<u64>().is_ok_and(|_| !value.starts_with('0')),
        ("Expires", Some(value)) => value.len() == 29 && value.ends_with(" GMT"),
        _ => false,
    };
    assert!(fits, "no attribute: {text}");
    (name.into(), value.map(Into::into))
}

/// The one cookie of an answer.
fn only_cookie(answer: &Answer) -> Cookie {
    let cookies = answer.set_cookies();
    assert_eq!(cookies.len(), 1, "{cookies:?}");
    Cookie::parse(cookies[0])
}

fn assert_no_cookie(answer: &Answer) {
    assert_eq!(answer.set_cookies(), [""; 0]);
}

async fn head(app: &Router, path: &str) -> Answer {
    let request = Request::builder().method(Method::HEAD).uri(path).body(Body::empty()).unwrap();
    Answer::of(app.clone().oneshot(request).await.unwrap()).await
}

fn refusal(cookie: SessionCookie) -> ConfigError {
    SessionLayer::new(MemoryStore::new()).transport(cookie).unwrap_err()
}

async fn issued_by(cookie: SessionCookie) -> Cookie {
    let site = Site::with(|layer| layer.transport(cookie).unwrap());
    only_cookie(&send(&site.app, "/add", &[]).await)
}

#[tokio::test]
async fn sc_01_what_is_emitted_fits_the_grammar() {
    let site = Site::new();
    let answer = send(&site.app, "/add", &[]).await;
    let issued = only_cookie(&answer);
    assert_eq!(issued.to_text(), answer.set_cookies()[0]);
    assert_eq!((&*issued.name, issued.value.len()), (N, 64));
    only_cookie(&send_token(&site.app, "/destroy", &issued.value).await);
    only_cookie(&send(&site.app, "/remember-1", &[]).await);
}

#[tokio::test]
async fn sc_02_ours_takes_the_place_of_the_handlers() {
    let site = Site::new();
    let others = ["a=1; Path=/", "__host-id=2", "b=__Host-id=3"];
    for path in ["/add/cookies", "/remember-1/cookies"] {
        let answer = send(&site.app, path, &[]).await;
        assert_eq!(answer.set_cookies()[..3], others, "others stay, and in their order");
        assert_eq!(answer.set_cookies().len(), 4, "ours is appended");
        assert_eq!(answer.token().map(str::len), Some(64));
    }
    let token = site.guest().await.token.unwrap();
    let removal = send_token(&site.app, "/destroy/cookies", &token).await;
    assert_eq!((&removal.set_cookies()[..3], removal.set_cookies().len()), (&others[..], 4));
    assert!(removal.removes_cookie());
}

#[tokio::test]
async fn sc_02_a_cookie_that_the_handler_sets_stays_if_we_set_none() {
    let site = Site::new();
    for path in ["/ignore/cookies", "/look/cookies"] {
        assert_eq!(send(&site.app, path, &[]).await.set_cookies().len(), 4, "{path}");
    }
}

/// A layer in a layer, both used: the outer one by a middleware.
fn nested(outer: SessionCookie, inner: SessionCookie) -> Router {
    async fn outer_adds(lazy: LazySession, request: Request, next: Next) -> Result<impl IntoResponse, SessionError> {
        act(&lazy, "add").await?;
        Ok(next.run(request).await)
    }
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let around = |cookie| layer(store.clone(), &clock).transport(cookie).unwrap();
    routes().layer(around(inner)).layer(from_fn(outer_adds)).layer(around(outer))
}

#[tokio::test]
async fn sc_02_nested_layers_of_one_name_set_one_cookie() {
    let app = nested(SessionCookie::new("id"), SessionCookie::new("id"));
    let answer = send(&app, "/add", &[]).await;
    assert_eq!(only_cookie(&answer).name, N);
    assert_eq!(answer.body, "2", "both work on one session");
    let again = send_token(&app, "/add", answer.token().unwrap()).await;
    assert_eq!(again.body, "4");
    assert_no_cookie(&again);
}

#[tokio::test]
async fn sc_02_nested_layers_of_two_names_set_a_cookie_each() {
    let app = nested(SessionCookie::new("outer"), SessionCookie::new("inner"));
    let answer = send(&app, "/add", &[]).await;
    let cookies: Vec<_> = answer.set_cookies().into_iter().map(Cookie::parse).collect();
    let names: Vec<_> = cookies.iter().map(|cookie| &*cookie.name).collect();
    assert_eq!(names, ["__Host-inner", "__Host-outer"]);
    assert_ne!(cookies[0].value, cookies[1].value);
    let both = format!("__Host-inner={}; __Host-outer={}", cookies[0].value, cookies[1].value);
    let again = send(&app, "/add", &[both.as_bytes()]).await;
    assert_eq!(again.body, "2");
    assert_no_cookie(&again);
}

#[tokio::test]
async fn sc_03_host_cookies_are_secure_for_the_root_and_without_a_domain() {
    for name in ["id", "__Host-id"] {
        let cookie = issued_by(SessionCookie::new(name)).await;
        assert_eq!(cookie.name, "__Host-id");
        assert!(cookie.has("Secure") && cookie.attribute("Path") == Some("/") && !cookie.has("Domain"), "{cookie:?}");
    }
    for wrong in [
        SessionCookie::new("__Host-id").domain("example.org"),
        SessionCookie::new("__Host-id").path("/app"),
        SessionCookie::new_for_http("__Host-id"),
    ] {
        assert!(matches!(refusal(wrong), ConfigError::CookiePrefix { .. }));
    }
}

#[tokio::test]
async fn sc_04_secure_cookies_are_secure() {
    for cookie in [
        SessionCookie::new("__Secure-id"),
        SessionCookie::new("id").domain("example.org"),
        SessionCookie::new("id").path("/app"),
    ] {
        let cookie = issued_by(cookie).await;
        assert!(cookie.name == "__Secure-id" && cookie.has("Secure"), "{cookie:?}");
    }
    assert!(matches!(refusal(SessionCookie::new_for_http("__Secure-id")), ConfigError::CookiePrefix { .. }));
}

#[tokio::test]
async fn sc_05_prefixes_are_checked_without_regard_to_case() {
    for name in ["__host-id", "__HOST-id", "__secure-id", "__http-id", "__host-HTTP-id"] {
        assert!(matches!(refusal(SessionCookie::new_for_http(name)), ConfigError::CookiePrefix { .. }), "{name}");
        assert_eq!(issued_by(SessionCookie::new(name)).await.name, name, "the name is taken as it is given");
    }
    for name in ["__host-id", "__HOST-id", "__host-http-id"] {
        let with_domain = SessionCookie::new(name).domain("example.org");
        assert!(matches!(refusal(with_domain), ConfigError::CookiePrefix { .. }), "{name}");
    }
}

#[tokio::test]
async fn sc_06_http_prefixes_are_an_option() {
    let http_only = || SessionCookie::new("id").prefix(CookiePrefix::HttpOnly);
    for (cookie, name) in [
        (http_only(), "__Host-Http-id"),
        (http_only().path("/app"), "__Http-id"),
        (http_only().domain("example.org"), "__Http-id"),
    ] {
        let cookie = issued_by(cookie).await;
        assert_eq!(cookie.name, name);
        assert!(cookie.has("Secure") && cookie.has("HttpOnly"), "{cookie:?}");
    }
    for wrong in [
        http_only().insecure_visible_to_scripts(),
        SessionCookie::new("__Http-id").insecure_visible_to_scripts(),
        SessionCookie::new("__Host-Http-id").path("/app"),
        SessionCookie::new_for_http("id").prefix(CookiePrefix::HttpOnly),
    ] {
        assert!(matches!(refusal(wrong), ConfigError::CookiePrefix { .. }));
    }
}

fn persistent(idle: Duration, absolute: Duration) -> SessionPolicy {
    SessionPolicy::aal2().idle(idle).absolute(absolute).persistent(true)
}

#[tokio::test]
async fn sc_07_a_policy_beyond_400_days_is_refused() {
    let layer = |days| SessionLayer::new(MemoryStore::new()).policy(persistent(DAY * days, DAY * 1000));
    assert!(layer(400).is_ok());
    assert_eq!(layer(401).unwrap_err(), ConfigError::CookieLifetime { lifetime: DAY * 401 });
    let site = Site::with_policy(persistent(DAY * 400, DAY * 1000));
    assert_eq!(only_cookie(&send(&site.app, "/add", &[]).await).max_age(), Some(MAX_AGE_MAX));
}

#[tokio::test]
async fn sc_07_remembering_is_cut_off_at_400_days_in_the_cookie_and_on_the_server() {
    for path in ["/remember-500", "/remember-for-ever"] {
        let site = Site::new();
        let answer = send(&site.app, path, &[]).await;
        assert_eq!(only_cookie(&answer).max_age(), Some(MAX_AGE_MAX));
        let token = answer.token().unwrap();
        site.clock.advance(Duration::from_secs(MAX_AGE_MAX).saturating_sub(TICK));
        assert_eq!(send_token(&site.app, "/look", token).await.body, "1", "{path}");
        site.clock.advance(TICK);
        assert_eq!(send_token(&site.app, "/look", token).await.body, "0", "{path}");
    }
}

#[tokio::test]
async fn sc_07_a_persistent_session_that_comes_under_a_longer_policy_says_400_days_at_most() {
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let under = |policy| routes().layer(layer(store.clone(), &clock).policy(policy).unwrap());
    let before = send(&under(persistent(DAY, DAY * 1000)), "/add", &[]).await;
    clock.advance(HOUR * 12);
    let longer = SessionPolicy::aal2().idle(DAY * 900).absolute(DAY * 1000);
    let after = send_token(&under(longer), "/look", before.token().unwrap()).await;
    assert_eq!(only_cookie(&after).max_age(), Some(MAX_AGE_MAX));
}

#[tokio::test]
async fn sc_08_max_age_slides_when_the_touch_is_due_and_ends_at_the_deadline() {
    let site = Site::with_policy(persistent(HOUR, HOUR * 2));
    let mut browser = Browser::new(&site.app);
    assert_eq!(only_cookie(&browser.get("/add").await).max_age(), Some(3600));
    let token = browser.token.clone();
    // After this many seconds more, what the request does, and the new Max-Age.
    for (after, path, max_age) in [
        (359, "/look", None),
        (0, "/add", None),
        (1, "/look", Some(3600)),
        (0, "/look", None),
        (360, "/add", Some(3600)),
        (3599, "/look", Some(2881)),
        (1000, "/look", None),
        (1000, "/add", None),
        (880, "/add", None),
    ] {
        site.clock.advance(Duration::from_secs(after));
        let answer = browser.get(path).await;
        assert_eq!(answer.set_cookies().len(), usize::from(max_age.is_some()), "{after} {path}");
        if max_age.is_some() {
            assert_eq!(only_cookie(&answer).max_age(), max_age, "{after} {path}");
            assert_eq!(browser.token, token, "a refresh brings the same token");
        }
    }
    site.clock.advance(Duration::from_secs(1));
    assert!(browser.get("/look").await.removes_cookie(), "the deadline has come");
}

#[tokio::test]
async fn sc_08_max_age_is_rounded_up() {
    for (idle, max_age) in [(1500, 2), (1001, 2), (1000, 1), (999, 1), (1, 1)] {
        let site = Site::with_policy(persistent(Duration::from_millis(idle), DAY));
        assert_eq!(only_cookie(&send(&site.app, "/add", &[]).await).max_age(), Some(max_age), "{idle} ms");
    }
}

#[tokio::test]
async fn sc_08_no_duration_is_too_long_or_too_short() {
    let endless = Site::with_policy(persistent(DAY * 400, Duration::MAX));
    assert_eq!(only_cookie(&send(&endless.app, "/add", &[]).await).max_age(), Some(MAX_AGE_MAX));
    let session_only = Site::with_policy(SessionPolicy::aal2().idle(Duration::MAX).absolute(Duration::MAX));
    assert_eq!(only_cookie(&send(&session_only.app, "/add", &[]).await).max_age(), None);
    let refused = SessionLayer::new(MemoryStore::new()).policy(persistent(Duration::MAX, Duration::MAX));
    assert!(matches!(refused, Err(ConfigError::CookieLifetime { .. })));
    let site = Site::new();
    assert_eq!(only_cookie(&send(&site.app, "/remember-0", &[]).await).max_age(), Some(1));
}

#[tokio::test]
async fn sc_08_a_session_that_ends_during_its_request_is_not_refreshed() {
    let site = Site::with_policy(persistent(HOUR, HOUR * 2));
    for path in ["/look/held", "/add/held"] {
        let browser = site.guest().await;
        let held = tokio::spawn({
            let mut browser = browser.clone();
            async move { browser.get(path).await }
        });
        site.gate.arrived(1).await;
        site.clock.advance(HOUR * 3);
        site.gate.open(1);
        assert_no_cookie(&held.await.unwrap());
    }
}

#[tokio::test]
async fn sc_08_a_touch_that_fails_is_not_promised_to_the_browser() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = site.guest().await;
    site.clock.advance(MINUTE * 10);
    site.faults.once(Operation::Touch, Fault::Down);
    let answer = browser.get("/look").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "1"));
    assert_no_cookie(&answer);
    assert_eq!(only_cookie(&browser.get("/look").await).max_age(), Some(3600), "the next request makes up for it");
}

#[tokio::test]
async fn sc_09_a_cookie_of_the_browser_session_has_no_end() {
    let issued = issued_by(SessionCookie::new("id")).await;
    assert!(!issued.has("Max-Age") && !issued.has("Expires"), "{issued:?}");
}

#[tokio::test]
async fn sc_09_the_cookie_of_a_remembered_session_gets_an_end() {
    let site = Site::new();
    let mut browser = site.guest().await;
    let before = browser.token.clone();
    assert_eq!(only_cookie(&browser.get("/remember-30").await).max_age(), Some(30 * 86_400));
    assert_eq!(browser.token, before);
    assert_eq!(only_cookie(&browser.get("/regenerate").await).max_age(), Some(30 * 86_400), "and keeps it");
}

#[tokio::test]
async fn sc_10_the_removal_repeats_every_attribute() {
    for cookie in [
        SessionCookie::default(),
        SessionCookie::new_for_http("id"),
        SessionCookie::new("id").domain(".Example.org").path("/app").same_site(SameSite::Strict),
        SessionCookie::new("id").partitioned(true).same_site(SameSite::None).insecure_visible_to_scripts(),
    ] {
        let site = Site::with(|layer| layer.transport(cookie).unwrap());
        let issued = only_cookie(&send(&site.app, "/app/remember-1", &[]).await);
        let shown = format!("{}={}", issued.name, issued.value);
        let removal = only_cookie(&send(&site.app, "/app/destroy", &[shown.as_bytes()]).await);
        assert_eq!(removal.value, "");
        assert_eq!(removal.max_age(), Some(0));
        assert_eq!(removal.attribute("Expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(removal.without_its_end(), issued.without_its_end());
    }
}

#[tokio::test]
async fn sc_11_a_shown_cookie_without_a_session_is_removed() {
    let site = Site::new();
    let expired = site.guest().await.token.unwrap();
    site.clock.advance(HOUR);
    let destroyed = site.guest().await.token.unwrap();
    assert!(send_token(&site.app, "/destroy", &destroyed).await.removes_cookie());
    for (name, value) in [
        ("expired", &*expired),
        ("destroyed", &destroyed),
        ("malformed", "x"),
        ("empty", ""),
        ("unknown", &"A".repeat(64)),
    ] {
        for path in ["/look", "/destroy", "/look/status/500"] {
            assert!(send_token(&site.app, path, value).await.removes_cookie(), "{name} {path}");
        }
        assert_no_cookie(&send_token(&site.app, "/ignore", value).await);
        let new = send_token(&site.app, "/add", value).await;
        assert_eq!(only_cookie(&new).value.len(), 64, "{name}: replaced by a new one, not removed");
        assert_ne!(new.token(), Some(value));
    }
}

#[tokio::test]
async fn sc_11_nothing_is_removed_from_a_request_that_showed_nothing() {
    let site = Site::new();
    for path in ["/look", "/destroy", "/regenerate", "/look/status/500", "/destroy/status/500"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_no_cookie(&send(&site.app, path, &[b"a=1; __host-id=x"]).await);
    }
}

#[tokio::test]
async fn sc_11_nothing_is_removed_if_the_session_was_made_and_ended_by_one_request() {
    let site = Site::new();
    let answer = send(&site.app, "/add-save-destroy", &[]).await;
    assert_eq!(site.store.reset(), Calls { create: 1, delete: 1, ..Calls::default() });
    assert_no_cookie(&answer);
}

#[tokio::test]
async fn sc_11_a_store_failure_removes_nothing() {
    use Operation::{Delete, Load, Save};
    for fault in [Fault::Down, Fault::Broken] {
        for (path, operation) in [
            ("/look", Load),
            ("/add", Load),
            ("/destroy", Load),
            ("/add", Save),
            ("/regenerate", Save),
            ("/destroy", Delete),
            ("/destroy/status/500", Delete),
        ] {
            let site = Site::new();
            let mut browser = site.guest().await;
            site.faults.always(operation, fault);
            let answer = browser.get(path).await;
            assert!(answer.status.is_server_error());
            assert_no_cookie(&answer);
            site.faults.heal();
            assert_eq!(browser.get("/look").await.body, "1", "{path}: the session is as it was");
        }
    }
}

#[tokio::test]
async fn sc_11_several_good_cookies_remove_and_end_nothing() {
    let site = Site::new();
    let (one, two) = (site.guest().await.token.unwrap(), site.guest().await.token.unwrap());
    let both = format!("{N}={one}; {N}={two}");
    for path in ["/look", "/destroy", "/regenerate"] {
        assert_no_cookie(&send(&site.app, path, &[both.as_bytes()]).await);
    }
    for token in [&one, &two] {
        assert_eq!(send_token(&site.app, "/look", token).await.body, "1");
    }
}

#[tokio::test]
async fn sc_12_both_ends_of_a_removal_are_past_and_an_issue_has_one() {
    const HOME: Visit<'_> = Visit { https: true, host: "example.org", path: "/", from: From::SameSite };
    let site = Site::with_policy(persistent(HOUR, DAY));
    let issued = only_cookie(&send(&site.app, "/add", &[]).await);
    assert!(issued.has("Max-Age") && !issued.has("Expires"));
    let removal = only_cookie(&send_token(&site.app, "/destroy", &issued.value).await);
    for missing in ["Max-Age", "Expires"] {
        let mut half = removal.clone();
        half.attributes.retain(|(name, _)| name != missing);
        assert_eq!(half.attributes.len() + 1, removal.attributes.len());
        let mut browser = UserAgent::new(&site.clock);
        browser.receive(&HOME, issued.to_text().as_bytes()).unwrap();
        assert_eq!(browser.count(), 1);
        browser.receive(&HOME, half.to_text().as_bytes()).unwrap();
        assert_eq!(browser.count(), 0, "without {missing}");
    }
}

#[tokio::test]
async fn sc_13_the_longest_that_is_accepted_is_kept_by_browsers() {
    let name = "n".repeat(4096 - 64 - "__Secure-".len());
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    let longest = || SessionCookie::new(name.clone()).path(path(1024));
    let site = Site::with(|layer| layer.transport(longest()).unwrap());
    let answer = send(&site.app, "/add", &[]).await;
    let cookie = only_cookie(&answer);
    assert_eq!(cookie.name.len() + cookie.value.len(), 4096);
    let visit = Visit { https: true, host: "example.org", path: &path(1024), from: From::SameSite };
    let mut browser = UserAgent::new(&site.clock);
    browser.receive(&visit, answer.set_cookies()[0].as_bytes()).unwrap();
    assert!(browser.cookie_header(&visit).is_some());
    assert!(browser.cookie_header(&Visit { path: "/", ..visit }).is_none(), "the Path was not ignored");

    assert!(matches!(refusal(SessionCookie::new(format!("{name}n")).path("/p")), ConfigError::CookieName { .. }));
    assert!(matches!(refusal(longest().path(path(1025))), ConfigError::CookieAttribute { attribute: "Path", .. }));
}

#[tokio::test]
async fn sc_14_one_cookie_at_most_whatever_happens() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = Browser::new(&site.app);
    let paths = ["/look", "/add", "/add", "/regenerate", "/remember-1", "/regenerate-save-add", "/destroy", "/add"];
    for path in paths {
        for _ in 0..2 {
            site.clock.advance(MINUTE * 10);
            assert!(browser.get(path).await.set_cookies().len() <= 1, "{path}");
        }
    }
}

#[tokio::test]
async fn sc_15_same_site_none_needs_secure() {
    let wrong = refusal(SessionCookie::new_for_http("id").same_site(SameSite::None));
    assert_eq!(wrong, ConfigError::NeedsSecure { option: "SameSite=None" });
    assert!(wrong.to_string().contains("SessionCookie::new,"), "says what to do: {wrong}");
    let cookie = issued_by(SessionCookie::new("id").same_site(SameSite::None)).await;
    assert!(cookie.attribute("SameSite") == Some("None") && cookie.has("Secure"), "{cookie:?}");
}

#[tokio::test]
async fn sc_16_partitioned_needs_secure() {
    let wrong = refusal(SessionCookie::new_for_http("id").partitioned(true));
    assert_eq!(wrong, ConfigError::NeedsSecure { option: "Partitioned" });
    let cookie = issued_by(SessionCookie::new("id").partitioned(true).same_site(SameSite::None)).await;
    assert_eq!(cookie.name, "__Host-id");
    assert!(cookie.has("Partitioned") && cookie.has("Secure"), "{cookie:?}");
    assert!(!issued_by(SessionCookie::new("id")).await.has("Partitioned"));
}

#[tokio::test]
async fn sc_17_every_status_can_bring_a_new_token() {
    let site = Site::new();
    for status in [200, 204, 301, 303, 304, 307, 401, 403, 404, 422, 429, 500, 503] {
        let mut browser = site.guest().await;
        let old = browser.token.clone().unwrap();
        let answer = browser.get(&format!("/regenerate/status/{status}")).await;
        assert_eq!(answer.status, status);
        assert_ne!(only_cookie(&answer).value, old);
        assert_eq!(browser.get("/look").await.body, "1", "{status}: the new token opens the session");
    }
}

#[tokio::test]
async fn sc_17_every_status_can_remove_the_cookie() {
    let site = Site::new();
    for status in [200, 204, 303, 304, 403, 404, 500, 503] {
        let mut browser = site.guest().await;
        let old = browser.token.clone().unwrap();
        let answer = browser.get(&format!("/destroy/status/{status}")).await;
        assert_eq!(answer.status, status);
        assert!(answer.removes_cookie());
        assert_eq!(send_token(&site.app, "/look", &old).await.body, "0", "{status}: the session is gone");
    }
}

#[tokio::test]
async fn sc_17_data_make_a_session_unless_the_answer_is_a_server_error() {
    let site = Site::new();
    for status in [200, 303, 304, 404] {
        only_cookie(&send(&site.app, &format!("/add/status/{status}"), &[]).await);
    }
    site.store.reset();
    for path in ["/add/status/500", "/remember-1/status/503"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_eq!(site.store.reset(), Calls::default(), "{path}");
    }
}

#[tokio::test]
async fn sc_17_an_answer_to_head_has_the_cookie_as_well() {
    let site = Site::new();
    let answer = head(&site.app, "/add").await;
    assert_eq!(answer.body, "");
    assert_eq!(send_token(&site.app, "/look", answer.token().unwrap()).await.body, "1");
}

#[tokio::test]
async fn sc_17_a_new_secret_that_is_stored_reaches_the_client_even_if_the_rest_fails() {
    let site = Site::new();
    let mut browser = site.guest().await;
    // The first save stores the new secret, the second one fails.
    site.faults.once(Operation::Save, Fault::Yield(1));
    site.faults.once(Operation::Save, Fault::Broken);
    let answer = browser.get("/regenerate-save-add").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(site.store.calls().save, 2);
    assert_eq!(browser.get("/look").await.body, "1", "the old secret is dead, so the client needs the new one");
}

#[tokio::test]
async fn sc_18_a_session_that_is_only_used_sets_no_cookie() {
    let site = Site::new();
    let mut browser = site.guest().await;
    for _ in 0..10 {
        site.clock.advance(MINUTE);
        for path in ["/ignore", "/look", "/add", "/look/status/304", "/add/status/404"] {
            assert_no_cookie(&browser.get(path).await);
        }
    }
    site.store.reset();
    site.clock.advance(MINUTE * 10);
    assert_no_cookie(&browser.get("/look").await);
    assert_eq!(site.store.reset().touch, 1, "the expiry moves, and the cookie need not know");
}

#[tokio::test]
async fn sc_18_nothing_is_set_for_a_session_to_which_nothing_is_written() {
    let site = Site::new();
    for path in ["/ignore", "/look", "/regenerate"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_eq!(site.store.reset(), Calls::default(), "{path}");
    }
}

impl Site {
    /// A request loads its session with `token`, stands still while the same token asks for `meanwhile`, and then does
    /// what `path` says. The answers: its own, and the other one's.
    async fn overtaken(&self, token: &str, path: &str, meanwhile: &str) -> (Answer, Answer) {
        let held = tokio::spawn({
            let (app, path, token) = (self.app.clone(), format!("{path}/held"), token.to_owned());
            async move { send_token(&app, &path, &token).await }
        });
        self.gate.arrived(1).await;
        let other = send_token(&self.app, meanwhile, token).await;
        self.gate.open(1);
        (held.await.unwrap(), other)
    }
}

#[tokio::test]
async fn sc_19_a_write_that_is_overtaken_by_a_new_secret_says_nothing_of_cookies() {
    for path in ["/look", "/add", "/remember-1", "/regenerate"] {
        let site = Site::new();
        let old = site.guest().await.token.unwrap();
        let (late, other) = site.overtaken(&old, path, "/regenerate").await;
        assert_eq!(late.status, StatusCode::OK);
        assert_no_cookie(&late);
        assert_eq!(site.has_dropped(DropReason::SecretReplaced), path != "/look", "{path}");
        let new = only_cookie(&other).value;
        let look = send_token(&site.app, "/look", &new).await;
        assert_eq!(look.body, "1", "{path}: the new secret is good, and the latecomer has changed nothing");
        assert_no_cookie(&look);
    }
}

#[tokio::test]
async fn sc_19_a_refresh_that_is_overtaken_by_a_new_secret_is_not_sent() {
    for path in ["/look", "/add"] {
        let site = Site::with_policy(persistent(HOUR, DAY));
        let old = site.guest().await.token.unwrap();
        site.clock.advance(MINUTE * 10);
        let (late, other) = site.overtaken(&old, path, "/regenerate").await;
        assert_no_cookie(&late);
        assert_ne!(only_cookie(&other).value, old);
    }
}

#[tokio::test]
async fn sc_19_a_write_that_is_overtaken_by_the_end_says_nothing_of_cookies() {
    for path in ["/look", "/add", "/remember-1", "/regenerate"] {
        let site = Site::with_policy(persistent(HOUR, DAY));
        let token = site.guest().await.token.unwrap();
        site.clock.advance(MINUTE * 10);
        let (late, other) = site.overtaken(&token, path, "/destroy").await;
        assert!(other.removes_cookie());
        assert_no_cookie(&late);
        let after = send_token(&site.app, "/look", &token).await;
        assert_eq!(after.body, "0", "{path}: the session does not come back");
        assert_eq!(site.store.calls().create, 0, "{path}");
    }
}

#[tokio::test]
async fn sc_19_two_writes_of_one_session_keep_their_cookie_and_their_changes() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    let (late, other) = site.overtaken(&token, "/add", "/add").await;
    assert_no_cookie(&late);
    assert_no_cookie(&other);
    assert_eq!(send_token(&site.app, "/look", &token).await.body, "3");
}

#[tokio::test]
async fn sc_19_a_latecomer_is_anonymous_for_a_minute_and_keeps_its_hands_off_the_cookie() {
    let site = Site::new();
    let old = site.guest().await.token.unwrap();
    let new = only_cookie(&send_token(&site.app, "/regenerate", &old).await).value;
    for wait in [Duration::ZERO, MINUTE.saturating_sub(TICK)] {
        site.clock.advance(wait);
        site.store.reset();
        for (path, body) in [("/look", "0"), ("/add", "1"), ("/destroy", "0"), ("/remember-1", "1")] {
            let late = send_token(&site.app, path, &old).await;
            assert_eq!(late.body, body, "{path}: it sees an empty session");
            assert_no_cookie(&late);
        }
        assert_eq!(site.store.reset(), Calls { load: 4, ..Calls::default() }, "what it writes is dropped");
    }
    let both = format!("{N}={old}; {N}={new}");
    assert_eq!(send(&site.app, "/look", &[both.as_bytes()]).await.body, "1", "a latecomer's token beside the new one");
    site.clock.advance(TICK);
    assert!(send_token(&site.app, "/look", &old).await.removes_cookie(), "it is a stranger now");
    assert_eq!(only_cookie(&send_token(&site.app, "/add", &old).await).value.len(), 64);
    assert_eq!(send_token(&site.app, "/look", &new).await.body, "1", "the session lives on");
}

/// All combinations of options, those that contradict each other among them.
fn all_cookies() -> impl Iterator<Item = SessionCookie> {
    let names = ["id", "__Host-id", "__host-id", "__Secure-id", "__Http-id", "__Host-Http-id", "__HOST-HTTP-id"];
    let prefixes = [CookiePrefix::FromAttributes, CookiePrefix::HttpOnly, CookiePrefix::None];
    let sites = [SameSite::Strict, SameSite::Lax, SameSite::None];
    let domains = [None, Some("example.org"), Some(".example.org"), Some("EXAMPLE.org"), Some("www.example.org")];
    let paths = ["/", "/app", "/app/"];
    let constructors: [fn(&'static str) -> SessionCookie; 2] = [SessionCookie::new, SessionCookie::new_for_http];
    let switches = [(false, false), (false, true), (true, false), (true, true)];
    product(names, constructors)
        .map(|(name, constructor)| constructor(name))
        .flat_map(move |cookie| prefixes.map(|prefix| cookie.clone().prefix(prefix)))
        .flat_map(move |cookie| sites.map(|site| cookie.clone().same_site(site)))
        .flat_map(move |cookie| {
            domains.map(|domain| match domain {
                Some(domain) => cookie.clone().domain(domain),
                None => cookie.clone(),
            })
        })
        .flat_map(move |cookie| paths.map(|path| cookie.clone().path(path)))
        .flat_map(move |cookie| {
            switches.map(|(partitioned, visible)| {
                let cookie = cookie.clone().partitioned(partitioned);
                if visible { cookie.insecure_visible_to_scripts() } else { cookie }
            })
        })
}

fn product<A: Copy, B: Copy, const M: usize, const K: usize>(a: [A; M], b: [B; K]) -> impl Iterator<Item = (A, B)> {
    a.into_iter().flat_map(move |a| b.map(|b| (a, b)))
}

#[tokio::test]
async fn sc_20_browsers_keep_return_and_forget_every_cookie_that_we_can_emit() {
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let (mut accepted, mut refused) = (0, 0);
    for cookie in all_cookies() {
        let Ok(sessions) = layer(store.clone(), &clock).transport(cookie.clone()) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        for policy in [SessionPolicy::aal2(), persistent(HOUR, DAY)] {
            let app = routes().layer(sessions.clone().policy(policy).unwrap());
            round_trip(&app, &clock, &format!("{cookie:?}")).await;
        }
    }
    assert_eq!(accepted + refused, 7 * 2 * 3 * 3 * 5 * 3 * 4);
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

/// Gets a session, uses it, ends it; over HTTPS, and over plain HTTP if the cookie is for that.
async fn round_trip(app: &Router, clock: &TestClock, options: &str) {
    let secure = Cookie::parse(send(app, "/app/add", &[]).await.set_cookies()[0]).has("Secure");
    for https in [true, false].into_iter().filter(|https| *https || !secure) {
        let home = Visit { https, host: "www.example.org", path: "/app/look", from: From::SameSite };
        let mut browser = UserAgent::new(clock);
        let answer = send(app, "/app/add", &[]).await;
        let issued = only_cookie(&answer);
        assert_eq!(browser.receive(&home, answer.set_cookies()[0].as_bytes()), Ok(()), "{options}");

        let shown = browser.cookie_header(&home).expect(options);
        assert_eq!(shown, format!("{}={}", issued.name, issued.value).into_bytes(), "{options}");
        let plain = browser.cookie_header(&Visit { https: false, ..home });
        assert_eq!(plain.is_some(), !secure, "{options}");
        assert_eq!(browser.seen_by_scripts(&home).is_none(), issued.has("HttpOnly"), "{options}");
        assert_eq!(browser.cookie_header(&Visit { from: From::Link, ..home }).is_none(), is_strict(&issued));
        assert_eq!(browser.cookie_header(&Visit { host: "evil.org", ..home }), None, "{options}");
        assert_eq!(send(app, "/app/look", &[&shown]).await.body, "1", "{options}");

        let removal = send(app, "/app/destroy", &[&shown]).await;
        assert_eq!(only_cookie(&removal).without_its_end(), issued.without_its_end(), "{options}");
        assert_eq!(browser.receive(&home, removal.set_cookies()[0].as_bytes()), Ok(()), "{options}");
        assert_eq!(browser.count(), 0, "{options}");
    }
}

fn is_strict(cookie: &Cookie) -> bool {
    cookie.attribute("SameSite") == Some("Strict")
}

#[tokio::test]
async fn sc_20_browsers_forget_a_session_cookie_when_they_quit_and_keep_a_persistent_one_to_its_end() {
    const HOME: Visit<'_> = Visit { https: true, host: "example.org", path: "/look", from: From::SameSite };
    let site = Site::new();
    let mut browser = UserAgent::new(&site.clock);
    browser.receive(&HOME, send(&site.app, "/add", &[]).await.set_cookies()[0].as_bytes()).unwrap();
    browser.quit();
    assert_eq!(browser.count(), 0);
    browser.receive(&HOME, send(&site.app, "/remember-400", &[]).await.set_cookies()[0].as_bytes()).unwrap();
    browser.quit();
    site.clock.advance((DAY * 400).saturating_sub(TICK));
    let shown = browser.cookie_header(&HOME).unwrap();
    assert_eq!(send(&site.app, "/look", &[&shown]).await.body, "1");
    site.clock.advance(TICK);
    assert_eq!(browser.count(), 0);
}

/// `Vary` and `Cache-Control`, each as one text.
fn caching(answer: &Answer) -> (String, String) {
    let all = |name| {
        let values = answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(" | ")
    };
    (all(header::VARY), all(header::CACHE_CONTROL))
}

fn said(vary: &str, cache_control: &str) -> (String, String) {
    (vary.into(), cache_control.into())
}

#[tokio::test]
async fn caches_hear_nothing_of_a_session_that_is_not_touched() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    for shown in [&*token, "x", &"A".repeat(64)] {
        let answer = send_token(&site.app, "/ignore", shown).await;
        assert_eq!(caching(&answer), said("", ""));
        assert_no_cookie(&answer);
    }
    let public = send_token(&site.app, "/ignore/cache/public,max-age=60", &token).await;
    assert_eq!(caching(&public), said("", "public,max-age=60"));
    assert_eq!(site.store.reset(), Calls::default());
}

#[tokio::test]
async fn caches_keep_answers_apart_by_cookie_once_the_session_is_read_or_written() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    for path in ["/look", "/add"] {
        assert_eq!(caching(&send_token(&site.app, path, &token).await), said("cookie", ""), "{path}");
    }
    assert_eq!(caching(&send(&site.app, "/look", &[]).await), said("cookie", ""), "no session is an answer too");
    let public = send_token(&site.app, "/look/cache/public", &token).await;
    assert_eq!(caching(&public), said("cookie", "public"));
}

#[tokio::test]
async fn caches_store_no_answer_with_our_cookie_unless_they_are_private() {
    let site = Site::new();
    for (given, sent) in [
        ("public", "no-store"),
        ("max-age=60", "no-store"),
        ("private", "private"),
        ("private,max-age=60", "private,max-age=60"),
        ("no-store", "no-store"),
    ] {
        for what in ["add", "regenerate", "destroy"] {
            let token = site.guest().await.token.unwrap();
            let shown = if what == "add" { "x" } else { &*token };
            let answer = send_token(&site.app, &format!("/{what}/cache/{given}"), shown).await;
            only_cookie(&answer);
            assert_eq!(caching(&answer), said("cookie", sent), "{what} {given}");
        }
    }
    assert_eq!(caching(&send(&site.app, "/add", &[]).await), said("cookie", "no-store"));
}

/// What is aimed at some caches outranks what is said to all of them (RFC 9213 section 2.2).
#[tokio::test]
async fn caches_of_a_cdn_get_no_orders_of_their_own_for_an_answer_with_our_cookie() {
    let site = Site::new();
    for (path, count) in [("/ignore/cache/public", 1), ("/look/cache/public", 1), ("/add/cache/public", 0)] {
        let answer = send(&site.app, path, &[]).await;
        for name in ["cdn-cache-control", "surrogate-control"] {
            assert_eq!(answer.headers.get_all(name).iter().count(), count, "{path}");
        }
    }
}

#[tokio::test]
async fn caches_may_keep_a_public_answer_because_a_mere_refresh_is_left_out() {
    let site = Site::with_policy(persistent(HOUR, DAY));
    let mut browser = site.guest().await;
    site.clock.advance(MINUTE * 10);
    let public = browser.get("/look/cache/public").await;
    assert_no_cookie(&public);
    assert_eq!(caching(&public), said("cookie", "public"));
    site.clock.advance(MINUTE * 10);
    let other = browser.get("/look/cache/max-age=60").await;
    assert_eq!(only_cookie(&other).max_age(), Some(3600));
    assert_eq!(caching(&other), said("cookie", "no-store"));
}

#[tokio::test]
async fn caches_store_no_failure_of_the_store() {
    let site = Site::new();
    let mut browser = site.guest().await;
    site.faults.everything(Fault::Down);
    let answer = browser.get("/look").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(caching(&answer).1, "no-store");
}
