//! How much more two threads do than one.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use cloakroom::{SessionError, SessionManager, SystemClock};
use tokio::runtime::Builder;

use super::sessions::{Token, begin, manager, read, scattered, value, write};
use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;

const SESSIONS: usize = 100_000;
const REQUESTS: usize = 200_000;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Read,
    Write,
}

/// A manager with its sessions.
struct House {
    manager: SessionManager,
    tokens: Vec<Token>,
}

pub(super) fn run(args: &Args) -> Outcome {
    let (one, other) = (House::new()?, House::new()?);
    let mut figures = Vec::new();
    for does in [Does::Read, Does::Write] {
        let (mut shared, mut apart) = (Vec::new(), Vec::new());
        for _ in 0..args.value("--rounds", 15)? {
            let alone = seconds(does, &[&one])?;
            shared.push(2.0 * alone / seconds(does, &[&one, &one])?);
            apart.push(2.0 * alone / seconds(does, &[&one, &other])?);
        }
        let workload = format!("W6 {does:?}").to_lowercase().replacen('w', "W", 1);
        figures.push(Figure::of(&workload, "cloakroom", "two threads over one", "", &shared));
        figures.push(Figure::of(&workload, "cloakroom, a store each", "two threads over one", "", &apart));
    }
    Ok(figures)
}

impl House {
    fn new() -> Result<Self, SessionError> {
        let (_, manager) = manager(SystemClock);
        let value = value();
        let make = async {
            let mut tokens = Vec::with_capacity(SESSIONS);
            for _ in 0..SESSIONS {
                tokens.push(begin(&manager, &value, None).await?);
            }
            Ok::<_, SessionError>(tokens)
        };
        let tokens = runtime().block_on(make)?;
        Ok(Self { manager, tokens })
    }

    /// As many requests as one thread has to do, beginning somewhere.
    fn work(&self, does: Does, start: usize) -> Result<(), SessionError> {
        let value = value();
        runtime().block_on(async {
            for place in scattered(SESSIONS, start).take(REQUESTS) {
                match does {
                    Does::Read => read(&self.manager, &self.tokens[place]).await?,
                    Does::Write => write(&self.manager, &self.tokens[place], &value).await?,
                }
            }
            Ok(())
        })
    }
}

/// How long it takes when each of these has a thread to itself.
fn seconds(does: Does, houses: &[&House]) -> Result<f64, SessionError> {
    let barrier = Barrier::new(houses.len() + 1);
    thread::scope(|scope| {
        let barrier = &barrier;
        let mut threads = Vec::new();
        for (n, house) in houses.iter().copied().enumerate() {
            threads.push(scope.spawn(move || {
                barrier.wait();
                house.work(does, n * SESSIONS / 2)
            }));
        }
        barrier.wait();
        let started = Instant::now();
        for thread in threads {
            thread.join().expect("no panic")?;
        }
        Ok(started.elapsed().as_secs_f64())
    })
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_time().build().expect("a runtime")
}
