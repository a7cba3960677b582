//! How much a cookie holds (RFC 6265bis section 5.6, ASVS 5.0, 3.3.5), and what happens beyond that.

use super::*;
use axum::routing::get;
use cloakroom::ErrorKind;
use http::StatusCode;
use http::header::SET_COOKIE;

/// The longest text that a handler can store, in characters.
async fn longest(browser: &TestClient) -> usize {
    let (mut fits, mut too_long) = (0, 20_000);
    while too_long - fits > 1 {
        let length = usize::midpoint(fits, too_long);
        match browser.another_browser().get(&format!("/long/{length}")).await.status() {
            StatusCode::OK => fits = length,
            StatusCode::PAYLOAD_TOO_LARGE => too_long = length,
            status => panic!("{status}"),
        }
    }
    fits
}

/// The sizes of the cookies of an answer, of name and value together.
fn sizes(answer: &cloakroom::testing::TestResponse) -> Vec<usize> {
    let cookies = answer.headers().get_all(SET_COOKIE).iter().map(|cookie| cookie.to_str().unwrap());
    cookies.map(|cookie| cookie.split(';').next().unwrap().len() - "=".len()).collect()
}

#[tokio::test]
async fn asvs_3_3_5_what_fits_is_kept_and_one_more_character_is_413_and_loses_nothing() {
    for sessions in both() {
        let ada = browser(sessions);
        let longest = longest(&ada).await;
        assert!(longest > 2_400, "{longest}");
        let answer = ada.get(&format!("/long/{longest}")).await;
        answer.assert_status(StatusCode::OK).assert_sets_session_cookie();
        // To the last group of four characters: not one is given away.
        assert!(matches!(sizes(&answer)[..], [4093..=4096]), "{:?}", sizes(&answer));
        assert_eq!(text(&ada, "/length").await, longest.to_string());

        let answer = ada.get(&format!("/long/{}", longest + 4)).await;
        answer.assert_status(StatusCode::PAYLOAD_TOO_LARGE).assert_no_session_cookie();
        assert_eq!(answer.text(), "That is more than a session can hold.\n");
        assert_eq!(text(&ada, "/length").await, longest.to_string());
    }
}

#[tokio::test]
async fn a_longer_name_leaves_less_room_to_the_character() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions.clone());
        let short = TestClient::new(app(&layer), &layer);
        let layer = SessionLayer::in_cookie(sessions).transport(SessionCookie::new("x".repeat(402))).unwrap();
        let long = TestClient::new(app(&layer), &layer);
        // 400 characters of base64 are 300 bytes.
        assert_eq!(longest(&short).await - longest(&long).await, 300);
    }
}

#[tokio::test]
async fn a_handler_learns_it_from_save_and_can_make_room() {
    for sessions in both() {
        let layer = SessionLayer::in_cookie(sessions);
        let careful = async |session: Session| {
            session.insert("long", "x".repeat(5000))?;
            let error = session.save().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLargeForStore);
            session.insert("long", "shorter")
        };
        let app = app(&layer).merge(Router::new().route("/careful", get(careful)).layer(layer.clone()));
        let ada = TestClient::new(app, &layer);
        ada.get("/add").await;
        ada.get("/careful").await.assert_status(StatusCode::OK);
        assert_eq!(text(&ada, "/length").await, "7");
        assert_eq!(text(&ada, "/n").await, "1");
    }
}

#[tokio::test]
async fn with_revocation_a_session_that_is_too_long_is_not_in_the_store_either() {
    let store = crate::support::bytes_store::BytesStore::default();
    let ada = browser(CookieStore::with_revocation(key(), store.clone()));
    ada.get("/long/5000").await.assert_status(StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(store.len(), 0);
}

#[tokio::test]
#[cfg(all(feature = "compression", feature = "message-pack"))]
async fn a_codec_makes_room() {
    use cloakroom::{CompressedCodec, MessagePackCodec};
    for sessions in both() {
        let manager = SessionManager::in_cookie(sessions).codec(CompressedCodec::new(MessagePackCodec));
        let layer = SessionLayer::with_manager(manager);
        let ada = TestClient::new(app(&layer), &layer);
        ada.get("/long/15000").await.assert_status(StatusCode::OK);
        assert_eq!(text(&ada, "/length").await, "15000");
    }
}
