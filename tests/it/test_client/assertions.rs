//! What assertions say when they fail: what was expected, what was there, and where; never a token.

use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use cloakroom::testing::{TestClient, TestResponse};
use cloakroom::{MemoryStore, SessionLayer};

use super::{client, client_of, complaint};
use crate::support::N;

/// What the client's assertion says; the line of the test is in it.
macro_rules! said {
    ($client:expr, $($assertion:tt)+) => {{
        let client: TestClient = $client.clone();
        let line = line!();
        let said = complaint(async move { client.$($assertion)+.await }).await;
        assert!(said.contains(&format!("{}:{line}:", file!())), "{said}");
        let secret = $client.cookie(N).map(|cookie| cookie.value().to_owned()).unwrap_or("a token".into());
        assert!(!said.contains(&secret), "{said}");
        said.split("\n").next().unwrap().to_owned()
    }};
}

#[tokio::test]
async fn of_a_client_without_a_session() {
    let (client, _) = client();
    client.assert_no_session().await;
    client.assert_session_missing("name").await;
    assert_eq!(said!(client, assert_has_session()), "there is no session");
    assert_eq!(said!(client, assert_session_has("name")), "the session has nothing at \"name\": it is empty");
    let said = said!(client, assert_session_eq("name", "Ada"));
    assert_eq!(said, "the session has nothing at \"name\" where \"Ada\" is expected: it is empty");
}

#[tokio::test]
async fn of_a_client_with_a_session() {
    let (client, _) = client();
    client.session(|session| session.insert("user.name", "Ada").and_then(|()| session.insert("n", 0.1_f32))).await;
    client.assert_has_session().await;
    client.assert_session_has("user").await;
    client.assert_session_has(["user", "name"]).await;
    client.assert_session_missing("user.age").await;
    client.assert_session_eq("user.name".to_owned(), "Ada").await;
    client.assert_session_eq("n", 0.1_f32).await;
    assert_eq!(said!(client, assert_no_session()), "there is a session: it has the keys user, n");
    let said = said!(client, assert_session_has("user.age"));
    assert_eq!(said, "the session has nothing at \"user.age\": it has the keys user, n");
    assert_eq!(said!(client, assert_session_missing("user")), r#"the session has {"name":"Ada"} at "user""#);
    assert_eq!(
        said!(client, assert_session_eq(["user", "name"], "Ben")),
        r#"the session has "Ada" at "user.name", not "Ben""#
    );
    let said = said!(client, assert_session_has("user.name.first"));
    assert!(said.starts_with(r#""user.name.first" cannot be read: "#), "{said}");
    let said = said!(client, assert_session_has("user..name"));
    assert!(said.contains("a path needs at least one segment"), "{said}");
}

/// What an assertion of an answer says.
fn said_of(response: &TestResponse, assertion: impl FnOnce(&TestResponse)) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| assertion(response))).expect_err("it should have complained");
    *panic.downcast::<String>().unwrap()
}

fn answers() -> TestClient {
    let routes = Router::new()
        .route("/there", get(Redirect::to("/next")))
        .route("/text", get("some text"))
        .route("/bytes", get(b"\xff".as_slice()))
        .merge(crate::support::routes::routes());
    client_of(routes, &SessionLayer::new(MemoryStore::new()))
}

#[tokio::test]
async fn of_an_answer() {
    let client = answers();
    let text = client.get("/text").await;
    text.assert_status(200).assert_status(http::StatusCode::OK).assert_no_session_cookie();
    let of_text = |assertion: fn(&TestResponse)| said_of(&text, assertion);
    let head = r#"https://localhost/text answered 200 OK "some text""#;
    assert_eq!(of_text(|it| _ = it.assert_status(404)), format!("{head}, and not 404"));
    assert_eq!(of_text(|it| _ = it.assert_redirect("/")), format!("{head}, and no redirect to \"/\""));
    assert!(of_text(|it| _ = it.json::<u64>()).starts_with(&format!("{head}: the body is no JSON of a u64: ")));
    let said = of_text(|it| _ = it.assert_sets_session_cookie());
    assert_eq!(said, format!("{head}: the session's cookie is not set"));
    let said = of_text(|it| _ = it.assert_removes_session_cookie());
    assert_eq!(said, format!("{head}: the session's cookie is left as it is, not removed"));

    let there = client.get("/there").await;
    let said = said_of(&there, |it| _ = it.assert_redirect("/other"));
    assert!(said.ends_with(": a redirect to \"/next\", not to \"/other\""), "{said}");

    let bytes = client.get("/bytes").await;
    assert_eq!(bytes.bytes().as_ref(), b"\xff");
    assert!(said_of(&bytes, |it| _ = it.text()).contains("not text in UTF-8"));
}

#[tokio::test]
async fn of_an_answer_with_a_session_cookie() {
    let client = answers();
    let set = client.get("/add").await;
    set.assert_sets_session_cookie();
    let token = client.cookie(N).unwrap().value().to_owned();
    for said in [
        said_of(&set, |it| _ = it.assert_no_session_cookie()),
        said_of(&set, |it| _ = it.assert_removes_session_cookie()),
        format!("{set} {set:?} {client:?}"),
    ] {
        assert!(!said.contains(&token), "{said}");
    }
    let removed = client.get("/logout").await;
    removed.assert_removes_session_cookie();
    assert!(said_of(&removed, |it| _ = it.assert_sets_session_cookie()).ends_with("is removed, not set"));
    assert!(said_of(&removed, |it| _ = it.assert_no_session_cookie()).ends_with("is removed"));
}

/// What a panic says of its place cannot be seen from within a test, but that it is asked for can.
#[test]
fn of_all_kinds_point_to_the_test() {
    for (text, methods) in [
        (include_str!("../../../src/testing/client.rs"), &["pub fn get(", "pub fn post(", "pub fn set_cookie("][..]),
        (include_str!("../../../src/testing/client/response.rs"), &["pub fn assert_", "pub fn text(", "pub fn json<"]),
        (include_str!("../../../src/testing/client/session.rs"), &["pub fn assert_", "pub fn session<"]),
        (include_str!("../../../src/testing/client/request.rs"), &["pub fn header(", "pub fn form(", "pub fn json("]),
    ] {
        for method in methods {
            let lines: Vec<_> = text.lines().map(str::trim).collect();
            let found: Vec<_> = (1..lines.len()).filter(|at| lines[*at].starts_with(method)).collect();
            assert!(!found.is_empty(), "{method}");
            for at in found {
                assert_eq!(lines[at - 1], "#[track_caller]", "{}", lines[at]);
            }
        }
    }
}
