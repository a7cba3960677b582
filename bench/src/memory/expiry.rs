//! The slowest request while half of all sessions expire at once, and what becomes of their memory.

use std::time::{Duration, Instant};

use cloakroom::{MemoryStore, SessionError, SessionManager, SessionPolicy, SweeperSettings};
use tokio::runtime::Builder;

use super::sessions::{SetClock, Token, begin, manager, read, scattered, value, write};
use crate::Outcome;
use crate::alloc;
use crate::args::Args;
use crate::figure::Figure;

/// Who clears away what has expired.
#[derive(Clone, Copy, PartialEq)]
enum Cleaner {
    /// A sweeper, on another thread or on that of the requests.
    Sweeper { threads: usize },
    /// The store itself, as sessions are made.
    Store,
}

pub(super) fn run(args: &Args) -> Outcome {
    let sessions = args.value("--sessions", 1_000_000)?;
    let mut figures = Vec::new();
    for (name, cleaner) in [
        ("sweeper, two threads", Cleaner::Sweeper { threads: 2 }),
        ("sweeper, one thread", Cleaner::Sweeper { threads: 1 }),
        ("no sweeper", Cleaner::Store),
    ] {
        let threads = match cleaner {
            Cleaner::Sweeper { threads } => threads,
            Cleaner::Store => 1,
        };
        let runtime = Builder::new_multi_thread().worker_threads(threads).enable_time().build()?;
        let mut rounds = Vec::new();
        for _ in 0..args.value("--rounds", 3)? {
            let mut round = runtime.block_on(runtime.spawn(half_expire(sessions, cleaner)))??;
            let pause = longest_pause(threads, Duration::from_millis(500));
            round.push(("longest pause of as many threads that do nothing", "ms", pause.as_secs_f64() * 1e3));
            rounds.push(round);
        }
        for (n, (metric, unit, _)) in rounds[0].iter().enumerate() {
            let values: Vec<_> = rounds.iter().map(|round| round[n].2).collect();
            let figure = Figure::of("W6 expiry", &format!("cloakroom, {name}"), metric, unit, &values);
            figures.push(figure.at(sessions as f64 / 2.0));
        }
    }
    Ok(figures)
}

/// What the machine itself lets a busy thread wait: each of them only looks at the clock.
fn longest_pause(threads: usize, time: Duration) -> Duration {
    let watch = || {
        let started = Instant::now();
        let (mut last, mut longest) = (started, Duration::ZERO);
        while started.elapsed() < time {
            let now = Instant::now();
            longest = longest.max(now - last);
            last = now;
        }
        longest
    };
    std::thread::scope(|scope| {
        let watching: Vec<_> = (0..threads).map(|_| scope.spawn(watch)).collect();
        watching.into_iter().filter_map(|thread| thread.join().ok()).max().unwrap_or_default()
    })
}

async fn half_expire(
    sessions: usize,
    cleaner: Cleaner,
) -> Result<Vec<(&'static str, &'static str, f64)>, SessionError> {
    let hour = Duration::from_hours(1);
    let clock = SetClock::new();
    let (store, manager) = manager(clock.clone());
    let manager = manager.policy(SessionPolicy::default().idle(2 * hour)).expect("a sound policy");
    let value = value();
    let mut tokens = vec![[1; 64]; sessions];
    alloc::start();
    let (old, new) = tokens.split_at_mut(sessions / 2);
    for token in old {
        *token = begin(&manager, &value, None).await?;
    }
    clock.advance(hour);
    for token in new.iter_mut() {
        *token = begin(&manager, &value, None).await?;
    }
    let full = alloc::so_far().live as f64;
    let requests = Requests { manager: &manager, value: &value, tokens: new };
    let quiet = requests.slowest(|served| served >= 300_000).await?;

    clock.advance(hour);
    let sweeper = matches!(cleaner, Cleaner::Sweeper { .. })
        .then(|| manager.start_sweeper(SweeperSettings::default().interval(Duration::from_secs(1))));
    let alive = store.len() - sessions / 2;
    let is_done = |store: &MemoryStore, begun: usize| store.len() <= alive + begun;
    let started = Instant::now();
    // Each tenth request begins a session, and so clears two away if nobody sweeps.
    let meanwhile = requests.slowest(|served| is_done(&store, served / 10 + 1)).await?;
    let took = started.elapsed();
    if let Some(sweeper) = sweeper {
        sweeper.stop().await;
    }
    let after = alloc::stop().live as f64;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(vec![
        ("slowest request before", "ms", millis(quiet)),
        ("slowest request meanwhile", "ms", millis(meanwhile)),
        ("until all are cleared away", "ms", millis(took)),
        ("allocated before", "MB", full / 1e6),
        ("allocated after", "MB", after / 1e6),
    ])
}

struct Requests<'a> {
    manager: &'a SessionManager,
    value: &'a str,
    tokens: &'a [Token],
}

impl Requests<'_> {
    /// Serves one after the other until `is_done`, and returns how long the slowest has taken. Of ten, seven read, two write and
    /// one begins a session. What else is to run gets its turn within the time of a request.
    async fn slowest(&self, is_done: impl Fn(usize) -> bool) -> Result<Duration, SessionError> {
        let mut slowest = Duration::ZERO;
        for (served, place) in scattered(self.tokens.len(), 0).enumerate() {
            let started = Instant::now();
            match served % 10 {
                0 => drop(begin(self.manager, self.value, None).await?),
                1 | 2 => write(self.manager, &self.tokens[place], self.value).await?,
                _ => read(self.manager, &self.tokens[place]).await?,
            }
            tokio::task::yield_now().await;
            let took = started.elapsed();
            slowest = slowest.max(took);
            if is_done(served) {
                break;
            }
        }
        Ok(slowest)
    }
}
