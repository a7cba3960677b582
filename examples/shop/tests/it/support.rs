//! A shop of one's own, and visitors with a cookie jar.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cloakroom::store::StoreUrl;
use cloakroom::testing::TestClock;
use cloakroom::{MemoryStore, SessionLayer, SessionManager, SessionStore};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use shop::{Accounts, Shop, policy};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

pub const ADA: (&str, &str) = shop::DEMO[0];
pub const GRACE: (&str, &str) = shop::DEMO[1];

/// Far more than anything takes here.
pub const SOON: Duration = Duration::from_secs(20);

/// A shop in this process, on a free port. Its time stands still until the test moves it.
pub struct Running {
    pub address: SocketAddr,
    pub clock: TestClock,
    _folder: TempDir,
}

pub async fn start() -> Running {
    start_on(MemoryStore::new(), |sessions| sessions).await
}

/// With this store, and sessions as the test wants them.
pub async fn start_on(store: impl SessionStore, adapt: impl FnOnce(SessionLayer) -> SessionLayer) -> Running {
    let folder = TempDir::new().unwrap();
    let clock = TestClock::at(SystemTime::now());
    let manager = SessionManager::new(store).clock(clock.clone());
    let sessions = adapt(SessionLayer::with_manager(manager).policy(policy()).unwrap());
    let accounts = Accounts::open(folder.path().join("accounts.db")).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Shop::new(sessions, accounts).serve(listener, std::future::pending()));
    Running { address, clock, _folder: folder }
}

/// PostgreSQL accepts connections a moment before it serves them.
pub async fn connect(url: &str) -> Arc<dyn SessionStore> {
    let url: StoreUrl = url.parse().unwrap();
    let started = Instant::now();
    loop {
        match url.connect().await {
            Ok(store) => return store,
            Err(error) => assert!(started.elapsed() < SOON, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Running {
    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.address)
    }

    /// A visitor who is logged in.
    pub async fn logged_in(&self, who: (&str, &str)) -> Visitor {
        let mut visitor = self.visitor();
        visitor.log_in(who).await;
        visitor
    }
}

/// What a browser does, as far as the tests need it: keeps cookies, and sends forms as pages have them.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub server: SocketAddr,
    pub jar: BTreeMap<String, String>,
    pub agent: &'static str,
}

/// An answer, and what is in it.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Visitor {
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            jar: BTreeMap::new(),
            agent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        }
    }

    pub async fn get(&mut self, path: &str) -> Page {
        Page::of(self.open(Method::GET, path, &[], String::new()).await).await
    }

    /// Sends the first form of a page that leads to `action`, with its hidden fields and these.
    pub async fn submit(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(page).await;
        let mut form = page.form(action);
        for (name, value) in fields {
            form.insert((*name).to_owned(), (*value).to_owned());
        }
        let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
        self.post(action, &form).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        self.post_with(path, form, &[]).await
    }

    /// With these headers more.
    pub async fn post_with(&mut self, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> Page {
        let form = serde_urlencoded::to_string(form).unwrap();
        let kind = (CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded");
        Page::of(self.open(Method::POST, path, &[&[kind], headers].concat(), form).await).await
    }

    pub async fn log_in(&mut self, (name, password): (&str, &str)) -> Page {
        self.submit("/login", "/login", &[("name", name), ("password", password)]).await
    }

    pub async fn add(&mut self, product: &str) {
        self.post("/cart/add", &[("product", product)]).await.leads_to("/");
    }

    /// What the pages say is in the cart.
    pub async fn in_cart(&mut self) -> u32 {
        let page = self.get("/").await;
        between(&page.text, "id=\"in-cart\" aria-live=\"polite\">", "<").parse().unwrap()
    }

    /// The answer, as soon as it begins.
    pub async fn open(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Response<Incoming> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(HOST, self.server.to_string()).header("user-agent", self.agent);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.jar.is_empty() {
            let pairs: Vec<_> = self.jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header(COOKIE, pairs.join("; "));
        }
        let stream = TokioIo::new(TcpStream::connect(self.server).await.unwrap());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
        for cookie in answer.headers().get_all(SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let (value, attributes) = rest.split_once("; ").unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.remove(name);
            } else {
                self.jar.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }
}

impl Page {
    pub async fn of(answer: Response<Incoming>) -> Self {
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, text: String::from_utf8(body.into()).unwrap() }
    }

    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "{text:?} is missing: {} {:#?}\n{}", self.status, self.headers, self.text);
        self
    }

    #[track_caller]
    pub fn does_not_show(&self, text: &str) -> &Self {
        assert!(!self.text.contains(text), "{text:?} is there:\n{}", self.text);
        self
    }

    #[track_caller]
    pub fn leads_to(&self, path: &str) {
        let to = self.headers.get(LOCATION).map(|to| to.to_str().unwrap());
        assert_eq!((self.status, to), (StatusCode::SEE_OTHER, Some(path)), "{}", self.text);
    }

    /// The `Set-Cookie` header, if there is one.
    pub fn cookie(&self) -> Option<&str> {
        self.headers.get(SET_COOKIE).map(|cookie| cookie.to_str().unwrap())
    }

    /// The hidden fields of the first form that leads there.
    #[track_caller]
    pub fn form(&self, action: &str) -> BTreeMap<String, String> {
        let form = between(&self.text, &format!("<form method=\"post\" action=\"{action}\""), "</form>");
        let hidden = form.split("<input type=\"hidden\" name=\"").skip(1);
        hidden
            .map(|rest| (between(rest, "", "\"").to_owned(), between(rest, "value=\"", "\"").replace("&#x2f;", "/")))
            .collect()
    }
}

#[track_caller]
pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before:?} is missing: {text}"));
    rest.split_once(after).unwrap().0
}

/// A stream of events.
pub struct Live(Incoming);

impl Live {
    pub async fn open(visitor: &mut Visitor) -> Self {
        let answer = visitor.open(Method::GET, "/live", &[], String::new()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        Self(answer.into_body())
    }

    /// The data of the next event, without comments that keep the connection alive. `None` at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let frame = tokio::time::timeout(SOON, self.0.frame()).await.expect("an event in time")?;
            let text = String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap();
            if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
                return Some(data.trim_end().to_owned());
            }
        }
    }
}
