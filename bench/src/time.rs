//! W1 to W5 by the clock, in interleaved rounds on one pinned thread; and how often a request allocates.
//!
//! Several processes measure, one after another, and their rounds are put together: where code and memory of one lie is luck, which
//! makes a request some nanoseconds faster or slower for as long as it runs.

use std::error::Error;
use std::iter::zip;
use std::time::Instant;

use crate::args::Args;
use crate::figure::Figure;
use crate::subjects::{Subject, named};
use crate::work::Work;
use crate::{Outcome, alloc, choice, pin, process};

/// `--processes 9`, and what [`samples`] takes.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut runners = runners(args)?;
    for _ in 0..args.value("--processes", 9)? {
        let text = process::output("samples", args)?;
        if text.lines().count() != runners.len() {
            return Err(format!("{} lines of samples for {} subjects", text.lines().count(), runners.len()).into());
        }
        for (runner, line) in zip(&mut runners, text.lines()) {
            runner.read(line)?;
        }
    }
    let over = |runner: &Runner| {
        let is_bare = |other: &&Runner| other.subject.name == runner.subject.over && other.work == runner.work;
        runners.iter().find(is_bare).expect("each has its bare handler beside it")
    };
    Ok(runners.iter().flat_map(|runner| runner.figures(over(runner))).collect())
}

/// The rounds of one process, `--rounds 9` of `--times 10000` requests: a line for each subject and workload.
pub(crate) fn samples(args: &Args) -> Outcome {
    let _pinned = pin::to_one_core()?;
    let (rounds, times) = (args.value("--rounds", 9)?, args.value("--times", 10_000)?);
    for subject in choice::subjects(args)? {
        subject.check();
    }
    let mut runners = runners(args)?;
    // The first round warms up. Each begins with another one: what slows the machine down for a while slows everybody.
    for round in 0..=rounds {
        for at in 0..runners.len() {
            let turn = (at + round) % runners.len();
            runners[turn].round(times);
        }
    }
    for runner in &runners {
        println!("{}", runner.line());
    }
    Ok(Vec::new())
}

fn runners(args: &Args) -> Result<Vec<Runner>, Box<dyn Error>> {
    let chosen = choice::subjects(args)?;
    Ok(choice::works(args)?.into_iter().flat_map(|work| of_work(&chosen, work)).collect())
}

/// One for each subject and for what its overhead is counted over.
fn of_work(chosen: &[Subject], work: Work) -> Vec<Runner> {
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

    /// Allocations and bytes of a request, and how long one took in each round.
    fn line(&self) -> String {
        process::joined([self.allocations, self.bytes].into_iter().chain(self.took.iter().copied()))
    }

    fn read(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        let numbers = process::numbers(line)?;
        let [allocations, bytes, took @ ..] = numbers.as_slice() else { return Err("a line without numbers".into()) };
        (self.allocations, self.bytes) = (*allocations, *bytes);
        self.took.extend(took);
        Ok(())
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
