//! Futures that are finished once they have begun, whoever stops waiting for them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::event::{Events, SessionEvent};

/// Polled in place like any future. Dropped before its end, it hands what is left to the runtime.
pub(crate) struct RunToEnd<T: Send + 'static> {
    /// `None` when it has ended, or has panicked and cannot go on.
    future: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    /// Known from the first poll on: the thread that drops a future need not be one of the runtime's.
    runtime: Option<Handle>,
    running: Running,
}

impl<T: Send + 'static> RunToEnd<T> {
    pub(super) fn new(running: Running, future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { future: Some(Box::pin(future)), runtime: None, running }
    }

    /// Out of the way of the many that have ended.
    #[cold]
    #[inline(never)]
    fn hand_over(&mut self, future: Pin<Box<dyn Future<Output = T> + Send>>) {
        let Some(runtime) = self.runtime.take().or_else(|| Handle::try_current().ok()) else { return };
        let mut running = self.running.take();
        runtime.spawn(async move {
            let _ = future.await;
            running.end();
        });
    }
}

impl<T: Send + 'static> Future for RunToEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut future = self.future.take().expect("a future is not polled after it has ended");
        match future.as_mut().poll(context) {
            Poll::Ready(output) => {
                self.running.end();
                Poll::Ready(output)
            }
            Poll::Pending => {
                if self.runtime.is_none() {
                    self.runtime = Handle::try_current().ok();
                }
                self.future = Some(future);
                Poll::Pending
            }
        }
    }
}

impl<T: Send + 'static> Drop for RunToEnd<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.hand_over(future);
        }
    }
}

impl<T: Send + 'static> fmt::Debug for RunToEnd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunToEnd").field("ended", &self.future.is_none()).finish_non_exhaustive()
    }
}

/// Counts what has begun and not ended.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    /// Somebody waits until there is none, so that who comes to its end has to look.
    is_drained: AtomicBool,
    none: Notify,
}

impl InFlight {
    /// Waits until nothing is in flight, or for `timeout`. How many are left.
    pub(crate) async fn drain(&self, timeout: Duration) -> usize {
        // In this order: an end that this does not see in the count sees that it is waited for.
        self.is_drained.store(true, Ordering::SeqCst);
        let empty = async {
            loop {
                let none = self.none.notified();
                if self.count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                none.await;
            }
        };
        let _ = tokio::time::timeout(timeout, empty).await;
        self.count.load(Ordering::SeqCst)
    }
}

/// Counts one, until it ends or is dropped. Dropped unended, by a panic or with the runtime, it says so.
#[derive(Debug)]
pub(super) struct Running {
    in_flight: Option<Arc<InFlight>>,
    events: Events,
}

impl Running {
    pub(super) fn enter(in_flight: &Arc<InFlight>, events: &Events) -> Self {
        in_flight.count.fetch_add(1, Ordering::SeqCst);
        Self { in_flight: Some(in_flight.clone()), events: events.clone() }
    }

    fn end(&mut self) -> bool {
        let Some(in_flight) = self.in_flight.take() else { return false };
        let is_last = in_flight.count.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && in_flight.is_drained.load(Ordering::SeqCst) {
            in_flight.none.notify_waiters();
        }
        true
    }

    fn take(&mut self) -> Self {
        Self { in_flight: self.in_flight.take(), events: self.events.clone() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.end() {
            self.events.emit(SessionEvent::Abandoned);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slow(done: &Arc<AtomicBool>) -> impl Future<Output = ()> + Send + use<> {
        let done = done.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            done.store(true, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_half_way_is_finished_and_drain_waits_for_it() {
        let (in_flight, done) = (Arc::<InFlight>::default(), Arc::<AtomicBool>::default());
        let future = RunToEnd::new(Running::enter(&in_flight, &Events::default()), slow(&done));
        assert!(tokio::time::timeout(Duration::from_millis(1), future).await.is_err());
        assert_eq!(in_flight.drain(Duration::from_millis(1)).await, 1);
        assert!(!done.load(Ordering::SeqCst));
        assert_eq!(in_flight.drain(Duration::from_secs(5)).await, 0);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_dropped_on_a_foreign_thread_is_finished_all_the_same() {
        let (in_flight, done) = (Arc::<InFlight>::default(), Arc::<AtomicBool>::default());
        let mut future = Box::pin(RunToEnd::new(Running::enter(&in_flight, &Events::default()), slow(&done)));
        std::future::poll_fn(|context| {
            assert!(future.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        std::thread::spawn(move || drop(future)).join().unwrap();
        assert_eq!(in_flight.drain(Duration::from_secs(5)).await, 0);
        assert!(done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_future_that_panics_is_not_run_again() {
        let in_flight = Arc::<InFlight>::default();
        let future =
            RunToEnd::new(Running::enter(&in_flight, &Events::default()), async { panic!("a bug in a closure") });
        assert!(tokio::spawn(future).await.unwrap_err().is_panic());
        assert_eq!(in_flight.drain(Duration::ZERO).await, 0);
    }

    #[test]
    fn without_a_runtime_it_says_so() {
        let (in_flight, heard) = (Arc::<InFlight>::default(), Arc::<AtomicBool>::default());
        let told = heard.clone();
        let mut events = Events::default();
        events.listen(move |event| told.store(matches!(event, SessionEvent::Abandoned), Ordering::SeqCst));
        drop(RunToEnd::new(Running::enter(&in_flight, &events), async {}));
        assert!(heard.load(Ordering::SeqCst));
    }
}
