//! Requests, answers and cookies.

use std::collections::HashMap;

use axum::body::Bytes as Body;
use axum::extract::{Form, Json, Path};
use axum::response::{AppendHeaders, IntoResponse, Redirect};
use axum::routing::{any, get, post};
use axum::{Router, http::Uri};
use bytes::Bytes;
use cloakroom::testing::{TestClient, TestClock};
use cloakroom::{LazySession, MemoryStore, SessionError, SessionLayer};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tower::{ServiceBuilder, service_fn};

use super::{client_of, complaint};
use crate::support::layer;

/// Says what was asked.
async fn echo(method: Method, uri: Uri, headers: HeaderMap, body: Body) -> String {
    let of = |name: &str| headers.get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
    let body = String::from_utf8_lossy(&body).into_owned();
    format!("{method} {uri} {} {} {} {body}", of("host"), of("content-type"), of("cookie"))
}

/// `/redirect/303/there` leads to `/there`.
async fn redirect(Path((status, to)): Path<(u16, String)>) -> impl IntoResponse {
    (StatusCode::from_u16(status).unwrap(), [(header::LOCATION, format!("/{to}"))])
}

/// Sets the cookie that the body spells out.
async fn bake(body: String) -> impl IntoResponse {
    AppendHeaders([(header::SET_COOKIE, body), (header::SET_COOKIE, "second=2; Path=/; HttpOnly".to_owned())])
}

fn echoing() -> (TestClient, TestClock) {
    let routes = Router::new()
        .route("/redirect/{status}/{*to}", any(redirect))
        .route("/round", get(async || Redirect::to("/round")))
        .route("/away", get(async || Redirect::to("https://elsewhere.example/")))
        .route("/bake", post(bake))
        .route("/bake/deep/er", post(bake))
        .route("/form", post(async |Form(form): Form<HashMap<String, String>>| form["name"].clone()))
        .route("/json", post(async |Json(json): Json<Value>| Json(json!({ "got": json }))))
        .fallback(echo);
    let clock = TestClock::default();
    (client_of(routes, &layer(MemoryStore::new(), &clock)), clock)
}

#[tokio::test]
async fn every_method_is_sent_as_over_the_wire() {
    let (client, _) = echoing();
    for (request, method) in [
        (client.get("/x?y=z"), "GET"),
        (client.post("/x?y=z"), "POST"),
        (client.put("/x?y=z"), "PUT"),
        (client.patch("/x?y=z"), "PATCH"),
        (client.delete("/x?y=z"), "DELETE"),
        (client.request(Method::OPTIONS, "/x?y=z"), "OPTIONS"),
    ] {
        assert_eq!(request.await.text(), format!("{method} /x?y=z localhost - - "));
    }
    let request = client.put("/").header("host", "other.example").header("content-type", "text/css").body("a{}");
    assert_eq!(request.await.text(), "PUT / other.example text/css - a{}");
}

#[tokio::test]
async fn forms_and_json_arrive() {
    let (client, _) = echoing();
    assert_eq!(client.post("/form").form([("name", "Ada & Ben")]).await.text(), "Ada & Ben");
    let map = HashMap::from([("name", "Ada".to_owned())]);
    assert_eq!(client.post("/form").form(&map).await.text(), "Ada");
    assert_eq!(client.post("/json").json(json!({ "a": [1] })).await.json::<Value>(), json!({ "got": { "a": [1] } }));
}

#[tokio::test]
async fn redirects_are_followed_on_request_and_as_browsers_do() {
    let (client, _) = echoing();
    let response = client.get("/redirect/303/there").await;
    response.assert_status(303).assert_redirect("/there").assert_redirect("https://localhost/there");
    for (method, status, expected) in [
        (Method::POST, 301, "GET /there localhost - - "),
        (Method::POST, 302, "GET /there localhost - - "),
        (Method::POST, 303, "GET /there localhost - - "),
        (Method::PUT, 302, "PUT /there localhost application/json - 7"),
        (Method::PUT, 303, "GET /there localhost - - "),
        (Method::POST, 307, "POST /there localhost application/json - 7"),
        (Method::POST, 308, "POST /there localhost application/json - 7"),
    ] {
        let response = client.request(method.clone(), &format!("/redirect/{status}/there")).json(7).follow().await;
        assert_eq!(response.text(), expected, "{method} {status}");
        assert_eq!(response.address(), "https://localhost/there");
    }
    let twice = client.get("/redirect/303/redirect/302/there").follow().await;
    assert_eq!(twice.text(), "GET /there localhost - - ");
}

#[tokio::test]
async fn redirects_without_an_end_or_to_strangers_are_not_followed_for_ever() {
    let (client, _) = echoing();
    let said = complaint(client.get("/round").follow().into_future()).await;
    assert!(said.starts_with("GET https://localhost/round: 20 redirects"), "{said}");
    let said = complaint(client.get("/away").follow().into_future()).await;
    assert!(said.contains("away from the application, to \"https://elsewhere.example/\""), "{said}");
    assert!(said.contains(file!()), "{said}");
}

#[tokio::test]
async fn cookies_are_kept_and_sent_back() {
    let (client, clock) = echoing();
    let response = client.post("/bake").body("first=1; Max-Age=60; Path=/; SameSite=Strict").await;
    assert!(response.cookie("second").unwrap().http_only().unwrap());
    assert_eq!(client.get("/").await.text(), "GET / localhost - first=1; second=2 ");
    assert_eq!(client.cookie("second").unwrap().http_only(), Some(true));

    clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(client.get("/").await.text(), "GET / localhost - second=2 ");
    client.restart();
    assert_eq!(client.get("/").await.text(), "GET / localhost - - ");
    assert_eq!(client.cookie("second"), None);

    client.post("/bake/deep/er").body("deep=3").await;
    assert_eq!(client.get("/bake/deep/x").await.text(), "GET /bake/deep/x localhost - deep=3; second=2 ");
    assert_eq!(client.get("/bakery").await.text(), "GET /bakery localhost - second=2 ");
}

#[tokio::test]
async fn a_cookie_can_be_there_from_the_start() {
    let (client, _) = echoing();
    client.set_cookie("theme=dark");
    assert_eq!(client.get("/x/y").await.text(), "GET /x/y localhost - theme=dark ");
    let said = complaint(async move { client.set_cookie("__Host-theme=dark") }).await;
    assert!(said.contains("__Host-theme") && said.contains("prefix") && !said.contains("dark"), "{said}");
}

#[tokio::test]
async fn clones_share_their_cookies_and_other_browsers_have_their_own() {
    let (client, _) = echoing();
    let (tab, other) = (client.clone(), client.another_browser());
    tab.set_cookie("a=1");
    assert_eq!(client.get("/").await.text(), "GET / localhost - a=1 ");
    assert_eq!(other.get("/").await.text(), "GET / localhost - - ");
    let thief = client.with_stolen_cookies();
    thief.set_cookie("b=2");
    client.set_cookie("a=; Max-Age=0");
    assert_eq!(thief.get("/").await.text(), "GET / localhost - a=1; b=2 ");
    assert_eq!(client.get("/").await.text(), "GET / localhost - - ");
}

#[tokio::test]
async fn cookies_follow_the_origin() {
    let client = echoing().0.origin("http://shop.example.org:8080");
    client.post("/bake").body("all=1; Domain=example.org").await;
    assert_eq!(client.get("/").await.text(), "GET / shop.example.org:8080 - all=1; second=2 ");
    assert_eq!(client.get("https://example.org/").await.text(), "GET / example.org - all=1 ");
    assert_eq!(client.get("https://example.com/").await.text(), "GET / example.com - - ");
}

#[tokio::test]
async fn a_service_without_axum_is_an_application_too() {
    let sessions = SessionLayer::new(MemoryStore::new());
    let app =
        ServiceBuilder::new().layer(sessions.clone()).service(service_fn(async |request: Request<Full<Bytes>>| {
            LazySession::of(&request)?.load().await?.insert("path", request.uri().path())?;
            Ok::<_, SessionError>(Response::new(Full::<Bytes>::from("stored")))
        }));
    let client = TestClient::new(app, &sessions);
    assert_eq!(client.get("/x").await.text(), "stored");
    client.assert_session_eq("path", "/x").await;
}

#[tokio::test]
async fn a_service_that_fails_is_named_with_its_request() {
    let sessions = SessionLayer::new(MemoryStore::new());
    let app = service_fn(async |_: Request<Full<Bytes>>| Err::<Response<Full<Bytes>>, _>("out of tea"));
    let client = TestClient::new(app, &sessions);
    let said = complaint(client.get("/x").into_future()).await;
    assert!(said.starts_with("GET https://localhost/x: ") && said.contains("out of tea"), "{said}");
    assert!(said.contains(file!()), "{said}");
}

type Mistake = fn(TestClient);

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_sentence() {
    let (client, _) = echoing();
    let mistakes: [(Mistake, &str); 7] = [
        (|client| drop(client.get("/a b")), "no path and no address"),
        (|client| drop(client.get("ftp://x/")), "no path and no address"),
        (|client| drop(client.get("/").header("a b", "c")), "no name of a header"),
        (|client| drop(client.get("/").header("a", "b\nc")), "line breaks"),
        (|client| drop(client.get("/").form([("a", vec![1])])), "form"),
        (|client| drop(client.get("/").form(7)), "form"),
        (|client| drop(client.origin("mailto:ada@example.org")), "no path and no address"),
    ];
    for (mistake, sentence) in mistakes {
        let client = client.clone();
        let said = complaint(async move { mistake(client) }).await;
        assert!(said.contains(sentence), "{said}");
    }
}
