//! REL-09: clocks that jump, disagree, or stand at the end of time.

use std::time::SystemTime;

use super::*;
use crate::support::Browser;

const HOUR: Duration = Duration::from_hours(1);

/// Nodes that share a store, each with a clock of its own.
struct Node {
    clock: TestClock,
    app: Router,
}

impl Node {
    fn of(store: &MemoryStore, clock: TestClock) -> Self {
        let left = get(async |session: Session| format!("{:?}", session.idle_remaining()));
        let app = routes().route("/left", left).layer(layer(store.clone(), &clock));
        Self { clock, app }
    }

    async fn send(&self, path: &str, token: &str) -> String {
        send_token(&self.app, path, token).await.body
    }
}

#[tokio::test]
async fn rel_09_a_clock_that_jumps_forward_ends_sessions_and_nothing_else() {
    let house = House::new().await;
    house.clock.advance(24 * HOUR);
    let answer = house.send("/add").await;
    assert_eq!((answer.status, &*answer.body), (StatusCode::OK, "1"));
    assert_ne!(answer.token().unwrap(), house.token);
}

#[tokio::test]
async fn rel_09_a_clock_that_is_set_back_does_not_bring_an_expired_session_back() {
    let house = House::new().await;
    house.clock.advance(HOUR);
    assert_eq!(house.send("/n").await.body, "0");
    house.clock.rewind(HOUR);
    assert_eq!(house.send("/n").await.body, "0");
}

#[tokio::test]
async fn rel_09_a_clock_that_is_set_back_extends_a_session_by_no_more_than_the_step() {
    let house = House::new().await;
    let minute = Duration::from_mins(1);
    for _ in 0..(24 * 60 - 1) {
        house.clock.advance(minute);
        assert_eq!(house.send("/n").await.body, "1");
    }
    house.clock.rewind(HOUR);
    for _ in 0..60 {
        assert_eq!(house.send("/n").await.body, "1");
        house.clock.advance(minute);
    }
    house.clock.advance(minute);
    assert_eq!(house.send("/n").await.body, "0");
}

#[tokio::test]
async fn rel_09_nodes_whose_clocks_differ_a_little_leave_each_others_expiry_alone() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let counting = CountingStore::new(store.clone());
    let ahead = Node::of(&store, TestClock::at(SystemTime::from(clock_plus(&clock, Duration::from_secs(59)))));
    let behind = routes().layer(layer(counting.clone(), &clock));
    let token = send(&ahead.app, "/add", &[]).await.token().unwrap().to_owned();
    assert_eq!(send_token(&behind, "/n", &token).await.body, "1");
    assert_eq!(counting.calls(), Calls { load: 1, ..Calls::default() });
    assert_eq!(send_token(&behind, "/add", &token).await.body, "2");
    assert_eq!(ahead.send("/add", &token).await, "3");
}

fn clock_plus(clock: &TestClock, step: Duration) -> cloakroom::store::Timestamp {
    clock.timestamp().saturating_add(step)
}

#[tokio::test]
async fn rel_09_a_node_whose_clock_is_far_ahead_does_not_make_sessions_live_longer() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let ahead = Node::of(&store, TestClock::at(clock_plus(&clock, 12 * HOUR).into()));
    let right = Node::of(&store, clock);
    let token = send(&ahead.app, "/add", &[]).await.token().unwrap().to_owned();
    assert_eq!(right.send("/left", &token).await, "Some(46800s)");
    assert_eq!(right.send("/left", &token).await, "Some(3600s)");
    right.clock.advance(HOUR);
    assert_eq!(right.send("/n", &token).await, "0");
}

#[tokio::test]
async fn rel_09_a_node_whose_clock_is_behind_serves_sessions_that_come_from_its_future() {
    let (store, clock) = (MemoryStore::new(), TestClock::default());
    let behind = Node::of(&store, TestClock::at(clock.timestamp().into()));
    behind.clock.rewind(3 * HOUR);
    let right = Node::of(&store, clock);
    let token = send(&right.app, "/add", &[]).await.token().unwrap().to_owned();
    assert_eq!(behind.send("/add", &token).await, "2");
}

/// A whole life at this time: created, read, written, renewed, remembered, ended.
async fn live(clock: TestClock, policy: SessionPolicy) {
    let remember = get(async |session: Session| session.remember(Duration::MAX));
    let info = get(async |session: Session| {
        format!(
            "{:?} {:?} {:?} {:?}",
            session.created_at(),
            session.expires_at(),
            session.idle_remaining(),
            session.absolute_remaining()
        )
    });
    let layer = layer(MemoryStore::new(), &clock).policy(policy).unwrap();
    let mut browser = Browser::new(&routes().route("/remember", remember).route("/info", info).layer(layer));
    for path in ["/n", "/add", "/n", "/info", "/add", "/login", "/n", "/remember", "/info", "/add", "/logout", "/n"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path} at {clock:?}: {}", answer.body);
    }
}

#[tokio::test]
async fn rel_09_sessions_live_at_the_ends_of_time() {
    let epoch = SystemTime::UNIX_EPOCH;
    let times = [
        epoch,
        epoch - 24 * HOUR,
        epoch + Duration::from_secs(i32::MAX as u64),
        epoch + Duration::from_secs(u64::from(u32::MAX)),
        epoch + Duration::from_secs(253_402_300_799),
        cloakroom::store::Timestamp::from_millis(i64::MIN + 1).into(),
    ];
    for time in times {
        live(TestClock::at(time), SessionPolicy::default()).await;
    }
}

#[tokio::test]
async fn rel_09_endless_durations_do_not_overflow() {
    let endless = SessionPolicy::default().idle(Duration::MAX).absolute(Duration::MAX);
    let year_9999 = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    for time in [SystemTime::UNIX_EPOCH, year_9999] {
        live(TestClock::at(time), endless.clone()).await;
    }
}

#[tokio::test]
async fn rel_09_an_endless_session_outlives_every_jump() {
    let endless = SessionPolicy::default().idle(Duration::MAX).absolute(Duration::MAX);
    let house = House::with(Router::new(), |layer| layer.policy(endless).unwrap()).await;
    house.clock.advance(HOUR * 24 * 366 * 1_000);
    assert_eq!(house.send("/add").await.body, "2");
    house.clock.rewind(HOUR * 24 * 366 * 2_000);
    assert_eq!(house.send("/add").await.body, "3");
}

#[tokio::test]
async fn rel_09_at_the_last_moment_that_can_be_counted_nothing_panics() {
    let house = House::new().await;
    house.clock.advance(Duration::MAX);
    for path in ["/n", "/add", "/login", "/logout", "/ignore"] {
        assert!(house.send(path).await.status.is_success(), "{path}");
    }
}
