//! Requests of one session at the same time: no change is lost, and what has ended stays ended.

mod save;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    Conflicts, DropReason, MemoryStore, Session, SessionError, SessionEvent, SessionLayer, SessionManager,
    SessionPolicy, SessionStatus, SessionStore,
};
use http::StatusCode;
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::gate::Gate;
use crate::support::routes::{Change, add, n, routes};
use crate::support::{Answer, Browser, EventLog, layer, send, send_token};

/// One session and a request that has loaded it and waits, while the test lets others go first.
struct Race {
    app: Router,
    manager: SessionManager,
    store: CountingStore<MemoryStore>,
    clock: TestClock,
    events: EventLog,
    token: String,
    gate: Gate,
    late: JoinHandle<Answer>,
}

impl Race {
    /// The waiting request will do `late` to the session as soon as it goes on.
    async fn start<T: Send + 'static>(late: fn(&Session) -> Result<T, SessionError>) -> Self {
        Self::under(SessionPolicy::default(), |_| Ok(()), late).await
    }

    /// The same, doing `early` before it waits.
    async fn under<T: Send + 'static>(
        policy: SessionPolicy,
        early: Change,
        late: fn(&Session) -> Result<T, SessionError>,
    ) -> Self {
        Self::of("/set/old", policy, early, late).await
    }

    /// The same, with the session that this path makes.
    async fn of<T: Send + 'static>(
        path: &str,
        policy: SessionPolicy,
        early: Change,
        late: fn(&Session) -> Result<T, SessionError>,
    ) -> Self {
        let (store, clock) = (CountingStore::new(MemoryStore::new()), TestClock::default());
        let (events, gate) = (EventLog::default(), Gate::default());
        let layer = layer(store.clone(), &clock).policy(policy).unwrap().on_event(events.hook());
        let manager = layer.manager().clone();
        let wait = gate.clone();
        let handler = move |session: Session| async move {
            early(&session)?;
            wait.pass().await;
            late(&session).map(drop)
        };
        let app = routes().route("/late", get(handler)).route("/as/{user}", get(log_in)).route("/again", get(again));
        let app = app.layer(layer);
        let token = send(&app, path, &[]).await.token().unwrap().to_owned();
        let late = spawn(&app, "/late", &token);
        gate.arrived(1).await;
        store.reset();
        Self { app, manager, store, clock, events, token, gate, late }
    }

    async fn send(&self, path: &str) -> Answer {
        send_token(&self.app, path, &self.token).await
    }

    async fn finish(&mut self) -> Answer {
        self.gate.open(1);
        (&mut self.late).await.unwrap()
    }

    /// Whether the token opens a session.
    async fn is_alive(&self, token: &str) -> bool {
        open(&self.manager, token).await.status() == SessionStatus::Resumed
    }

    fn dropped(&self) -> Vec<DropReason> {
        let reason = |event| match event {
            SessionEvent::Dropped { reason, .. } => Some(reason),
            _ => None,
        };
        self.events.take().into_iter().filter_map(reason).collect()
    }
}

async fn again(session: Session) -> Result<(), SessionError> {
    session.reauthenticated()
}

async fn log_in(session: Session, Path(user): Path<String>) -> Result<(), SessionError> {
    session.login(user)
}

/// Stores a session that holds one key.
async fn new_session(app: &Router) -> String {
    send(app, "/set/old", &[]).await.token().unwrap().to_owned()
}

async fn open(manager: &SessionManager, token: &str) -> Session {
    manager.open(token.as_bytes()).await.unwrap()
}

fn spawn(app: &Router, path: &'static str, token: &str) -> JoinHandle<Answer> {
    let (app, token) = (app.clone(), token.to_owned());
    tokio::spawn(async move { send_token(&app, path, &token).await })
}

async fn all_ok(requests: impl IntoIterator<Item = JoinHandle<Answer>>) {
    for request in requests {
        let answer = request.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.token(), None);
    }
}

/// Sends parallel requests that each add one and then wait for 1 ms. How many of them succeeded, and where the counter
/// stands then.
async fn count_in_parallel(layer: SessionLayer, requests: u64) -> (u64, u64) {
    let slowly = get(|session: Session| async move {
        let answer = add(&session);
        tokio::time::sleep(Duration::from_millis(1)).await;
        answer
    });
    let app = routes().route("/slowly", slowly).layer(layer);
    let token = new_session(&app).await;
    let under_way: Vec<_> = (0..requests).map(|_| spawn(&app, "/slowly", &token)).collect();
    let mut answered = 0;
    for request in under_way {
        let answer = request.await.unwrap();
        assert!(answer.set_cookies().is_empty());
        answered += u64::from(answer.status == StatusCode::OK);
    }
    (answered, send_token(&app, "/n", &token).await.body.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rel_15_two_hundred_parallel_requests_count_to_200() {
    assert_eq!(count_in_parallel(layer(MemoryStore::new(), &TestClock::default()), 200).await, (200, 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rel_15_a_slow_store_counts_exactly_as_well() {
    let store = FaultStore::new(MemoryStore::new());
    for operation in [Operation::Load, Operation::Save] {
        store.always(operation, Fault::Yield(7));
    }
    assert_eq!(count_in_parallel(layer(store, &TestClock::default()), 50).await, (50, 50));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rel_15_when_the_store_fails_in_between_what_was_answered_with_success_counts_once() {
    let store = FaultStore::new(MemoryStore::new());
    (0..20).for_each(|_| store.once(Operation::Save, Fault::Down));
    let (answered, counted) = count_in_parallel(layer(store, &TestClock::default()), 50).await;
    assert_eq!(answered, counted);

    let store = FaultStore::new(MemoryStore::new());
    (0..20).for_each(|_| store.once(Operation::Save, Fault::AnswerLost));
    let (answered, counted) = count_in_parallel(layer(store, &TestClock::default()), 50).await;
    assert!((answered..=50).contains(&counted), "{answered} answered, {counted} counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rel_15_sixty_four_requests_that_commit_at_once_count_to_64() {
    let barrier = Arc::new(Barrier::new(64));
    let events = EventLog::default();
    let together = get(move |session: Session| async move {
        let answer = add(&session);
        barrier.wait().await;
        answer
    });
    let layer = layer(MemoryStore::new(), &TestClock::default()).on_event(events.hook());
    let app = routes().route("/together", together).layer(layer);
    let token = new_session(&app).await;
    all_ok((0..64).map(|_| spawn(&app, "/together", &token)).collect::<Vec<_>>()).await;
    assert_eq!(send_token(&app, "/n", &token).await.body, "64");
    // All were loaded at n = 0: had none been done again, the counter would stand at 1.
    assert_eq!(events.count(|event| matches!(event, SessionEvent::Retried { .. })), 63);
}

#[tokio::test]
async fn rel_15_requests_that_set_different_keys_both_keep_them() {
    let mut race = Race::start(|session| session.insert("late", 1)).await;
    race.send("/set/early").await;
    assert_eq!(race.finish().await.status, StatusCode::OK);
    assert_eq!(race.send("/keys").await.body, "old,early,late");
}

#[tokio::test]
async fn rel_15_requests_that_set_different_paths_of_one_object_both_keep_them() {
    let mut race = Race::start(|session| session.insert("account.late.deep", 1)).await;
    race.send("/set/account.early").await;
    race.finish().await;
    let account: serde_json::Value = open(&race.manager, &race.token).await.get("account").unwrap().unwrap();
    assert_eq!(account, serde_json::json!({"early": true, "late": {"deep": 1}}));
}

#[tokio::test]
async fn rel_15_a_removal_does_not_take_along_what_others_set() {
    let mut race = Race::start(|session| session.remove("old")).await;
    race.send("/set/early").await;
    race.finish().await;
    assert_eq!(race.send("/keys").await.body, "early");
}

#[tokio::test]
async fn rel_15_a_conflict_costs_one_load_and_one_save_more() {
    let mut race = Race::start(add).await;
    race.send("/add").await;
    race.store.reset();
    race.finish().await;
    assert_eq!(race.store.reset(), Calls { load: 1, save: 2, ..Calls::default() });
    assert_eq!(race.send("/n").await.body, "2");
}

#[tokio::test]
async fn rel_15_a_request_that_only_reads_never_meets_a_conflict() {
    let mut race = Race::start(n).await;
    race.send("/add").await;
    race.store.reset();
    assert_eq!(race.finish().await.status, StatusCode::OK);
    assert_eq!(race.store.reset(), Calls::default());
}

fn read_old(session: &Session) -> Result<(), SessionError> {
    session.get::<bool>("old").map(drop)
}

#[tokio::test]
async fn rel_15_get_then_insert_is_last_write_wins() {
    let mut race = Race::under(SessionPolicy::default(), read_old, |session| session.insert("old", "late")).await;
    assert_eq!(race.send("/set/old").await.status, StatusCode::OK);
    assert_eq!(race.finish().await.status, StatusCode::OK);
    assert_eq!(open(&race.manager, &race.token).await.get("old").unwrap(), Some("late".to_owned()));
}

fn refuse() -> SessionPolicy {
    SessionPolicy::default().conflicts(Conflicts::Refuse)
}

#[tokio::test]
async fn rel_15_get_then_insert_is_refused_where_the_policy_says_so() {
    let barrier = Arc::new(Barrier::new(8));
    let handler = get(move |session: Session| async move {
        let n: u64 = session.get("n")?.unwrap_or(0);
        barrier.wait().await;
        session.insert("n", n + 1)
    });
    let layer = layer(MemoryStore::new(), &TestClock::default()).policy(refuse()).unwrap();
    let app = routes().route("/naive", handler).layer(layer);
    let token = new_session(&app).await;
    let mut requests: Vec<_> = (0..8).map(|_| spawn(&app, "/naive", &token)).collect();
    let mut statuses = Vec::new();
    for request in requests.drain(..) {
        let answer = request.await.unwrap();
        assert!(answer.set_cookies().is_empty());
        statuses.push(answer.status);
    }
    statuses.sort();
    assert_eq!(statuses[0], StatusCode::OK);
    assert!(statuses[1..].iter().all(|status| *status == StatusCode::CONFLICT), "{statuses:?}");
    assert_eq!(send_token(&app, "/n", &token).await.body, "1");
}

#[tokio::test]
async fn rel_15_a_refused_request_keeps_nothing() {
    let mut race = Race::under(refuse(), read_old, |session| {
        session.insert("old", "late")?;
        session.insert("other", "late")
    })
    .await;
    // The value changes: that is what a conflict is.
    let early = open(&race.manager, &race.token).await;
    early.insert("old", "early").unwrap();
    race.manager.commit(&early).await.unwrap();
    let answer = race.finish().await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert!(answer.set_cookies().is_empty());
    let stored = open(&race.manager, &race.token).await;
    assert_eq!(stored.get("old").unwrap(), Some("early".to_owned()));
    assert!(!stored.contains("other").unwrap());
}

#[tokio::test]
async fn rel_15_refuse_lets_pass_what_overwrites_nothing_that_was_read() {
    let mut race = Race::under(refuse(), read_old, |session| {
        add(session)?;
        session.insert("other", "late")
    })
    .await;
    race.send("/add").await;
    race.send("/set/other").await;
    assert_eq!(race.finish().await.status, StatusCode::OK);
    assert_eq!(race.send("/n").await.body, "2");
}

#[tokio::test]
async fn rel_15_refuse_lets_one_of_two_requests_take_a_value() {
    let take = |session: &Session| session.take::<bool>("old").map(|old| assert!(old.is_some()));
    let mut race = Race::under(refuse(), take, |_| Ok(())).await;
    let early = open(&race.manager, &race.token).await;
    take(&early).unwrap();
    race.manager.commit(&early).await.unwrap();
    assert_eq!(race.finish().await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn rel_15_refuse_takes_all_for_a_read_of_every_key() {
    let mut race =
        Race::under(refuse(), |session| session.all().map(drop), |session| session.insert("x", "late")).await;
    race.send("/set/x").await;
    assert_eq!(race.finish().await.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn rel_15_refuse_remembers_what_was_read_before_a_save() {
    let gate = Gate::default();
    let wait = gate.clone();
    let handler = get(move |session: Session| async move {
        let n: u64 = session.get("n")?.unwrap_or(0);
        wait.pass().await;
        session.insert("step", 1)?;
        session.save().await?;
        session.insert("n", n + 1)
    });
    let layer = layer(MemoryStore::new(), &TestClock::default()).policy(refuse()).unwrap();
    let app = routes().route("/steps", handler).layer(layer);
    let token = new_session(&app).await;
    let late = spawn(&app, "/steps", &token);
    gate.arrived(1).await;
    send_token(&app, "/add", &token).await;
    send_token(&app, "/add", &token).await;
    gate.open(1);
    assert_eq!(late.await.unwrap().status, StatusCode::CONFLICT);
    assert_eq!(send_token(&app, "/n", &token).await.body, "2");
}

#[tokio::test]
async fn rel_15_refuse_does_not_take_what_the_request_itself_has_saved_for_anothers() {
    let layer = layer(MemoryStore::new(), &TestClock::default()).policy(refuse()).unwrap();
    let manager = layer.manager().clone();
    let token = new_session(&routes().layer(layer)).await;
    let session = open(&manager, &token).await;
    assert_eq!(session.get::<u64>("n").unwrap(), None);
    session.insert("n", 1).unwrap();
    session.save().await.unwrap();
    let other = open(&manager, &token).await;
    other.insert("other", 1).unwrap();
    manager.commit(&other).await.unwrap();
    session.insert("n", 2).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(2));
}

#[tokio::test]
async fn what_was_written_late_does_not_bring_a_session_back_after_logout() {
    let writes: [Change; 5] = [
        |session| session.insert("late", 1),
        |session| add(session).map(drop),
        Session::clear,
        Session::regenerate,
        |session| session.remember(Duration::from_hours(100)),
    ];
    for write in writes {
        let mut race = Race::start(write).await;
        assert!(race.send("/logout").await.removes_cookie());
        let answer = race.finish().await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.set_cookies(), [""; 0]);
        assert!(!race.is_alive(&race.token).await);
        assert_eq!(race.store.reset().create, 0);
        assert_eq!(race.dropped(), [DropReason::Ended]);
        let id = cloakroom::Token::parse(race.token.as_bytes()).unwrap().id();
        assert!(race.store.load(id, race.clock.timestamp()).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_late_read_that_would_move_the_expiry_does_not_bring_a_session_back_after_logout() {
    let mut race = Race::start(n).await;
    race.clock.advance(Duration::from_mins(30));
    race.send("/logout").await;
    race.store.reset();
    assert!(race.finish().await.set_cookies().is_empty());
    assert_eq!(race.store.reset().touch, 1);
    assert!(!race.is_alive(&race.token).await);
}

#[tokio::test]
async fn a_logout_is_final_although_others_have_saved_since_it_loaded() {
    let mut race = Race::start(Session::destroy).await;
    race.send("/add").await;
    assert!(race.finish().await.removes_cookie());
    assert!(!race.is_alive(&race.token).await);
}

#[tokio::test]
async fn two_logouts_at_once_are_no_error() {
    let mut race = Race::start(Session::destroy).await;
    assert!(race.send("/logout").await.removes_cookie());
    let answer = race.finish().await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.token(), None);
}

#[tokio::test]
async fn what_was_written_late_does_not_bring_a_session_back_after_it_expired() {
    let mut race = Race::start(|session| session.insert("late", 1)).await;
    race.clock.advance(Duration::from_hours(1));
    let answer = race.finish().await;
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::OK, vec![]));
    assert!(!race.is_alive(&race.token).await);
    assert_eq!(race.dropped(), [DropReason::Ended]);
}

#[tokio::test]
async fn what_was_written_before_a_login_and_finishes_after_it_is_dropped() {
    let writes: [Change; 4] = [
        |session| session.insert("late", 1),
        |session| add(session).map(drop),
        Session::clear,
        |session| session.remember(Duration::from_hours(100)),
    ];
    for write in writes {
        let mut race = Race::start(write).await;
        let login = race.send("/login").await;
        let new = login.token().unwrap();
        let answer = race.finish().await;
        assert_eq!((answer.status, answer.set_cookies()), (StatusCode::OK, vec![]));
        assert_eq!(race.dropped(), [DropReason::SecretReplaced]);
        assert!(!race.is_alive(&race.token).await);
        assert_eq!(open(&race.manager, new).await.keys(), ["old", "user"]);
        assert_eq!(open(&race.manager, new).await.is_persistent(), Some(false));
    }
}

#[tokio::test]
async fn rel_21_a_request_that_comes_with_a_replaced_secret_is_anonymous_and_keeps_the_new_cookie() {
    let mut browser = Browser::new(&routes().layer(layer(MemoryStore::new(), &TestClock::default())));
    browser.get("/add").await;
    let mut latecomer = browser.clone();
    browser.get("/login").await;
    for path in ["/n", "/add"] {
        let answer = latecomer.get(path).await;
        assert_eq!((answer.status, answer.set_cookies()), (StatusCode::OK, vec![]), "{path}");
    }
    assert_eq!(latecomer.get("/n").await.body, "0");
    assert_eq!(browser.get("/n").await.body, "1");
}

#[tokio::test]
async fn of_two_concurrent_regenerations_one_token_is_issued_and_good() {
    let mut race = Race::start(|session| {
        session.regenerate()?;
        session.insert("user", "late")
    })
    .await;
    let first = race.send("/login").await;
    let second = race.finish().await;
    assert_eq!((second.status, second.set_cookies()), (StatusCode::OK, vec![]));
    let session = open(&race.manager, first.token().unwrap()).await;
    assert_eq!(session.get("user").unwrap(), Some("ada".to_owned()));
    assert!(!race.is_alive(&race.token).await);
}

/// The first login stands. The answer to the other must not say welcome: it logs nobody in.
#[tokio::test]
async fn of_two_logins_at_once_the_second_is_told_that_it_failed() {
    let logins: [Change; 3] = [
        |session| session.login("ada"),
        |session| session.login_keeping("ada", ["old"]),
        |session| {
            session.login("ada")?;
            session.insert("late", 1)
        },
    ];
    for login in logins {
        let mut race = Race::start(login).await;
        let first = race.send("/as/bob").await;
        let second = race.finish().await;
        assert_eq!((second.status, second.set_cookies()), (StatusCode::CONFLICT, vec![]));
        assert_eq!(race.dropped(), [DropReason::SecretReplaced]);
        let session = open(&race.manager, first.token().unwrap()).await;
        assert_eq!((session.user().as_deref(), session.keys()), (Some("bob"), vec!["old".to_owned()]));
        assert!(race.manager.sessions_of("ada").await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_login_fails_if_the_session_is_ended_meanwhile() {
    let mut race = Race::start(|session| session.login("ada")).await;
    race.send("/logout").await;
    let answer = race.finish().await;
    assert_eq!((answer.status, answer.set_cookies()), (StatusCode::CONFLICT, vec![]));
    assert_eq!(race.dropped(), [DropReason::Ended]);
}

#[tokio::test]
async fn of_two_who_show_again_who_they_are_the_second_is_told_that_it_failed() {
    let mut race = Race::of("/as/ada", SessionPolicy::default(), |_| Ok(()), Session::reauthenticated).await;
    assert!(race.send("/again").await.token().is_some());
    let late = race.finish().await;
    assert_eq!((late.status, late.set_cookies()), (StatusCode::CONFLICT, vec![]));
}

/// A save that may have been stored comes first, and is dropped; the login behind it goes with it.
#[tokio::test]
async fn a_login_behind_an_unsure_save_is_told_that_it_failed() {
    let (faults, clock) = (FaultStore::new(MemoryStore::new()), TestClock::default());
    let gate = Gate::default();
    let (wait, down) = (gate.clone(), faults.clone());
    let slowly = move |session: Session| async move {
        session.insert("early", 1)?;
        down.once(Operation::Save, Fault::Down);
        down.once(Operation::Load, Fault::Down);
        assert!(session.save().await.is_err());
        wait.pass().await;
        session.login("ada")
    };
    let app = routes().route("/as/{user}", get(log_in)).route("/slowly", get(slowly)).layer(layer(faults, &clock));
    let token = new_session(&app).await;
    let late = spawn(&app, "/slowly", &token);
    gate.arrived(1).await;
    assert!(send_token(&app, "/as/bob", &token).await.token().is_some());
    gate.open(1);
    let late = late.await.unwrap();
    assert_eq!((late.status, late.set_cookies()), (StatusCode::CONFLICT, vec![]));
}

#[tokio::test]
async fn visitors_who_come_at_once_get_a_session_each() {
    let barrier = Arc::new(Barrier::new(64));
    let together = get(move |session: Session| async move {
        barrier.wait().await;
        add(&session)
    });
    let store = MemoryStore::new();
    let app = routes().route("/together", together).layer(layer(store.clone(), &TestClock::default()));
    let mut requests = JoinSet::new();
    for _ in 0..64 {
        let app = app.clone();
        requests.spawn(async move { send(&app, "/together", &[]).await });
    }
    let mut tokens = std::collections::HashSet::new();
    for answer in requests.join_all().await {
        assert_eq!(answer.body, "1");
        assert!(tokens.insert(answer.token().unwrap().to_owned()));
    }
    assert_eq!(store.len(), 64);
}
