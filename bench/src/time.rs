//! W1 to W5 by the clock, in interleaved rounds on one pinned thread; and how often a request allocates.

use std::time::Instant;

use crate::args::Args;
use crate::figure::Figure;
use crate::subjects::{Subject, named};
use crate::work::Work;
use crate::{Outcome, alloc, choice, pin};

pub(crate) fn run(args: &Args) -> Outcome {
    let _pinned = pin::to_one_core()?;
    let (rounds, times) = (args.value("--rounds", 31)?, args.value("--times", 10_000)?);
    let chosen = choice::subjects(args)?;
    for subject in &chosen {
        subject.check();
    }

    let mut runners: Vec<_> = choice::works(args)?.into_iter().flat_map(|work| runners(&chosen, work)).collect();
    // The first round warms up. Each begins with another one: what slows the machine down for a while slows everybody.
    for round in 0..=rounds {
        for at in 0..runners.len() {
            let turn = (at + round) % runners.len();
            runners[turn].round(times);
        }
    }
    let over = |runner: &Runner| {
        let is_bare = |other: &&Runner| other.subject.name == runner.subject.over && other.work == runner.work;
        runners.iter().find(is_bare).expect("each has its bare handler beside it")
    };
    Ok(runners.iter().flat_map(|runner| runner.figures(over(runner))).collect())
}

/// One for each subject and for what its overhead is counted over.
fn runners(chosen: &[Subject], work: Work) -> Vec<Runner> {
    let mut runners: Vec<Runner> = Vec::new();
    let chosen = chosen.iter().filter(|subject| subject.does(work));
    for subject in chosen.flat_map(|subject| [named(subject.over), Some(*subject)]).flatten() {
        if runners.iter().all(|runner| runner.subject.name != subject.name) {
            runners.push(Runner::new(subject, work));
        }
    }
    runners
}

struct Runner {
    subject: Subject,
    work: Work,
    /// Nanoseconds of a request, one for each round.
    took: Vec<f64>,
    allocations: f64,
    bytes: f64,
}

impl Runner {
    fn new(subject: Subject, work: Work) -> Self {
        Self { subject, work, took: Vec::new(), allocations: 0.0, bytes: 0.0 }
    }

    /// With an application of its own: W5 fills a store from its beginning, and where the parts of one lie in memory is luck, which
    /// should not last for all rounds.
    fn round(&mut self, times: u64) {
        let (mut rig, own) = self.subject.filled();
        let cookie = self.work.cookie(&own);
        let mut repeat = |times| rig.repeat(self.work.path(), cookie.as_deref(), times);
        // What is new is slow.
        repeat(times / 100);
        let start = Instant::now();
        repeat(times);
        let took = start.elapsed();
        if self.allocations > 0.0 {
            self.took.push(took.as_nanos() as f64 / times as f64);
            return;
        }
        alloc::start();
        repeat(times);
        let counts = alloc::stop();
        self.allocations = counts.allocations as f64 / times as f64;
        self.bytes = counts.bytes as f64 / times as f64;
    }

    fn figures(&self, over: &Self) -> [Figure; 5] {
        let (work, subject) = (self.work.name(), self.subject.name);
        let overhead: Vec<_> = self.took.iter().zip(&over.took).map(|(own, bare)| own - bare).collect();
        [
            Figure::of(work, subject, "time", "ns", &self.took),
            Figure::of(work, subject, "over bare", "ns", &overhead),
            Figure::exact(work, subject, "allocations", "", self.allocations),
            Figure::exact(work, subject, "allocations over bare", "", self.allocations - over.allocations),
            Figure::exact(work, subject, "allocated", "B", self.bytes),
        ]
    }
}
