//! The program as people start it: `cargo run -p shop`, and with every store.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::server;
use crate::support::{ADA, Visitor, connect};

struct Program {
    process: Child,
    said: String,
    visitor: Visitor,
}

fn start(folder: &TempDir, arguments: &[&str]) -> Program {
    let mut process =
        command(folder, &[&["--listen", "127.0.0.1:0"], arguments].concat()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    while !said.contains("listening on ") {
        assert_ne!(stdout.read_line(&mut said).unwrap(), 0, "{arguments:?} does not say where it listens: {said}");
    }
    let address = said.rsplit("http://").next().unwrap().trim().parse().unwrap();
    // So that it can go on printing.
    std::thread::spawn(move || stdout.read_to_end(&mut Vec::new()));
    Program { process, said, visitor: Visitor::new(address) }
}

fn command(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
    command.args(arguments).current_dir(folder.path());
    command
}

fn fails(arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    let Output { status, stderr, .. } = command(&folder, arguments).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

impl Program {
    /// What ctrl-c does. `kill` is built into every shell.
    fn interrupt(mut self) {
        let kill = format!("kill -INT {}", self.process.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn it_starts_without_any_set_up_and_its_logins_outlive_a_restart() {
    let folder = TempDir::new().unwrap();
    let program = start(&folder, &[]);
    assert!(program.said.starts_with("sessions in sqlite:shop.db, accounts in shop.db\n"), "{}", program.said);
    assert!(program.said.contains("log in as ada with the password \"analytical engine\"\n"), "{}", program.said);
    let mut ada = program.visitor.clone();
    ada.add("umbrella").await;
    ada.log_in(ADA).await.leads_to("/");
    // A page that is open does not hold it up.
    let _live = crate::support::Live::open(&mut ada).await;
    program.interrupt();

    let program = start(&folder, &[]);
    ada.server = program.visitor.server;
    ada.get("/account").await.shows("<h1>ada</h1>");
    assert_eq!(ada.in_cart().await, 1);
}

async fn serves_on(url: &str) -> Visitor {
    let folder = TempDir::new().unwrap();
    let program = start(&folder, &["--store", url]);
    let mut ada = program.visitor.clone();
    ada.add("umbrella").await;
    ada.log_in(ADA).await.leads_to("/");
    ada.get("/").await.shows("Welcome, ada.").shows(">1</span>");
    let devices = ada.get("/devices").await;
    if url.starts_with("memcached") {
        devices.shows("cannot find the sessions of a user");
        ada.submit("/password", "/password", &[("password", "difference engine")]).await.leads_to("/account");
        ada.get("/account").await.shows("Other devices stay signed in for now.");
    } else {
        devices.shows("Firefox on Linux");
    }
    ada.submit("/", "/logout", &[]).await.leads_to("/");
    ada
}

#[tokio::test]
async fn it_serves_on_stores_that_need_no_server() {
    for url in ["memory:", "file:sessions", "sqlite:sessions.db"] {
        serves_on(url).await;
    }
}

#[tokio::test]
async fn it_serves_on_redis() {
    let Some(redis) = server::redis() else { return };
    serves_on(&format!("redis://{}", redis.address())).await;
}

#[tokio::test]
async fn it_serves_on_postgres_and_makes_its_table() {
    let Some(postgres) = server::postgres() else { return };
    let url = format!("postgres://postgres@{}/postgres", postgres.address());
    connect(&url).await;
    serves_on(&url).await;
}

#[tokio::test]
async fn it_serves_on_mariadb_and_makes_its_table() {
    let Some(mariadb) = server::mariadb() else { return };
    serves_on(&format!("mysql://root@{}/mysql", mariadb.address())).await;
}

#[tokio::test]
async fn it_serves_on_memcached() {
    let Some(memcached) = server::memcached() else { return };
    serves_on(&format!("memcached://{}", memcached.address())).await;
}

#[tokio::test]
async fn it_says_what_is_wrong_and_no_password() {
    assert!(fails(&["--store", "carrier-pigeon:"]).contains("it has to begin with one of memory: file: sqlite:"));
    let unreachable = fails(&["--store", "redis://ada:difference@127.0.0.1:1"]);
    assert!(unreachable.contains("redis://***@127.0.0.1:1 cannot be used"), "{unreachable}");
    assert!(!unreachable.contains("difference"), "{unreachable}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = fails(&["--listen", &address, "--store", "memory:"]);
    assert!(said.contains("give another --listen"), "{said}");
}
