//! W10: 200 requests at once, each changing one counter of one session.

use std::time::{Duration, Instant};

use crate::figure::Figure;
use crate::rig::Rig;
use crate::work::{COUNTER_AT_FIRST, FILL, SHOW, SLOW, UPDATE};
use crate::{Args, Outcome, choice};

const REQUESTS: u64 = 200;
const ROUNDS: usize = 5;

/// Every subject with its store in memory, and the store in files.
pub(crate) fn run(args: &Args) -> Outcome {
    let subjects = choice::subjects(args)?.into_iter().filter(|subject| subject.has_sessions);
    #[allow(unused_mut, reason = "files are a part of the full build")]
    let mut all: Vec<_> = subjects.flat_map(|subject| figures(subject.name, &mut *subject.rig())).collect();
    #[cfg(feature = "full")]
    if !args.has("--subject") {
        all.extend(in_files()?);
    }
    Ok(all)
}

/// In a folder that no disk keeps, as the databases: a disk would hide what the rest costs.
#[cfg(feature = "full")]
fn in_files() -> Outcome {
    let folder = crate::servers::folder_in_memory()?;
    let runtime = crate::rig::runtime();
    let store = runtime.block_on(cloakroom::FileStore::open(folder.path().join("sessions")))?;
    let routes = crate::subjects::cloakroom_routes(cloakroom::SessionLayer::new(store));
    Ok(figures("cloakroom, in files", &mut crate::rig::AxumRig::on(runtime, routes)))
}

/// How many of the changes are there afterwards, and how long all took beside as many one after another.
///
/// Those at once wait for a millisecond between reading and writing. So do those that are the same one by one; the others do
/// not wait, and show what changing alone takes.
pub(crate) fn figures(subject: &str, rig: &mut dyn Rig) -> Vec<Figure> {
    let (mut kept, mut answered) = (REQUESTS, REQUESTS);
    let (mut over_changes, mut over_same) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let cookie = rig.ask(FILL, None).cookie.expect("a new session");
        let changes = timed(|| rig.repeat(UPDATE, Some(&cookie), REQUESTS));
        let same = timed(|| rig.repeat(SLOW, Some(&cookie), REQUESTS));
        let before = counter(rig, &cookie);
        assert_eq!(before, COUNTER_AT_FIRST + 2 * REQUESTS, "{subject}: nothing is lost one by one");
        let at_once = timed(|| answered = answered.min(rig.at_once(SLOW, &cookie, REQUESTS)));
        kept = kept.min(counter(rig, &cookie) - before);
        over_changes.push(at_once.as_secs_f64() / changes.as_secs_f64());
        over_same.push(at_once.as_secs_f64() / same.as_secs_f64());
    }
    vec![
        Figure::exact("W10", subject, "kept of 200", "", kept as f64),
        Figure::exact("W10", subject, "answered of 200", "", answered as f64),
        Figure::of("W10", subject, "over one by one", "", &over_changes),
        Figure::of("W10", subject, "over the same one by one", "", &over_same),
    ]
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn counter(rig: &mut dyn Rig, cookie: &str) -> u64 {
    rig.ask(SHOW, Some(cookie)).body.parse().expect("a number")
}
