//! Mistakes that were made once. Each test tells the story of one.

mod bags;
mod paths;
mod rotation;
mod stores;
mod users;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, SaveOutcome, StoreError, Timestamp, UserIndex, Version,
};
use cloakroom::testing::{CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    Conflicts, ErrorKind, MemoryStore, Session, SessionError, SessionEvent, SessionId, SessionManager, SessionPolicy,
    SessionStatus, SessionStore, TokenChange,
};

use crate::support::{EventLog, layer, manager, send_token};

async fn new_token(manager: &SessionManager) -> String {
    let session = manager.create();
    session.insert("n", 0).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    issued.token.expose().to_string()
}

async fn open(manager: &SessionManager, token: &str) -> Session {
    manager.open(token.as_bytes()).await.unwrap()
}

fn fresh() -> SessionManager {
    manager(MemoryStore::new(), &TestClock::default())
}

/// `update` computed again whenever anything of the session had changed in between. A function that itself wrote to the
/// session kept it busy for ever.
#[test]
fn an_update_whose_function_writes_to_the_session_comes_to_an_end() {
    let session = fresh().create();
    let inside = session.clone();
    let elsewhere = session.update("n", move |n: Option<u8>| {
        inside.insert("seen", true).unwrap();
        n.unwrap_or(0) + 1
    });
    assert_eq!((elsewhere.unwrap(), session.get("seen").unwrap()), (1, Some(true)));

    let inside = session.clone();
    let its_own_path = session.update("n", move |n: Option<u8>| {
        let n = n.unwrap_or(0) + 1;
        inside.insert("n", n).unwrap();
        n
    });
    assert_eq!(its_own_path.unwrap_err().kind(), ErrorKind::Contended);
}

/// With `best_effort` a failed `save().await` reported success and forgot the changes, so that the final commit, to which
/// the store was there again, had nothing to store.
#[tokio::test]
async fn best_effort_gives_up_at_the_end_of_a_request_and_not_in_the_middle() {
    let store = FaultStore::new(MemoryStore::new());
    let policy = SessionPolicy::default().best_effort(true);
    let manager = manager(store.clone(), &TestClock::default()).policy(policy).unwrap();
    let token = new_token(&manager).await;
    let session = open(&manager, &token).await;
    session.insert("n", 1).unwrap();
    store.always(Operation::Save, Fault::Down);
    assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Unavailable);
    store.heal();
    manager.commit(&session).await.unwrap();
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(1));
}

/// `clear` overwrites everything, and was not counted among what overwrites.
#[tokio::test]
async fn refuse_counts_clear_as_a_write_of_every_key() {
    let policy = SessionPolicy::default().conflicts(Conflicts::Refuse);
    let manager = fresh().policy(policy).unwrap();
    let token = new_token(&manager).await;
    let ours = open(&manager, &token).await;
    ours.get::<u8>("n").unwrap();
    let theirs = open(&manager, &token).await;
    theirs.insert("n", 50).unwrap();
    manager.commit(&theirs).await.unwrap();
    ours.clear().unwrap();
    assert_eq!(manager.commit(&ours).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(50));
}

/// A new secret was stored by a save in flight, and another request had made impossible what was written meanwhile. The
/// error about that hid the new secret from the client, which held a dead one from then on.
#[tokio::test]
async fn a_new_secret_reaches_the_client_although_later_changes_do_not_fit() {
    let store = FaultStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let token = new_token(&manager).await;
    let session = open(&manager, &token).await;
    session.regenerate().unwrap();
    store.once(Operation::Save, Fault::Yield(3));
    let saving = tokio::spawn({
        let session = session.clone();
        async move { session.save().await }
    });
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    let other = open(&manager, &token).await;
    other.insert("a", 5).unwrap();
    manager.commit(&other).await.unwrap();
    session.insert("a.b", 1).unwrap();
    let _ = saving.await.unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("the secret is lost") };
    assert_eq!(open(&manager, &issued.token.expose()).await.status(), SessionStatus::Resumed);
}

/// A client of a store sent a compare-and-swap twice, as drivers do after a reconnect. The second met what the first had
/// stored, and the engine took its own record for somebody else's: the counter counted twice.
#[derive(Debug)]
struct SendsTwice(MemoryStore);

#[async_trait]
impl SessionStore for SendsTwice {
    async fn create(&self, record: &cloakroom::store::Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let _ = self.0.create(record, now).await?;
        self.0.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<cloakroom::store::Record>, StoreError> {
        self.0.load(id, now).await
    }

    async fn save(
        &self,
        record: &cloakroom::store::Record,
        expected: Version,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _ = self.0.save(record, expected, now).await?;
        self.0.save(record, expected, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.0.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.0.delete(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.0.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.0.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

#[tokio::test]
async fn a_write_that_the_stores_client_sends_twice_counts_once() {
    let store = MemoryStore::new();
    let manager = manager(SendsTwice(store.clone()), &TestClock::default());
    let token = new_token(&manager).await;
    assert_eq!(store.len(), 1);
    let session = open(&manager, &token).await;
    session.update("n", |n: Option<u8>| n.unwrap_or(0) + 1).unwrap();
    manager.commit(&session).await.unwrap();
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(1));
}

/// Two layers with one cookie lay within each other. Between them something had read the session and found the shown cookie
/// stale; inside, a login made a new one. The outer layer then removed the cookie that the inner one had just set.
#[tokio::test]
async fn a_layer_within_a_layer_of_the_same_cookie_is_one_session() {
    let store = MemoryStore::new();
    let clock = TestClock::default();
    let reads = async |session: Session, request: Request, next: Next| {
        assert!(session.keys().is_empty());
        next.run(request).await
    };
    let login = async |session: Session| session.insert("user", "ada");
    let app = Router::new()
        .route("/", get(login))
        .layer(layer(store.clone(), &clock))
        .layer(from_fn(reads))
        .layer(layer(store.clone(), &clock));
    let answer = send_token(&app, "/", &"A".repeat(64)).await;
    assert_eq!(answer.set_cookies().len(), 1);
    let token = answer.token().expect("the new session's cookie").to_owned();
    assert_eq!(open(&manager(store, &clock), &token).await.get("user").unwrap(), Some("ada".to_owned()));
}

/// A commit that failed for another reason than the store was answered with an error, and nobody but the client heard of it.
#[tokio::test]
async fn a_commit_that_fails_is_reported() {
    let log = EventLog::default();
    let manager = fresh().on_event(log.hook());
    let token = new_token(&manager).await;
    let ours = open(&manager, &token).await;
    ours.insert("a.b", 1).unwrap();
    let theirs = open(&manager, &token).await;
    theirs.insert("a", 5).unwrap();
    manager.commit(&theirs).await.unwrap();
    assert_eq!(manager.commit(&ours).await.unwrap_err().kind(), ErrorKind::NotAnObject);
    let failed =
        |event: &SessionEvent| matches!(event, SessionEvent::CommitFailed { kind: ErrorKind::NotAnObject, .. });
    assert_eq!(log.count(failed), 1);
}

/// A function of an update that holds its own session kept both alive for ever, once the request had been dropped.
#[tokio::test]
async fn a_dropped_request_leaves_nothing_behind() {
    let witness = Arc::new(());
    let held = witness.clone();
    let handler = get(move |session: Session| async move {
        let (inside, held) = (session.clone(), held.clone());
        session.update("n", move |n: Option<u8>| {
            let _ = (&inside, &held);
            n.unwrap_or(0)
        })?;
        std::future::pending::<()>().await;
        Ok::<_, SessionError>(())
    });
    {
        let app = Router::new().route("/", handler).layer(layer(MemoryStore::new(), &TestClock::default()));
        let request = send_token(&app, "/", "none");
        assert!(tokio::time::timeout(Duration::from_millis(20), request).await.is_err());
    }
    assert_eq!(Arc::strong_count(&witness), 1);
}

/// "Remember me" for no time at all made a cookie that was over when it arrived, and a session with it.
#[tokio::test]
async fn remember_for_no_time_is_a_second() {
    let manager = fresh();
    let session = manager.create();
    session.insert("n", 0).unwrap();
    session.remember(Duration::ZERO).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    assert_eq!(issued.lifetime, Some(Duration::from_secs(1)));
}

/// A thousand requests that saved one session at once asked the store half a million times: in each round one succeeded, and
/// all others loaded and tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_meet_at_one_session_take_turns() {
    const REQUESTS: usize = 200;
    let faults = FaultStore::new(MemoryStore::new());
    let store = CountingStore::new(faults.clone());
    let manager = manager(store.clone(), &TestClock::default());
    let token = new_token(&manager).await;
    faults.always(Operation::Save, Fault::Yield(5));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS {
        let session = open(&manager, &token).await;
        session.update("n", |n: Option<usize>| n.unwrap_or(0) + 1).unwrap();
        let manager = manager.clone();
        requests.spawn(async move { manager.commit(&session).await.map(drop) });
    }
    for result in requests.join_all().await {
        result.unwrap();
    }
    assert_eq!(open(&manager, &token).await.get("n").unwrap(), Some(REQUESTS));
    let saves = store.calls().save;
    assert!(saves <= 3 * REQUESTS, "{saves} saves for {REQUESTS} requests");
}

/// Reports the failure of a first save that is still under way, and lets it land just before the next one.
#[derive(Debug, Default)]
struct LandsLate(MemoryStore, std::sync::Mutex<Option<(cloakroom::store::Record, Version)>>);

#[async_trait]
impl SessionStore for LandsLate {
    async fn create(&self, record: &cloakroom::store::Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.0.create(record, now).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<cloakroom::store::Record>, StoreError> {
        self.0.load(id, now).await
    }

    async fn save(
        &self,
        record: &cloakroom::store::Record,
        expected: Version,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let under_way = self.1.lock().unwrap().take();
        let Some((late, its_expected)) = under_way else {
            *self.1.lock().unwrap() = Some((record.clone(), expected));
            return Err(StoreError::timed_out(Duration::from_secs(1)));
        };
        let _ = self.0.save(&late, its_expected, now).await?;
        self.0.save(record, expected, now).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.0.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.0.delete(id).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.0.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.0.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}
