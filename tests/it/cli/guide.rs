//! The guide shows what the command really prints.

use std::fmt::Write as _;

use cloakroom::SessionId;

use super::{Stage, run};

const CHAPTER: &str = include_str!("../../../docs/guide/command.md");

/// Runs every command of the chapter, in its order, on the same store. Ids and times are others each time.
#[tokio::test(flavor = "multi_thread")]
async fn the_chapter_shows_real_output() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::sqlite(&folder).await;
    let path = folder.path().display().to_string();
    let (mut count, mut wrong) = (0, String::new());
    for block in CHAPTER.split("```text\n$ cloakroom ").skip(1) {
        let (command, shown) =
            block.split("\n```").next().unwrap().split_once('\n').unwrap_or((block.split('\n').next().unwrap(), ""));
        let arguments: Vec<String> = command.split(' ').map(|word| real(word, &path, &stage)).collect();
        let run = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let printed = (run.stdout + &run.stderr).replace(&format!("{path}/"), "");
        if normal(shown) != normal(&printed) {
            write!(wrong, "$ cloakroom {command}\n{printed}\n").unwrap();
        }
        count += 1;
    }
    assert!(count > 8, "{count}");
    assert!(wrong.is_empty(), "these print something else:\n{wrong}");
}

/// A word of a command as it is for this test.
fn real(word: &str, path: &str, stage: &Stage) -> String {
    match word.split_once(':') {
        Some((scheme @ ("sqlite" | "file"), file)) => format!("{scheme}:{path}/{file}"),
        _ if word.parse::<SessionId>().is_ok() => stage.ada[0].id().to_string(),
        _ => word.to_owned(),
    }
}

/// Without what differs from run to run.
fn normal(text: &str) -> Vec<String> {
    let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '-' || c == ':');
    let mut words = Vec::new();
    for line in text.lines() {
        let line = line.split(" (").next().unwrap();
        for word in line.split_whitespace() {
            let bare = word.trim_matches(['"', ',']);
            words.push(match bare {
                id if id.parse::<SessionId>().is_ok() => "ID".to_owned(),
                // Dates and times, those of JSON too.
                number if number.len() >= 8 && is_number(number) => "TIME".to_owned(),
                _ => word.to_owned(),
            });
        }
    }
    words
}
