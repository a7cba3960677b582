//! The documents lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

/// `*.md` at the root and in `bench`, whose sources have parts of documents, and everything below the folders that have more.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let flat = [root.to_owned(), root.join("bench")];
    let mut folders = [&flat[..], &[root.join("docs"), root.join("examples")]].concat();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            } else if path.is_dir() && !flat.contains(&folder) {
                folders.push(path);
            }
        }
    }
    found
}

/// The targets of links that are paths: what is in code is no link, and `crate::…` is for rustdoc to check.
fn relative_links(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    let links = prose.flat_map(|text| ["](", "]: "].map(|mark| text.split(mark).skip(1)).into_iter().flatten());
    let targets = links.filter_map(|rest| rest.split([')', ' ', '\n']).next());
    let paths = targets.filter_map(|link| link.split('#').next());
    paths.filter(|path| !path.is_empty() && !path.contains(':')).collect()
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut checked = 0;
    for document in documents(root) {
        let text = fs::read_to_string(&document).unwrap();
        for link in relative_links(&text) {
            let target = document.parent().unwrap().join(link);
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no link was found at all");
}

/// The package leaves out most files of the repository, and the README is the first page of the crate's documentation too.
#[test]
fn documents_of_the_package_link_to_no_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packaged = ["README.md", "CHANGELOG.md", "COMPARE.md", "SECURITY.md", "docs/guide"].map(|path| root.join(path));
    let mut pages = documents(root);
    pages.retain(|page| packaged.iter().any(|path| page.starts_with(path)));
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        // Chapters of the guide as well, to which these links lead in the crate's documentation.
        let links = relative_links(&text).into_iter().filter(|link| !["COMPARE.md", "SECURITY.md"].contains(&&**link));
        let links: Vec<_> = links.collect();
        assert!(links.is_empty(), "{} links to {links:?}: write the name as text", page.display());
    }
}

#[test]
fn links_are_told_from_code_and_from_other_sites() {
    let text = "[a](b.md#c) [d](https://e.org) [f](crate::G) [h](#i)\n```\nx[0](no)\n```\n![j](k.svg \"l\") [m]\n\n[m]: n.md\n";
    assert_eq!(relative_links(text), ["b.md", "k.svg", "n.md"]);
}
