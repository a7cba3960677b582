//! Records in other forms than JSON, and what becomes of them when the codec changes.

use axum::Router;
use cloakroom::testing::TestClock;
use cloakroom::{
    Codec, CompressedCodec, JsonCodec, MessagePackCodec, SessionLayer, SessionManager, Token, TokenChange,
};
use serde_json::{Value, json};

use crate::support::bytes_store::BytesStore;
use crate::support::{Browser, manager, routes};

type MakeCodec = fn() -> Box<dyn Codec>;

fn codecs() -> [(&'static str, MakeCodec); 4] {
    [
        ("JSON", || Box::new(JsonCodec)),
        ("MessagePack", || Box::new(MessagePackCodec)),
        ("compressed JSON", || Box::new(CompressedCodec::new(JsonCodec))),
        ("compressed MessagePack", || Box::new(CompressedCodec::new(MessagePackCodec))),
    ]
}

fn app(store: &BytesStore, codec: Box<dyn Codec>) -> Router {
    let manager = manager(store.clone(), &TestClock::default()).codec(codec);
    routes::routes().layer(SessionLayer::with_manager(manager))
}

#[tokio::test]
async fn a_change_of_codec_logs_nobody_out() {
    for (before, codec_before) in codecs() {
        for (after, codec_after) in codecs() {
            let store = BytesStore::default();
            let (old, new) = (app(&store, codec_before()), app(&store, codec_after()));
            let mut browser = Browser::new(&old);
            assert_eq!(browser.get("/add").await.body, "1");
            let mut elsewhere = Browser::new(&new);
            elsewhere.token = browser.token.clone();
            assert_eq!(elsewhere.get("/add").await.body, "2", "{before} to {after}");
            assert_eq!(browser.get("/add").await.body, "3", "{after} back to {before}");
            assert_eq!(elsewhere.get("/n").await.body, "3", "{before} to {after}");
            assert_eq!(store.len(), 1);
        }
    }
}

#[tokio::test]
async fn a_record_gets_the_new_form_when_it_is_saved() {
    let store = BytesStore::default();
    let (old, new) = (app(&store, Box::new(JsonCodec)), app(&store, Box::new(MessagePackCodec)));
    let mut browser = Browser::new(&old);
    browser.get("/add").await;
    let id = Token::parse(browser.token.as_ref().unwrap().as_bytes()).unwrap().id();
    let mut elsewhere = Browser::new(&new);
    elsewhere.token = browser.token.clone();
    elsewhere.get("/n").await;
    assert_eq!(store.row(id).unwrap().bytes[0], b'{');
    elsewhere.get("/add").await;
    assert!(matches!(store.row(id).unwrap().bytes[0], 0x80..=0x8f));
}

/// A visitor of a shop with so many things in the cart.
fn shopping(things: u64) -> Value {
    let names = ["Espresso cup", "Tea towel", "Wooden spoon", "Cast iron pan", "Paring knife"];
    let thing = |n: u64| {
        let (sku, name) = (format!("SKU-{:05}", n * 7_919 % 100_000), names[usize::try_from(n % 5).unwrap()]);
        let added_at = 1_763_679_600_000 + n * 61_234;
        json!({"sku": sku, "name": name, "quantity": n % 4 + 1, "price_cents": 499 + n * 137 % 9_000, "added_at": added_at})
    };
    json!({
        "user": {"id": "0e9c4a1c-6a5c-4f3c-9d0f-2f9d1b1c7a55", "name": "Ada Lovelace", "roles": ["customer", "reviewer"]},
        "locale": "en-GB",
        "csrf": "q7Zt0h7Jt9cQxWf4nRr8LsK5pZ6uEaGd",
        "visits": 42,
        "theme": "dark",
        "last_search": "cast iron pan 28cm",
        "cart": (0..things).map(thing).collect::<Vec<_>>(),
    })
}

async fn stored_size(codec: Box<dyn Codec>, things: u64) -> usize {
    let store = BytesStore::default();
    let manager = SessionManager::new(store.clone()).codec(codec);
    let session = manager.create();
    for (key, value) in shopping(things).as_object().unwrap() {
        session.insert(key.as_str(), value).unwrap();
    }
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    store.row(issued.token.id()).unwrap().bytes.len()
}

/// As the documentation of `Codec` says. Ids and digests are random, so that a few bytes differ.
#[tokio::test]
async fn the_documented_sizes_are_measured() {
    let documented = [(1_025, 64_490), (818, 49_506), (725, 18_092), (629, 15_255)];
    let mut measured = Vec::new();
    for (_, codec) in codecs() {
        measured.push((stored_size(codec(), 6).await, stored_size(codec(), 650).await));
    }
    for (is, said) in measured.iter().zip(documented) {
        let near = |is: usize, said: usize| is.abs_diff(said) <= said / 50 + 16;
        assert!(near(is.0, said.0) && near(is.1, said.1), "{measured:?}");
    }
}
