//! A clock that tests set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use crate::clock::{Clock, Timestamp};

/// A clock that stands still until a test moves it. Clones are one clock.
///
/// ```
/// use cloakroom::testing::TestClock;
/// use cloakroom::{MemoryStore, SessionLayer, SessionManager};
/// use std::time::Duration;
///
/// let clock = TestClock::default();
/// let layer = SessionLayer::with_manager(SessionManager::new(MemoryStore::new()).clock(clock.clone()));
/// clock.advance(Duration::from_hours(1)); // every idle session is over
/// ```
#[derive(Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl Default for TestClock {
    /// 2025-01-01 00:00 UTC.
    fn default() -> Self {
        Self::at(SystemTime::UNIX_EPOCH + Duration::from_hours(482_136))
    }
}

impl TestClock {
    /// Stands at this time, to the millisecond.
    pub fn at(time: SystemTime) -> Self {
        Self(Arc::new(AtomicI64::new(Timestamp::from(time).as_millis())))
    }

    /// Moves forward.
    pub fn advance(&self, by: Duration) {
        self.set(Timestamp::from(self.now()).saturating_add(by).into());
    }

    /// Moves back, as when an operator or NTP corrects a clock.
    pub fn rewind(&self, by: Duration) {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let back = |now: i64| Some(now.saturating_sub(millis));
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, back);
    }

    /// Moves to this time, to the millisecond.
    pub fn set(&self, time: SystemTime) {
        self.0.store(Timestamp::from(time).as_millis(), Ordering::SeqCst);
    }

    /// The time as records have it.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        self.timestamp().into()
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClock").field(&self.timestamp()).finish()
    }
}
