//! The examples, run as whoever reads them would: the real program, over a real socket.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::log;

/// A running example. Killed when dropped.
pub struct Example {
    process: Child,
    stdout: BufReader<ChildStdout>,
    pub address: SocketAddr,
}

/// Starts an example on a free port, with these environment variables, and waits until it says where it listens.
pub fn start(name: &str, environment: &[(&str, &str)]) -> Example {
    let mut process = Command::new(program(name))
        .arg("0")
        .envs(environment.iter().copied())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .stderr(log::stderr())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut lines = stdout.by_ref().lines().map(Result::unwrap).inspect(|line| log::logged(line));
    let address = lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).unwrap_or_else(|| {
        let _ = process.kill();
        panic!("{name} does not say where it listens")
    });
    let address = address.strip_prefix("http://").unwrap_or(&address).parse().unwrap();
    Example { process, stdout, address }
}

/// The program of an example. It lies at `debug/examples/`, this test at `debug/deps/it-…`.
pub fn program(name: &str) -> PathBuf {
    LazyLock::force(&BUILT);
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// All examples are built anew if need be, once: `cargo test --test it` alone would have left old ones.
static BUILT: LazyLock<()> = LazyLock::new(|| {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "--all-features", "--examples"]);
    // Cargo describes this package to its tests. Build scripts that see that would run again, now and at the next build.
    let of_this_package = |name: &OsString| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    };
    for name in std::env::vars_os().map(|(name, _)| name).filter(of_this_package) {
        cargo.env_remove(name);
    }
    let done = cargo.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
});

impl Example {
    /// What ctrl-c does. `kill` is built into every shell. How the program ended, and what else it printed.
    #[cfg(unix)]
    pub fn interrupt(mut self) -> (ExitStatus, String) {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        log::logged(&rest);
        (self.process.wait().unwrap(), rest)
    }

    /// Somebody with a cookie jar of their own.
    pub fn visitor(&self) -> Curl {
        Curl { server: self.address, jar: Vec::new() }
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let mut rest = String::new();
        let _ = self.stdout.read_to_string(&mut rest);
        log::logged(&rest);
    }
}

/// What curl does with `-b jar -c jar`: a new connection for every request, and a cookie jar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curl {
    pub server: SocketAddr,
    /// Names and values.
    pub jar: Vec<(String, String)>,
}

impl Curl {
    /// The body of a page that is there.
    pub async fn get(&mut self, path: &str) -> String {
        let (status, body) = self.send(Method::GET, path, "", "").await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub async fn post_form(&mut self, path: &str, form: impl Into<Bytes>) -> (StatusCode, String) {
        self.send(Method::POST, path, "application/x-www-form-urlencoded", form).await
    }

    pub async fn post_json(&mut self, path: &str, json: impl Into<Bytes>) -> (StatusCode, String) {
        self.send(Method::POST, path, "application/json", json).await
    }

    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        kind: &str,
        body: impl Into<Bytes>,
    ) -> (StatusCode, String) {
        let (parts, body) = self.open(method, path, kind, body).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status, String::from_utf8(body.into()).unwrap())
    }

    /// The `Cookie` header; nothing if there is none.
    pub fn cookies(&self) -> Option<String> {
        let pairs: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// An answer that goes on.
    pub async fn open(&mut self, method: Method, path: &str, kind: &str, body: impl Into<Bytes>) -> Response<Incoming> {
        let kind = (!kind.is_empty()).then_some((CONTENT_TYPE.as_str(), kind));
        self.open_with(method, path, kind.as_slice(), body).await
    }

    /// An answer that goes on, to a request with these headers.
    pub async fn open_with(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.server.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(cookies) = self.cookies() {
            request = request.header(COOKIE, cookies);
        }
        let stream = TokioIo::new(TcpStream::connect(self.server).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        self.keep_cookies(response.headers());
        response
    }

    fn keep_cookies(&mut self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            log::given(cookie.as_bytes());
            let (pair, attributes) = cookie.to_str().unwrap().split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.jar.retain(|(old, _)| old != name);
            if !attributes.contains("Max-Age=0") {
                self.jar.push((name.to_owned(), value.to_owned()));
            }
        }
    }
}
