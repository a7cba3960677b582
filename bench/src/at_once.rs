//! W10 on a store: 200 requests at once, each changing one counter of one session.

use std::time::Instant;

use crate::figure::Figure;
use crate::rig::Rig;
use crate::work::{CHANGE, COUNTER_AT_FIRST, FILL, SHOW, SLOW};

const REQUESTS: u64 = 200;
const ROUNDS: usize = 5;

/// How many of the changes are there afterwards, and how long all took beside as many one after another.
///
/// Those at once wait for a millisecond between reading and writing, those one after another do not.
pub(crate) fn figures(subject: &str, rig: &mut dyn Rig) -> Vec<Figure> {
    let (mut kept, mut answered) = (REQUESTS, REQUESTS);
    let mut ratios = Vec::new();
    for _ in 0..ROUNDS {
        let cookie = rig.ask(FILL, None).cookie.expect("a new session");
        let start = Instant::now();
        rig.repeat(CHANGE, Some(&cookie), REQUESTS);
        let one_by_one = start.elapsed();
        let start = Instant::now();
        answered = answered.min(rig.at_once(SLOW, &cookie, REQUESTS));
        ratios.push(start.elapsed().as_secs_f64() / one_by_one.as_secs_f64());
        let counter: u64 = rig.ask(SHOW, Some(&cookie)).body.parse().expect("a number");
        kept = kept.min(counter - COUNTER_AT_FIRST - REQUESTS);
    }
    vec![
        Figure::exact("W10", subject, "kept of 200", "", kept as f64),
        Figure::exact("W10", subject, "answered of 200", "", answered as f64),
        Figure::of("W10", subject, "over one by one", "", &ratios),
    ]
}
