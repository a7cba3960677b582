//! The goals of W6 to W11: stores, HTTP, requests at once, growth.

use super::verdict;
use crate::figure::{Figure, distinct, kept};
use crate::report::number;
use crate::subjects::CLOAKROOM;

struct Goal {
    goal: &'static str,
    command: &'static str,
    workload: &'static str,
    /// `EACH`: the worst of them counts.
    subject: &'static str,
    value: Value,
    bound: Bound,
}

const EACH: &str = "";

enum Value {
    Metric(&'static str),
    /// One metric over another one.
    Over(&'static str, &'static str),
    /// The last place on the x axis over the first.
    Growth,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// No number was set: the plot says more.
    ByPlot,
}

use Bound::{AtLeast, AtMost, ByPlot};
use Value::{Growth, Metric, Over};

const fn goal(
    goal: &'static str,
    (command, workload, subject): (&'static str, &'static str, &'static str),
    value: Value,
    bound: Bound,
) -> Goal {
    Goal { goal, command, workload, subject, value, bound }
}

const SIZE: (&str, &str, &str) = ("memory", "W6 size", CLOAKROOM);
const EXPIRY: (&str, &str, &str) = ("memory", "W6 expiry", EACH);
const POSTGRES: (&str, &str) = ("sql", "W8 Postgres");
const MARIADB: (&str, &str) = ("sql", "W8 MariaDB");
const SQLITE: (&str, &str) = ("sql", "W8 SQLite");
const HTTP: (&str, &str, &str) = ("over_http", "W9", CLOAKROOM);
const AT_ONCE: (&str, &str, &str) = ("at_once", "W10", CLOAKROOM);
const SELECT_AND_UPDATE: Value = Metric("over SELECT and UPDATE");

const GOALS: &[Goal] = &[
    goal(
        "a session of 100 bytes takes 400 B at most, as allocated",
        SIZE,
        Metric("a visitor, allocated"),
        AtMost(400.0),
    ),
    goal("the same, as resident", SIZE, Metric("a visitor, resident"), AtMost(400.0)),
    goal(
        "two threads read at least 1.8 times as fast as one",
        ("memory", "W6 read", CLOAKROOM),
        Metric("two threads over one"),
        AtLeast(1.8),
    ),
    goal(
        "500,000 that expire at once delay no request by 5 ms",
        EXPIRY,
        Metric("slowest request meanwhile"),
        AtMost(5.0),
    ),
    goal(
        "and give their memory back: of what was allocated, no more than three quarters are left",
        EXPIRY,
        Over("allocated after", "allocated before"),
        AtMost(0.75),
    ),
    goal("the same, as resident", EXPIRY, Over("resident after", "resident before"), AtMost(0.75)),
    goal("Redis, read: 1.07 of a bare GET at most", ("redis", "W7", "read"), Metric("over GET"), AtMost(1.07)),
    goal("in one round trip", ("redis", "W7", "read"), Metric("round trips"), AtMost(1.0)),
    goal("Redis, write: 2.1 of a bare GET at most", ("redis", "W7", "write"), Metric("over GET"), AtMost(2.1)),
    goal("in two round trips", ("redis", "W7", "write"), Metric("round trips"), AtMost(2.0)),
    goal("Redis, renewal: two round trips at most", ("redis", "W7", "renewal"), Metric("round trips"), AtMost(2.0)),
    goal("Postgres, read: 1.15 of a bare SELECT at most", of(POSTGRES, "read"), Metric("over SELECT"), AtMost(1.15)),
    goal("in one round trip", of(POSTGRES, "read"), Metric("round trips"), AtMost(1.0)),
    goal("Postgres, write: 1.15 of SELECT and UPDATE at most", of(POSTGRES, "write"), SELECT_AND_UPDATE, AtMost(1.15)),
    goal("in two round trips", of(POSTGRES, "write"), Metric("round trips"), AtMost(2.0)),
    goal("MariaDB, read: 1.15 of a bare SELECT at most", of(MARIADB, "read"), Metric("over SELECT"), AtMost(1.15)),
    goal("in one round trip", of(MARIADB, "read"), Metric("round trips"), AtMost(1.0)),
    goal("MariaDB, write: 1.15 of SELECT and UPDATE at most", of(MARIADB, "write"), SELECT_AND_UPDATE, AtMost(1.15)),
    goal("in two round trips", of(MARIADB, "write"), Metric("round trips"), AtMost(2.0)),
    goal("SQLite, read: 1.1 of a bare SELECT at most", of(SQLITE, "read"), Metric("over SELECT"), AtMost(1.1)),
    goal("SQLite, write: 1.1 of SELECT and UPDATE at most", of(SQLITE, "write"), SELECT_AND_UPDATE, AtMost(1.1)),
    goal("over HTTP, at least 0.92 of the bare handler's requests", HTTP, Metric("share of bare"), AtLeast(0.92)),
    goal("and at most 0.9 µs of the server's CPU more for each", HTTP, Metric("CPU over bare"), AtMost(0.9)),
    goal("of 200 changes at once, 200 are kept", AT_ONCE, Metric("kept of 200"), AtLeast(200.0)),
    goal("the same on Redis", ("redis", "W10", EACH), Metric("kept of 200"), AtLeast(200.0)),
    goal("the same on each SQL database", ("sql", "W10", EACH), Metric("kept of 200"), AtLeast(200.0)),
    goal(
        "they take 3 times as long at most as the same one after another, each of which waits for a millisecond",
        AT_ONCE,
        Metric("over the same one by one"),
        AtMost(3.0),
    ),
    goal(
        "read more strictly: as changes one after another that do not wait",
        AT_ONCE,
        Metric("over one by one"),
        AtMost(3.0),
    ),
    goal(
        "a read, with the most sessions over with ten, on the worst store",
        ("growth", "W11 read", EACH),
        Growth,
        ByPlot,
    ),
    goal(
        "a save, with the most sessions over with ten, on the worst store",
        ("growth", "W11 save", EACH),
        Growth,
        ByPlot,
    ),
    goal("a save of a small change, in 64 KB over in 64 B", ("growth", "W11 save by session", EACH), Growth, ByPlot),
];

const fn of(
    (command, workload): (&'static str, &'static str),
    subject: &'static str,
) -> (&'static str, &'static str, &'static str) {
    (command, workload, subject)
}

pub(super) fn table() -> String {
    let mut text = String::from("Beyond a request in process:\n\n| | goal | cloakroom | |\n|---|---|--:|---|\n");
    for goal in GOALS {
        let (workload, _) = goal.workload.split_once(' ').unwrap_or((goal.workload, ""));
        let (value, verdict) = goal.judged().unwrap_or((String::new(), "not measured"));
        text += &format!("| {workload} | {} | {value} | {verdict} |\n", goal.goal);
    }
    text
}

impl Goal {
    /// What was measured, and the verdict, if it was.
    fn judged(&self) -> Option<(String, &'static str)> {
        let figures = kept(self.command).ok()?;
        let is_own = |figure: &&Figure| {
            figure.workload == self.workload && (self.subject == EACH || figure.subject == self.subject)
        };
        let own: Vec<_> = figures.iter().filter(is_own).collect();
        let subjects = distinct(own.iter().map(|figure| figure.subject.as_str()));
        let values = subjects.into_iter().filter_map(|subject| self.value.of(&own, subject));
        let worst = match self.bound {
            AtLeast(_) => values.min_by(|one, other| one.0.total_cmp(&other.0)),
            AtMost(_) | ByPlot => values.max_by(|one, other| one.0.total_cmp(&other.0)),
        };
        let (value, unit) = worst?;
        let verdict = match self.bound {
            AtLeast(bound) => verdict(value >= bound),
            AtMost(bound) => verdict(value <= bound),
            ByPlot => "see the plot",
        };
        Some((format!("{} {unit}", number(value)).trim_end().to_owned(), verdict))
    }
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
                let (first, last) = (of_subject().find(|it| it.x.is_some())?, of_subject().last()?);
                Some((last.value / first.value, ""))
            }
        }
    }
}
