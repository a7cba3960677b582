//! `cargo run --example visits`, the first command of the README, and what the README does with curl.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use http::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::support::N;

/// An example, started as the README does it. Killed when dropped.
pub struct Server {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

impl Server {
    fn start() -> Self {
        Self::of("visits")
    }

    pub fn of(example: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        // Not the binary that may lie beside this test: `cargo test --test it` would not have built it anew.
        let mut process = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["run", "--quiet", "--example", example, "--", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").expect("the example says where it listens");
        Self { address: address.parse().unwrap(), process, stdout }
    }

    /// What ctrl-c does. `kill` is built into every shell.
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What curl does with `-b jar -c jar`: a new connection for every request, and a cookie jar.
#[derive(Clone)]
pub struct Curl {
    server: SocketAddr,
    pub jar: Option<String>,
}

impl Curl {
    pub fn new(server: &Server) -> Self {
        Self { server: server.address, jar: None }
    }

    pub async fn get(&mut self, path: &str) -> String {
        let (status, body) = self.send(Method::GET, path, "", "").await;
        assert_eq!(status, StatusCode::OK);
        body
    }

    pub async fn post_form(&mut self, path: &str, form: &'static str) -> (StatusCode, String) {
        self.send(Method::POST, path, "application/x-www-form-urlencoded", form).await
    }

    async fn send(&mut self, method: Method, path: &str, kind: &str, body: &'static str) -> (StatusCode, String) {
        let (parts, body) = self.open(method, path, kind, body).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.into()).unwrap())
    }

    /// An answer that goes on.
    pub async fn open(&mut self, method: Method, path: &str, kind: &str, body: &'static str) -> Response<Incoming> {
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
        self.keep_cookie(response.headers());
        response
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
    let server = Server::start();
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
    let server = Server::start();
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
    let server = Server::start();
    let mut curl = Curl::new(&server);
    curl.get("/").await;
    let (status, rest) = server.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(rest, "");
}
