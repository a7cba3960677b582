//! Sixteen clients that write without a pause, and what they were told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cloakroom::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Record, SaveOutcome, SessionStore, StoreError, Timestamp,
    UserIndex, Version,
};
use cloakroom::{Session, SessionId, SessionManager, SessionStatus, Token, TokenChange};
use tokio::task::JoinSet;

const CLIENTS: usize = 16;

/// How long each call to a store took at most.
#[derive(Clone, Debug)]
pub struct Stopwatch<S> {
    store: S,
    longest: Arc<Mutex<Duration>>,
}

impl<S> Stopwatch<S> {
    pub fn new(store: S) -> Self {
        Self { store, longest: Arc::default() }
    }

    pub fn longest(&self) -> Duration {
        *self.longest.lock().unwrap()
    }

    async fn time<T>(&self, call: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = call.await;
        let mut longest = self.longest.lock().unwrap();
        *longest = started.elapsed().max(*longest);
        result
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Stopwatch<S> {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        self.time(self.store.create(record, now)).await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.time(self.store.load(id, now)).await
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        self.time(self.store.save(record, expected, now)).await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.time(self.store.touch(id, expected, expires_at, now)).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.time(self.store.delete(id)).await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        self.store.expired(now, limit).await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        self.store.delete_expired(ids, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.store.user_index()
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        self.store.fresh_reads()
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        self.store.inventory()
    }
}

/// A session, and how often it was counted up: for certain, and perhaps.
struct Counted {
    token: Token,
    certain: u64,
    perhaps: u64,
}

#[derive(Default)]
struct Client {
    current: Option<Counted>,
    /// Sessions whose logout was acknowledged.
    ended: Vec<Token>,
    failures: Vec<Instant>,
    acknowledged: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Writes that the clients were told are kept.
    pub acknowledged: u64,
    /// Those of them that are gone.
    pub lost: u64,
    /// Sessions that were logged out and are back.
    pub resurrected: usize,
    pub failures: usize,
    /// From the first failure to the last.
    pub outage: Duration,
}

/// Lets clients count up sessions, log out and begin again while `disturb` runs, and for a second before and after. Then
/// looks at what is left, through the same manager.
pub async fn write_during(manager: &SessionManager, disturb: impl AsyncFnOnce()) -> Report {
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (manager, stop) = (manager.clone(), stop.clone());
        clients.spawn(async move {
            let mut client = Client::default();
            while !stop.load(Ordering::Relaxed) {
                client.step(&manager).await;
            }
            client
        });
    }
    let pause = Duration::from_secs(1);
    tokio::time::sleep(pause).await;
    disturb().await;
    tokio::time::sleep(pause).await;
    stop.store(true, Ordering::Relaxed);

    let clients = clients.join_all().await;
    let failures: Vec<Instant> = clients.iter().flat_map(|client| client.failures.iter().copied()).collect();
    let (first, last) = (failures.iter().min(), failures.iter().max());
    let mut report = Report {
        acknowledged: clients.iter().map(|client| client.acknowledged).sum(),
        lost: 0,
        resurrected: 0,
        failures: failures.len(),
        outage: first.zip(last).map_or(Duration::ZERO, |(first, last)| *last - *first),
    };
    for client in &clients {
        for token in &client.ended {
            report.resurrected += usize::from(open(manager, token).await.status() != SessionStatus::New);
        }
        if let Some(Counted { token, certain, perhaps }) = &client.current {
            let stored: u64 = open(manager, token).await.get("n").unwrap().unwrap_or(0);
            assert!(stored <= certain + perhaps, "counted {stored} times, asked for {certain} + {perhaps}");
            report.lost += certain.saturating_sub(stored);
        }
    }
    report
}

async fn open(manager: &SessionManager, token: &Token) -> Session {
    manager.open(token.expose().as_bytes()).await.expect("the store is back")
}

impl Client {
    async fn step(&mut self, manager: &SessionManager) {
        if self.try_step(manager).await.is_none() {
            self.failures.push(Instant::now());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `None` if it failed.
    async fn try_step(&mut self, manager: &SessionManager) -> Option<()> {
        let Some(current) = &mut self.current else {
            let session = manager.create();
            session.insert("n", 1).unwrap();
            let TokenChange::Issue(issued) = manager.commit(&session).await.ok()? else { panic!("no token") };
            self.current = Some(Counted { token: issued.token, certain: 1, perhaps: 0 });
            self.acknowledged += 1;
            return Some(());
        };
        let session = manager.open(current.token.expose().as_bytes()).await.ok()?;
        if current.certain % 20 == 0 {
            let Counted { token, .. } = self.current.take()?;
            session.destroy().unwrap();
            manager.commit(&session).await.ok()?;
            self.ended.push(token);
            self.acknowledged += 1;
            return Some(());
        }
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1).unwrap();
        if manager.commit(&session).await.is_err() {
            current.perhaps += 1;
            return None;
        }
        current.certain += 1;
        self.acknowledged += 1;
        Some(())
    }
}
