//! What was to be reached, beside what is.

use crate::figure::{Figure, kept};
use crate::subjects::{CLOAKROOM, FLOOR, SECURED};

/// Nanoseconds over the bare handler, W1 to W5.
const GOALS: &[(&str, &str, Bound)] = &[
    ("W1", "at most 1.05 of the floor", Bound::OfFloor(1.05)),
    ("W1m", "no more than W1, within 3 %", Bound::OfOwn("W1", 1.03)),
    ("W2", "at most 1.05 of the floor", Bound::OfFloor(1.05)),
    ("W3", "at most 1.4 of the floor, with digest and constant-time check", Bound::OfFloor(1.4)),
    ("W4", "at most 700 ns", Bound::Ns(700.0)),
    ("W5", "at most 1.3 of the floor, with the system call for random bytes", Bound::OfFloor(1.3)),
];

enum Bound {
    OfFloor(f64),
    OfOwn(&'static str, f64),
    Ns(f64),
}

pub(super) fn table() -> String {
    let Ok(times) = kept("time") else { return String::new() };
    let over_bare = |workload: &str, subject: &str| {
        let is_it =
            |figure: &&Figure| figure.workload == workload && figure.subject == subject && figure.metric == "over bare";
        times.iter().find(is_it).map(|figure| figure.value)
    };
    let mut text = String::from(
        "\n## Goals\n\nNanoseconds over the bare handler.\n\n\
         | | goal | floor | secured floor | best peer on axum | cloakroom | over the floor | over the secured floor | |\n\
         |---|---|--:|--:|--:|--:|--:|--:|---|\n",
    );
    for (workload, goal, bound) in GOALS {
        let [floor, secured, own] = [FLOOR, SECURED, CLOAKROOM].map(|subject| over_bare(workload, subject));
        let (Some(floor), Some(secured), Some(own)) = (floor, secured, own) else { continue };
        let most = match bound {
            Bound::OfFloor(times) => floor * times,
            Bound::OfOwn(workload, times) => over_bare(workload, CLOAKROOM).unwrap_or_default() * times,
            Bound::Ns(most) => *most,
        };
        let peers = ["tower-sessions 0.15", "axum_session 0.22", "ruts 0.13"];
        let best = peers.iter().filter_map(|peer| over_bare(workload, peer)).min_by(f64::total_cmp);
        let best = best.map_or_else(String::new, |best| format!("{best:.0}"));
        let met = if own <= most { "met" } else { "**missed**" };
        text += &format!(
            "| {workload} | {goal} | {floor:.0} | {secured:.0} | {best} | {own:.0} | {:.2} | {:.2} | {met} |\n",
            own / floor,
            own / secured,
        );
    }
    text
}
