//! What handlers, tests and other protocols see: the same as with any store.

use super::*;
use cloakroom::testing::CountingStore;
use cloakroom::{SessionHeader, SessionStatus, Token, TokenChange};
use http::header::SET_COOKIE;

use crate::support::bytes_store::BytesStore;

#[tokio::test]
async fn handlers_do_not_notice_who_holds_the_session() {
    for sessions in both() {
        let ada = browser(sessions);
        for n in 1..=3 {
            assert_eq!(text(&ada, "/add").await, n.to_string());
        }
        ada.get("/login/ada").await.assert_status(http::StatusCode::OK);
        assert_eq!(text(&ada, "/who").await, "ada");
        assert_eq!(text(&ada, "/n").await, "3");
        ada.assert_session_eq("n", 3).await;

        let ben = ada.another_browser();
        assert_eq!(text(&ben, "/n").await, "0");
        ben.get("/logout").await.assert_no_session_cookie();
        ada.get("/logout").await.assert_removes_session_cookie();
        assert_eq!(text(&ada, "/n").await, "0");
        ada.assert_no_session().await;
    }
}

#[tokio::test]
async fn reading_sets_no_cookie_and_every_change_sets_one() {
    for sessions in both() {
        let ada = browser(sessions);
        ada.get("/n").await.assert_no_session_cookie();
        ada.get("/add").await.assert_sets_session_cookie();
        let before = held(&ada);
        ada.get("/n").await.assert_no_session_cookie();
        ada.get("/ignore").await.assert_no_session_cookie();
        ada.get("/add").await.assert_sets_session_cookie();
        assert_ne!(held(&ada), before);
        // The secret stays.
        assert_eq!(held(&ada)[..64], before[..64]);
    }
}

#[tokio::test]
async fn what_is_sent_out_shows_nothing_and_what_is_stored_neither() {
    let (store, mut stored) = (BytesStore::default(), String::new());
    for sessions in [CookieStore::with_revocation(key(), store.clone()), CookieStore::without_revocation(key())] {
        let ada = browser(sessions);
        ada.get("/pay").await;
        let answer = ada.get("/login/ada-lovelace").await;
        let printed = format!("{:?}", answer.headers());
        assert!(!printed.contains(&held(&ada)[22..]), "{printed}");
        let bytes = decoded(&held(&ada));
        for secret in [CARD, "card", "ada-lovelace", "data"] {
            assert!(!contains(&bytes, secret), "{secret}");
        }
        let id = Token::parse(&held(&ada).as_bytes()[..64]).unwrap().id();
        stored += &store.row(id).map_or_else(String::new, |row| String::from_utf8(row.bytes).unwrap());
    }
    assert!(stored.contains("\"data\":{}"), "{stored}");
    assert!(!stored.contains(CARD), "{stored}");
}

fn decoded(text: &str) -> Vec<u8> {
    let value = |byte: u8| u32::try_from(BASE64.iter().position(|it| *it == byte).unwrap()).unwrap();
    let groups = text.as_bytes().chunks(4).map(|group| group.iter().fold(0, |bits, byte| bits << 6 | value(*byte)));
    groups.flat_map(|bits: u32| bits.to_be_bytes()[1..].to_vec()).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn an_answer_of_500_changes_nothing_and_the_client_keeps_what_it_has() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions);
        let fail = async |session: Session| {
            session.insert("n", 7)?;
            Ok::<_, SessionError>(http::StatusCode::INTERNAL_SERVER_ERROR)
        };
        let app = app(&layer).merge(Router::new().route("/fail", get(fail)).layer(layer.clone()));
        let ada = TestClient::new(app, &layer);
        ada.get("/add").await;
        ada.get("/fail").await.assert_no_session_cookie();
        assert_eq!(text(&ada, "/n").await, "1");
    }
}

#[tokio::test]
async fn what_an_earlier_save_has_stored_reaches_the_client_with_the_error() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions);
        let fail = async |session: Session| {
            session.insert("n", 7)?;
            session.save().await?;
            session.insert("n", 8)?;
            Ok::<_, SessionError>(http::StatusCode::INTERNAL_SERVER_ERROR)
        };
        let app = app(&layer).merge(Router::new().route("/fail", get(fail)).layer(layer.clone()));
        let ada = TestClient::new(app, &layer);
        ada.get("/add").await;
        ada.get("/fail").await.assert_sets_session_cookie();
        assert_eq!(text(&ada, "/n").await, "7");
    }
}

#[tokio::test]
async fn it_works_without_http_too() {
    for sessions in both() {
        let manager = SessionManager::in_cookie(sessions);
        let session = manager.create();
        session.insert("name", "Ada").unwrap();
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
        let session = manager.open(issued.text().as_bytes()).await.unwrap();
        assert_eq!(session.get::<String>("name").unwrap().as_deref(), Some("Ada"));
        session.insert("name", "Grace").unwrap();
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
        let session = manager.open(issued.text().as_bytes()).await.unwrap();
        assert_eq!(session.get::<String>("name").unwrap().as_deref(), Some("Grace"));
        assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Keep));
        // The token alone is half of it.
        let session = manager.open(issued.token.expose().as_bytes()).await.unwrap();
        assert_eq!(session.status(), SessionStatus::New);
        assert!(!format!("{issued:?}").contains(&issued.text()[64..]));
    }
}

#[tokio::test]
async fn it_travels_in_a_header_as_well() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions).transport(SessionHeader::bearer()).unwrap();
        let ada = TestClient::new(app(&layer), &layer);
        assert_eq!(text(&ada, "/add").await, "1");
        assert_eq!(text(&ada, "/add").await, "2");
        let answer = ada.get("/n").await;
        assert_eq!(answer.text(), "2");
        assert!(!answer.headers().contains_key(SET_COOKIE));
        ada.get("/long/5000").await.assert_status(http::StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(text(&ada, "/n").await, "2");
    }
}

#[tokio::test]
async fn revocation_costs_the_calls_of_a_store_and_without_it_there_are_none() {
    let store = CountingStore::new(MemoryStore::new());
    let ada = browser(CookieStore::with_revocation(key(), store.clone()));
    ada.get("/add").await;
    ada.get("/add").await;
    ada.get("/n").await;
    let calls = store.calls();
    assert_eq!((calls.create, calls.load, calls.save), (1, 2, 1), "{calls:?}");
}

#[tokio::test]
async fn a_flash_value_is_shown_once() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions);
        let show = async |session: Session| session.get::<String>("success").map(Option::unwrap_or_default);
        let app = app(&layer).merge(Router::new().route("/show", get(show)).layer(layer.clone()));
        let ada = TestClient::new(app, &layer);
        ada.session(|session| session.flash("success", "saved")).await;
        assert_eq!(text(&ada, "/n").await, "0");
        assert_eq!(text(&ada, "/show").await, "saved");
        assert_eq!(text(&ada, "/show").await, "");
    }
}

#[tokio::test]
async fn no_data_are_printed() {
    for sessions in both() {
        let manager = SessionManager::in_cookie(sessions);
        let session = manager.create();
        session.insert("card", CARD).unwrap();
        session.save().await.unwrap();
        let bytes = format!("{:?}", CARD.as_bytes());
        for printed in [format!("{session:?}"), format!("{manager:?}"), format!("{:?}", manager.store())] {
            assert!(!printed.contains(CARD) && !printed.contains(&bytes[1..20]), "{printed}");
        }
    }
}
