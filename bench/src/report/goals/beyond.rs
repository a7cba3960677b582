//! The goals of W6 to W11: stores, HTTP, requests at once, growth.

use super::verdict;
use crate::figure::{Figure, distinct, kept};
use crate::report::number;
use crate::subjects::CLOAKROOM;

/// Command, workload, subject, what of it, how far it may go, and that in words.
type Goal = (&'static str, &'static str, &'static str, Value, Bound, &'static str);

/// Of all subjects the worst counts.
const EACH: &str = "";

enum Value {
    Metric(&'static str),
    /// One metric over another one.
    Over(&'static str, &'static str),
    /// The last place on the x axis over the first.
    Growth,
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// No number was set: the plot says more.
    ByPlot,
}

use Bound::{AtLeast, AtMost, ByPlot};
use Value::{Growth, Metric, Over};

const GOALS: &[Goal] = &[
    (
        "memory",
        "W6 size",
        CLOAKROOM,
        Metric("a visitor, allocated"),
        AtMost(400.0),
        "a session of 100 bytes takes 400 B at most, as allocated",
    ),
    ("memory", "W6 size", CLOAKROOM, Metric("a visitor, resident"), AtMost(400.0), "the same, as resident"),
    (
        "memory",
        "W6 read",
        CLOAKROOM,
        Metric("two threads over one"),
        AtLeast(1.8),
        "two threads read at least 1.8 times as fast as one",
    ),
    (
        "memory",
        "W6 expiry",
        "cloakroom, sweeper, one thread",
        Metric("slowest request meanwhile"),
        AtMost(5.0),
        "500,000 that expire at once delay no request by 5 ms: a sweeper on the requests' thread",
    ),
    (
        "memory",
        "W6 expiry",
        "cloakroom, no sweeper",
        Metric("slowest request meanwhile"),
        AtMost(5.0),
        "the same without a sweeper",
    ),
    (
        "memory",
        "W6 expiry",
        "cloakroom, sweeper, two threads",
        Metric("slowest request meanwhile"),
        AtMost(5.0),
        "the same with a sweeper on the other core",
    ),
    (
        "memory",
        "W6 expiry",
        "cloakroom, sweeper, two threads",
        Over("allocated after", "allocated before"),
        AtMost(0.75),
        "and give their memory back: of what was allocated, no more than three quarters are left",
    ),
    ("redis", "W7", "read", Metric("over GET"), AtMost(1.07), "Redis, read: 1.07 of a bare GET at most"),
    ("redis", "W7", "read", Metric("round trips"), AtMost(1.0), "in one round trip"),
    ("redis", "W7", "write", Metric("over GET"), AtMost(2.1), "Redis, write: 2.1 of a bare GET at most"),
    ("redis", "W7", "write", Metric("round trips"), AtMost(2.0), "in two round trips"),
    ("redis", "W7", "renewal", Metric("round trips"), AtMost(2.0), "Redis, renewal: two round trips at most"),
    (
        "sql",
        "W8 Postgres",
        "read",
        Metric("over SELECT"),
        AtMost(1.15),
        "Postgres, read: 1.15 of a bare SELECT at most",
    ),
    ("sql", "W8 Postgres", "read", Metric("round trips"), AtMost(1.0), "in one round trip"),
    (
        "sql",
        "W8 Postgres",
        "write",
        Metric("over SELECT and UPDATE"),
        AtMost(1.15),
        "Postgres, write: 1.15 of SELECT and UPDATE at most",
    ),
    (
        "sql",
        "W8 Postgres",
        "write",
        Metric("over SELECT of all columns, then compare-and-swap"),
        AtMost(1.15),
        "the same over the statements that no store can do without",
    ),
    ("sql", "W8 Postgres", "write", Metric("round trips"), AtMost(2.0), "in two round trips"),
    ("sql", "W8 MariaDB", "read", Metric("over SELECT"), AtMost(1.15), "MariaDB, read: 1.15 of a bare SELECT at most"),
    ("sql", "W8 MariaDB", "read", Metric("round trips"), AtMost(1.0), "in one round trip"),
    (
        "sql",
        "W8 MariaDB",
        "write",
        Metric("over SELECT and UPDATE"),
        AtMost(1.15),
        "MariaDB, write: 1.15 of SELECT and UPDATE at most",
    ),
    (
        "sql",
        "W8 MariaDB",
        "write",
        Metric("over SELECT of all columns, then compare-and-swap"),
        AtMost(1.15),
        "the same over the statements that no store can do without",
    ),
    ("sql", "W8 MariaDB", "write", Metric("round trips"), AtMost(2.0), "in two round trips"),
    ("sql", "W8 SQLite", "read", Metric("over SELECT"), AtMost(1.1), "SQLite, read: 1.1 of a bare SELECT at most"),
    (
        "sql",
        "W8 SQLite",
        "write",
        Metric("over SELECT and UPDATE"),
        AtMost(1.1),
        "SQLite, write: 1.1 of SELECT and UPDATE at most",
    ),
    (
        "over_http",
        "W9",
        CLOAKROOM,
        Metric("share of bare"),
        AtLeast(0.92),
        "over HTTP, at least 0.92 of the bare handler's requests",
    ),
    (
        "over_http",
        "W9",
        CLOAKROOM,
        Metric("CPU over bare"),
        AtMost(0.9),
        "and at most 0.9 µs of the server's CPU more for each",
    ),
    ("at_once", "W10", CLOAKROOM, Metric("kept of 200"), AtLeast(200.0), "of 200 changes at once, 200 are kept"),
    ("at_once", "W10", "cloakroom, in files", Metric("kept of 200"), AtLeast(200.0), "the same in files"),
    ("redis", "W10", EACH, Metric("kept of 200"), AtLeast(200.0), "the same on Redis"),
    ("sql", "W10", EACH, Metric("kept of 200"), AtLeast(200.0), "the same on each SQL database"),
    (
        "at_once",
        "W10",
        CLOAKROOM,
        Metric("over the same one by one"),
        AtMost(3.0),
        "they take 3 times as long at most as the same one after another, each of which waits for a millisecond",
    ),
    (
        "at_once",
        "W10",
        CLOAKROOM,
        Metric("over one by one"),
        AtMost(3.0),
        "read more strictly: as changes one after another that do not wait",
    ),
    ("growth", "W11 read", EACH, Growth, ByPlot, "a read, with the most sessions over with ten, on the worst store"),
    ("growth", "W11 save", EACH, Growth, ByPlot, "a save, with the most sessions over with ten, on the worst store"),
    ("growth", "W11 save by session", EACH, Growth, ByPlot, "a save of a small change, in 64 KB over in 64 B"),
];

pub(super) fn table() -> String {
    let mut text = String::from("Beyond a request in process:\n\n| | goal | cloakroom | |\n|---|---|--:|---|\n");
    for goal @ (_, workload, .., words) in GOALS {
        let (workload, _) = workload.split_once(' ').unwrap_or((workload, ""));
        let (value, verdict) = judged(goal).unwrap_or((String::new(), "not measured"));
        text += &format!("| {workload} | {words} | {value} | {verdict} |\n");
    }
    text
}

/// What was measured, and the verdict, if it was.
fn judged((command, workload, subject, value, bound, _): &Goal) -> Option<(String, &'static str)> {
    let figures = kept(command).ok()?;
    let is_own = |figure: &&Figure| figure.workload == *workload && (*subject == EACH || figure.subject == *subject);
    let own: Vec<_> = figures.iter().filter(is_own).collect();
    let subjects = distinct(own.iter().map(|figure| figure.subject.as_str()));
    let values = subjects.into_iter().filter_map(|subject| value.of(&own, subject));
    let (value, unit) = match bound {
        AtLeast(_) => values.min_by(|one, other| one.0.total_cmp(&other.0)),
        AtMost(_) | ByPlot => values.max_by(|one, other| one.0.total_cmp(&other.0)),
    }?;
    let verdict = match bound {
        AtLeast(bound) => verdict(value >= *bound),
        AtMost(bound) => verdict(value <= *bound),
        ByPlot => "see the plot",
    };
    Some((format!("{} {unit}", number(value)).trim_end().to_owned(), verdict))
}

impl Value {
    /// With its unit.
    fn of<'a>(&self, figures: &[&'a Figure], subject: &str) -> Option<(f64, &'a str)> {
        let of_subject = || figures.iter().copied().filter(|figure| figure.subject == subject);
        let metric = |metric: &str| of_subject().find(|figure| figure.metric == metric);
        match self {
            Metric(name) => metric(name).map(|figure| (figure.value, figure.unit.as_str())),
            Over(one, other) => Some((metric(one)?.value / metric(other)?.value, "")),
            Growth => {
                let (first, last) = (of_subject().find(|it| it.x.is_some())?, of_subject().next_back()?);
                Some((last.value / first.value, ""))
            }
        }
    }
}
