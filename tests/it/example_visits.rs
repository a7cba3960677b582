//! `cargo run --example visits`, the first command of the README, and what the README does with curl.

use std::net::SocketAddr;

use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::support::N;
use crate::support::example::Example;

/// What curl does with `-b jar -c jar`: a new connection for every request, and a cookie jar.
#[derive(Clone)]
struct Curl {
    server: SocketAddr,
    jar: Option<String>,
}

impl Curl {
    fn new(server: &Example) -> Self {
        Self { server: server.address, jar: None }
    }

    async fn get(&mut self, path: &str) -> String {
        let (status, body) = self.send(Method::GET, path, "", "").await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    async fn post_form(&mut self, path: &str, form: &'static str) -> (StatusCode, String) {
        self.send(Method::POST, path, "application/x-www-form-urlencoded", form).await
    }

    async fn send(&mut self, method: Method, path: &str, kind: &str, body: &'static str) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path).header("host", self.server.to_string());
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        if let Some(token) = &self.jar {
            request = request.header(COOKIE, format!("{N}={token}"));
        }
        let stream = TokioIo::new(TcpStream::connect(self.server).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request.body(Full::new(body.as_bytes())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        self.keep_cookie(&parts.headers);
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.into()).unwrap())
    }

    fn keep_cookie(&mut self, headers: &HeaderMap) {
        let Some(cookie) = headers.get(SET_COOKIE) else { return };
        let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
        let value = pair.strip_prefix(N).and_then(|rest| rest.strip_prefix('=')).unwrap();
        self.jar = (!attributes.contains("Max-Age=0")).then(|| value.to_owned());
    }
}

#[tokio::test]
async fn the_readme_holds() {
    let server = Example::start("visits");
    let mut curl = Curl::new(&server);
    assert_eq!(curl.get("/").await, "visit 1 by a stranger\n");
    assert_eq!(curl.get("/").await, "visit 2 by a stranger\n");

    let mut before_login = curl.clone();
    assert_eq!(curl.post_form("/login", "name=Ada").await, (StatusCode::OK, "hello, Ada\n".into()));
    assert_ne!(curl.jar, before_login.jar);
    assert_eq!(curl.get("/").await, "visit 3 by Ada\n");
    // Whoever knew the token from before the login, or planted it, is not logged in, and counts for nobody.
    assert_eq!(before_login.get("/").await, "visit 1 by a stranger\n");
    assert_eq!(curl.get("/").await, "visit 4 by Ada\n");

    let before_logout = curl.clone();
    assert_eq!(curl.post_form("/logout", "").await, (StatusCode::OK, "goodbye\n".into()));
    assert_eq!(curl.jar, None);
    for mut visitor in [curl, before_logout] {
        assert_eq!(visitor.get("/").await, "visit 1 by a stranger\n");
    }
}

#[tokio::test]
async fn people_log_in_with_json_as_well_and_each_for_themselves() {
    let server = Example::start("visits");
    let (mut ada, mut ben) = (Curl::new(&server), Curl::new(&server));
    let json = ada.send(Method::POST, "/login", "application/json", r#"{"name":"Ada"}"#).await;
    assert_eq!(json, (StatusCode::OK, "hello, Ada\n".into()));
    assert_eq!(ben.post_form("/login", "name=Ben").await.0, StatusCode::OK);
    assert_eq!(ada.get("/").await, "visit 1 by Ada\n");
    assert_eq!(ben.get("/").await, "visit 1 by Ben\n");

    assert!(Curl::new(&server).post_form("/login", "nobody=1").await.0.is_client_error());
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_ends_it_in_good_order() {
    let server = Example::start("visits");
    let mut curl = Curl::new(&server);
    curl.get("/").await;
    let (status, rest) = server.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(rest, "");
}
