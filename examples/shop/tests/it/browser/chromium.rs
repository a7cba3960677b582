//! Browsers, each with a profile of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::cookies::Cookie;
use fantoccini::elements::Element;
use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::server::{Server, find};
use crate::support::SOON;

/// The default cookie's name.
pub const COOKIE: &str = "__Host-id";

/// So many tests have browsers at a time: each takes some hundred megabytes.
static SEATS: Semaphore = Semaphore::const_new(2);

/// Whatever has to be stopped after a test. The driver takes its browsers with it.
pub struct Driver {
    server: Server,
    _seat: SemaphorePermit<'static>,
}

impl Driver {
    /// `None` where there is no browser.
    pub async fn start() -> Option<Self> {
        let (program, _) = (find("chromedriver")?, find("chromium")?);
        let seat = SEATS.acquire().await.unwrap();
        let server = Server::start(
            &program,
            |_| {},
            |dir, port| vec![format!("--port={port}"), format!("--log-path={}", dir.join("driver.log").display())],
        );
        Some(Self { server, _seat: seat })
    }

    /// A browser as it is installed: nothing in it, and nothing known of any other.
    pub async fn browser(&self) -> Browser {
        let dir: &Path = &self.server.dir;
        let profile = tempfile::Builder::new().prefix("profile-").tempdir_in(dir).unwrap().keep();
        std::fs::set_permissions(&profile, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let options = json!({
            "binary": find("chromium").unwrap(),
            "args": [
                "--headless=new",
                // Its sandbox needs rights that containers do not have. The pages are our own.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--hide-scrollbars",
                "--window-size=1100,900",
                // A host that is not this machine, as far as the browser knows.
                "--host-resolver-rules=MAP shop.example 127.0.0.1",
                format!("--user-data-dir={}", profile.display()),
            ],
        });
        let capabilities = [("goog:chromeOptions".to_owned(), options)].into_iter().collect();
        let mut builder = ClientBuilder::new(hyper_util::client::legacy::connect::HttpConnector::new());
        let client = builder.capabilities(capabilities).connect(&format!("http://{}", self.server.address())).await;
        Browser(client.unwrap_or_else(|error| panic!("{error}\n{}", self.log())))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.server.dir.join("driver.log")).unwrap_or_default()
    }
}

/// A window with tabs, cookies and a history.
pub struct Browser(pub Client);

impl Browser {
    pub async fn open(&self, url: &str) {
        self.0.goto(url).await.unwrap();
    }

    pub async fn text(&self) -> String {
        self.0.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Waits until the page says so.
    #[track_caller]
    pub fn shows<'a>(&'a self, text: &'a str) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let started = Instant::now();
            loop {
                // A page that is about to go has no text.
                let now = match self.0.find(Locator::Css("body")).await {
                    Ok(body) => body.text().await.unwrap_or_default(),
                    Err(_) => String::new(),
                };
                if now.contains(text) {
                    return;
                }
                assert!(started.elapsed() < SOON, "{caller}: {text:?} is missing:\n{now}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    pub async fn find(&self, css: &str) -> Element {
        self.0.wait().at_most(SOON).for_element(Locator::Css(css)).await.unwrap()
    }

    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.unwrap();
    }

    pub async fn type_into(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn log_in(&self, shop: &str, (name, password): (&str, &str)) {
        self.open(&format!("{shop}/login")).await;
        self.type_into("[name=name]", name).await;
        self.type_into("[name=password]", password).await;
        self.click("main button").await;
        self.shows(&format!("Welcome, {name}.")).await;
    }

    pub async fn path(&self) -> String {
        self.0.current_url().await.unwrap().path().to_owned()
    }

    /// All cookies of the page, those that its scripts cannot see as well.
    pub async fn cookies(&self) -> Vec<Cookie<'static>> {
        self.0.get_all_cookies().await.unwrap()
    }

    pub async fn token(&self) -> Option<String> {
        self.cookies().await.into_iter().find(|cookie| cookie.name() == COOKIE).map(|cookie| cookie.value().to_owned())
    }

    /// What a script of the page finds. `await` works in it.
    pub async fn run(&self, script: &str) -> Value {
        let done = format!(
            "const done = arguments[0]; (async () => {{ {script} }})().then(done, error => done('failed: ' + error));"
        );
        self.0.execute_async(&done, vec![]).await.unwrap()
    }
}

/// Runs a test with as many browsers as it wants, and closes everything, however it ends.
pub async fn with_browsers<const N: usize>(test: impl AsyncFnOnce([&Browser; N])) {
    let Some(driver) = Driver::start().await else { return };
    let mut browsers = Vec::new();
    for _ in 0..N {
        browsers.push(driver.browser().await);
    }
    let each: Vec<&Browser> = browsers.iter().collect();
    let Ok(each) = each.try_into() else { unreachable!("there are N") };
    let ended = std::panic::AssertUnwindSafe(test(each)).catch_unwind().await;
    for browser in browsers {
        let _ = browser.0.close().await;
    }
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}
