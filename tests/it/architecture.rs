//! The house keeps its order: modules stand on floors, and use what is below them.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. Modules of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["error", "clock"],
    &["policy", "token"],
    &["data", "codec"],
    &["journal", "record", "event"],
    &["store", "state"],
    &["engine"],
    &["session"],
    &["manager"],
    &["http"],
    &["extract", "templates", "config"],
    &["testing", "guide"],
    // The command, which is a crate of its own and knows what is public.
    &["bin"],
];

/// Other crates that only the floors of HTTP may name.
const OF_HTTP: &[&str] = &["http", "tower", "tower_layer", "tower_service", "axum", "axum_core", "cookie"];

/// The stores of this crate.
const STORES: &[&str] =
    &["cached", "file", "memcached", "memory", "migrating", "noop", "redis", "sql", "timeout", "tower_sessions"];

/// What a store may know of this crate.
const KNOWN_TO_STORES: &[&str] = &["clock", "error", "record", "store", "token"];

fn source_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(source_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Each file of the library with its module path and its code: no comments, no unit tests.
fn modules() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let module = |file: &Path| {
        let inside = file.strip_prefix(&root).unwrap().with_extension("");
        inside.to_str().unwrap().replace('/', "::")
    };
    let code = |file: &Path| {
        let text = fs::read_to_string(file).unwrap();
        let without_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        without_tests.lines().filter(is_code).collect::<Vec<_>>().join("\n")
    };
    let files = source_files(&root);
    let of_tests = |file: &&PathBuf| file.file_stem().is_some_and(|stem| stem == "tests");
    files.iter().filter(|file| !of_tests(file)).map(|file| (module(file), code(file))).collect()
}

/// The names that follow `prefix` in the code, where `prefix` is not itself a part of a longer path.
fn names_after<'a>(code: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    code.match_indices(prefix).filter_map(move |(at, _)| {
        let inside_a_path = code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        let rest = &code[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (!inside_a_path).then_some(&rest[..end])
    })
}

fn top(module: &str) -> &str {
    module.split("::").next().unwrap()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&top(module)))
}

#[test]
fn every_module_has_its_floor() {
    for (module, _) in modules() {
        assert!(module == "lib" || floor(&module).is_some(), "{module} stands on no floor: add it to FLOORS");
    }
}

#[test]
fn arrows_point_down() {
    let mut seen = 0;
    for (module, code) in modules() {
        let Some(own) = floor(&module) else { continue };
        for name in names_after(&code, "crate::").filter(|name| floor(name).is_some()) {
            seen += 1;
            let points_down = floor(name).unwrap() < own || name == top(&module);
            assert!(points_down, "{module} uses crate::{name}, which is not below it");
        }
    }
    assert!(seen > 50, "the test sees what it is to judge: {seen}");
}

#[test]
fn only_the_upper_floors_know_http() {
    let first_of_http = floor("http").unwrap();
    for (module, code) in modules() {
        if floor(&module).is_none_or(|floor| floor >= first_of_http) {
            continue;
        }
        for name in OF_HTTP {
            assert!(!code.contains(&format!("{name}::")), "{module} names {name}");
        }
    }
}

#[test]
fn a_store_knows_the_contract_and_no_other_store() {
    for (module, code) in modules().iter().filter(|(module, _)| module.starts_with("store::")) {
        for name in names_after(code, "crate::") {
            assert!(KNOWN_TO_STORES.contains(&name), "{module} uses crate::{name}");
        }
        let own = module.split("::").nth(1).unwrap();
        for other in STORES.iter().filter(|other| **other != own) {
            assert_eq!(names_after(code, &format!("super::{other}")).count(), 0, "{module} uses {other}");
        }
    }
}

#[test]
fn no_file_is_longer_than_600_lines() {
    for (module, code) in modules() {
        assert!(code.lines().count() <= 600, "{module} has {} lines of code", code.lines().count());
    }
}
