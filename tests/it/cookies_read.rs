//! Reading the `Cookie` header: the cases CK-01 to CK-31. Other cookies cannot influence ours.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{MemoryStore, ReadOnlySession, Session, SessionError, SessionEvent};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

use crate::support::{EventLog, N, layer, send};

/// An application that says whom it sees.
struct Room {
    app: Router,
    store: CountingStore<MemoryStore>,
    events: EventLog,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    who: String,
    loads: usize,
    ambiguous: usize,
    removal: bool,
}

const NOBODY: &str = "nobody";

fn seen(who: &str, loads: usize) -> Seen {
    Seen { who: who.into(), loads, ambiguous: 0, removal: false }
}

/// Ada's session, found at the first look-up.
fn ada() -> Seen {
    seen("ada", 1)
}

/// Nothing of our name was shown.
fn anonymous() -> Seen {
    seen(NOBODY, 0)
}

/// Something of our name was shown, and nothing was found.
fn stranger(loads: usize) -> Seen {
    Seen { removal: true, ..seen(NOBODY, loads) }
}

fn ambiguous(loads: usize) -> Seen {
    Seen { ambiguous: 1, ..seen(NOBODY, loads) }
}

async fn be(session: Session, Path(name): Path<String>) -> Result<(), SessionError> {
    session.insert("name", name)
}

async fn who(session: ReadOnlySession) -> Result<String, SessionError> {
    Ok(session.get("name")?.unwrap_or_else(|| NOBODY.to_owned()))
}

async fn wire(version: Version, headers: HeaderMap, session: ReadOnlySession) -> Result<String, SessionError> {
    let fields = headers.get_all(header::COOKIE).iter().count();
    Ok(format!("{version:?}, {fields} fields, {}", who(session).await?))
}

impl Room {
    fn new() -> Self {
        let store = CountingStore::new(MemoryStore::new());
        let events = EventLog::default();
        let sessions = layer(store.clone(), &TestClock::default()).on_event(events.hook());
        let routes = Router::new().route("/be/{name}", get(be)).route("/", get(who)).route("/wire", get(wire));
        Self { app: routes.layer(sessions), store, events }
    }

    async fn with_ada() -> (Self, String) {
        let room = Self::new();
        let token = room.token_of("ada").await;
        (room, token)
    }

    async fn token_of(&self, name: &str) -> String {
        let answer = send(&self.app, &format!("/be/{name}"), &[]).await;
        self.store.reset();
        answer.token().unwrap().to_owned()
    }

    /// Sends a request with these `Cookie` headers.
    async fn sees(&self, lines: &[impl AsRef<[u8]>]) -> Seen {
        let lines: Vec<_> = lines.iter().map(AsRef::as_ref).collect();
        let answer = send(&self.app, "/", &lines).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.token(), None, "reading issues nothing");
        let calls = self.store.reset();
        assert_eq!(calls, Calls { load: calls.load, ..Calls::default() }, "reading writes nothing");
        let removal = answer.removes_cookie();
        let is_ambiguous = |event: &SessionEvent| matches!(event, SessionEvent::AmbiguousToken { .. });
        let ambiguous = self.events.count(is_ambiguous);
        self.events.take();
        Seen { who: answer.body, loads: calls.load, ambiguous, removal }
    }
}

/// A token as good as any other, but no store knows it.
fn unknown(n: usize) -> String {
    format!("{n:A>64}")
}

fn pair(token: &str) -> String {
    format!("{N}={token}")
}

#[tokio::test]
async fn ck_01_our_cookie_alone() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[pair(&t)]).await, ada());
}

#[tokio::test]
async fn ck_02_between_others() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("a=1; {N}={t}; b=2")]).await, ada());
}

#[tokio::test]
async fn ck_03_without_spaces_and_with_spaces_and_tabs() {
    let (room, t) = Room::with_ada().await;
    for line in [
        format!("a=1;{N}={t};b=2"),
        format!("a=1 ;  {N} = {t} ; "),
        format!("a=1;\t{N}\t=\t{t}\t;b=2"),
        format!(" \t {N}={t} \t "),
    ] {
        assert_eq!(room.sees(&[&line]).await, ada(), "{line:?}");
    }
}

#[tokio::test]
async fn ck_04_in_the_second_header() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&["a=1", &pair(&t)]).await, ada());
    assert_eq!(room.sees(&[&pair(&t), "a=1"]).await, ada());
}

#[tokio::test]
async fn ck_05_http_2_with_a_field_for_each_pair() {
    let (room, t) = Room::with_ada().await;
    let stream = TcpStream::connect(serve(&room.app).await).await.unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut client, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let mut request = Request::builder().uri("http://localhost/wire");
    for crumb in ["a=1", &pair(&t), "b=2"] {
        request = request.header(header::COOKIE, crumb);
    }
    let response = client.send_request(request.body(Empty::<&[u8]>::new()).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "HTTP/2.0, 3 fields, ada");
}

#[tokio::test]
async fn ck_06_http_1_with_two_lines_and_as_a_proxy_merges_them() {
    let (room, t) = Room::with_ada().await;
    let address = serve(&room.app).await;
    for (lines, seen) in [
        (format!("Cookie: a=1\r\nCookie: {N}={t}\r\n"), "HTTP/1.1, 2 fields, ada"),
        (format!("Cookie: a=1; {N}={t}\r\n"), "HTTP/1.1, 1 fields, ada"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /wire HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with(seen), "{answer}");
    }
}

#[tokio::test]
async fn ck_07_a_comma_separates_nothing() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("a=1, {N}={t}")]).await, anonymous());
    assert_eq!(room.sees(&[format!("a=1,{N}={t}")]).await, anonymous());
}

#[tokio::test]
async fn ck_08_beside_bytes_that_are_no_utf_8() {
    let (room, t) = Room::with_ada().await;
    let ours = pair(&t);
    for other in [&b"lang=\xE9"[..], b"x=\xF0\x9F\x98\x80", b"\xFF\xFE=\xC0\x80", b"\xE9", b"x=\xF0\x9F"] {
        assert_eq!(room.sees(&[[other, b"; ", ours.as_bytes()].concat()]).await, ada(), "{other:?}");
        assert_eq!(room.sees(&[[ours.as_bytes(), b"; ", other].concat()]).await, ada(), "{other:?}");
    }
}

#[tokio::test]
async fn ck_09_beside_a_header_that_is_no_utf_8() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[b"lang=\xE9", pair(&t).as_bytes()]).await, ada());
    assert_eq!(room.sees(&[pair(&t).as_bytes(), b"lang=\xE9"]).await, ada());
}

#[tokio::test]
async fn ck_10_a_value_that_is_not_of_our_alphabet() {
    let (room, t) = Room::with_ada().await;
    let values = [&b"\xE9"[..], &[b"\xE9", &t.as_bytes()[1..]].concat(), &[&t.as_bytes()[1..], b"\xE9"].concat()];
    for value in values {
        let line = [N.as_bytes(), b"=", value].concat();
        assert_eq!(room.sees(&[&line]).await, stranger(0), "{value:?}");
    }
}

#[tokio::test]
async fn ck_11_quotes_are_a_part_of_the_value() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("{N}=\"{t}\"")]).await, stranger(0));
    assert_eq!(room.sees(&[format!("{N}=\"{}\"", &t[1..63])]).await, stranger(0));
}

#[tokio::test]
async fn ck_12_quotes_do_not_span_a_semicolon() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("x=\"b; {N}={t}; c=d\"")]).await, ada());
    assert_eq!(room.sees(&[format!("x=\"b\\\"; {N}={t}")]).await, ada());
}

#[tokio::test]
async fn ck_13_dollar_names_are_names() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("$Version=1; {N}={t}; $Path=/")]).await, ada());
}

#[tokio::test]
async fn ck_14_another_case_is_another_name() {
    let (room, t) = Room::with_ada().await;
    for name in ["__host-id", "__HOST-ID", "__Host-Id", "__Host-iD"] {
        assert_eq!(room.sees(&[format!("{name}={t}")]).await, anonymous(), "{name}");
    }
}

#[tokio::test]
async fn ck_15_names_are_not_percent_decoded() {
    let (room, t) = Room::with_ada().await;
    for name in ["__%48ost-id", "%5F%5FHost-id", "__Host%2Did", "__Host-id%20"] {
        assert_eq!(room.sees(&[format!("{name}={t}")]).await, anonymous(), "{name}");
    }
}

#[tokio::test]
async fn ck_16_an_encoded_name_takes_nothing_from_ours() {
    let (room, t) = Room::with_ada().await;
    let encoded = format!("__%48ost-id={}", unknown(0));
    assert_eq!(room.sees(&[format!("{N}={t}; {encoded}")]).await, ada());
    assert_eq!(room.sees(&[format!("{encoded}; {N}={t}")]).await, ada());
}

#[tokio::test]
async fn ck_17_unicode_white_space_is_a_part_of_the_name() {
    let (room, t) = Room::with_ada().await;
    let ours = pair(&t);
    for space in [&b"\xE2\x80\x80"[..], b"\xC2\xA0", b"\xC2\x85", b"\x85", b"\xA0", b"\xE3\x80\x80"] {
        assert_eq!(room.sees(&[[space, ours.as_bytes()].concat()]).await, anonymous(), "{space:?}");
        let behind = [N.as_bytes(), space, b"=", t.as_bytes()].concat();
        assert_eq!(room.sees(&[behind]).await, anonymous(), "{space:?}");
    }
    for space in [b"\x0B", b"\x0C"] {
        assert!(HeaderValue::from_bytes(&[space, ours.as_bytes()].concat()).is_err(), "no server lets it through");
    }
}

#[tokio::test]
async fn ck_18_nameless_and_empty_pairs() {
    let (room, t) = Room::with_ada().await;
    for line in [&*format!("={N}={t}"), &format!("=={N}={t}"), &format!("= {N}={t}"), "=", ";", " ", "", ";;=;="] {
        assert_eq!(room.sees(&[line]).await, anonymous(), "{line:?}");
    }
    assert_eq!(room.sees(&[format!("{N}=")]).await, stranger(0));
}

#[tokio::test]
async fn ck_18_our_name_as_the_value_of_a_nameless_cookie() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("{N}; {N}={t}")]).await, ada());
    assert_eq!(room.sees(&[N]).await, anonymous());
}

#[tokio::test]
async fn ck_19_values_are_not_percent_decoded() {
    let (room, t) = Room::with_ada().await;
    let encoded = format!("%{:02X}{}", t.as_bytes()[0], &t[1..]);
    for value in [format!("{t}%20"), encoded, format!("%20{}", &t[3..])] {
        assert_eq!(room.sees(&[pair(&value)]).await, stranger(0), "{value}");
    }
}

#[tokio::test]
async fn ck_20_twice_the_same_is_one() {
    let (room, t) = Room::with_ada().await;
    assert_eq!(room.sees(&[format!("{N}={t}; {N}={t}")]).await, ada());
    assert_eq!(room.sees(&[pair(&t), pair(&t), pair(&t), pair(&t), pair(&t), pair(&t)]).await, ada());
}

#[tokio::test]
async fn ck_21_the_valid_one_counts_wherever_it_stands() {
    let (room, t) = Room::with_ada().await;
    let (t, u) = (pair(&t), pair(&unknown(1)));
    assert_eq!(room.sees(&[format!("{u}; {t}")]).await, seen("ada", 2));
    assert_eq!(room.sees(&[format!("{t}; {u}")]).await, seen("ada", 2));
    assert_eq!(room.sees(&[&u, &t]).await, seen("ada", 2));
    assert_eq!(room.sees(&[format!("{u}; {u}; {u}; {u}; {u}; {t}")]).await, seen("ada", 2));
    for place in 0..4 {
        let mut pairs = [1, 2, 3].map(|n| pair(&unknown(n))).to_vec();
        pairs.insert(place, t.clone());
        assert_eq!(room.sees(&[pairs.join("; ")]).await, seen("ada", 4), "{place}");
    }
}

#[tokio::test]
async fn ck_22_what_is_malformed_is_skipped_without_a_look_up() {
    let (room, t) = Room::with_ada().await;
    for garbage in [String::new(), "garbage".into(), "x".repeat(4096), "+".repeat(64), format!("{t}=")] {
        assert_eq!(room.sees(&[format!("{N}={garbage}; {N}={t}")]).await, ada(), "{garbage}");
        assert_eq!(room.sees(&[format!("{N}={t}; {N}={garbage}")]).await, ada(), "{garbage}");
    }
    let heap: Vec<_> = (0..100).map(|n| format!("{N}={n}")).chain([pair(&t)]).collect();
    assert_eq!(room.sees(&[heap.join("; ")]).await, ada());
}

#[tokio::test]
async fn ck_23_two_live_sessions_are_refused_and_both_live_on() {
    let (room, t) = Room::with_ada().await;
    let (t, t2) = (pair(&t), pair(&room.token_of("bob").await));
    assert_eq!(room.sees(&[format!("{t}; {t2}")]).await, ambiguous(2));
    assert_eq!(room.sees(&[&t2, &t]).await, ambiguous(2));
    assert_eq!(room.sees(&[format!("{t}; {}; {t2}", pair(&unknown(0)))]).await, ambiguous(3));
    assert_eq!(room.sees(&[&t]).await, ada());
    assert_eq!(room.sees(&[&t2]).await, seen("bob", 1));
}

#[tokio::test]
async fn ck_24_five_different_tokens_are_not_looked_up() {
    let (room, t) = Room::with_ada().await;
    for place in 0..5 {
        let mut pairs = [1, 2, 3, 4].map(|n| pair(&unknown(n))).to_vec();
        pairs.insert(place, pair(&t));
        assert_eq!(room.sees(&[pairs.join("; ")]).await, ambiguous(0), "{place}");
        assert_eq!(room.sees(&pairs).await, ambiguous(0), "{place}");
    }
    let (room, _) = Room::with_ada().await;
    let thousand: Vec<_> = (0..1000).map(|n| pair(&unknown(n))).collect();
    assert_eq!(room.sees(&[thousand.join("; ")]).await, ambiguous(0));
    assert_eq!(room.sees(&[thousand[..4].join("; ")]).await, stranger(4), "four are looked up");
}

/// Pairs that are many, and after them our own.
fn crowds(token: &str) -> [(&'static str, String, usize); 5] {
    [
        ("others", "a=;".into(), 1),
        ("without a value", "a;".into(), 1),
        ("empty", ";".into(), 1),
        ("malformed", format!("{N}=x;"), 1),
        ("the same", format!("{N}={token};"), 1),
    ]
}

#[tokio::test]
async fn ck_25_behind_20_000_others() {
    let (room, t) = Room::with_ada().await;
    for (name, crowd, loads) in crowds(&t) {
        let line = format!("{}{N}={t}", crowd.repeat(20_000));
        assert_eq!(room.sees(&[line]).await, seen("ada", loads), "{name}");
    }
}

#[test]
fn ck_25_heap_use_does_not_grow_with_the_number_of_cookies() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (room, t) = runtime.block_on(Room::with_ada());
    let cost = |line: String| {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        let app = room.app.clone();
        let mut status = None;
        let used = allocation_counter::measure(|| {
            status = Some(runtime.block_on(app.oneshot(request)).unwrap().status());
        });
        assert_eq!(status, Some(StatusCode::OK));
        (used.count_total, used.bytes_total)
    };
    cost(pair(&t));
    for (name, crowd, _) in crowds(&t) {
        let few = cost(format!("{}{N}={t}", crowd.repeat(2)));
        assert!(few.0 > 0, "something is measured");
        assert_eq!(cost(format!("{}{N}={t}", crowd.repeat(20_000))), few, "{name}");
        assert_eq!(cost(format!("{}{N}={t}", crowd.repeat(40_000))), few, "{name}");
    }
}

/// Work that grows with the square would take 40 000 pairs minutes in a debug build; linear work takes milliseconds.
#[tokio::test]
async fn ck_25_40_000_others_take_no_noticeable_time() {
    let (room, t) = Room::with_ada().await;
    for (name, crowd, loads) in crowds(&t) {
        let line = format!("{}{N}={t}", crowd.repeat(40_000));
        let mut fastest = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(room.sees(&[&line]).await, seen("ada", loads), "{name}");
            fastest = fastest.min(start.elapsed());
        }
        assert!(fastest < Duration::from_secs(2), "{name}: {fastest:?}");
    }
}

#[tokio::test]
async fn ck_26_beside_a_value_of_64_kib() {
    let (room, t) = Room::with_ada().await;
    let large = "x".repeat(64 << 10);
    assert_eq!(room.sees(&[format!("a={large}; {N}={t}")]).await, ada());
    assert_eq!(room.sees(&[format!("{N}={t}; a={large}")]).await, ada());
}

#[tokio::test]
async fn ck_27_a_value_of_8_kib_of_our_alphabet() {
    let room = Room::new();
    assert_eq!(room.sees(&[pair(&"A".repeat(8 << 10))]).await, stranger(0));
}

#[tokio::test]
async fn ck_28_a_token_that_is_cut_off_extended_or_changed() {
    let (room, t) = Room::with_ada().await;
    for wrong in [&t[..63], &t[1..], &format!("{t}A"), &format!("A{t}"), &format!("{t}{t}")] {
        assert_eq!(room.sees(&[pair(wrong)]).await, stranger(0), "{wrong}");
    }
    for place in 0..t.len() {
        let changed_to = |new: &str| format!("{N}={}{new}{}", &t[..place], &t[place + 1..]);
        let other_letter = if t.as_bytes()[place] == b'A' { "B" } else { "A" };
        assert_eq!(room.sees(&[changed_to(other_letter)]).await, stranger(1), "{place}");
        assert_eq!(room.sees(&[changed_to(".")]).await, stranger(0), "{place}");
    }
    assert_eq!(room.sees(&[pair(&t)]).await, ada(), "nothing of this has harmed the session");
}

#[tokio::test]
async fn ck_29_a_token_has_one_text_only() {
    let room = Room::new();
    let mut t = String::new();
    while !(t.contains('-') && t.contains('_')) {
        t = room.token_of("ada").await;
    }
    for other in [t.replace('-', "+"), t.replace('_', "/"), format!("{t}="), format!("{t}=="), format!("{}=", &t[..63])]
    {
        assert_eq!(room.sees(&[pair(&other)]).await, stranger(0), "{other}");
    }
    let alphabet = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']);
    for last in alphabet.filter(|last| !t.ends_with(*last)) {
        assert_eq!(room.sees(&[format!("{N}={}{last}", &t[..63])]).await, stranger(1), "{last}: no bit is ignored");
    }
    assert_eq!(room.sees(&[pair(&t)]).await, ada());
}

#[tokio::test]
async fn ck_30_no_cookie_at_all() {
    let room = Room::new();
    assert_eq!(room.sees(&[""; 0]).await, anonymous());
}

#[test]
fn ck_31_no_other_bytes_influence_our_pair() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (room, t) = runtime.block_on(Room::with_ada());
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let input = (prop::collection::vec(other_bytes(), 0..4), any::<Index>(), any::<Index>(), padding(), padding());
    let result = TestRunner::new(config).run(&input, |(mut lines, line, place, before, after)| {
        let ours = format!("{before}{N}={t}{after}").into_bytes();
        if lines.is_empty() {
            lines.push(ours);
        } else {
            let line = line.get_mut(&mut lines);
            let mut pairs: Vec<_> = line.split(|byte| *byte == b';').map(<[u8]>::to_vec).collect();
            pairs.insert(place.index(pairs.len() + 1), ours);
            *line = pairs.join(&b';');
        }
        let seen = runtime.block_on(room.sees(&lines));
        prop_assert_eq!((&*seen.who, seen.removal, seen.ambiguous), ("ada", false, 0));
        Ok(())
    });
    result.unwrap();
}

/// A header value: any bytes, and pieces that come close to ours. They can form no other token but `unknown(1)`.
fn other_bytes() -> impl Strategy<Value = Vec<u8>> {
    let any_byte = prop_oneof![Just(b'\t'), b' '..=b'~', 0x80..=0xFF_u8];
    let other = pair(&unknown(1));
    let pieces = ["__Host-id", "__Host-id=", "__Host-", ";", "; ", "=", "\"", ",", " ", "\t", "%", "$Path=/", "x=1"];
    let near: Vec<_> = pieces.into_iter().map(str::to_owned).chain([other, format!("{N}=x;")]).collect();
    let piece = prop_oneof![
        prop::collection::vec(any_byte, 0..40),
        select(near).prop_map(String::into_bytes),
        select(vec![&b"\xE2\x80\x80"[..], b"\xC2\xA0", b"\x85", b"\xFF"]).prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn padding() -> impl Strategy<Value = String> {
    "[ \t]{0,3}"
}

async fn serve(app: &Router) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app.clone()).into_future());
    address
}
