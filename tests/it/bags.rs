//! Named parts of the data, with a type and without.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::{CountingStore, TestClock};
use cloakroom::{
    Bag, BagContent, Conflicts, ErrorKind, Limits, MemoryStore, Session, SessionError, SessionEvent, SessionLayer,
    SessionManager, SessionPolicy, TokenChange, WhenFull,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::support::routes::Change;
use crate::support::{Browser, EventLog, manager};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Cart {
    items: BTreeMap<String, u32>,
    coupon: Option<String>,
    count: u32,
}

impl BagContent for Cart {
    const NAME: &'static str = "shop.cart";
}

/// An enum, whose variants must not be mixed.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum Step {
    #[default]
    Start,
    Address {
        city: String,
    },
    Payment {
        card: String,
    },
}

impl BagContent for Step {
    const NAME: &'static str = "step";
}

/// A session that is stored, and its token.
async fn stored(manager: &SessionManager, fill: impl FnOnce(&Session)) -> Vec<u8> {
    let session = manager.create();
    fill(&session);
    match manager.commit(&session).await.unwrap() {
        TokenChange::Issue(issued) => issued.token.expose().as_bytes().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn fresh() -> SessionManager {
    manager(MemoryStore::new(), &TestClock::default())
}

#[tokio::test]
async fn a_bag_has_the_methods_of_a_session_below_its_path() {
    let session = fresh().create();
    let (shop, blog) = (session.bag("shop").unwrap(), session.bag("blog").unwrap());
    shop.insert("user", "Ada").unwrap();
    blog.insert("user", "Grace").unwrap();
    assert_eq!(shop.get::<String>("user").unwrap().as_deref(), Some("Ada"));
    assert_eq!(session.get::<String>("blog.user").unwrap().as_deref(), Some("Grace"));

    assert_eq!(shop.update("n", |n: Option<u8>| n.unwrap_or(0) + 1).unwrap(), 1);
    assert_eq!((shop.increment("n", 2).unwrap(), shop.decrement("n", 1).unwrap()), (3, 2));
    shop.push("list", 1).unwrap();
    assert_eq!(shop.get_or_insert_with("made", || 7).unwrap(), 7);
    assert!(shop.contains("made").unwrap() && !blog.contains("made").unwrap());
    assert_eq!(shop.take::<u8>("made").unwrap(), Some(7));
    assert!(shop.remove("list").unwrap() && !shop.remove("list").unwrap());
    assert_eq!(shop.keys().unwrap(), ["user", "n"]);
    assert_eq!(shop.all().unwrap()["n"], 2);

    let inner = shop.bag("inner").unwrap();
    inner.insert("x", 1).unwrap();
    assert_eq!(session.get("shop.inner.x").unwrap(), Some(1));

    shop.clear().unwrap();
    assert!(shop.keys().unwrap().is_empty() && shop.all().unwrap().is_empty());
    assert_eq!(session.keys(), ["blog"]);
    assert!(!format!("{blog:?}").contains("Grace"));
}

#[tokio::test]
async fn a_bag_where_something_else_stands_is_an_error_and_overwrites_nothing() {
    let session = fresh().create();
    session.insert("shop", 1).unwrap();
    let shop = session.bag("shop").unwrap();
    assert_eq!(shop.insert("x", 1).unwrap_err().kind(), ErrorKind::NotAnObject);
    assert_eq!(shop.keys().unwrap_err().kind(), ErrorKind::NotAnObject);
    assert_eq!(session.bag("a..b").unwrap_err().kind(), ErrorKind::InvalidPath);
    session.insert("step", 5).unwrap();
    assert_eq!(Bag::<Step>::of(&session).unwrap_err().kind(), ErrorKind::Decode);
    assert_eq!(session.get("shop").unwrap(), Some(1));
}

async fn add(Path(item): Path<String>, mut cart: Bag<Cart>) -> Result<String, SessionError> {
    *cart.items.entry(item).or_default() += 1;
    if cart.items.len() > 2 {
        return Err(SessionError::from(cloakroom::store::StoreError::too_large(3, 2)));
    }
    Ok(format!("{:?}", cart.items))
}

async fn show(cart: Bag<Cart>) -> String {
    serde_json::to_string(&*cart).unwrap()
}

fn app(layer: SessionLayer) -> Router {
    async fn early(mut cart: Bag<Cart>) -> Result<(), StatusCode> {
        cart.coupon = Some("TEA".into());
        Err(StatusCode::CONFLICT)
    }
    async fn fails(mut cart: Bag<Cart>) -> StatusCode {
        cart.coupon = Some("TEA".into());
        StatusCode::INTERNAL_SERVER_ERROR
    }
    async fn panics(mut cart: Bag<Cart>) {
        cart.coupon = Some("half".into());
        panic!("in the middle of it");
    }
    async fn looks(mut cart: Bag<Cart>) -> String {
        let cart: &mut Cart = &mut cart;
        cart.count.to_string()
    }
    async fn grows(session: Session, mut cart: Bag<Cart>) -> Result<(), SessionError> {
        session.insert("other", 1)?;
        cart.coupon = Some("x".repeat(1000));
        Ok(())
    }
    async fn grows_and_leaves(session: Session, mut cart: Bag<Cart>) -> Result<(), SessionError> {
        cart.coupon = Some("x".repeat(1000));
        session.destroy()
    }
    async fn late(cart: Bag<Cart>) {
        let mut cart = cart;
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            cart.count = 7;
        });
    }
    Router::new()
        .route("/add/{item}", get(add))
        .route("/show", get(show))
        .route("/early", get(early))
        .route("/fails", get(fails))
        .route("/panics", get(panics))
        .route("/looks", get(looks))
        .route("/grows", get(grows))
        .route("/grows-and-leaves", get(grows_and_leaves))
        .route("/late", get(late))
        .layer(tower_http::catch_panic::CatchPanicLayer::new())
        .layer(layer)
}

#[tokio::test]
async fn a_typed_bag_saves_itself_when_it_was_changed() {
    let store = CountingStore::new(MemoryStore::new());
    let mut browser = Browser::new(&app(SessionLayer::new(store.clone())));
    assert_eq!(browser.get("/show").await.body, r#"{"items":{},"coupon":null,"count":0}"#);
    browser.get("/looks").await;
    assert_eq!(browser.token, None, "a default is not stored");
    assert_eq!(browser.get("/add/teapot").await.body, r#"{"teapot": 1}"#);
    assert_eq!(browser.get("/add/teapot").await.body, r#"{"teapot": 2}"#);
    store.reset();
    browser.get("/looks").await;
    assert_eq!(browser.get("/show").await.body, r#"{"items":{"teapot":2},"coupon":null,"count":0}"#);
    let calls = store.reset();
    assert_eq!((calls.load, calls.save, calls.touch), (2, 0, 0), "what was only looked at is not stored");
}

#[tokio::test]
async fn a_typed_bag_saves_itself_when_the_handler_returns_early() {
    let mut browser = Browser::new(&app(SessionLayer::new(MemoryStore::new())));
    assert_eq!(browser.get("/early").await.status, StatusCode::CONFLICT);
    assert_eq!(browser.get("/show").await.body, r#"{"items":{},"coupon":"TEA","count":0}"#);
}

#[tokio::test]
async fn a_handler_that_fails_or_panics_leaves_the_bag_as_it_was() {
    for path in ["/fails", "/panics"] {
        let layer = SessionLayer::new(MemoryStore::new()).save_on_server_error(path == "/panics");
        let mut browser = Browser::new(&app(layer));
        browser.get("/add/teapot").await;
        assert_eq!(browser.get(path).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(browser.get("/show").await.body, r#"{"items":{"teapot":1},"coupon":null,"count":0}"#, "{path}");
    }
}

#[tokio::test]
async fn a_bag_that_cannot_be_written_fails_the_request_and_keeps_nothing_of_it() {
    let log = EventLog::default();
    let layer =
        SessionLayer::new(MemoryStore::new()).limits(Limits::default().data_bytes(200)).unwrap().on_event(log.hook());
    let mut browser = Browser::new(&app(layer));
    browser.get("/add/teapot").await;
    assert_eq!(browser.get("/grows").await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(log.count(|event| matches!(event, SessionEvent::CommitFailed { kind: ErrorKind::TooLarge, .. })), 1);
    assert_eq!(browser.get("/show").await.body, r#"{"items":{"teapot":1},"coupon":null,"count":0}"#);

    // A logout is not held up by it.
    let answer = browser.get("/grows-and-leaves").await;
    assert_eq!((answer.status, answer.removes_cookie()), (StatusCode::OK, true));
}

/// A changed field was written as a whole after the login, with what the user before had put there.
#[tokio::test]
async fn what_a_login_takes_away_does_not_come_back_with_a_bag() {
    let manager = fresh();
    let adas = |session: &Session| {
        session.login("ada").unwrap();
        session.insert("shop.cart", serde_json::json!({"items": {"medicine": 1}, "coupon": "ADA"})).unwrap();
    };
    let wipes: [(Change, bool); 5] = [
        (|session| session.login("bob"), false),
        (|session| session.login_keeping("bob", ["shop"]), false),
        (|session| session.login_keeping("ada", ["locale"]), false),
        (|session| session.clear(), false),
        (|session| session.login_keeping("ada", ["shop"]), true),
    ];
    for (number, (wipe, stays)) in wipes.into_iter().enumerate() {
        for (changed_before, changed_after) in [(false, true), (true, false), (true, true)] {
            let token = stored(&manager, adas).await;
            let session = manager.open(&token).await.unwrap();
            {
                let mut cart = Bag::<Cart>::of(&session).unwrap();
                if changed_before {
                    cart.items.insert("before".into(), 1);
                }
                wipe(&session).unwrap();
                if changed_after {
                    cart.items.insert("after".into(), 1);
                }
            }
            let _ = manager.commit(&session).await.unwrap();
            let cart = Bag::<Cart>::of(&session).unwrap();
            let expected: Vec<_> = [("after", changed_after), ("before", changed_before && stays), ("medicine", stays)]
                .into_iter()
                .filter_map(|(item, is_there)| is_there.then_some(item))
                .collect();
            assert_eq!(cart.items.keys().collect::<Vec<_>>(), expected, "{number} {changed_before} {changed_after}");
            assert_eq!(cart.coupon.is_some(), stays);
        }
    }
}

/// What was meant for a user who was not let in stays out of the session of the one who is there.
#[tokio::test]
async fn a_bag_goes_with_a_login_that_was_refused() {
    let manager = fresh().policy(SessionPolicy::default().max_sessions(1, WhenFull::RefuseNewest)).unwrap();
    let _bobs = stored(&manager, |session| session.login("bob").unwrap()).await;
    let adas = stored(&manager, |session| session.login("ada").unwrap()).await;
    let session = manager.open(&adas).await.unwrap();
    let mut cart = Bag::<Cart>::of(&session).unwrap();
    session.login("bob").unwrap();
    cart.coupon = Some("BOB".into());
    assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::TooManySessions);
    drop(cart);
    let _ = manager.commit(&session).await.unwrap();
    let session = manager.open(&adas).await.unwrap();
    assert_eq!((session.user().as_deref(), session.keys()), (Some("ada"), Vec::<String>::new()));
}

#[tokio::test(start_paused = true)]
async fn a_bag_that_outlives_its_answer_writes_no_more_and_an_event_says_so() {
    let log = EventLog::default();
    let mut browser = Browser::new(&app(SessionLayer::new(MemoryStore::new()).on_event(log.hook())));
    browser.get("/add/teapot").await;
    browser.get("/late").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(log.count(|event| matches!(event, SessionEvent::Lost { .. })), 1);
    assert!(browser.get("/show").await.body.ends_with(r#""count":0}"#));
}

#[tokio::test]
async fn two_requests_that_change_two_fields_both_keep_theirs() {
    let manager = fresh();
    for filled in [true, false] {
        let token = stored(&manager, |session| {
            session.insert("x", 1).unwrap();
            if filled {
                Bag::<Cart>::of(session).unwrap().count = 1;
            }
        })
        .await;
        let open = async || manager.open(&token).await.unwrap();
        let (a, b) = (open().await, open().await);
        let (mut of_a, mut of_b) = (Bag::<Cart>::of(&a).unwrap(), Bag::<Cart>::of(&b).unwrap());
        of_a.coupon = Some("TEA".into());
        of_b.items.insert("teapot".into(), 1);
        drop((of_a, of_b));
        manager.commit(&a).await.unwrap();
        manager.commit(&b).await.unwrap();
        let cart = Bag::<Cart>::of(&open().await).unwrap();
        assert_eq!((cart.coupon.as_deref(), cart.items["teapot"]), (Some("TEA"), 1), "{filled}");
        assert_eq!(cart.count, u32::from(filled));
    }
}

#[tokio::test]
async fn updates_of_a_bag_at_once_all_count() {
    let manager = fresh();
    let token = stored(&manager, |session| session.insert("x", 1).unwrap()).await;
    let mut requests = Vec::new();
    for n in 0..8 {
        let session = manager.open(&token).await.unwrap();
        let mut cart = Bag::<Cart>::of(&session).unwrap();
        cart.coupon = Some(n.to_string());
        cart.update(|cart| cart.count += 1).unwrap();
        assert_eq!((cart.count, cart.coupon.clone()), (1, Some(n.to_string())), "the change before it counts");
        requests.push(session);
    }
    for session in requests {
        manager.commit(&session).await.unwrap();
    }
    let cart = Bag::<Cart>::of(&manager.open(&token).await.unwrap()).unwrap();
    assert_eq!((cart.count, cart.coupon.as_deref()), (8, Some("7")));
}

/// Fields of two variants side by side would be no `Step`, and nobody could read the bag any more.
#[tokio::test]
async fn variants_of_an_enum_are_not_mixed() {
    let manager = fresh();
    let token = stored(&manager, |session| {
        *Bag::<Step>::of(session).unwrap() = Step::Address { city: "London".into() };
    })
    .await;
    let open = async || manager.open(&token).await.unwrap();
    let (a, b) = (open().await, open().await);
    *Bag::<Step>::of(&a).unwrap() = Step::Payment { card: "1".into() };
    *Bag::<Step>::of(&b).unwrap() = Step::Address { city: "Paris".into() };
    manager.commit(&a).await.unwrap();
    manager.commit(&b).await.unwrap();
    assert_eq!(*Bag::<Step>::of(&open().await).unwrap(), Step::Address { city: "Paris".into() });
}

#[tokio::test]
async fn fields_that_are_gone_are_gone_and_unknown_ones_stay() {
    #[derive(Debug, Default, Serialize, Deserialize)]
    struct Notes(BTreeMap<String, u8>);
    impl BagContent for Notes {
        const NAME: &'static str = "notes";
    }
    let manager = fresh();
    let token = stored(&manager, |session| {
        session.insert("notes", BTreeMap::from([("a", 1), ("b", 2)])).unwrap();
        session.insert("shop.cart", serde_json::json!({"count": 1, "of_a_newer_version": true})).unwrap();
    })
    .await;
    let (first, second) = (manager.open(&token).await.unwrap(), manager.open(&token).await.unwrap());
    Bag::<Notes>::of(&first).unwrap().0.remove("a");
    Bag::<Notes>::of(&second).unwrap().0.insert("c".into(), 3);
    Bag::<Cart>::of(&second).unwrap().count = 2;
    manager.commit(&first).await.unwrap();
    manager.commit(&second).await.unwrap();
    let session = manager.open(&token).await.unwrap();
    assert_eq!(session.get::<serde_json::Value>("notes").unwrap(), Some(serde_json::json!({"b": 2, "c": 3})));
    assert_eq!(session.get("shop.cart.of_a_newer_version").unwrap(), Some(true));
    assert_eq!(session.get("shop.cart.count").unwrap(), Some(2));
}

#[tokio::test]
async fn refused_conflicts_are_refused_by_field() {
    let strict = SessionPolicy::default().conflicts(Conflicts::Refuse);
    let manager = fresh().policy(strict).unwrap();
    let token = stored(&manager, |session| Bag::<Cart>::of(session).unwrap().count = 1).await;
    for (same_field, expected) in [(false, None), (true, Some(ErrorKind::Conflict))] {
        let (a, b) = (manager.open(&token).await.unwrap(), manager.open(&token).await.unwrap());
        let (mut of_a, mut of_b) = (Bag::<Cart>::of(&a).unwrap(), Bag::<Cart>::of(&b).unwrap());
        of_a.count += 1;
        if same_field {
            of_b.count += 5;
        } else {
            of_b.coupon = Some("TEA".into());
        }
        drop((of_a, of_b));
        manager.commit(&a).await.unwrap();
        assert_eq!(manager.commit(&b).await.err().map(|error| error.kind()), expected);
    }
}
