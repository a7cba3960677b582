//! Somebody can write to the store.

use cloakroom::{JsonCodec, SessionEvent};
use http::StatusCode;

use super::*;
use crate::support::bytes_store::{BytesStore, Row};

/// An application with sealed records, and Ada's session in it.
struct Vault {
    app: Router,
    store: BytesStore,
    events: EventLog,
    ada: Browser,
    row: Row,
}

impl Vault {
    async fn new() -> Self {
        let (store, events) = (BytesStore::default(), EventLog::default());
        let app = app(store.clone(), SealedCodec::new(key()), "shop", &events);
        let mut ada = Browser::new(&app);
        ada.get("/login/ada").await;
        ada.get("/add").await;
        ada.get("/pay").await;
        let row = store.row(id_of(&ada)).unwrap();
        Self { app, store, events, ada, row }
    }

    async fn get(&self, path: &str) -> crate::support::Answer {
        self.ada.clone().get(path).await
    }

    /// The record opens nothing, is reported, and stays as it is.
    async fn assert_refused(&self, row: Row, what: &str) {
        let id = self.row.id;
        self.store.put(id, row.clone());
        self.events.take();
        let read = self.get("/n").await;
        assert_eq!((read.status, &*read.body, read.removes_cookie()), (StatusCode::OK, "0", true), "{what}");
        let ours = |event: &SessionEvent| matches!(event, SessionEvent::Corrupt { id: of, .. } if *of == id);
        assert_eq!(self.events.count(ours), 1, "{what}");
        assert_eq!(self.get("/who").await.body, "-", "{what}");
        assert_eq!(self.get("/card").await.body, "", "{what}");
        assert_eq!(self.get("/add").await.body, "1", "{what}: a session of its own");
        self.get("/login/ada").await;
        self.get("/logout").await;
        assert_eq!(self.store.row(id).unwrap(), row, "{what}");
    }

    fn with_bytes(&self, bytes: impl Into<Vec<u8>>) -> Row {
        Row { bytes: bytes.into(), ..self.row.clone() }
    }
}

#[tokio::test]
async fn no_changed_record_is_served_or_overwritten() {
    let vault = Vault::new().await;
    let bytes = &vault.row.bytes;

    let mut mallory = Browser::new(&vault.app);
    mallory.get("/login/mallory").await;
    let theirs = vault.store.row(id_of(&mallory)).unwrap();
    let elsewhere = BytesStore::default();
    let mut stranger = Browser::new(&app(elsewhere.clone(), SealedCodec::new(key()), "shop", &vault.events));
    stranger.get("/add").await;
    let by_another_key = elsewhere.row(id_of(&stranger)).unwrap();
    let forged = format!(
        r#"{{"v":1,"ns":"shop","id":"{}","created":1,"deadline":9999999999999,"digest":"{}","write":"0f","data":{{}}}}"#,
        vault.row.id,
        "A".repeat(44)
    );

    let end = bytes.len();
    let rows: [(&str, Row); 14] = [
        ("emptied", vault.with_bytes([])),
        ("one byte", vault.with_bytes(&bytes[..1])),
        ("the head alone", vault.with_bytes(&bytes[..5])),
        ("no ciphertext", vault.with_bytes(&bytes[..45])),
        ("the last byte is missing", vault.with_bytes(&bytes[..end - 1])),
        ("half", vault.with_bytes(&bytes[..end / 2])),
        ("one byte more", vault.with_bytes([&bytes[..], b"\0"].concat())),
        ("another format", vault.with_bytes([b"\x01", &bytes[1..]].concat())),
        ("plain, forged", vault.with_bytes(forged)),
        ("another session's", vault.with_bytes(theirs.bytes)),
        ("by another key", vault.with_bytes(by_another_key.bytes)),
        ("another user", Row { user: Some("admin".into()), ..vault.row.clone() }),
        ("an empty user", Row { user: Some("".into()), ..vault.row.clone() }),
        ("no user", Row { user: None, ..vault.row.clone() }),
    ];
    for (what, row) in rows {
        vault.assert_refused(row, what).await;
    }

    vault.store.put(vault.row.id, vault.row.clone());
    assert_eq!(vault.get("/who").await.body, "ada", "what was put back is Ada's session as before");
    assert_eq!(vault.get("/card").await.body, CARD);
}

#[tokio::test]
async fn no_bit_can_be_flipped() {
    let vault = Vault::new().await;
    for place in 0..vault.row.bytes.len() {
        let mut bytes = vault.row.bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        vault.store.spoil(vault.row.id, bytes.clone());
        assert_eq!(vault.get("/who").await.body, "-", "byte {place}");
        assert_eq!(vault.store.row(vault.row.id).unwrap().bytes, bytes);
    }
    let corrupt = |event: &SessionEvent| matches!(event, SessionEvent::Corrupt { .. });
    assert_eq!(vault.events.count(corrupt), vault.row.bytes.len());
}

/// Mallory may log in as himself, and may write to the store: that makes him nobody else.
#[tokio::test]
async fn nobody_becomes_another_user_by_writing_to_the_users_column() {
    let vault = Vault::new().await;
    let mut mallory = Browser::new(&vault.app);
    mallory.get("/login/mallory").await;
    let id = id_of(&mallory);
    let row = vault.store.row(id).unwrap();
    vault.store.put(id, Row { user: Some("ada".into()), ..row });
    assert_eq!(mallory.get("/who").await.body, "-");
}

#[tokio::test]
async fn applications_that_share_store_and_keys_do_not_share_sessions() {
    let (store, events, key) = (BytesStore::default(), EventLog::default(), key());
    let shop = app(store.clone(), SealedCodec::new(copy(&key)), "shop", &events);
    let forum = app(store.clone(), SealedCodec::new(copy(&key)), "forum", &events);
    let mut browser = Browser::new(&shop);
    browser.get("/pay").await;
    let mut elsewhere = moved(&browser, &forum);
    assert_eq!(elsewhere.get("/card").await.body, "");
    assert_eq!(browser.get("/card").await.body, CARD);
    assert_eq!(store.len(), 1);
}

/// A process with another codec, or a rollback to one, opens nothing and spoils nothing.
#[tokio::test]
async fn without_a_sealed_codec_a_sealed_record_is_kept() {
    let (store, events, key) = (BytesStore::default(), EventLog::default(), key());
    let mut browser = Browser::new(&sealed(store.clone(), key));
    browser.get("/pay").await;
    let before = store.row(id_of(&browser)).unwrap();
    let plain = app(store.clone(), JsonCodec, "", &events);
    assert_eq!(moved(&browser, &plain).get("/add").await.body, "1");
    assert_eq!(store.row(before.id).unwrap(), before);
    let says_why = |event: &SessionEvent| matches!(event, SessionEvent::Corrupt { cause, .. } if cause.contains("a `SealedCodec` with its key opens it"));
    assert_eq!(events.count(says_why), 1);
    assert_eq!(browser.get("/card").await.body, CARD);
}
