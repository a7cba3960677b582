//! The feature table of the guide: each row works, and is proved by the test that it names.

mod elsewhere;
mod seeds;

use std::collections::BTreeSet;

use cloakroom::{Session, SessionManager, TokenChange};

use crate::support::tables::{Sources, page, proofs};

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

/// The names in backquotes in the last column of the tables.
fn named_tests() -> BTreeSet<String> {
    let table = page("docs/guide/features.md");
    let rows =
        table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| from") && !line.starts_with("|--"));
    rows.flat_map(proofs).map(str::to_owned).collect()
}

#[test]
fn every_row_of_the_feature_table_names_a_test_that_exists_and_every_test_here_has_its_row() {
    let (sources, named) = (Sources::all(), named_tests());
    assert!(named.len() > 40, "{named:?}");
    for name in &named {
        sources.assert_have_test(name);
    }
    for file in ["seeds.rs", "elsewhere.rs"] {
        let source = page(&format!("tests/it/features/{file}"));
        for name in source.split("async fn ").skip(1).filter_map(|rest| rest.split_once('(')).map(|(name, _)| name) {
            let is_test = ["seed_", "as_"].iter().any(|prefix| name.starts_with(prefix));
            assert!(!is_test || named.contains(name), "{name} has no row in docs/guide/features.md");
        }
    }
}
