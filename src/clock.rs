//! Time: where it comes from, and how it is counted inside.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// A point in time, in milliseconds since 1970-01-01 UTC, as records and stores keep it.
///
/// Arithmetic saturates: no duration, however long, makes it wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest point in time that can be counted.
    pub const MAX: Self = Self(i64::MAX);

    /// From milliseconds since 1970-01-01 UTC.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This much later, or [`MAX`](Self::MAX).
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How much later than `earlier` this is; zero if it is not.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// As many as can be counted. In 64 bits, which are divided faster than the 128 of `Duration::as_millis`.
fn millis(duration: Duration) -> i64 {
    let millis = duration.as_secs().saturating_mul(1_000).saturating_add(duration.subsec_millis().into());
    i64::try_from(millis).unwrap_or(i64::MAX)
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }
}

impl From<Timestamp> for SystemTime {
    /// Times that the platform cannot express become the latest or earliest that it can, within a factor of two.
    fn from(time: Timestamp) -> Self {
        let mut distance = Duration::from_millis(time.0.unsigned_abs());
        loop {
            let shifted = if time.0 >= 0 {
                SystemTime::UNIX_EPOCH.checked_add(distance)
            } else {
                SystemTime::UNIX_EPOCH.checked_sub(distance)
            };
            match shifted {
                Some(time) => return time,
                None => distance /= 2,
            }
        }
    }
}

/// Where the time comes from. The default is the system's clock; tests inject one that they set.
///
/// It may jump: a [`SessionManager`](crate::SessionManager) never lets time run backwards, so that a clock that is set
/// back cannot make an expired session live again.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// What time it is.
    fn now(&self) -> SystemTime;
}

/// The clock of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// A clock that never runs backwards: once a moment has been seen, no earlier one is.
#[derive(Debug)]
pub(crate) struct MonotonicClock {
    source: Arc<dyn Clock>,
    latest: AtomicI64,
}

impl MonotonicClock {
    pub(crate) fn new(source: Arc<dyn Clock>) -> Self {
        Self { source, latest: AtomicI64::new(i64::MIN) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::from(self.source.now()).0;
        // Most calls fall into a millisecond that was seen already: a load is cheaper than a contended write.
        let latest = self.latest.load(Ordering::Relaxed);
        if now <= latest {
            return Timestamp(latest);
        }
        Timestamp(self.latest.fetch_max(now, Ordering::Relaxed).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Debug)]
    struct Scripted(Mutex<Vec<i64>>);

    impl Clock for Scripted {
        fn now(&self) -> SystemTime {
            Timestamp::from_millis(self.0.lock().unwrap().remove(0)).into()
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let clock = MonotonicClock::new(Arc::new(Scripted(Mutex::new(vec![5, 9, 3, 9, 10]))));
        let seen: Vec<_> = (0..5).map(|_| clock.now().as_millis()).collect();
        assert_eq!(seen, [5, 9, 9, 9, 10]);
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::from_millis(1).saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(
            Timestamp::MAX.saturating_since(Timestamp::from_millis(i64::MIN)),
            Duration::from_millis(i64::MAX as u64)
        );
        assert_eq!(Timestamp::from_millis(1).saturating_since(Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn every_timestamp_becomes_a_system_time() {
        for millis in [i64::MIN + 1, -1, 0, 1, i64::MAX] {
            let _: SystemTime = Timestamp::from_millis(millis).into();
        }
        let year_9999 = Timestamp::from_millis(253_402_300_799_000);
        assert_eq!(Timestamp::from(SystemTime::from(year_9999)), year_9999);
    }
}
