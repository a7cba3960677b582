//! How long sessions live: idle timeout, absolute deadline, touch, "remember me", and clocks that jump.

use std::time::Duration;

use cloakroom::testing::{Calls, CountingStore, TestClock};
use cloakroom::{MemoryStore, SessionManager, SessionPolicy, SessionStatus, TokenChange};

use crate::support::manager;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

struct Setting {
    clock: TestClock,
    store: CountingStore<MemoryStore>,
    manager: SessionManager,
    token: String,
}

impl Setting {
    async fn new(policy: SessionPolicy, remember: Option<Duration>) -> Self {
        let (clock, store) = (TestClock::default(), CountingStore::new(MemoryStore::new()));
        let manager = manager(store.clone(), &clock).policy(policy).unwrap();
        let session = manager.create();
        session.insert("user", "ada").unwrap();
        if let Some(duration) = remember {
            session.remember(duration).unwrap();
        }
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
        let token = issued.token.expose().to_string();
        store.reset();
        Self { clock, store, manager, token }
    }

    /// One request that reads: whether it found the session, and what the client is told.
    async fn read(&self) -> (bool, TokenChange) {
        let session = self.manager.open(self.token.as_bytes()).await.unwrap();
        let found = session.status() == SessionStatus::Resumed;
        (found, self.manager.commit(&session).await.unwrap())
    }

    async fn is_alive(&self) -> bool {
        self.read().await.0
    }

    /// One request that writes.
    async fn write(&self) -> TokenChange {
        let session = self.manager.open(self.token.as_bytes()).await.unwrap();
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
        self.manager.commit(&session).await.unwrap()
    }
}

#[tokio::test]
async fn asvs_7_3_1_idle_is_exact() {
    for (preset, idle) in
        [(SessionPolicy::aal1(), 7 * DAY), (SessionPolicy::aal2(), HOUR), (SessionPolicy::aal3(), 15 * MINUTE)]
    {
        let alive = Setting::new(preset.clone(), None).await;
        alive.clock.advance(idle - Duration::from_millis(1));
        assert!(alive.is_alive().await);
        let dead = Setting::new(preset, None).await;
        dead.clock.advance(idle);
        assert!(!dead.is_alive().await);
        assert!(matches!(dead.read().await.1, TokenChange::Remove));
    }
}

#[tokio::test]
async fn asvs_7_3_2_the_absolute_deadline_does_not_move() {
    for writes in [false, true] {
        let setting = Setting::new(SessionPolicy::aal2(), None).await;
        for _ in 0..24 * 6 - 1 {
            setting.clock.advance(10 * MINUTE);
            if writes {
                setting.write().await;
            }
            assert!(setting.is_alive().await);
        }
        setting.clock.advance(10 * MINUTE);
        assert!(!setting.is_alive().await, "24 hours are over");
    }
}

#[tokio::test]
async fn the_absolute_deadline_survives_a_new_secret() {
    let mut setting = Setting::new(SessionPolicy::aal2().idle(DAY), None).await;
    setting.clock.advance(23 * HOUR);
    let session = setting.manager.open(setting.token.as_bytes()).await.unwrap();
    session.regenerate().unwrap();
    let TokenChange::Issue(issued) = setting.manager.commit(&session).await.unwrap() else { panic!("no token") };
    setting.token = issued.token.expose().to_string();
    assert!(setting.is_alive().await);
    setting.clock.advance(HOUR);
    assert!(!setting.is_alive().await);
}

#[tokio::test]
async fn reading_moves_the_expiry_once_a_tenth_is_used_up() {
    let setting = Setting::new(SessionPolicy::aal2(), None).await;
    setting.clock.advance(6 * MINUTE - Duration::from_millis(1));
    assert!(setting.is_alive().await);
    assert_eq!(setting.store.reset(), Calls { load: 1, ..Calls::default() });
    setting.clock.advance(Duration::from_millis(1));
    assert!(setting.is_alive().await);
    assert_eq!(setting.store.reset(), Calls { load: 1, touch: 1, ..Calls::default() });
    assert!(setting.is_alive().await);
    assert_eq!(setting.store.reset(), Calls { load: 1, ..Calls::default() });
    setting.clock.advance(HOUR - Duration::from_millis(1));
    assert!(setting.is_alive().await);
}

#[tokio::test]
async fn the_touch_threshold_can_be_set() {
    let policy = SessionPolicy::aal2().touch_after(30 * MINUTE);
    let setting = Setting::new(policy, None).await;
    setting.clock.advance(29 * MINUTE);
    setting.read().await;
    assert_eq!(setting.store.reset().touch, 0);
    setting.clock.advance(MINUTE);
    setting.read().await;
    assert_eq!(setting.store.reset().touch, 1);
}

#[tokio::test]
async fn remember_takes_the_place_of_both_timeouts_and_stays() {
    let setting = Setting::new(SessionPolicy::aal2(), Some(30 * DAY)).await;
    setting.clock.advance(29 * DAY);
    assert!(matches!(setting.read().await, (true, TokenChange::Keep)));
    assert!(matches!(setting.write().await, TokenChange::Keep));
    setting.clock.advance(DAY - Duration::from_millis(1));
    assert!(setting.is_alive().await);
    setting.clock.advance(Duration::from_millis(1));
    assert!(!setting.is_alive().await);
}

#[tokio::test]
async fn remember_tells_the_client_how_long() {
    let setting = Setting::new(SessionPolicy::aal2(), None).await;
    let session = setting.manager.open(setting.token.as_bytes()).await.unwrap();
    session.remember(30 * DAY).unwrap();
    let TokenChange::Issue(issued) = setting.manager.commit(&session).await.unwrap() else { panic!("no token") };
    assert_eq!(issued.lifetime, Some(30 * DAY));
    assert_eq!(*issued.token.expose(), setting.token, "the secret stays");
    let session = setting.manager.open(setting.token.as_bytes()).await.unwrap();
    assert_eq!((session.is_persistent(), session.absolute_remaining()), (Some(true), Some(30 * DAY)));
}

#[tokio::test]
async fn a_persistent_cookie_moves_together_with_the_record() {
    let setting = Setting::new(SessionPolicy::aal2().persistent(true), None).await;
    setting.clock.advance(5 * MINUTE);
    for change in [setting.read().await.1, setting.write().await] {
        assert!(matches!(change, TokenChange::Keep), "{change:?}");
    }
    setting.clock.advance(MINUTE);
    let TokenChange::Refresh(refreshed) = setting.read().await.1 else { panic!("no refresh") };
    assert_eq!((refreshed.token.expose().as_str(), refreshed.lifetime), (&*setting.token, Some(HOUR)));
    setting.clock.advance(7 * MINUTE);
    let TokenChange::Refresh(refreshed) = setting.write().await else { panic!("no refresh") };
    assert_eq!(refreshed.lifetime, Some(HOUR));
}

#[tokio::test]
async fn rel_09_a_clock_that_is_set_back_prolongs_nothing() {
    let setting = Setting::new(SessionPolicy::aal2(), None).await;
    setting.clock.advance(HOUR);
    assert!(!setting.is_alive().await);
    setting.clock.rewind(2 * HOUR);
    assert!(!setting.is_alive().await, "time does not run backwards");
}

#[tokio::test]
async fn rel_09_a_clock_that_was_ahead_is_corrected_at_the_next_use() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let ahead = TestClock::default();
    ahead.advance(20 * HOUR);
    let theirs = manager(store.clone(), &ahead);
    let session = theirs.create();
    session.insert("a", 1).unwrap();
    let TokenChange::Issue(issued) = theirs.commit(&session).await.unwrap() else { panic!("no token") };

    let ours = manager(store, &clock);
    let token = issued.token.expose();
    let session = ours.open(token.as_bytes()).await.unwrap();
    assert!(session.idle_remaining().unwrap() > 20 * HOUR);
    ours.commit(&session).await.unwrap();
    let session = ours.open(token.as_bytes()).await.unwrap();
    assert_eq!(session.idle_remaining(), Some(HOUR));
}

#[tokio::test]
async fn rel_09_no_date_and_no_duration_overflows() {
    let endless = SessionPolicy::aal2().idle(Duration::MAX).absolute(Duration::MAX);
    let setting = Setting::new(endless, None).await;
    // The years 2038, 9999, and the end of what can be counted.
    for seconds in [2_145_916_800, 253_402_300_799, i64::MAX as u64 / 1_001] {
        setting.clock.set(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert!(setting.is_alive().await, "{seconds}");
        setting.write().await;
        let session = setting.manager.open(setting.token.as_bytes()).await.unwrap();
        assert!(session.expires_at().is_some() && session.absolute_remaining().is_some());
    }
    let setting = Setting::new(SessionPolicy::aal2(), Some(Duration::MAX)).await;
    setting.clock.advance(399 * DAY);
    assert!(setting.is_alive().await, "what is beyond 400 days is cut off");
    setting.clock.advance(DAY);
    assert!(!setting.is_alive().await);
}
