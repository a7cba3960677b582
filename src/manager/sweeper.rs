//! Deletes expired records in the background.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::{Engine, jitter};
use crate::error::StoreError;
use crate::event::SessionEvent;

/// How often the sweeper goes through the store, and in what steps.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct SweeperSettings {
    interval: Duration,
    batch: usize,
}

impl Default for SweeperSettings {
    fn default() -> Self {
        Self { interval: Duration::from_mins(5), batch: 1_000 }
    }
}

impl SweeperSettings {
    /// How long to wait between two sweeps: 5 minutes if not given, at least a second. Up to a tenth of it is added at random to
    /// every wait, and is all that the first sweep waits for, so that many processes do not sweep at the same time. After an error
    /// the wait is doubled, up to 16 times.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = if interval.as_secs() == 0 { Duration::from_secs(1) } else { interval };
        self
    }

    /// How many records to tell of and to delete in one step: 1,000 if not given, at least 1. A sweep takes as many steps as
    /// needed, each of two calls to the store. Each has to end within [`Limits::operation_timeout`](crate::Limits::operation_timeout).
    pub const fn batch(mut self, records: usize) -> Self {
        self.batch = if records == 0 { 1 } else { records };
        self
    }
}

/// What a sweeper has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweeperReport {
    /// How many times it has been through the store.
    pub sweeps: u64,
    /// How many records it has deleted.
    pub deleted: u64,
    /// How many sweeps a store failure has cut short.
    pub failures: u64,
    /// How long the last sweep took that was not cut short.
    pub last_took: Option<Duration>,
}

/// A sweeper at work. It stops when it is dropped.
#[derive(Debug)]
#[must_use = "the sweeper stops when it is dropped"]
pub struct Sweeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    report: Arc<Mutex<SweeperReport>>,
}

impl Sweeper {
    pub(super) fn start(engine: &Arc<Engine>, settings: SweeperSettings) -> Self {
        let report = Arc::<Mutex<SweeperReport>>::default();
        let (stop, stopped) = watch::channel(false);
        let sweep = Sweep { engine: engine.clone(), settings, report: report.clone() };
        let task = tokio::spawn(sweep.run(stopped));
        Self { stop, task, report }
    }

    /// What it has done so far.
    pub fn report(&self) -> SweeperReport {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops after the call to the store that is under way, and waits for that.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // An error would be a panic in a store: it has stopped then as well.
        let _ = self.task.await;
    }
}

#[derive(Clone)]
struct Sweep {
    engine: Arc<Engine>,
    settings: SweeperSettings,
    report: Arc<Mutex<SweeperReport>>,
}

impl Sweep {
    async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut failures_in_a_row = 0_u32;
        // Soon after the start, lest a process that is often started anew never sweeps.
        let mut wait = Duration::ZERO;
        loop {
            wait = wait.saturating_add(jitter(self.settings.interval / 10));
            // Ends as well when the `Sweeper`, and with it the sender, is dropped.
            if let Ok(Ok(_) | Err(_)) = tokio::time::timeout(wait, stopped.wait_for(|stop| *stop)).await {
                return;
            }
            // In a task of its own: a store that panics ends this sweep and not the sweeper.
            let sweep = tokio::spawn(self.clone().sweep(stopped.clone()));
            if let Ok(Ok(())) = sweep.await {
                failures_in_a_row = 0;
            } else {
                failures_in_a_row += 1;
                self.note(|report| report.failures += 1);
            }
            wait = self.settings.interval.saturating_mul(1 << failures_in_a_row.min(4));
        }
    }

    async fn sweep(self, stopped: watch::Receiver<bool>) -> Result<(), StoreError> {
        let (started, batch) = (Instant::now(), self.settings.batch);
        let mut deleted = 0;
        let ended = loop {
            let step = match self.engine.sweep(batch).await {
                Ok(step) => step,
                Err(error) => break Err(error),
            };
            deleted += step.deleted;
            self.note(|report| report.deleted += step.deleted as u64);
            // Without a sender the `Sweeper` was dropped.
            if !step.is_more || *stopped.borrow() || stopped.has_changed().is_err() {
                break Ok(());
            }
            tokio::task::yield_now().await;
        };
        if ended.is_ok() {
            let took = started.elapsed();
            self.note(|report| {
                report.sweeps += 1;
                report.last_took = Some(took);
            });
            self.engine.events.emit(SessionEvent::Swept { deleted, took });
        }
        ended
    }

    fn note(&self, change: impl FnOnce(&mut SweeperReport)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
