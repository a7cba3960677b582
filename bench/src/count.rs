//! W1 to W5 by instructions, as callgrind counts them.

use crate::args::Args;
use crate::figure::Figure;
use crate::{Outcome, callgrind, choice};

/// How many requests the longer of two runs does more than the shorter.
const TIMES: u64 = 2_000;

pub(crate) fn run(args: &Args) -> Outcome {
    if !callgrind::is_installed() {
        return Err("valgrind is missing: install it, on Debian by `apt-get install valgrind`".into());
    }
    let times = args.value("--times", TIMES)?;
    let mut figures = Vec::new();
    for subject in choice::subjects(args)? {
        for work in choice::works(args)?.into_iter().filter(|work| subject.does(*work)) {
            let total = callgrind::of_a_request(subject, work, times)?.total();
            figures.push(Figure::exact(work.name(), subject.name, "instructions", "", total.round()));
        }
    }
    let over_bare: Vec<_> = figures.iter().filter_map(|figure| over_bare(figure, &figures)).collect();
    Ok(figures.into_iter().chain(over_bare).collect())
}

fn over_bare(figure: &Figure, all: &[Figure]) -> Option<Figure> {
    let over = crate::subjects::named(&figure.subject)?.over;
    let bare = all.iter().find(|other| other.subject == over && other.workload == figure.workload)?;
    let Figure { workload, subject, .. } = figure;
    Some(Figure::exact(workload, subject, "instructions over bare", "", figure.value - bare.value))
}

/// What is run under callgrind, or whatever else looks into a process.
pub(crate) fn repeat(args: &Args) -> Outcome {
    let times = args.value("--times", TIMES)?;
    for subject in choice::subjects(args)? {
        for work in choice::works(args)? {
            let (mut rig, own) = subject.filled();
            rig.repeat(work.path(), work.cookie(&own).as_deref(), times);
            // To take its store apart is not a part of any request.
            std::mem::forget(rig);
        }
    }
    Ok(Vec::new())
}
