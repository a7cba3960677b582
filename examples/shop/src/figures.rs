//! What this process has seen of its sessions since it began: counts, and the last ten minutes as a plot. For more than one
//! process there is the feature `metrics`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use cloakroom::SessionEvent;
use serde::Serialize;

/// What one bar of the plot stands for, and how many there are.
const STEP: Duration = Duration::from_secs(10);
const STEPS: usize = 60;

/// Width of a bar and its gap, and height of the highest.
const BAR: usize = 10;
const HEIGHT: u64 = 120;

#[derive(Clone)]
pub struct Figures(Arc<Mutex<Inner>>);

struct Inner {
    began: Instant,
    counts: BTreeMap<&'static str, u64>,
    /// The newest last.
    steps: VecDeque<Step>,
}

#[derive(Clone, Copy, Default)]
struct Step {
    number: u64,
    requests: u64,
    begun: u64,
}

/// The last ten minutes, the newest step first.
#[derive(Clone, Debug, Serialize)]
pub struct Plot {
    highest: u64,
    bars: Vec<Bar>,
}

/// A bar from `y` downwards: all requests that had a session; and how many of the bar are sessions that began.
#[derive(Clone, Debug, Serialize)]
struct Bar {
    x: usize,
    y: u64,
    height: u64,
    begun_y: u64,
    begun_height: u64,
    title: String,
}

impl Default for Figures {
    fn default() -> Self {
        let inner = Inner { began: Instant::now(), counts: BTreeMap::new(), steps: VecDeque::new() };
        Self(Arc::new(Mutex::new(inner)))
    }
}

impl Figures {
    /// For [`SessionLayer::on_event`](cloakroom::SessionLayer::on_event).
    pub fn listener(&self) -> impl Fn(&SessionEvent) + Send + Sync + 'static + use<> {
        let figures = self.clone();
        move |event| figures.inner().note(event)
    }

    /// How often each event has happened.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.inner().counts.clone()
    }

    pub fn plot(&self) -> Plot {
        let inner = self.inner();
        let now = inner.now();
        let all = || (0..STEPS as u64).map(|ago| (ago, inner.step(now.checked_sub(ago))));
        let highest = all().map(|(_, step)| step.requests + step.begun).max().unwrap_or(0).max(1);
        let height = |count: u64| count * HEIGHT / highest;
        let bar = |(ago, step): (u64, Step)| Bar {
            x: (STEPS - 1 - usize::try_from(ago).unwrap_or(0)) * BAR,
            y: HEIGHT - height(step.requests + step.begun),
            height: height(step.requests + step.begun),
            begun_y: HEIGHT - height(step.begun),
            begun_height: height(step.begun),
            title: format!("{} s ago: {} visits, {} new sessions", ago * STEP.as_secs(), step.requests, step.begun),
        };
        Plot { highest, bars: all().map(bar).collect() }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Numbers are whole between any two statements.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, event: &SessionEvent) {
        *self.counts.entry(event.name()).or_default() += 1;
        let now = self.now();
        if self.steps.back().is_none_or(|newest| newest.number != now) {
            self.steps.push_back(Step { number: now, ..Step::default() });
            self.steps.drain(..self.steps.len().saturating_sub(STEPS));
        }
        if let Some(newest) = self.steps.back_mut() {
            match event {
                SessionEvent::Resumed { .. } => newest.requests += 1,
                SessionEvent::Created { .. } => newest.begun += 1,
                _ => {}
            }
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_secs() / STEP.as_secs()
    }

    fn step(&self, number: Option<u64>) -> Step {
        self.steps.iter().find(|step| Some(step.number) == number).copied().unwrap_or_default()
    }
}
