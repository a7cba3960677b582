//! The command `cloakroom`: the real program, on real stores.

mod errors;
mod guide;
mod looking;
mod migrate;
mod revoke;
mod schema;
mod secrets;
mod servers;

use std::process::{Command, Stdio};
use std::sync::Arc;

use cloakroom::store::StoreUrl;
use cloakroom::testing::TestClock;
use cloakroom::{SessionId, SessionManager, SessionStatus, SessionStore, Token, TokenChange};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::log;

/// How the command ended.
struct Run {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        assert_eq!((self.code, &*self.stderr), (0, ""), "{}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    fn text(&self) -> &str {
        assert_eq!((self.code, &*self.stderr), (0, ""), "{}", self.stdout);
        &self.stdout
    }
}

fn run(arguments: &[&str]) -> Run {
    run_in(&[], arguments)
}

/// With these variables in the environment.
fn run_in(environment: &[(&str, &str)], arguments: &[&str]) -> Run {
    log::listen();
    let done = Command::new(env!("CARGO_BIN_EXE_cloakroom"))
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [stdout, stderr] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    log::logged(&stdout);
    log::logged(&stderr);
    Run { code: done.status.code().unwrap(), stdout, stderr }
}

fn json(arguments: &[&str]) -> Value {
    run(&[&["--json"], arguments].concat()).json()
}

/// A store with sessions of some users, and what their browsers hold.
struct Stage {
    url: String,
    store: Arc<dyn SessionStore>,
    ada: [Token; 2],
    grace: Token,
    visitor: Token,
    expired: SessionId,
}

impl Stage {
    async fn set(url: &str) -> Self {
        let store = url.parse::<StoreUrl>().unwrap().connect().await.unwrap();
        let shop = SessionManager::new(store.clone()).namespace("shop");
        let ada = [log_in(&shop, "ada").await, log_in(&shop, "ada").await];
        let grace = log_in(&SessionManager::new(store.clone()).name("admin").unwrap(), "grace").await;
        let session = shop.create();
        session.insert("cart", ["milk", "bread"]).unwrap();
        session.flash("notice", "welcome").unwrap();
        let visitor = commit(&shop, &session).await;
        // Of long ago: nobody has swept since.
        let past = shop.clone().clock(TestClock::default());
        let session = past.create();
        session.insert("n", 1).unwrap();
        let expired = commit(&past, &session).await.id();
        Self { url: url.to_owned(), store, ada, grace, visitor, expired }
    }

    async fn sqlite(folder: &TempDir) -> Self {
        Self::set(&sqlite(folder, "sessions.db")).await
    }

    async fn is_open(&self, token: &Token) -> bool {
        is_open(&self.store, token).await
    }
}

fn sqlite(folder: &TempDir, name: &str) -> String {
    format!("sqlite:{}", folder.path().join(name).display())
}

async fn log_in(manager: &SessionManager, user: &str) -> Token {
    let session = manager.create();
    session.insert("cart", ["milk"]).unwrap();
    session.insert("secret", "hunter2").unwrap();
    session.login(user).unwrap();
    session.set_label(if user == "grace" { "Firefox on \u{202e}Linux" } else { "Firefox on Linux" }).unwrap();
    commit(manager, &session).await
}

async fn commit(manager: &SessionManager, session: &cloakroom::Session) -> Token {
    let TokenChange::Issue(issued) = manager.commit(session).await.unwrap() else { panic!("no token") };
    log::given(issued.token.expose().as_bytes());
    issued.token
}

/// Whether a browser that shows this is let in, by any application of the test.
async fn is_open(store: &Arc<dyn SessionStore>, token: &Token) -> bool {
    let plain = SessionManager::new(store.clone());
    for manager in [plain.clone().namespace("shop"), plain.clone().name("admin").unwrap(), plain] {
        if manager.open(token.expose().as_bytes()).await.unwrap().status() == SessionStatus::Resumed {
            return true;
        }
    }
    false
}
