//! The feature table of the guide: each row works, and is proved by the test that it names.

mod elsewhere;
mod seeds;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use cloakroom::{Session, SessionManager, TokenChange};

/// One client, and its sessions over several requests.
struct Client {
    manager: SessionManager,
    token: Vec<u8>,
}

impl Client {
    fn new(manager: SessionManager) -> Self {
        Self { manager, token: Vec::new() }
    }

    async fn open(&self) -> Session {
        self.manager.open(&self.token).await.unwrap()
    }

    async fn commit(&mut self, session: &Session) -> TokenChange {
        let change = self.manager.commit(session).await.unwrap();
        if let TokenChange::Issue(issued) = &change {
            self.token = issued.token.expose().as_bytes().to_vec();
        }
        change
    }

    /// One request.
    async fn request<T>(&mut self, act: impl FnOnce(&Session) -> T) -> T {
        let session = self.open().await;
        let result = act(&session);
        self.commit(&session).await;
        result
    }
}

fn rust_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![fs::read_to_string(&path).unwrap()] })
        .collect()
}

/// The names in backquotes in the last column of the tables.
fn named_tests() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("docs/guide/features.md")).unwrap();
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| from") && !line.starts_with("|--"));
    let proofs = rows.filter_map(|row| row.trim_end_matches('|').rsplit_once('|')).map(|(_, proof)| proof);
    proofs.flat_map(|proof| proof.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn every_row_of_the_feature_table_names_a_test_that_exists_and_every_test_here_has_its_row() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = rust_files(&root.join("tests"));
    sources.extend(rust_files(&root.join("src")));
    let named = named_tests();
    assert!(named.len() > 40, "{named:?}");
    for name in &named {
        let definition = format!("fn {name}(");
        assert!(sources.iter().any(|source| source.contains(&definition)), "there is no test {name}");
    }
    for file in ["seeds.rs", "elsewhere.rs"] {
        let source = fs::read_to_string(root.join("tests/it/features").join(file)).unwrap();
        for name in source.split("async fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name) {
            let is_test = ["seed_", "as_"].iter().any(|prefix| name.starts_with(prefix));
            assert!(!is_test || named.contains(name), "{name} has no row in docs/guide/features.md");
        }
    }
}
