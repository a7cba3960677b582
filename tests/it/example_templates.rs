//! The notebooks: `cargo run --example templates_…`, read and written over a socket.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use http::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A running example, and the cookie that it has given. Killed when dropped.
struct Notebook {
    process: Child,
    address: SocketAddr,
    cookie: String,
}

impl Notebook {
    fn open(engine: &str, features: &str) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut process = Command::new(cargo)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .args(["run", "--quiet", "--features", features, "--example", &format!("templates_{engine}"), "--", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on http://").expect("the example says where it listens");
        Self { process, address: address.parse().unwrap(), cookie: String::new() }
    }

    async fn read(&mut self) -> String {
        self.send(Method::GET, "", StatusCode::OK).await
    }

    async fn write(&mut self, form: &'static str) {
        self.send(Method::POST, form, StatusCode::SEE_OTHER).await;
    }

    async fn send(&mut self, method: Method, form: &'static str, expected: StatusCode) -> String {
        let request = Request::builder()
            .method(method)
            .uri("/")
            .header("host", self.address.to_string())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(COOKIE, &self.cookie);
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(request.body(Full::new(form.as_bytes())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        assert_eq!(parts.status, expected);
        if expected == StatusCode::SEE_OTHER {
            assert_eq!(parts.headers[LOCATION], "/");
        }
        if let Some(cookie) = parts.headers.get(SET_COOKIE) {
            cookie.to_str().unwrap().split(';').next().unwrap().clone_into(&mut self.cookie);
        }
        String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap()
    }
}

impl Drop for Notebook {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a page shows, with the signs of one engine's escaping read as another's.
fn shown(page: &str, after: &str, before: &str) -> Vec<String> {
    assert!(!page.contains("<script>"), "{page}");
    let read = page.replace("&#60;", "&lt;").replace("&#62;", "&gt;").replace("&#34;", "&quot;");
    let starts = read.split(after).skip(1);
    starts.map(|rest| rest.split(before).next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_notebook_keeps_notes_says_so_once_and_gives_back_what_had_been_typed() {
    for (engine, features) in [("minijinja", "minijinja"), ("tera", "tera"), ("askama", "")] {
        let mut notebook = Notebook::open(engine, features);
        let page = notebook.read().await;
        assert_eq!(shown(&page, "<dt>", "</dt>"), ["No notes yet."], "{engine}");
        assert!(notebook.cookie.is_empty(), "{engine}: nothing was written");

        // A mistake: the page has the message and the old input, escaped, and only once.
        notebook.write("title=%22%3E%3Cscript%3E&text=+").await;
        let page = notebook.read().await;
        assert_eq!(shown(&page, "class=\"error\">", "</p>"), ["A note needs a text."], "{engine}");
        assert_eq!(shown(&page, "name=\"title\" value=\"", "\">"), ["&quot;&gt;&lt;script&gt;"], "{engine}");
        let page = notebook.read().await;
        assert!(shown(&page, "role=\"alert\"", "</p>").is_empty(), "{engine}");
        assert_eq!(shown(&page, "name=\"title\" value=\"", "\">"), [""], "{engine}");

        notebook.write("title=%3Cscript%3E&text=%3Cscript%3E").await;
        notebook.write("title=&text=two").await;
        let page = notebook.read().await;
        assert_eq!(shown(&page, "role=\"status\">", "</p>"), ["“Untitled” is kept."], "{engine}");
        assert_eq!(shown(&page, "class=\"warning\">", "</p>"), ["The note had no title."], "{engine}");
        assert_eq!(shown(&page, "<dt>", "</dt>"), ["&lt;script&gt;", "Untitled"], "{engine}");
        assert_eq!(shown(&page, "<dd>", "</dd>"), ["&lt;script&gt;", "two"], "{engine}");
        let page = notebook.read().await;
        assert!(shown(&page, "role=", "</p>").is_empty(), "{engine}");
        assert_eq!(shown(&page, "<dd>", "</dd>").len(), 2, "{engine}");
    }
}
