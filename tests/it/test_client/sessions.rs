//! Sessions that tests prepare, and the time that they live.

use std::time::Duration;

use axum::Router;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClient, TestClock};
use cloakroom::{Level, MemoryStore, SessionCookie, SessionHeader, SessionLayer, SessionPolicy};
use tower::ServiceExt as _;

use super::{client, client_of, complaint};
use crate::support::N;
use crate::support::layer;
use crate::support::routes::routes;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_prepared_session_is_the_one_that_the_application_finds() {
    let (client, _) = client();
    client.session(|session| session.insert("n", 41)).await;
    assert_eq!(client.get("/add").await.text(), "42");
    assert_eq!(client.session(|session| session.get::<u64>("n")).await, Some(42));
    assert!(client.cookie(N).unwrap().http_only().unwrap());
}

#[tokio::test]
async fn preparing_goes_on_with_the_session_that_is_there() {
    let (client, _) = client();
    client.get("/add").await.assert_sets_session_cookie();
    let before = client.cookie(N);
    client.session(|session| session.insert("more", true)).await;
    assert_eq!(client.cookie(N), before);
    client.session(cloakroom::Session::regenerate).await;
    assert_ne!(client.cookie(N), before);
    assert_eq!(client.get("/keys").await.text(), "n,more");
    client.session(cloakroom::Session::destroy).await;
    assert_eq!(client.cookie(N), None);
}

#[tokio::test]
async fn reading_prepares_nothing() {
    let (client, _) = client();
    client.session(|session| session.contains("n")).await;
    client.assert_no_session().await;
    assert_eq!(client.cookie(N), None);
}

#[tokio::test]
async fn the_cookie_of_the_layer_is_used_whatever_it_is() {
    for cookie in [
        SessionCookie::new("other"),
        SessionCookie::new("id").path("/app"),
        SessionCookie::new("id").domain("example.org"),
        SessionCookie::new("id").partitioned(true).insecure_visible_to_scripts(),
    ] {
        let sessions = SessionLayer::new(MemoryStore::new()).transport(cookie).unwrap();
        let client = client_of(Router::new().nest("/app", routes()), &sessions);
        client.session(|session| session.insert("n", 41)).await;
        assert_eq!(client.get("/app/add").await.text(), "42");
        client.assert_session_eq("n", 42).await;
        client.get("/app/logout").await.assert_removes_session_cookie();
        client.assert_no_session().await;
    }
}

#[tokio::test]
async fn a_cookie_that_browsers_ignore_is_pointed_out() {
    let (client, _) = client();
    let client = client.origin("http://localhost");
    let response = client.get("/add").await;
    let preparing = client.clone();
    let said = complaint(async move { preparing.session(|session| session.insert("n", 1)).await }).await;
    assert!(said.contains("SessionCookie::new_for_http") && said.contains(file!()), "{said}");
    let said = complaint(async move { _ = response.assert_sets_session_cookie() }).await;
    assert!(said.contains("browsers ignore it") && said.contains("SessionCookie::new_for_http"), "{said}");
    client.assert_no_session().await;

    let sessions = SessionLayer::new(MemoryStore::new()).transport(SessionCookie::new_for_http("id")).unwrap();
    let client = client_of(routes(), &sessions).origin("http://localhost");
    client.get("/add").await.assert_sets_session_cookie();
    client.assert_has_session().await;
}

#[tokio::test]
async fn errors_of_the_function_and_of_the_store_name_the_line_of_the_test() {
    let clock = TestClock::default();
    let faults = FaultStore::new(MemoryStore::new());
    let client = client_of(routes(), &layer(faults.clone(), &clock));
    let wrong = client.clone();
    let said = complaint(async move { wrong.session(|session| session.insert("", 1)).await }).await;
    assert!(said.contains("a path needs") && said.contains(file!()), "{said}");
    client.get("/add").await;
    for (operation, sentence) in [(Operation::Load, "could not be prepared"), (Operation::Save, "could not be stored")]
    {
        faults.always(operation, Fault::Down);
        let client = client.clone();
        let said = complaint(async move { client.session(|session| session.insert("n", 1)).await }).await;
        assert!(said.contains(sentence) && said.contains(file!()), "{said}");
        faults.heal();
    }
    faults.always(Operation::Load, Fault::Down);
    let said = complaint(async move { client.assert_no_session().await }).await;
    assert!(said.contains("could not be loaded") && said.contains(file!()), "{said}");
}

#[tokio::test]
async fn time_ends_sessions_and_cookies_by_one_clock() {
    let (client, clock) = client();
    client.get("/add").await;
    clock.advance(HOUR);
    assert!(client.cookie(N).is_some(), "browsers do not know when a session ends");
    client.assert_no_session().await;

    client.session(|session| session.remember(HOUR).and_then(|()| session.insert("n", 1))).await;
    client.restart();
    clock.advance(HOUR.saturating_sub(MINUTE));
    assert_eq!(client.get("/n").await.text(), "1");
    clock.advance(MINUTE);
    assert_eq!(client.cookie(N), None);
    client.assert_no_session().await;
}

#[tokio::test]
async fn closing_the_browser_ends_a_session_that_is_not_remembered() {
    let (client, _) = client();
    client.get("/add").await;
    client.restart();
    client.assert_no_session().await;
}

#[tokio::test]
async fn looking_changes_nothing_and_keeps_nothing_alive() {
    let clock = TestClock::default();
    let store = CountingStore::new(MemoryStore::new());
    let sessions = layer(store.clone(), &clock).policy(SessionPolicy::aal2().idle(HOUR).persistent(true)).unwrap();
    let client = client_of(routes(), &sessions);
    client.session(|session| session.insert("n", 1)).await;
    store.reset();
    clock.advance(MINUTE * 30);
    client.assert_has_session().await;
    client.assert_session_eq("n", 1).await;
    assert_eq!(store.reset(), Calls { load: 2, ..Calls::default() });
    clock.advance(MINUTE * 30);
    client.assert_no_session().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tabs_ask_at_once_and_nothing_gets_lost() {
    let (client, _) = client();
    client.get("/add").await;
    let requests: Vec<_> = (0..20).map(|_| tokio::spawn(client.get("/add").into_future())).collect();
    for request in requests {
        request.await.unwrap().assert_status(200);
    }
    client.assert_session_eq("n", 21).await;
}

#[tokio::test]
async fn a_stolen_cookie_is_worth_nothing_after_a_login() {
    let (client, clock) = client();
    client.get("/add").await;
    let thief = client.with_stolen_cookies();
    client.get("/login").await.assert_sets_session_cookie();
    client.assert_session_eq("user", "ada").await;
    thief.assert_no_session().await;
    clock.advance(MINUTE);
    thief.get("/n").await.assert_removes_session_cookie();
    assert_eq!(client.get("/n").await.text(), "1");
}

#[tokio::test]
async fn a_layer_with_answers_of_its_own_will_do() {
    let sessions = SessionLayer::new(MemoryStore::new())
        .on_error(|error: &cloakroom::SessionError| axum::response::IntoResponse::into_response(error.status()));
    let app = routes()
        .layer(sessions.clone())
        .map_request(std::convert::identity::<http::Request<http_body_util::Full<bytes::Bytes>>>);
    let client = TestClient::new(app, &sessions);
    client.session(|session| session.insert("n", 1)).await;
    assert_eq!(client.get("/n").await.text(), "1");
}

#[tokio::test]
async fn a_token_in_a_header_is_kept_and_forgotten_like_a_cookie() {
    let transport = SessionHeader::new("x-session-token").unwrap();
    let sessions = SessionLayer::new(MemoryStore::new()).transport(transport).unwrap();
    let client = client_of(routes(), &sessions);
    client.session(|session| session.insert("n", 41)).await;
    assert_eq!(client.get("/add").await.text(), "42");
    assert_eq!(client.another_browser().get("/add").await.text(), "1");
    client.session(cloakroom::Session::destroy).await;
    client.assert_no_session().await;
    assert_eq!(client.get("/add").await.text(), "1");
}

struct Admin;

impl cloakroom::SessionName for Admin {
    const NAME: &'static str = "admin";
}

#[tokio::test]
async fn a_named_session_is_prepared_by_its_own_layer() {
    let store = MemoryStore::new();
    let (usual, admin) = (SessionLayer::new(store.clone()), SessionLayer::named::<Admin>(store).unwrap());
    let client = client_of(routes(), &admin);
    client.session(|session| session.insert("x", session.name())).await;
    client.assert_session_eq("x", "admin").await;
    client_of(routes(), &usual).assert_no_session().await;
}

#[tokio::test]
async fn a_prepared_login_is_a_login() {
    let (client, _) = client();
    client.session(|session| session.login("ada")).await;
    client.assert_user("ada").await;
    let told = complaint({
        let client = client.clone();
        async move { client.assert_user("grace").await }
    })
    .await;
    assert!(told.contains(r#"the user "ada" is logged in, not "grace""#), "{told}");
    client.session(cloakroom::Session::logout).await;
    client.assert_no_user().await;
    assert!(
        complaint({
            let client = client.clone();
            async move { client.assert_user("ada").await }
        })
        .await
        .contains("nobody is logged in")
    );
}

#[tokio::test]
async fn flash_values_and_messages_can_be_asserted_and_stay() {
    let (client, _) = client();
    client
        .session(|session| {
            session.message(Level::Success, "done")?;
            session.flash("success", "Saved")
        })
        .await;
    for _ in 0..2 {
        client.assert_flash("success", "Saved").await;
        client.assert_message(Level::Success, "done").await;
    }
    client.assert_no_flash("error").await;
    assert!(
        complaint({
            let client = client.clone();
            async move { client.assert_flash("success", "Lost").await }
        })
        .await
        .contains(r#"is "Saved", not "Lost""#)
    );
    assert!(
        complaint({
            let client = client.clone();
            async move { client.assert_flash("error", "x").await }
        })
        .await
        .contains(r#"there is no flash value "error""#)
    );
    assert!(
        complaint({
            let client = client.clone();
            async move { client.assert_no_flash("success").await }
        })
        .await
        .contains(r#""Saved""#)
    );
    assert!(
        complaint({
            let client = client.clone();
            async move { client.assert_message(Level::Error, "done").await }
        })
        .await
        .contains("[success] done")
    );
}
