//! `cargo run --example configured`: a file, and the environment on top.

use std::process::Command;

use http::Method;
use http::header::SET_COOKIE;

use crate::support::example::{program, start};

#[tokio::test]
async fn it_does_as_the_file_says_and_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}/sessions.db", folder.path().display());
    let variables = [("SESSION_STORE", &*store), ("SESSION_COOKIE_SAME_SITE", "lax"), ("SESSION_MANAGER", "local/x")];
    let example = start("configured", &variables);
    let mut visitor = example.visitor();
    let answer = visitor.open(Method::GET, "/", "", "").await;
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-visits=") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert_eq!(visitor.get("/").await, "visit 2\n");
    assert!(folder.path().join("sessions.db").exists());
}

#[test]
fn it_ends_with_a_sentence_that_names_the_variable() {
    let mut command = Command::new(program("configured"));
    let ended = command.arg("0").env("SESSION_POLICY_IDLE", "30 parsecs").output().unwrap();
    assert!(!ended.status.success());
    let expected = "SESSION_POLICY_IDLE: \"30 parsecs\" is not a duration; write it as \"30 minutes\" or \"1h 30m\"\n";
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), expected);
}
