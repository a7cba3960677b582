//! What one at a time may do, across waiting points.

use std::ptr;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

const FREE: u8 = 0;
const TAKEN: u8 = 1;
/// Taken, and somebody may be waiting.
const WANTED: u8 = 2;

/// A lock that is held while others are waited for. Nearly always nobody else wants it, so that taking it and letting go cost
/// one atomic write each, and it is a byte; it is neither fair nor in order for those who meet at it.
#[derive(Debug, Default)]
pub(crate) struct Exclusive(AtomicU8);

/// Where those wait who want a lock that is taken. All locks share them, by their addresses: whoever is woken for another's
/// release looks, and waits again.
static WAITING: [Notify; 1 << PLACES] = [const { Notify::const_new() }; 1 << PLACES];

const PLACES: u32 = 8;

/// Holds an [`Exclusive`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Exclusive);

impl Exclusive {
    pub(crate) fn is_taken(&self) -> bool {
        self.0.load(Ordering::SeqCst) != FREE
    }

    pub(crate) async fn hold(&self) -> Held<'_> {
        self.take().await;
        Held(self)
    }

    /// Takes it, until somebody calls [`free`](Self::free).
    pub(crate) async fn take(&self) {
        if self.try_take() {
            return;
        }
        loop {
            // Hears of every release from here on, of which one may come before it is waited for. Whoever is woken says again that
            // there may be others: taken or not, the next release is told as well.
            let freed = self.waiting().notified();
            if self.0.swap(WANTED, Ordering::SeqCst) == FREE {
                return;
            }
            freed.await;
        }
    }

    /// Takes it, if nobody else has it.
    pub(crate) fn try_take(&self) -> bool {
        self.0.compare_exchange(FREE, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    pub(crate) fn free(&self) {
        if self.0.swap(FREE, Ordering::SeqCst) == WANTED {
            self.waiting().notify_waiters();
        }
    }

    /// Addresses lie at regular distances: multiplied with 2^64 divided by the golden ratio, they spread over all places (Knuth, The
    /// Art of Computer Programming, volume 3, section 6.4).
    fn place(&self) -> usize {
        let address = ptr::from_ref(self).addr() as u64;
        (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - PLACES)) as usize
    }

    fn waiting(&self) -> &'static Notify {
        &WAITING[self.place()]
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.free();
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
        assert!(!lock.is_taken());
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
        assert!(!lock.is_taken());
    }

    #[tokio::test(start_paused = true)]
    async fn locks_that_share_a_place_do_not_disturb_each_other() {
        let locks: Vec<_> = (0..=WAITING.len()).map(|_| Arc::<Exclusive>::default()).collect();
        let shares = |lock: &Arc<Exclusive>| locks.iter().filter(|other| other.place() == lock.place()).nth(1);
        let (one, other) =
            locks.iter().find_map(|lock| Some((lock, shares(lock)?))).expect("one lock more than places");
        let (one_held, other_held) = (one.hold().await, other.hold().await);
        let [mut waits_for_one, mut waits_for_other] = [one, other].map(|lock| {
            let lock = lock.clone();
            tokio::spawn(async move { drop(lock.hold().await) })
        });
        let moment = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(moment, &mut waits_for_one).await.is_err());
        drop(one_held);
        waits_for_one.await.unwrap();
        assert!(tokio::time::timeout(moment, &mut waits_for_other).await.is_err());
        drop(other_held);
        waits_for_other.await.unwrap();
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
