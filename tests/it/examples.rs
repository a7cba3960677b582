//! Every example is run: the real program, over a real socket, with what its store promises of a restart.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use http::StatusCode;

use crate::support::example::{Curl, Example, start};

/// Visits, logs in, visits, and leaves a visitor who is logged in.
pub async fn use_it(example: &Example) -> Curl {
    let mut ada = example.visitor();
    assert_eq!(ada.get("/").await, "visit 1 by a stranger\n");
    let mut before_login = ada.clone();
    assert_eq!(ada.post_form("/login", "name=Ada").await, (StatusCode::OK, "hello, Ada\n".into()));
    assert_ne!(ada.jar, before_login.jar);
    assert_eq!(ada.get("/").await, "visit 2 by Ada\n");
    assert_eq!(before_login.get("/").await, "visit 1 by a stranger\n");

    let mut ben = example.visitor();
    assert_eq!(ben.post_json("/login", r#"{"name":"Ben"}"#).await, (StatusCode::OK, "hello, Ben\n".into()));
    let mut before_logout = ben.clone();
    assert_eq!(ben.post_form("/logout", "").await, (StatusCode::OK, "goodbye\n".into()));
    assert_eq!(ben.jar, []);
    assert_eq!(before_logout.get("/").await, "visit 1 by a stranger\n");
    ada
}

/// Uses an example, ends it with ctrl-c, and starts it again: who was logged in still is, and can log out.
pub async fn use_it_across_a_restart(name: &str, environment: &[(&str, &str)]) {
    let example = start(name, environment);
    let mut ada = use_it(&example).await;
    assert_eq!(end(example), "");
    let example = start(name, environment);
    ada.server = example.address;
    assert_eq!(ada.get("/").await, "visit 3 by Ada\n");
    let mut before_logout = ada.clone();
    assert_eq!(ada.post_form("/logout", "").await, (StatusCode::OK, "goodbye\n".into()));
    assert_eq!(before_logout.get("/").await, "visit 1 by a stranger\n");
}

/// Ends an example with ctrl-c. What it has printed.
fn end(example: Example) -> String {
    let (status, rest) = example.interrupt();
    assert!(status.success(), "{status}");
    rest
}

/// The examples that the folder has, or that the manifest names for their features.
fn examples() -> BTreeSet<String> {
    let folder = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")).unwrap();
    // An example is a file, or a folder with a `main.rs`.
    let is_one = |path: &PathBuf| path.extension().is_some_and(|it| it == "rs") || path.join("main.rs").is_file();
    let files = folder.map(|entry| entry.unwrap().path()).filter(is_one);
    let files = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let sections = include_str!("../../Cargo.toml").split("[[example]]").skip(1);
    let name = |section: &str| section.split("name = \"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    files.chain(sections.map(name)).collect()
}

#[test]
fn every_example_is_run_by_a_test() {
    let examples = examples();
    assert!(examples.len() >= 7, "the test sees what it is to judge: {examples:?}");
    let listed =
        include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod example_")?.strip_suffix(';'));
    let tests: Vec<_> = listed
        .map(|name| format!("{}/tests/it/example_{name}.rs", env!("CARGO_MANIFEST_DIR")))
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    for name in examples {
        let name = format!("\"{name}\"");
        assert!(tests.iter().any(|test| test.contains(&name)), "no tests/it/example_….rs starts {name}");
    }
}

/// A reader takes one file, so each example is whole; and what they share stays the same.
#[test]
fn the_examples_of_stores_differ_from_visits_in_their_store_only() {
    let code = |name: &str| {
        let text = std::fs::read_to_string(format!("{}/examples/{name}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let is_code = |line: &&str| !line.starts_with("//!") && !line.contains("Store");
        text.lines().filter(is_code).map(str::to_owned).collect::<Vec<_>>()
    };
    let visits = code("visits");
    for name in examples().iter().filter(|name| name.starts_with("visits_")) {
        let mut own = code(name).into_iter().peekable();
        let mut added = Vec::new();
        for line in &visits {
            added.extend(std::iter::from_fn(|| own.next_if(|it| it != line)));
            assert_eq!(own.next().as_ref(), Some(line), "{name} lacks a line of visits");
        }
        assert!(added.len() <= 3, "{name}: {added:#?}");
    }
}
