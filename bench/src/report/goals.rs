//! What was to be reached, beside what is.

mod beyond;

use crate::figure::{Figure, kept};
use crate::subjects::{self, BARE, CLOAKROOM, FLOOR, LOSSLESS, SECURED};

/// Nanoseconds over the bare handler, W1 to W5.
const GOALS: &[(&str, &str, Bound)] = &[
    ("W1", "at most 1.05 of the floor", Bound::OfFloor(1.05)),
    ("W1m", "no more than W1, within 3 %", Bound::OfOwn("W1", 1.03)),
    ("W2", "at most 1.05 of the floor", Bound::OfFloor(1.05)),
    ("W3", "at most 1.4 of the floor, with digest and constant-time check", Bound::OfFloor(1.4)),
    ("W4", "at most 700 ns", Bound::Ns(700.0)),
    ("W4u", "as W4", Bound::Ns(700.0)),
    ("W5", "at most 1.3 of the floor, with the system call for random bytes", Bound::OfFloor(1.3)),
];

const FLOORS: [&str; 3] = [FLOOR, SECURED, LOSSLESS];

enum Bound {
    OfFloor(f64),
    OfOwn(&'static str, f64),
    Ns(f64),
}

pub(super) fn chapter() -> String {
    format!("\n## Goals\n\n{}\n{}", over_bare(), beyond::table())
}

fn over_bare() -> String {
    let times = kept("time").unwrap_or_default();
    let over_bare = |workload: &str, subject: &str| {
        let is_it =
            |figure: &&Figure| figure.workload == workload && figure.subject == subject && figure.metric == "over bare";
        times.iter().find(is_it).map(|figure| figure.value)
    };
    let is_peer = |name: &str| name != CLOAKROOM && !FLOORS.contains(&name);
    let with_sessions = subjects::ALL.iter().filter(|subject| subject.over == BARE && subject.has_sessions);
    let peers: Vec<_> = with_sessions.map(|subject| subject.name).filter(|name| is_peer(name)).collect();
    let heads = FLOORS.map(|floor| format!("over the {floor}")).join(" | ");
    let mut text = format!(
        "Nanoseconds over the bare handler; the goals speak of the first floor.\n\n\
         | | goal | {} | best peer on axum | cloakroom | {heads} | |\n|---|---|{}---|\n",
        FLOORS.join(" | "),
        "--:|".repeat(2 * FLOORS.len() + 2),
    );
    for (workload, goal, bound) in GOALS {
        let floors = FLOORS.map(|floor| over_bare(workload, floor));
        let own = over_bare(workload, CLOAKROOM);
        let most = match bound {
            Bound::OfFloor(times) => floors[0].map(|floor| floor * times),
            Bound::OfOwn(workload, times) => over_bare(workload, CLOAKROOM).map(|own| own * times),
            Bound::Ns(most) => Some(*most),
        };
        let best = peers.iter().filter_map(|peer| over_bare(workload, peer)).min_by(f64::total_cmp);
        let ratios = floors.map(|floor| Some(own? / floor?));
        let cells: Vec<_> = floors.into_iter().chain([best, own]).map(|ns| cell(ns, 0)).collect();
        let ratios = ratios.map(|ratio| cell(ratio, 2)).join(" | ");
        let verdict = own.zip(most).map_or("not measured", |(own, most)| verdict(own <= most));
        text += &format!("| {workload} | {goal} | {} | {ratios} | {verdict} |\n", cells.join(" | "));
    }
    text
}

fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.digits$}"))
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}
