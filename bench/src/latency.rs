//! Latency beside a reference: contestants take turns, one request after another.

use std::error::Error;
use std::fmt;
use std::time::Instant;

use crate::figure::Figure;
use crate::process::{joined, numbers};

/// Something that can be done many times, one after another.
pub(crate) struct Contestant<'a> {
    name: &'static str,
    act: Box<dyn FnMut(u64) + 'a>,
    /// Nanoseconds for each time, one for each round.
    took: Vec<f64>,
    /// The part of it that the measuring thread was on a core. The rest it waited.
    worked: Vec<f64>,
}

impl<'a> Contestant<'a> {
    pub(crate) fn new(name: &'static str, act: impl FnMut(u64) + 'a) -> Self {
        Self { name, act: Box::new(act), took: Vec::new(), worked: Vec::new() }
    }
}

/// What all of them took, round by round.
#[derive(Default)]
pub(crate) struct Rounds(Vec<(String, Vec<f64>, Vec<f64>)>);

/// Many short rounds, since a scheduler's moods last longer than one: a ratio is that of neighbours in time.
pub(crate) fn in_turn(mut all: Vec<Contestant<'_>>, rounds: usize, times: u64) -> Rounds {
    for round in 0..=rounds {
        for at in 0..all.len() {
            let turn = (at + round) % all.len();
            let contestant = &mut all[turn];
            let (start, on_core) = (Instant::now(), on_core());
            (contestant.act)(times);
            let took = start.elapsed().as_nanos() as f64 / times as f64;
            let worked = (self::on_core() - on_core) / times as f64;
            // The first round warms up.
            if round > 0 {
                contestant.took.push(took);
                contestant.worked.push(worked);
            }
        }
    }
    Rounds(all.into_iter().map(|contestant| (contestant.name.to_owned(), contestant.took, contestant.worked)).collect())
}

/// How long this thread has been on a core, in nanoseconds, by the scheduler's account.
fn on_core() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

impl Rounds {
    /// Takes over the rounds of another process, as it has printed them.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), Box<dyn Error>> {
        for line in text.lines() {
            let [name, took, worked] = *line.split('\t').collect::<Vec<_>>() else { return Err(line.into()) };
            let known = self.0.iter().position(|(other, ..)| other == name);
            let place = known.unwrap_or_else(|| {
                self.0.push((name.to_owned(), Vec::new(), Vec::new()));
                self.0.len() - 1
            });
            self.0[place].1.extend(numbers(took)?);
            self.0[place].2.extend(numbers(worked)?);
        }
        let rounds = |(_, took, _): &(_, Vec<f64>, _)| took.len();
        if self.0.iter().any(|contestant| rounds(contestant) != rounds(&self.0[0])) {
            return Err("not as many rounds of each".into());
        }
        Ok(())
    }

    fn took(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|(other, ..)| *other == name);
        found.map_or(&[], |(_, took, _)| took.as_slice())
    }

    /// How long `name` took.
    pub(crate) fn time(&self, workload: &str, name: &str) -> Figure {
        Figure::of(workload, name, "time", "ns", self.took(name))
    }

    /// The part of it that this process did not wait.
    pub(crate) fn work(&self, workload: &str, name: &str) -> Figure {
        let found = self.0.iter().find(|(other, ..)| *other == name);
        Figure::of(workload, name, "on a core", "ns", found.map_or(&[], |(.., worked)| worked.as_slice()))
    }

    /// The time of `name`, less that of `without` if there is such a part, over the time of all `references` together.
    pub(crate) fn ratio(&self, workload: &str, name: &str, without: Option<&str>, references: &[&str]) -> Figure {
        let without = |round: usize| without.map_or(0.0, |name| self.took(name)[round]);
        let own = self.took(name).iter().enumerate().map(|(round, own)| own - without(round));
        let ratios: Vec<f64> = own
            .enumerate()
            .map(|(round, own)| own / references.iter().map(|name| self.took(name)[round]).sum::<f64>())
            .collect();
        Figure::of(workload, name, &format!("over {}", references.join(" and ")), "", &ratios)
    }
}

/// A line for each contestant: its name, its times, and its times on a core, with tabs between them.
impl fmt::Display for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, took, worked) in &self.0 {
            writeln!(f, "{name}\t{}\t{}", joined(took.iter().copied()), joined(worked.iter().copied()))?;
        }
        Ok(())
    }
}
