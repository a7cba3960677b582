//! How often something is told that strangers can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;

/// How many are told at once, after a while without any.
const BURST: u32 = 10;

/// Time for one more.
const INTERVAL: Duration = Duration::from_secs(1);

/// Lets a burst pass, and then one in each interval.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Account>);

#[derive(Debug)]
struct Account {
    /// When all that have passed would have passed one by one.
    paid_until: Timestamp,
    suppressed: u64,
}

impl Default for Throttle {
    fn default() -> Self {
        Self(Mutex::new(Account { paid_until: Timestamp::from_millis(i64::MIN), suppressed: 0 }))
    }
}

impl Throttle {
    /// Whether one more may pass: how many did not since the last that did.
    pub(super) fn admit(&self, now: Timestamp) -> Option<u64> {
        let mut account = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if account.paid_until.saturating_since(now) > INTERVAL * (BURST - 1) {
            account.suppressed += 1;
            return None;
        }
        account.paid_until = account.paid_until.max(now).saturating_add(INTERVAL);
        Some(std::mem::take(&mut account.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_a_second_that_tells_of_the_others() {
        let throttle = Throttle::default();
        let passed = |at: i64, times: usize| -> Vec<u64> {
            (0..times).filter_map(|_| throttle.admit(Timestamp::from_millis(at))).collect()
        };
        assert_eq!(passed(0, 100), [0; 10]);
        assert!(passed(999, 5).is_empty());
        assert_eq!(passed(1_000, 5), [95]);
        assert_eq!(passed(3_000, 3), [4, 0]);
        assert_eq!(passed(1_000_000, 11).len(), 10);
    }
}
