//! What is printed: text for people, JSON for programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use cloakroom::store::Timestamp;
use serde_json::Value;
use time::OffsetDateTime;

use crate::failure::Failure;

/// The result of a command.
pub(crate) struct Output {
    pub(crate) text: String,
    pub(crate) json: Value,
    /// It is a result, and all the same not all could be done.
    pub(crate) failure: Option<Failure>,
}

impl Output {
    pub(crate) fn new(text: String, json: Value) -> Self {
        Self { text, json, failure: None }
    }

    pub(crate) fn print(&self, json: bool) -> std::io::Result<()> {
        let text = if json { format!("{:#}\n", self.json) } else { self.text.clone() };
        std::io::stdout().lock().write_all(text.as_bytes())
    }

    pub(crate) fn into_result(self) -> Result<(), Failure> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// Rows below each other, the cells of a column beneath each other. Numbers stand to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let width = |column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0);
    let is_digit = |c: char| c.is_ascii_digit() || c == ',';
    let is_number = |column| cells(column).skip(1).all(|cell| cell.chars().all(is_digit));
    let layout: Vec<(usize, bool)> = (0..columns).map(|column| (width(column), is_number(column))).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, (width, is_number)) in row.iter().zip(&layout) {
            // Writing to a string cannot fail.
            let _ = if *is_number { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text that others have chosen, without what would move the cursor, colour the terminal, or turn the line around.
pub(crate) fn plain(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_plain(c) { c } else { '\u{fffd}' }).collect()
}

/// With a comma between thousands.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Such as `1 session` or `2,000 sessions`.
pub(crate) fn sessions(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "session" } else { "sessions" })
}

/// Such as `2026-11-21 08:45:10 UTC`.
pub(crate) fn time(time: Timestamp) -> String {
    let at = OffsetDateTime::from(SystemTime::from(time));
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC", u8::from(month))
}

/// Such as `in 3 h` or `2 days ago`.
pub(crate) fn from_now(time: Timestamp, now: Timestamp) -> String {
    if time >= now {
        format!("in {}", rounded(time.saturating_since(now)))
    } else {
        format!("{} ago", rounded(now.saturating_since(time)))
    }
}

fn rounded(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", number(seconds / 86_400)),
    }
}

pub(crate) fn unix_seconds(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(1_000)
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_numbers_and_times() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2].map(sessions), ["0 sessions", "1 session", "2 sessions"]);
        assert_eq!(time(Timestamp::from_millis(1_763_679_600_999)), "2025-11-20 23:00:00 UTC");
        let now = Timestamp::from_millis(1_000_000);
        assert_eq!(from_now(now.saturating_add(Duration::from_mins(90)), now), "in 90 min");
        assert_eq!(from_now(Timestamp::from_millis(940_000), now), "60 s ago");
        assert_eq!(unix_seconds(Timestamp::from_millis(-1)), -1);
    }

    #[test]
    fn a_table_stands_in_columns() {
        let rows = [["key", "bytes"], ["cart", "1,024"], ["a", "7"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "key   bytes\ncart  1,024\na         7\n");
    }

    #[test]
    fn what_others_have_chosen_does_not_reach_the_terminal_as_a_command() {
        assert_eq!(plain("Firefox\x1b[31m\u{202e}\n"), "Firefox\u{fffd}[31m\u{fffd}\u{fffd}");
    }
}
