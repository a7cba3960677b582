//! The token in a header, and headers and cookies together.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ConfigError, MemoryStore, Session, SessionCookie, SessionError, SessionEvent, SessionHeader, SessionPolicy,
    Transport,
};
use http::{HeaderValue, Request, header};
use tower::ServiceExt as _;

use crate::support::routes::{add, routes};
use crate::support::{Answer, EventLog, N, layer};

const HEADER: &str = "x-session-token";

fn x_header() -> SessionHeader {
    SessionHeader::new(HEADER).unwrap()
}

fn cookie() -> SessionCookie {
    SessionCookie::new("id")
}

/// Header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// An application, and what it does to its store.
struct Room {
    app: Router,
    store: CountingStore<MemoryStore>,
    clock: TestClock,
    events: EventLog,
}

impl Room {
    fn new(transport: impl Into<Transport>) -> Self {
        Self::with_policy(transport, SessionPolicy::default())
    }

    fn with_policy(transport: impl Into<Transport>, policy: SessionPolicy) -> Self {
        let (store, clock) = (CountingStore::new(MemoryStore::new()), TestClock::default());
        let events = EventLog::default();
        let sessions = layer(store.clone(), &clock).transport(transport).unwrap().policy(policy).unwrap();
        let rotate = get(async |session: Session| session.regenerate());
        let public = get(async |session: Session| {
            session.get::<u64>("n")?;
            Ok::<_, SessionError>([(header::CACHE_CONTROL, "public, max-age=60")])
        });
        let handmade = get(async |session: Session| {
            add(&session)?;
            Ok::<_, SessionError>([(HEADER, "handmade"), ("authorization", "handmade")])
        });
        let app = routes().route("/rotate", rotate).route("/public", public).route("/handmade", handmade);
        let app = app.layer(sessions.on_event(events.hook()));
        Self { app, store, clock, events }
    }

    async fn ask(&self, path: &str, headers: Fields<'_>) -> Answer {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let request = request.body(Body::empty()).unwrap();
        Answer::of(self.app.clone().oneshot(request).await.unwrap()).await
    }

    /// A session that has counted to one, begun with this header.
    async fn begin(&self, name: &str, value: &str) -> String {
        let answer = self.ask("/add", &[(name, value.as_bytes())]).await;
        assert_eq!(answer.body, "1");
        self.store.reset();
        token_in(&answer, name).expect("a token in the header").to_owned()
    }
}

/// The token that an answer hands out in a header; what stands before it goes.
fn token_in<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let value = answer.headers.get(name)?.to_str().unwrap();
    let token = if name == "authorization" { value.strip_prefix("Bearer ").unwrap_or(value) } else { value };
    (token.len() == 64).then_some(token)
}

fn told_to_forget(answer: &Answer, name: &str) -> bool {
    answer.headers.get_all(name).iter().eq([&HeaderValue::from_static("")])
}

/// In which headers an answer speaks of tokens.
fn speaks_in(answer: &Answer) -> Vec<&str> {
    let names = ["authorization", "set-cookie", HEADER];
    names.into_iter().filter(|name| answer.headers.contains_key(*name)).collect()
}

fn vary(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all(header::VARY).iter().map(|value| value.to_str().unwrap()).collect()
}

fn pair(token: &str) -> String {
    format!("{N}={token}")
}

/// A header, what stands before the token in it, and the transport that it is.
fn headers() -> [(&'static str, &'static str, SessionHeader); 2] {
    [("authorization", "Bearer ", SessionHeader::bearer()), (HEADER, "", x_header())]
}

#[tokio::test]
async fn a_header_carries_the_token_both_ways_and_there_is_no_cookie() {
    for (name, before, transport) in headers() {
        let room = Room::new(transport);
        let first = room.ask("/add", &[]).await;
        let token = token_in(&first, name).unwrap();
        assert_eq!(speaks_in(&first), [name]);
        assert_eq!(first.headers[name], format!("{before}{token}"));
        assert!(first.headers[name].is_sensitive());
        assert_eq!(first.headers[header::CACHE_CONTROL], "no-store");
        assert_eq!(vary(&first), [name]);

        let shown = format!("{before}{token}");
        let again = room.ask("/add", &[(name, shown.as_bytes())]).await;
        assert_eq!(again.body, "2");
        assert_eq!(speaks_in(&again), [""; 0], "the client has it already");
        assert_eq!(vary(&again), [name]);
        assert!(!again.headers.contains_key(header::CACHE_CONTROL));
    }
}

#[tokio::test]
async fn a_new_secret_is_written_back_to_the_header() {
    for (name, before, transport) in headers() {
        let room = Room::new(transport);
        let old = format!("{before}{}", room.begin(name, before.trim()).await);
        let answer = room.ask("/rotate", &[(name, old.as_bytes())]).await;
        assert_eq!(speaks_in(&answer), [name]);
        let new = answer.headers[name].clone();
        assert_ne!(new.as_bytes(), old.as_bytes());
        assert!(new.is_sensitive());
        assert_eq!(room.ask("/n", &[(name, new.as_bytes())]).await.body, "1");
        let late = room.ask("/n", &[(name, old.as_bytes())]).await;
        assert_eq!((&*late.body, speaks_in(&late).len()), ("0", 0));
    }
}

#[tokio::test]
async fn what_has_ended_is_to_be_forgotten() {
    for (name, before, transport) in headers() {
        let room = Room::new(transport);
        let token = format!("{before}{}", room.begin(name, before.trim()).await);
        let unknown = format!("{before}{}", "A".repeat(64));
        let garbage = format!("{before}garbage");
        for shown in [&unknown, &garbage] {
            let answer = room.ask("/n", &[(name, shown.as_bytes())]).await;
            assert!(told_to_forget(&answer, name), "{shown}");
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(speaks_in(&answer), [name]);
        }
        room.clock.advance(Duration::from_mins(61));
        assert!(told_to_forget(&room.ask("/n", &[(name, token.as_bytes())]).await, name), "expired");

        let token = format!("{before}{}", room.begin(name, before.trim()).await);
        assert!(told_to_forget(&room.ask("/logout", &[(name, token.as_bytes())]).await, name), "ended");
        assert_eq!(room.ask("/n", &[(name, token.as_bytes())]).await.body, "0");
    }
}

#[tokio::test]
async fn only_a_whole_token_is_looked_up() {
    let room = Room::new(x_header());
    let token = room.begin(HEADER, "").await;
    for (shown, who, loads) in [
        (token.clone(), "1", 1),
        (format!(" \t{token}\t "), "1", 1),
        (format!("{token}="), "0", 0),
        (format!("\"{token}\""), "0", 0),
        (format!("{token},{token}"), "0", 0),
        (format!("Bearer {token}"), "0", 0),
        (token[..63].to_owned(), "0", 0),
        (format!("{token}A"), "0", 0),
        (token.replace(&token[3..4], "+"), "0", 0),
        (pair(&token), "0", 0),
    ] {
        let answer = room.ask("/n", &[(HEADER, shown.as_bytes())]).await;
        assert_eq!((&*answer.body, room.store.reset().load), (who, loads), "{shown:?}");
        assert_eq!(told_to_forget(&answer, HEADER), who == "0", "{shown:?}");
    }
    let bytes: [&[u8]; 3] = [b"\xff\xfe\x80", &[0xe2; 64], "ä".as_bytes()];
    for shown in bytes {
        let answer = room.ask("/n", &[(HEADER, shown)]).await;
        assert_eq!((&*answer.body, room.store.reset()), ("0", Calls::default()));
    }
}

#[tokio::test]
async fn the_case_of_the_scheme_does_not_matter_and_other_schemes_are_left_alone() {
    let room = Room::new(SessionHeader::bearer());
    let token = room.begin("authorization", "bearer").await;
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer  "] {
        let shown = format!("{scheme} {token}");
        assert_eq!(room.ask("/n", &[("authorization", shown.as_bytes())]).await.body, "1", "{scheme}");
    }
    room.store.reset();
    for scheme in ["Basic", "Digest", "Token", "Bearer\t", "xBearer", ""] {
        let shown = format!("{scheme} {token}");
        let answer = room.ask("/n", &[("authorization", shown.as_bytes())]).await;
        assert_eq!((&*answer.body, speaks_in(&answer).len()), ("0", 0), "{scheme}");
    }
    assert_eq!(room.store.reset(), Calls::default());
    // Beside another scheme in a field of its own, ours counts.
    let ours = format!("Bearer {token}");
    let answer = room.ask("/n", &[("authorization", b"Basic dTpw"), ("authorization", ours.as_bytes())]).await;
    assert_eq!(answer.body, "1");
}

#[tokio::test]
async fn several_fields_follow_the_rules_of_several_cookies() {
    let room = Room::new(x_header());
    let (a, b) = (room.begin(HEADER, "").await, room.begin(HEADER, "").await);
    let unknown = |n: usize| format!("{n:A>64}");
    let ask = |shown: Vec<String>| {
        let room = &room;
        async move {
            let fields: Vec<_> = shown.iter().map(|value| (HEADER, value.as_bytes())).collect();
            let answer = room.ask("/n", &fields).await;
            let ambiguous = room.events.count(|event| matches!(event, SessionEvent::AmbiguousToken { .. }));
            room.events.take();
            let forget = told_to_forget(&answer, HEADER);
            (answer.body, room.store.reset().load, ambiguous, forget)
        }
    };
    let seen = |body: &str, loads, ambiguous, forget| (body.to_owned(), loads, ambiguous, forget);
    assert_eq!(ask(vec![a.clone(), a.clone()]).await, seen("1", 1, 0, false));
    assert_eq!(ask(vec![String::new(), a.clone()]).await, seen("1", 1, 0, false));
    assert_eq!(ask(vec!["garbage".into(), a.clone()]).await, seen("1", 1, 0, false));
    assert_eq!(ask(vec![unknown(1), a.clone()]).await, seen("1", 2, 0, false));
    assert_eq!(ask(vec![a.clone(), b.clone()]).await, seen("0", 2, 1, false));
    assert_eq!(ask((0..5).map(unknown).collect()).await, seen("0", 0, 1, false));
    assert_eq!(ask(vec![unknown(1), unknown(2)]).await, seen("0", 2, 0, true));
}

#[tokio::test]
async fn a_token_anywhere_else_is_not_read() {
    let room = Room::new(SessionHeader::bearer().or_all());
    let token = room.begin(HEADER, "").await;
    for path in [
        format!("/n?access_token={token}"),
        format!("/n?{HEADER}={token}"),
        format!("/n?{}", pair(&token)),
        format!("/n;jsessionid={token}"),
    ] {
        let answer = room.ask(&path, &[]).await;
        assert_ne!(answer.body, "1", "{path}");
    }
    let body = format!("access_token={token}&{}", pair(&token));
    let request = Request::get("/n").header("content-type", "application/x-www-form-urlencoded");
    let answer = room.app.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    assert_eq!(Answer::of(answer).await.body, "0");
    for other in ["x-auth-token", "proxy-authorization", "authorization2", "x-session"] {
        let shown = format!("Bearer {token}");
        assert_eq!(room.ask("/n", &[(other, shown.as_bytes()), (other, token.as_bytes())]).await.body, "0");
    }
    assert_eq!(room.store.reset(), Calls::default());
}

trait OrAll {
    fn or_all(self) -> Transport;
}

impl OrAll for SessionHeader {
    /// This header, then the other, then the cookie.
    fn or_all(self) -> Transport {
        Transport::from(self).or(x_header()).or(cookie())
    }
}

#[tokio::test]
async fn the_first_in_which_a_request_shows_something_counts_and_is_answered() {
    let room = Room::new(Transport::from(x_header()).or(cookie()));
    let (a, b) = (room.begin(HEADER, "").await, room.begin(HEADER, "").await);
    room.ask("/add", &[(HEADER, b.as_bytes())]).await;
    let (in_cookie, unknown) = (pair(&b), "A".repeat(64));
    let header_only = &[HEADER][..];
    let both = &[HEADER, "cookie"][..];
    let cases: [(Fields<'_>, &str, &[&str], &[&str]); 8] = [
        (&[(HEADER, a.as_bytes())], "1", &[], header_only),
        (&[("cookie", in_cookie.as_bytes())], "2", &[], both),
        (&[(HEADER, a.as_bytes()), ("cookie", in_cookie.as_bytes())], "1", &[], header_only),
        (&[("cookie", in_cookie.as_bytes()), (HEADER, a.as_bytes())], "1", &[], header_only),
        // No second look if the first is worth nothing.
        (&[(HEADER, b"garbage"), ("cookie", in_cookie.as_bytes())], "0", &[HEADER], header_only),
        (&[(HEADER, unknown.as_bytes()), ("cookie", in_cookie.as_bytes())], "0", &[HEADER], header_only),
        (&[(HEADER, b""), ("cookie", in_cookie.as_bytes())], "0", &[], header_only),
        (&[("cookie", b"__Host-id=")], "0", &["set-cookie"], both),
    ];
    for (shown, who, spoken, looked_at) in cases {
        let answer = room.ask("/n", shown).await;
        assert_eq!((&*answer.body, &*speaks_in(&answer), &*vary(&answer)), (who, spoken, looked_at), "{shown:?}");
    }
}

#[tokio::test]
async fn a_new_secret_is_written_back_where_the_old_one_was_read_and_nowhere_else() {
    for transport in [Transport::from(x_header()).or(cookie()), Transport::from(cookie()).or(x_header())] {
        let room = Room::new(transport);
        let token = room.begin(HEADER, "").await;
        let answer = room.ask("/rotate", &[(HEADER, token.as_bytes())]).await;
        assert_eq!(speaks_in(&answer), [HEADER]);
        let token = token_in(&answer, HEADER).unwrap();
        let answer = room.ask("/rotate", &[("cookie", pair(token).as_bytes())]).await;
        assert_eq!(speaks_in(&answer), ["set-cookie"]);
        let token = answer.token().unwrap();
        // Both show it, and one is told.
        let answer = room.ask("/rotate", &[("cookie", pair(token).as_bytes()), (HEADER, token.as_bytes())]).await;
        assert_eq!(speaks_in(&answer).len(), 1);
    }
}

#[tokio::test]
async fn who_shows_nothing_is_answered_in_the_first_and_who_shows_an_empty_header_there() {
    for (transport, first) in [
        (Transport::from(cookie()).or(SessionHeader::bearer()).or(x_header()), "set-cookie"),
        (Transport::from(SessionHeader::bearer()).or(cookie()).or(x_header()), "authorization"),
    ] {
        let room = Room::new(transport);
        assert_eq!(speaks_in(&room.ask("/add", &[]).await), [first]);
        assert_eq!(speaks_in(&room.ask("/add", &[("authorization", b"Basic dTpw")]).await), [first]);
        assert_eq!(speaks_in(&room.ask("/add", &[(HEADER, b"")]).await), [HEADER]);
        assert_eq!(speaks_in(&room.ask("/add", &[("authorization", b"Bearer")]).await), ["authorization"]);
        assert_eq!(speaks_in(&room.ask("/add", &[("authorization", b"bearer ")]).await), ["authorization"]);
        // Nothing is there to be forgotten.
        assert_eq!(speaks_in(&room.ask("/n", &[(HEADER, b"")]).await), [""; 0]);
        let every = vary(&room.ask("/n", &[]).await).len();
        assert_eq!(every, 3, "all were looked at");
    }
}

#[tokio::test]
async fn a_session_may_be_carried_now_by_one_and_now_by_the_other() {
    let room = Room::new(Transport::from(cookie()).or(SessionHeader::bearer()));
    let token = room.ask("/add", &[]).await.token().unwrap().to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(room.ask("/add", &[("authorization", bearer.as_bytes())]).await.body, "2");
    assert_eq!(room.ask("/add", &[("cookie", pair(&token).as_bytes())]).await.body, "3");
    // Ended where it was read; the other place learns it when it is shown there.
    let answer = room.ask("/logout", &[("authorization", bearer.as_bytes())]).await;
    assert_eq!(speaks_in(&answer), ["authorization"]);
    assert!(room.ask("/n", &[("cookie", pair(&token).as_bytes())]).await.removes_cookie());
}

#[tokio::test]
async fn a_cookie_can_be_renamed() {
    let old = Room::new(SessionCookie::new("old"));
    let first = old.ask("/add", &[]).await;
    let cookie = first.set_cookies()[0].split(';').next().unwrap().to_owned();
    let sessions = layer(old.store.clone(), &old.clock);
    let transport = Transport::from(SessionCookie::new("new")).or(SessionCookie::new("old"));
    let room = Room { app: routes().layer(sessions.transport(transport).unwrap()), ..old };
    assert_eq!(room.ask("/add", &[("cookie", cookie.as_bytes())]).await.body, "2");
    let new = room.ask("/add", &[]).await;
    assert!(new.set_cookies()[0].starts_with("__Host-new="));
    assert_eq!(vary(&new), ["cookie"]);
}

/// `Max-Age` is the browser's; a header has nothing of the kind.
#[tokio::test]
async fn a_longer_life_is_told_to_cookies_only() {
    let policy = SessionPolicy::aal2().persistent(true);
    let room = Room::with_policy(Transport::from(cookie()).or(x_header()), policy);
    let token = room.begin(HEADER, "").await;
    let in_cookie = pair(&token);
    for (name, shown, spoken) in [(HEADER, &token, &[][..]), ("cookie", &in_cookie, &["set-cookie"])] {
        room.clock.advance(Duration::from_mins(30));
        let answer = room.ask("/n", &[(name, shown.as_bytes())]).await;
        assert_eq!((&*answer.body, &*speaks_in(&answer)), ("1", spoken), "{name}");
        assert_eq!(answer.headers.contains_key(header::CACHE_CONTROL), name == "cookie");
        assert_eq!(room.store.reset(), Calls { load: 1, touch: 1, ..Calls::default() });
    }
}

#[tokio::test]
async fn ours_takes_the_place_of_the_handlers_and_a_public_answer_with_a_token_is_not_stored() {
    for (name, _, transport) in headers() {
        let room = Room::new(transport);
        let answer = room.ask("/handmade", &[]).await;
        assert_eq!(answer.headers.get_all(name).iter().count(), 1);
        assert!(token_in(&answer, name).is_some());
        let answer = room.ask("/public", &[(name, b"Bearer garbage")]).await;
        assert!(told_to_forget(&answer, name));
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    }
}

#[tokio::test]
async fn an_untouched_request_is_answered_as_it_was_and_costs_no_store_call() {
    let room = Room::new(SessionHeader::bearer().or_all());
    let token = room.begin(HEADER, "").await;
    let bearer = format!("Bearer {token}");
    let cookie = pair(&token);
    for shown in [
        &[][..],
        &[("authorization", bearer.as_bytes())],
        &[("authorization", b"Bearer")],
        &[(HEADER, b"\xff"), ("cookie", cookie.as_bytes())],
    ] {
        let answer = room.ask("/ignore", shown).await;
        assert_eq!(speaks_in(&answer), [""; 0]);
        assert_eq!(vary(&answer), [""; 0]);
    }
    assert_eq!(room.store.reset(), Calls::default());
}

#[tokio::test]
async fn a_store_that_is_down_makes_nobody_forget_a_token() {
    let (store, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let app = routes().layer(layer(store.clone(), &clock).transport(x_header()).unwrap());
    let room = Room { app, store: CountingStore::new(MemoryStore::new()), clock, events: EventLog::default() };
    let token = room.begin(HEADER, "").await;
    for (operation, path) in [(Operation::Load, "/n"), (Operation::Save, "/login")] {
        store.always(operation, Fault::Down);
        let answer = room.ask(path, &[(HEADER, token.as_bytes())]).await;
        assert_eq!(answer.status, http::StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(speaks_in(&answer), [""; 0]);
        store.heal();
    }
    assert_eq!(room.ask("/n", &[(HEADER, token.as_bytes())]).await.body, "1");
}

#[tokio::test]
async fn nested_layers_that_share_a_header_have_one_session() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let around = |transport: Transport| layer(store.clone(), &clock).transport(transport).unwrap();
    let outer_adds = from_fn(async |session: Session, request: Request<Body>, next: Next| {
        add(&session).unwrap();
        next.run(request).await
    });
    let inside = routes().layer(around(SessionHeader::bearer().into())).layer(outer_adds);
    let app = inside.layer(around(Transport::from(x_header()).or(SessionHeader::bearer())));
    let room =
        Room { app, store: CountingStore::new(store.clone()), clock: clock.clone(), events: EventLog::default() };
    let answer = room.ask("/add", &[("authorization", b"Bearer")]).await;
    assert_eq!((&*answer.body, speaks_in(&answer), store.len()), ("2", vec!["authorization"], 1));
}

/// An answer in another place than the token came from would hand a cookie's token to scripts.
#[tokio::test]
async fn no_request_gets_the_token_of_a_cookie_in_a_header() {
    let room = Room::new(SessionHeader::bearer().or_all());
    let cookies = Room { app: routes().layer(layer(room.store.clone(), &room.clock)), ..Room::new(cookie()) };
    let token = cookies.ask("/add", &[]).await.token().unwrap().to_owned();
    let shown = pair(&token);
    let own = room.ask("/rotate", &[("cookie", shown.as_bytes())]).await;
    assert_eq!(speaks_in(&own), ["set-cookie"]);
    let shown = pair(own.token().unwrap());
    // With an empty header a script gets a session of its own, and not that of the cookie.
    let begun = room.ask("/add", &[("cookie", shown.as_bytes()), ("authorization", b"Bearer")]).await;
    assert_eq!((&*begun.body, speaks_in(&begun)), ("1", vec!["authorization"]));
}

#[test]
fn headers_that_mean_something_else_are_refused_with_a_sentence() {
    for name in ["cookie", "Set-Cookie", "host", "content-length", "connection", "authorization", "", "a b"] {
        let error = SessionHeader::new(name).unwrap_err();
        assert_eq!(error, ConfigError::HeaderName { name: name.into() });
        assert!(error.to_string().contains("x-session-token"), "{error}");
    }
    let contradiction = Transport::from(SessionHeader::bearer()).or(SessionCookie::new("a b"));
    let refused = layer(MemoryStore::new(), &TestClock::default()).transport(contradiction);
    assert_eq!(refused.unwrap_err(), ConfigError::CookieName { name: "__Host-a b".into() });
}
