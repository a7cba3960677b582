//! REL-04, REL-17, REL-19: what is stored is garbage, somebody else's, or from the future. It is kept as it is.

use super::*;
use crate::support::bytes_store::{BytesStore, Row};
use crate::support::gate::Gate;

/// An application whose store keeps bytes, and one session in it, at n = 1.
struct Archive {
    app: Router,
    store: BytesStore,
    clock: TestClock,
    events: EventLog,
    token: String,
    /// As it was stored.
    row: Row,
}

impl Archive {
    async fn new() -> Self {
        Self::with(Router::new()).await
    }

    async fn with(more: Router) -> Self {
        let (store, clock, events) = (BytesStore::default(), TestClock::default(), EventLog::default());
        let limits = Limits::default().data_bytes(1 << 20);
        let layer = layer(store.clone(), &clock).limits(limits).unwrap().on_event(events.hook());
        let all = get(async |session: Session| session.all().map(|all| all.len().to_string()));
        let app = routes().route("/all", all).merge(more).layer(layer);
        let token = send(&app, "/add", &[]).await.token().unwrap().to_owned();
        let row = store.row(id_of(&token)).unwrap();
        Self { app, store, clock, events, token, row }
    }

    fn id(&self) -> SessionId {
        id_of(&self.token)
    }

    fn spoil(&self, bytes: impl Into<Vec<u8>>) {
        self.store.spoil(self.id(), bytes);
    }

    async fn send(&self, path: &str) -> Answer {
        send_token(&self.app, path, &self.token).await
    }

    fn stored(&self) -> Row {
        self.store.row(self.id()).unwrap()
    }

    fn says_corrupt(&self) -> bool {
        let ours = self.id();
        self.events.take().iter().any(|event| matches!(event, SessionEvent::Corrupt { id, .. } if *id == ours))
    }

    /// The record cannot be read: the visitor is anonymous, is told so, may start anew, and the record stays.
    async fn assert_corrupt(&self, what: &str) {
        let before = self.stored();
        self.events.take();
        let read = self.send("/n").await;
        assert_eq!((read.status, &*read.body), (StatusCode::OK, "0"), "{what}");
        assert!(read.removes_cookie() && self.says_corrupt(), "{what}");
        let written = self.send("/add").await;
        assert_eq!((written.status, &*written.body), (StatusCode::OK, "1"), "{what}");
        assert_ne!(id_of(written.token().unwrap()), self.id());
        assert!(self.send("/logout").await.removes_cookie(), "{what}");
        assert_eq!(self.stored(), before, "{what}");
    }
}

#[tokio::test]
async fn rel_04_a_record_that_is_garbage_is_reported_taken_for_absent_and_kept() {
    let archive = Archive::new().await;
    let text = String::from_utf8(archive.row.bytes.clone()).unwrap();
    let garbage: [(&str, Vec<u8>); 12] = [
        ("nothing", vec![]),
        ("zeros", vec![0; 512]),
        ("not UTF-8", vec![0xff; 512]),
        ("no object", b"[1,2,3]".to_vec()),
        ("null", b"null".to_vec()),
        ("an empty object", b"{}".to_vec()),
        ("twice the record", [archive.row.bytes.clone(), archive.row.bytes.clone()].concat()),
        ("data that are no object", text.replace(r#"{"n":1}"#, "[1]").into()),
        ("a digest that is too short", text.replace(r#""digest":""#, r#""digest":"=="#).into()),
        ("a version below the first", text.replace(r#""v":1"#, r#""v":0"#).into()),
        ("a version below zero", text.replace(r#""v":1"#, r#""v":-1"#).into()),
        ("a time that is no number", text.replace(r#""created":"#, r#""created":null,"x":"#).into()),
    ];
    for (what, bytes) in garbage {
        assert_ne!(bytes, archive.row.bytes, "{what}");
        archive.spoil(bytes);
        archive.assert_corrupt(what).await;
    }
}

#[tokio::test]
async fn rel_04_a_record_that_is_cut_off_anywhere_is_garbage() {
    let archive = Archive::new().await;
    for length in 0..archive.row.bytes.len() {
        archive.spoil(&archive.row.bytes[..length]);
        archive.assert_corrupt(&format!("the first {length} bytes")).await;
    }
}

#[tokio::test]
async fn rel_04_no_flipped_bit_causes_a_panic_or_is_written_over_by_a_read() {
    let archive = Archive::new().await;
    for bit in 0..archive.row.bytes.len() * 8 {
        let mut bytes = archive.row.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        archive.spoil(&*bytes);
        for path in ["/n", "/all", "/keys"] {
            let answer = archive.send(path).await;
            let decode_error = path == "/n" && answer.status == StatusCode::INTERNAL_SERVER_ERROR;
            let newer = answer.status == StatusCode::SERVICE_UNAVAILABLE && answer.set_cookies().is_empty();
            assert!(answer.status == StatusCode::OK || decode_error || newer, "bit {bit}: {answer:?}");
            assert!(answer.token().is_none());
        }
        assert_eq!(archive.stored().bytes, bytes, "bit {bit}");
        let written = archive.send("/add").await;
        if written.token().is_some_and(|token| id_of(token) != archive.id()) || written.status.is_server_error() {
            assert_eq!(archive.stored().bytes, bytes, "bit {bit}");
        }
        archive.store.put(archive.id(), archive.row.clone());
    }
}

#[tokio::test]
async fn rel_04_a_record_that_is_repaired_is_served_again() {
    let archive = Archive::new().await;
    archive.spoil("a bad deployment");
    archive.assert_corrupt("a bad deployment").await;
    archive.spoil(&*archive.row.bytes);
    assert_eq!(archive.send("/n").await.body, "1");
}

#[tokio::test]
async fn rel_04_a_store_that_cannot_read_its_own_record_says_so_by_an_error() {
    let house = House::new().await;
    house.faults.always(Operation::Load, Fault::Corrupt);
    let answer = house.send("/n").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.removes_cookie());
    let ours = house.id();
    assert_eq!(house.events.count(|event| matches!(event, SessionEvent::Corrupt { id, .. } if *id == ours)), 1);
    house.faults.heal();
    assert_eq!(house.n().await, Some(1));
}

#[tokio::test]
async fn rel_04_sixteen_megabytes_of_garbage_do_not_hold_up_a_request() {
    const SIZE: usize = 16 << 20;
    let archive = Archive::new().await;
    let text = String::from_utf8(archive.row.bytes.clone()).unwrap();
    let around = |data: &str| text.replace(r#"{"n":1}"#, data).into_bytes();
    let started = std::time::Instant::now();
    let garbage: [(&str, Vec<u8>); 6] = [
        ("zeros", vec![0; SIZE]),
        ("brackets", vec![b'['; SIZE]),
        ("braces with keys", br#"{"a":"#.repeat(SIZE / 5)),
        ("an endless text", [&b"\""[..], &vec![b'a'; SIZE]].concat()),
        ("spaces", vec![b' '; SIZE]),
        ("data that do not end", around(&"[".repeat(SIZE))),
    ];
    for (what, bytes) in garbage {
        archive.spoil(bytes);
        let answer = archive.send("/all").await;
        assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "0"), "{what}");
        assert!(answer.removes_cookie() && archive.says_corrupt(), "{what}");
    }
    let readable = [
        ("one long value", around(&format!(r#"{{"a":"{}"}}"#, "a".repeat(SIZE))), StatusCode::OK),
        (
            "deeper than any parser goes",
            around(&format!(r#"{{"a":{}{}}}"#, "[".repeat(SIZE / 2), "]".repeat(SIZE / 2))),
            StatusCode::INTERNAL_SERVER_ERROR,
        ),
    ];
    for (what, bytes, all) in readable {
        archive.spoil(bytes);
        assert_eq!(archive.send("/keys").await.body, "a", "{what}");
        assert_eq!(archive.send("/all").await.status, all, "{what}");
    }
    assert!(started.elapsed() < seconds(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn rel_04_a_record_with_very_many_keys_does_not_hold_up_a_request() {
    let archive = Archive::new().await;
    let text = String::from_utf8(archive.row.bytes.clone()).unwrap();
    let keys: Vec<_> = (0..40_000).map(|n| format!(r#""{n}":0"#)).collect();
    archive.spoil(text.replace(r#"{"n":1}"#, &format!("{{{}}}", keys.join(","))));
    let started = std::time::Instant::now();
    assert_eq!(archive.send("/n").await.body, "0");
    // One key after another takes a fraction of a second, and each compared with each a multiple of this.
    assert!(started.elapsed() < seconds(4), "{:?}", started.elapsed());
}

/// The record as a version of this crate would write it that does not exist yet.
fn of_the_future(row: &Row) -> Row {
    let bytes = String::from_utf8(row.bytes.clone()).unwrap().replacen(r#""v":1"#, r#""v":9"#, 1).into_bytes();
    Row { bytes, ..row.clone() }
}

#[tokio::test]
async fn rel_19_a_record_of_a_newer_major_version_is_unavailable_and_not_reset() {
    let archive = Archive::new().await;
    let foreign = br#"{"v":2,"entirely":"different"}"#.to_vec();
    for row in [of_the_future(&archive.row), Row { bytes: foreign, ..archive.row.clone() }] {
        archive.store.put(archive.id(), row.clone());
        for path in ["/n", "/add", "/login", "/logout"] {
            assert_unavailable(&archive.send(path).await);
        }
        assert_eq!((archive.stored(), archive.store.len()), (row, 1));
    }
    assert!(!archive.says_corrupt());
    archive.spoil(&*archive.row.bytes);
    assert_eq!(archive.send("/n").await.body, "1");
}

/// Adds one, after the test has done something at the gate.
fn held(gate: &Gate) -> Router {
    let gate = gate.clone();
    let handler = get(move |session: Session| async move {
        gate.pass().await;
        add(&session)
    });
    Router::new().route("/held", handler)
}

/// What becomes of a request in whose session something else is found at the commit than it had loaded.
async fn replaced_before_commit(archive: &Archive, gate: &Gate, row: Row) -> Answer {
    let (app, token) = (archive.app.clone(), archive.token.clone());
    let request = tokio::spawn(async move { send_token(&app, "/held", &token).await });
    gate.arrived(1).await;
    archive.events.take();
    archive.store.put(archive.id(), row);
    gate.open(1);
    request.await.unwrap()
}

#[tokio::test]
async fn rel_19_a_record_that_a_newer_version_has_saved_in_between_is_unavailable_and_not_overwritten() {
    let gate = Gate::default();
    let archive = Archive::with(held(&gate)).await;
    let newer = Row { version: 2, ..of_the_future(&archive.row) };
    assert_unavailable(&replaced_before_commit(&archive, &gate, newer.clone()).await);
    assert_eq!(archive.stored(), newer);
}

#[tokio::test]
async fn rel_04_a_record_that_was_spoiled_in_between_is_not_overwritten_and_reported() {
    let gate = Gate::default();
    let archive = Archive::with(held(&gate)).await;
    let spoiled = Row { version: 2, bytes: b"garbage".to_vec(), ..archive.row.clone() };
    let answer = replaced_before_commit(&archive, &gate, spoiled.clone()).await;
    assert!(answer.status.is_server_error());
    assert!(answer.set_cookies().is_empty());
    assert_eq!(archive.stored(), spoiled);
    assert!(archive.says_corrupt());
}

/// An archive with somebody else's session in it as well.
async fn with_another(archive: &Archive) -> (SessionId, Row) {
    let other = send(&archive.app, "/login", &[]).await.token().unwrap().to_owned();
    (id_of(&other), archive.store.row(id_of(&other)).unwrap())
}

fn says_wrong_record(archive: &Archive) -> bool {
    let ours = archive.id();
    archive.events.take().iter().any(|event| matches!(event, SessionEvent::WrongRecord { id, .. } if *id == ours))
}

#[tokio::test]
async fn rel_17_a_store_that_answers_with_anothers_record_serves_nobody_and_raises_the_alarm() {
    let archive = Archive::new().await;
    let (other_id, other) = with_another(&archive).await;
    let whole = other.clone();
    let under_our_id = Row { id: archive.id(), ..other.clone() };
    for wrong in [whole, under_our_id] {
        archive.store.put(archive.id(), wrong.clone());
        archive.events.take();
        let read = archive.send("/keys").await;
        assert_eq!((read.status, &*read.body, read.token()), (StatusCode::OK, "", None));
        assert!(says_wrong_record(&archive));
        let written = archive.send("/add").await;
        assert_eq!(written.body, "1");
        archive.send("/logout").await;
        assert_eq!((archive.stored(), archive.store.row(other_id).unwrap()), (wrong, other.clone()));
        assert_eq!(archive.events.count(|event| matches!(event, SessionEvent::Corrupt { .. })), 0);
    }
}

#[tokio::test]
async fn rel_17_anothers_record_that_turns_up_at_the_commit_is_not_written_to_and_raises_the_alarm() {
    let gate = Gate::default();
    let archive = Archive::with(held(&gate)).await;
    let (_, other) = with_another(&archive).await;
    for wrong in [Row { version: 2, ..other.clone() }, Row { id: archive.id(), version: 2, ..other }] {
        let answer = replaced_before_commit(&archive, &gate, wrong.clone()).await;
        assert_eq!(answer.token(), None);
        assert_eq!(archive.stored(), wrong);
        assert!(says_wrong_record(&archive));
        archive.store.put(archive.id(), archive.row.clone());
    }
}

#[tokio::test]
async fn rel_17_a_record_of_another_namespace_opens_nothing_and_is_kept() {
    let archive = Archive::new().await;
    let elsewhere = SessionManager::new(archive.store.clone()).clock(archive.clock.clone()).namespace("elsewhere");
    let app = routes().layer(SessionLayer::with_manager(elsewhere));
    assert_eq!(send_token(&app, "/n", &archive.token).await.body, "0");
    assert_eq!(send_token(&app, "/add", &archive.token).await.body, "1");
    send_token(&app, "/logout", &archive.token).await;
    assert_eq!(archive.stored(), archive.row);
}
