//! How long to wait before trying again.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// Waits with jitter, so that processes that met at one record do not meet there again: a random part of 1, 2, 4 ms and so
/// on, up to 32 ms.
#[derive(Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(crate) async fn wait(&mut self) {
        let longest = Duration::from_millis(1 << self.tries.min(5));
        self.tries += 1;
        tokio::time::sleep(jitter(longest)).await;
    }
}

/// A random part of a duration.
pub(crate) fn jitter(longest: Duration) -> Duration {
    // The standard library seeds its hashers from the operating system: good enough to spread, no generator needed.
    let random = RandomState::new().hash_one(0_u8) >> 32;
    longest.mul_f64(f64::from(u32::try_from(random).unwrap_or(u32::MAX)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_spreads_over_the_whole_time() {
        let longest = Duration::from_secs(1);
        let drawn: Vec<_> = (0..200).map(|_| jitter(longest)).collect();
        assert!(drawn.iter().all(|wait| *wait <= longest));
        assert!(drawn.iter().any(|wait| *wait < longest / 4) && drawn.iter().any(|wait| *wait > longest * 3 / 4));
    }

    #[tokio::test(start_paused = true)]
    async fn waits_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        for tries in 0..100 {
            let before = tokio::time::Instant::now();
            backoff.wait().await;
            // The runtime's timer counts whole milliseconds, rounded up.
            let longest = [2, 3, 5, 9, 17].get(tries).copied().unwrap_or(33);
            assert!(before.elapsed() <= Duration::from_millis(longest), "{tries}: {:?}", before.elapsed());
        }
    }
}
