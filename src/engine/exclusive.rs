//! What one at a time may do, across waiting points.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// A lock that is held while others are waited for. Nearly always nobody else wants it, so that taking it costs one atomic
/// write; it is neither fair nor in order for those who meet at it.
#[derive(Debug, Default)]
pub(crate) struct Exclusive {
    is_held: AtomicBool,
    freed: Notify,
}

/// Holds an [`Exclusive`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Exclusive);

impl Exclusive {
    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::SeqCst)
    }

    pub(crate) async fn hold(&self) -> Held<'_> {
        loop {
            if let Some(held) = self.try_hold() {
                return held;
            }
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on a release is heard of. One that came before is seen by the second look.
            freed.as_mut().enable();
            if let Some(held) = self.try_hold() {
                return held;
            }
            freed.await;
        }
    }

    fn try_hold(&self) -> Option<Held<'_>> {
        (!self.is_held.swap(true, Ordering::SeqCst)).then(|| Held(self))
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::SeqCst);
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_two_hold_it_at_once_and_all_get_their_turn() {
        let (lock, inside) = (Arc::<Exclusive>::default(), Arc::<AtomicUsize>::default());
        let tasks = (0..64).map(|_| {
            let (lock, inside) = (lock.clone(), inside.clone());
            tokio::spawn(async move {
                for _ in 0..200 {
                    let _held = lock.hold().await;
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, Ordering::SeqCst);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        assert!(!lock.is_held());
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_leaves_the_turn_to_the_next() {
        let lock = Arc::<Exclusive>::default();
        let held = lock.hold().await;
        let next = tokio::spawn({
            let lock = lock.clone();
            async move { drop(lock.hold().await) }
        });
        let impatient = tokio::time::timeout(std::time::Duration::from_millis(1), lock.hold());
        assert!(impatient.await.is_err());
        drop(held);
        next.await.unwrap();
        assert!(!lock.is_held());
    }

    #[tokio::test]
    async fn a_holder_that_panics_lets_go() {
        let lock = Arc::<Exclusive>::default();
        let holder = lock.clone();
        let panicked = tokio::spawn(async move {
            let _held = holder.hold().await;
            panic!("in the middle of it");
        });
        assert!(panicked.await.is_err());
        drop(lock.hold().await);
    }
}
