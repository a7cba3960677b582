use std::sync::Arc;
use std::time::Duration;

use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, StoreErrorKind, Timestamp};
use cloakroom::testing::{CountingStore, Fault, FaultStore, Operation, TestClock, conformance};
use cloakroom::{
    CachedStore, ErrorKind, MemoryStore, MigratingStore, NoopStore, SessionId, SessionStatus, SessionStore,
    TimeoutStore, Token, TokenChange,
};
use tokio::task::JoinSet;

use super::{new_session, open};
use crate::support::gate::Gate;
use crate::support::manager;

const STALENESS: Duration = Duration::from_secs(10);

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000_000).saturating_add(Duration::from_secs(seconds))
}

fn record() -> Record {
    Record {
        id: SessionId::from_bytes([5; 16]),
        version: 1,
        user: Some("ada".into()),
        expires_at: at(60),
        payload: Payload::from_bytes(&b"first"[..]),
    }
}

fn second() -> Record {
    Record { version: 2, payload: Payload::from_bytes(&b"second"[..]), ..record() }
}

/// Two processes with memory of their own and one database.
fn two_processes() -> (CountingStore<MemoryStore>, [CachedStore<MemoryStore, CountingStore<MemoryStore>>; 2]) {
    let back = CountingStore::new(MemoryStore::new());
    let process = || CachedStore::new(MemoryStore::new(), back.clone(), STALENESS);
    (back.clone(), [process(), process()])
}

async fn version(store: &impl SessionStore, now: Timestamp) -> Option<u64> {
    store.load(record().id, now).await.unwrap().map(|record| record.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    for staleness in [Duration::ZERO, Duration::from_secs(1), Duration::from_hours(1)] {
        conformance::check(async || CachedStore::new(MemoryStore::new(), MemoryStore::new(), staleness)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_while_its_front_is_down() {
    conformance::check(async || {
        let front = FaultStore::new(MemoryStore::new());
        front.everything(Fault::Down);
        CachedStore::new(front, MemoryStore::new(), STALENESS)
    })
    .await;
}

#[tokio::test]
async fn the_back_decides_whether_it_can_be_reached() {
    let back = FaultStore::new(MemoryStore::new());
    back.everything(Fault::Down);
    let store = CachedStore::new(MemoryStore::new(), back.clone(), STALENESS);
    for call in [Operation::Create, Operation::Load, Operation::Save, Operation::Touch, Operation::Delete] {
        let (record, now) = (record(), at(0));
        let error = match call {
            Operation::Create => store.create(&record, now).await.unwrap_err(),
            Operation::Load => store.load(record.id, now).await.unwrap_err(),
            Operation::Save => store.save(&record, 1, now).await.unwrap_err(),
            Operation::Touch => store.touch(record.id, 1, now, now).await.unwrap_err(),
            _ => store.delete(record.id).await.unwrap_err(),
        };
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{call:?}");
    }
}

#[tokio::test]
async fn a_read_is_served_from_the_front_until_it_is_too_old() {
    let (back, [store, other]) = two_processes();
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(other.save(&second(), 1, at(1)).await.unwrap(), SaveOutcome::Saved);
    back.reset();
    assert_eq!(version(&store, at(9)).await, Some(1));
    assert_eq!(back.calls().load, 0);
    assert_eq!(version(&store, at(10)).await, Some(2));
    assert_eq!(version(&store, at(19)).await, Some(2));
    assert_eq!(back.reset().load, 1);
    // What comes from the front is the whole record, with its own expiry and not the cache's.
    let found = store.load(record().id, at(19)).await.unwrap().unwrap();
    assert_eq!((found.user.as_deref(), found.expires_at), (Some("ada"), at(60)));
    assert_eq!(found.payload.to_bytes().unwrap(), "second");
    assert_eq!(back.reset().load, 0);
    // A clock that was set back makes nothing younger.
    assert_eq!(version(&store, at(5)).await, Some(2));
    assert_eq!(back.reset().load, 1);
}

#[tokio::test]
async fn expiry_is_the_records_and_comes_before_the_bound() {
    let (back, [store, _]) = two_processes();
    assert_eq!(store.create(&record(), at(55)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(version(&store, at(59)).await, Some(1));
    assert_eq!(version(&store, at(60)).await, None);
    assert_eq!(store.touch(record().id, 1, at(120), at(59)).await.unwrap(), SaveOutcome::Saved);
    back.reset();
    let found = store.load(record().id, at(65)).await.unwrap().unwrap();
    assert_eq!((found.expires_at, back.calls().load), (at(120), 0));
}

#[tokio::test]
async fn a_conflict_after_a_stale_read_leads_to_a_fresh_one() {
    let (_, [store, other]) = two_processes();
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(other.save(&second(), 1, at(1)).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(version(&store, at(2)).await, Some(1));
    assert_eq!(store.save(&second(), 1, at(2)).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(version(&store, at(2)).await, Some(2));

    let third = Record { version: 3, ..second() };
    assert_eq!(other.save(&third, 2, at(3)).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(version(&store, at(4)).await, Some(2));
    assert_eq!(store.touch(record().id, 2, at(90), at(4)).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(version(&store, at(4)).await, Some(3));
}

#[tokio::test]
async fn a_logout_counts_here_at_once_and_elsewhere_within_the_bound() {
    let (_, [store, other]) = two_processes();
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    assert_eq!(version(&other, at(1)).await, Some(1));
    store.delete(record().id).await.unwrap();
    assert_eq!(version(&store, at(1)).await, None);
    assert_eq!(version(&other, at(10)).await, Some(1));
    assert_eq!(version(&other, at(11)).await, None);
    // Nor does anybody write to it, however much they still see.
    assert_eq!(other.save(&second(), 1, at(2)).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(version(&other, at(2)).await, None);
}

/// A read that has seen the record before the logout, and comes to the front after it, leaves nothing there.
#[tokio::test]
async fn a_slow_read_does_not_serve_what_was_logged_out() {
    for change in ["delete", "save"] {
        let (gate, back) = (Gate::default(), MemoryStore::new());
        let slow = super::GatedLoads { inner: back.clone(), gate: gate.clone() };
        let store = Arc::new(CachedStore::new(MemoryStore::new(), slow, STALENESS));
        assert_eq!(back.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
        let reader = store.clone();
        let reading = tokio::spawn(async move { version(&*reader, at(1)).await });
        gate.arrived(1).await;
        let expected = if change == "delete" {
            store.delete(record().id).await.unwrap();
            None
        } else {
            assert_eq!(store.save(&second(), 1, at(1)).await.unwrap(), SaveOutcome::Saved);
            Some(2)
        };
        gate.open(2);
        assert_eq!(reading.await.unwrap(), Some(1));
        assert_eq!(version(&*store, at(1)).await, expected, "{change}");
    }
}

#[tokio::test]
async fn a_front_that_fails_to_forget_is_not_believed() {
    let (front, back) = (FaultStore::new(MemoryStore::new()), MemoryStore::new());
    let store = CachedStore::new(front.clone(), back, STALENESS);
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    front.everything(Fault::Down);
    assert_eq!(version(&store, at(1)).await, Some(1));
    assert_eq!(store.save(&second(), 1, at(1)).await.unwrap(), SaveOutcome::Saved);
    front.heal();
    assert_eq!(version(&store, at(1)).await, Some(2));
    front.everything(Fault::Down);
    store.delete(record().id).await.unwrap();
    front.heal();
    assert_eq!(version(&store, at(1)).await, None);
}

/// The back decided whether there was another step, and cleaned up by itself: of the front one step was swept, and the rest stayed.
#[tokio::test]
async fn a_sweep_cleans_the_whole_front_whatever_the_back_finds() {
    let front = FaultStore::new(MemoryStore::new());
    let store = CachedStore::new(front.clone(), MemoryStore::new(), STALENESS);
    for byte in 0..25 {
        let record = Record { id: SessionId::from_bytes([byte; 16]), ..record() };
        assert_eq!(store.create(&record, at(0)).await.unwrap(), CreateOutcome::Created);
    }
    // A front that does not let go of anything is not asked for ever.
    for fault in [Fault::Down, Fault::Broken] {
        front.once(Operation::DeleteExpired, fault);
        assert_eq!(store.expired(at(11), 10).await.unwrap(), []);
        assert_eq!(front.inner().len(), 25);
    }
    assert_eq!(store.expired(at(11), 10).await.unwrap(), [], "the sessions live on in the back");
    assert!(front.inner().is_empty());
}

#[tokio::test]
async fn a_write_that_is_cut_short_leaves_nothing_outdated() {
    let (front, back) = (MemoryStore::new(), FaultStore::new(MemoryStore::new()));
    let store = CachedStore::new(front, back.clone(), STALENESS);
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    back.once(Operation::Save, Fault::Yield(1));
    {
        let (record, mut save) = (second(), None);
        let call = save.insert(store.save(&record, 1, at(1)));
        // Once to where it gives way, once to where it has saved and gives way again.
        for _ in 0..2 {
            assert!(futures_now(call.as_mut()).is_none());
        }
    }
    assert_eq!(version(&store, at(1)).await, Some(2));
    back.once(Operation::Delete, Fault::AnswerLost);
    store.delete(record().id).await.unwrap_err();
    assert_eq!(version(&store, at(1)).await, None);
}

/// The back had done one save, then another, and the answer to the first came last. The cache took the first for the newest,
/// and served it for the whole staleness.
#[tokio::test]
async fn of_two_saves_whose_answers_cross_neither_is_taken_for_the_newest() {
    let back = FaultStore::new(MemoryStore::new());
    let store = CachedStore::new(MemoryStore::new(), back.clone(), STALENESS);
    assert_eq!(store.create(&record(), at(0)).await.unwrap(), CreateOutcome::Created);
    back.once(Operation::Save, Fault::Yield(1));
    let (earlier, later) = (second(), Record { version: 3, ..second() });
    let mut first = store.save(&earlier, 1, at(1));
    // Once to where it gives way, once to where it has saved and gives way again.
    for _ in 0..2 {
        assert!(futures_now(first.as_mut()).is_none());
    }
    assert_eq!(store.save(&later, 2, at(1)).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(first.await.unwrap(), SaveOutcome::Saved);
    assert_eq!(version(&store, at(1)).await, Some(3));
}

fn futures_now<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match future.poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

/// Somebody logged in through one process, and was a stranger to the other for as long as that remembered the old secret.
#[tokio::test]
async fn rel_16_a_new_secret_is_known_to_every_process_at_once() {
    let clock = TestClock::default();
    let (back, processes) = two_processes();
    let [here, there] = processes.map(|store| manager(store, &clock));
    let before = new_session(&here).await;
    assert_eq!(open(&there, &before).await.status(), SessionStatus::Resumed);

    let login = open(&here, &before).await;
    login.regenerate().unwrap();
    login.insert("user", "ada").unwrap();
    let TokenChange::Issue(issued) = here.commit(&login).await.unwrap() else { panic!("no token") };
    back.reset();
    for (reads, wanted) in [1, 0].into_iter().zip(["past the cache once", "and then from what that left in it"]) {
        let session = open(&there, &issued.token).await;
        assert_eq!(session.get("user").unwrap(), Some("ada".to_owned()));
        assert_eq!(back.reset().load, reads, "{wanted}");
    }
    // And from that moment on the old one is known to be old.
    assert_eq!(open(&there, &before).await.status(), SessionStatus::New);
}

#[tokio::test]
async fn rel_16_a_wrapper_around_a_cache_does_not_stand_in_the_way() {
    type Wrap = fn(CachedStore<MemoryStore, MemoryStore>) -> Arc<dyn SessionStore>;
    let wrappers: [Wrap; 6] = [
        |cached| Arc::new(Box::new(cached) as Box<dyn SessionStore>),
        |cached| Arc::new(TimeoutStore::new(cached, STALENESS)),
        |cached| Arc::new(MigratingStore::new(MemoryStore::new(), cached)),
        |cached| Arc::new(CachedStore::new(NoopStore, cached, STALENESS)),
        |cached| Arc::new(CountingStore::new(cached)),
        |cached| Arc::new(FaultStore::new(cached)),
    ];
    for wrap in wrappers {
        let (back, clock) = (MemoryStore::new(), TestClock::default());
        let process = || manager(wrap(CachedStore::new(MemoryStore::new(), back.clone(), STALENESS)), &clock);
        let (here, there) = (process(), process());
        let before = new_session(&here).await;
        assert_eq!(open(&there, &before).await.status(), SessionStatus::Resumed);
        let login = open(&here, &before).await;
        login.regenerate().unwrap();
        let TokenChange::Issue(issued) = here.commit(&login).await.unwrap() else { panic!("no token") };
        let session = open(&there, &issued.token).await;
        assert_eq!(session.status(), SessionStatus::Resumed, "{:?}", there.store());
    }
}

#[tokio::test]
async fn rel_16_a_stranger_costs_the_same_calls_whatever_is_wrong_with_the_token() {
    let clock = TestClock::default();
    let back = CountingStore::new(MemoryStore::new());
    let cached = CachedStore::new(NoopStore, back.clone(), STALENESS);
    let plain = back.clone();
    for (manager, loads) in [(manager(cached, &clock), 2), (manager(plain, &clock), 1)] {
        let token = new_session(&manager).await;
        let expired = new_session(&manager).await;
        let unknown = Token::parse(&[b'A'; 64]).unwrap();
        let wrong = Token::parse((token.expose()[..60].to_owned() + "AAAA").as_bytes()).unwrap();
        for (token, hours) in [(unknown, 0), (wrong, 0), (expired, 24 * 365)] {
            clock.advance(Duration::from_hours(hours));
            back.reset();
            assert_eq!(open(&manager, &token).await.status(), SessionStatus::New);
            assert_eq!(back.reset().load, loads);
        }
    }
}

#[tokio::test]
async fn a_reload_sees_what_another_process_has_stored() {
    let clock = TestClock::default();
    let (_, processes) = two_processes();
    let [here, there] = processes.map(|store| manager(store, &clock));
    let token = new_session(&here).await;
    let (watching, writing) = (open(&here, &token).await, open(&there, &token).await);
    writing.insert("n", 7).unwrap();
    there.commit(&writing).await.unwrap();
    watching.reload().await.unwrap();
    assert_eq!(watching.get("n").unwrap(), Some(7));

    let logout = open(&there, &token).await;
    logout.destroy().unwrap();
    there.commit(&logout).await.unwrap();
    assert_eq!(watching.reload().await.unwrap_err().kind(), ErrorKind::Ended);
    // Nor does the cache believe any longer what the reload did not find.
    assert_eq!(open(&here, &token).await.status(), SessionStatus::New);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_through_two_processes_lose_nothing() {
    let clock = TestClock::default();
    let (_, processes) = two_processes();
    let managers = processes.map(|store| manager(store, &clock));
    let token = new_session(&managers[0]).await;
    let mut requests = JoinSet::new();
    for request in 0..100 {
        let (manager, token) = (managers[request % 2].clone(), token.clone());
        requests.spawn(async move {
            let session = open(&manager, &token).await;
            session.update("n", |n: Option<usize>| n.unwrap_or(0) + 1).unwrap();
            manager.commit(&session).await.unwrap();
        });
    }
    requests.join_all().await;
    clock.advance(STALENESS);
    for manager in &managers {
        assert_eq!(open(manager, &token).await.get("n").unwrap(), Some(100));
    }
    let session = open(&managers[0], &token).await;
    session.destroy().unwrap();
    managers[0].commit(&session).await.unwrap();
    assert_eq!(open(&managers[0], &token).await.status(), SessionStatus::New);
    clock.advance(STALENESS);
    assert_eq!(open(&managers[1], &token).await.status(), SessionStatus::New);
}
