//! Tables in the documentation whose last column names the tests that prove a row.

use std::fs;
use std::path::Path;

/// A file of the package.
pub fn page(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names in backquotes in the last column of a row.
pub fn proofs(row: &str) -> impl Iterator<Item = &str> {
    last_column(row).split('`').skip(1).step_by(2)
}

/// What stands in the last column of a row.
pub fn last_column(row: &str) -> &str {
    row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap()
}

/// All Rust files of the library and its tests.
pub struct Sources(Vec<String>);

impl Sources {
    pub fn all() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self(["tests", "src"].iter().flat_map(|folder| rust_files(&root.join(folder))).collect())
    }

    pub fn assert_have_test(&self, name: &str) {
        let definition = format!("fn {name}(");
        assert!(self.0.iter().any(|source| source.contains(&definition)), "there is no test {name}");
    }
}

fn rust_files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![fs::read_to_string(&path).unwrap()] })
        .collect()
}
