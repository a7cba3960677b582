use super::{Stage, run, run_in};
use crate::support::server;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_not_there_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    for id in ["6f9619ff-8b86-4d01-b42d-00c04fc964ff", &stage.expired.to_string()] {
        let run = run(&["show", &stage.url, id]);
        assert_eq!((run.code, &*run.stderr), (3, "error: there is no live session with this id\n"));
    }
    assert_eq!(run(&["show", &stage.url, "what?"]).code, 2);
}

#[test]
fn a_store_that_is_misspelt_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    for scheme in ["sqlite", "file"] {
        let path = folder.path().join("missing");
        let run = run(&["stats", &format!("{scheme}:{}", path.display())]);
        assert_eq!(run.code, 2);
        assert!(run.stderr.ends_with(&format!("there is no {}\n", path.display())), "{}", run.stderr);
        assert!(!path.exists());
    }
    let run = run(&["stats", "memory:"]);
    assert!(run.code == 2 && run.stderr.contains("memory of this command"), "{}", run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_may_be_in_the_environment() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let found = run_in(&[("SESSIONS", &stage.url)], &["--json", "stats", "env:SESSIONS"]);
    assert_eq!(found.json()["live"], 4);
    let missing = run(&["stats", "env:SESSIONS_ELSEWHERE"]);
    assert_eq!(missing.code, 2);
    assert!(missing.stderr.contains("\"SESSIONS_ELSEWHERE\""), "{}", missing.stderr);
}

#[test]
fn a_server_that_is_down_is_named() {
    let url = format!("redis://:hunter2@127.0.0.1:{}", server::free_port());
    let run = run(&["stats", &url]);
    assert_eq!((run.code, &*run.stdout), (1, ""));
    assert!(run.stderr.starts_with("error: redis://***@127.0.0.1:"), "{}", run.stderr);
}

#[test]
fn what_a_store_cannot_do_is_said_with_what_helps() {
    let Some(server) = server::memcached() else { return };
    let url = format!("memcached://127.0.0.1:{}", server.port);
    for arguments in [&["stats", &*url][..], &["revoke", &url, "--all", "--yes"], &["migrate", &url, "memory:"]] {
        let run = run(arguments);
        assert_eq!((run.code, &*run.stdout), (1, ""));
        assert!(run.stderr.contains("not_before") && run.stderr.contains("MigratingStore"), "{}", run.stderr);
    }
    let run = run(&["list", &url, "--user", "ada"]);
    assert!(run.code == 1 && run.stderr.contains("cannot find the sessions of a user"), "{}", run.stderr);
}

#[test]
fn help_explains_every_command() {
    let help = run(&["--help"]);
    for command in ["stats", "list", "show", "revoke", "sweep", "migrate", "schema"] {
        assert!(help.text().contains(&format!("\n  {command} ")), "{}", help.stdout);
        assert!(run(&[command, "--help"]).text().contains("Usage: cloakroom"));
    }
    assert!(run(&["--version"]).text().starts_with("cloakroom 0."));
    assert_eq!(run(&[]).code, 2);
}
