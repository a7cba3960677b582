//! The table in the guide is complete.

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The variants of the enum, as its source has them.
fn variants() -> Vec<String> {
    let source = read("src/event.rs");
    let body = source.split_once("pub enum SessionEvent {").unwrap().1.split_once("\n}").unwrap().0;
    let names = body.lines().filter_map(|line| {
        let line = line.strip_prefix("    ")?;
        line.starts_with(|c: char| c.is_ascii_uppercase()).then(|| line.trim_end_matches([' ', '{', ',']).to_owned())
    });
    names.collect()
}

#[test]
fn the_guide_has_every_event_with_its_name_and_level() {
    let (source, trace, guide) = (read("src/event.rs"), read("src/event/trace.rs"), read("docs/guide/events.md"));
    let variants = variants();
    assert!(variants.len() >= 18, "{variants:?}");
    for variant in &variants {
        let after = |text: &str, mark: &str| -> String {
            let from = text.split_once(&format!("::{variant}")).unwrap().1.split_once(mark).unwrap().1;
            from.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
        };
        let (name, level) = (after(&source, "=> \""), after(&trace, "log!("));
        let link = format!("| [`{variant}`](crate::SessionEvent::{variant}) | `{name}` | {level} |");
        assert!(guide.contains(&link), "the guide has no line that begins with {link}");
    }
    let rows = guide.lines().filter(|line| line.contains("](crate::SessionEvent::") && line.starts_with("| ["));
    assert_eq!(rows.count(), variants.len());
}

#[test]
fn the_guide_has_every_metric() {
    let (source, guide) = (read("src/event/metrics.rs"), read("docs/guide/events.md"));
    let metrics: Vec<_> = source.split('"').filter(|text| text.starts_with("cloakroom_")).collect();
    assert_eq!(metrics.len(), 5);
    for metric in metrics {
        assert!(guide.contains(&format!("| `{metric}` |")), "{metric}");
    }
}
