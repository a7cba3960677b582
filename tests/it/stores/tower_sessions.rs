use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cloakroom::store::{CreateOutcome, Payload, Record, StoreErrorKind, Timestamp};
use cloakroom::testing::conformance;
use cloakroom::{SessionId, SessionStore as _, TowerSessionsStore};
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record as ForeignRecord};
use tower_sessions_core::session_store::{Error, Result};

/// As the one in the docs of `tower-sessions-core`. Clones share one store. Every call gives way to others.
#[derive(Clone, Debug, Default)]
pub struct ForeignStore {
    records: Arc<Mutex<HashMap<Id, ForeignRecord>>>,
    is_down: Arc<Mutex<bool>>,
}

impl ForeignStore {
    async fn records(&self) -> Result<std::sync::MutexGuard<'_, HashMap<Id, ForeignRecord>>> {
        tokio::task::yield_now().await;
        if *self.is_down.lock().unwrap() {
            return Err(Error::Backend("no connection".into()));
        }
        Ok(self.records.lock().unwrap())
    }
}

#[async_trait]
impl SessionStore for ForeignStore {
    async fn create(&self, record: &mut ForeignRecord) -> Result<()> {
        let mut records = self.records().await?;
        while records.contains_key(&record.id) {
            record.id = Id::default();
        }
        records.insert(record.id, record.clone());
        Ok(())
    }

    async fn save(&self, record: &ForeignRecord) -> Result<()> {
        self.records().await?.insert(record.id, record.clone());
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<ForeignRecord>> {
        let records = self.records().await?;
        Ok(records.get(id).filter(|record| record.expiry_date > OffsetDateTime::now_utc()).cloned())
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.records().await?.remove(id);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract_within_a_process() {
    let settings = conformance::Settings::default().cleans_up_by_itself();
    conformance::check_with(settings, async || TowerSessionsStore::new(ForeignStore::default())).await;
}

#[tokio::test]
async fn says_so_when_the_store_inside_is_down() {
    let inner = ForeignStore::default();
    *inner.is_down.lock().unwrap() = true;
    conformance::check_unreachable(TowerSessionsStore::new(inner), Duration::from_secs(2)).await;
}

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

fn record() -> Record {
    Record {
        id: SessionId::from_bytes([0xfe; 16]),
        version: 1,
        user: Some("ada".into()),
        expires_at: NOW.saturating_add(Duration::from_mins(1)),
        payload: Payload::from_bytes(&b"\0\xff"[..]),
    }
}

#[tokio::test]
async fn a_record_is_one_of_theirs_with_plain_fields() {
    let inner = ForeignStore::default();
    let store = TowerSessionsStore::new(inner.clone());
    assert_eq!(store.create(&record(), NOW).await.unwrap(), CreateOutcome::Created);
    let found = inner.records.lock().unwrap().values().next().unwrap().clone();
    assert_eq!(found.id.0.to_be_bytes(), [0xfe; 16]);
    assert_eq!(found.data["version"], 1);
    assert_eq!(found.data["user"], "ada");
    assert_eq!(found.data["expires_at"], record().expires_at.as_millis());
    assert_eq!(found.data["payload"], "AP8");
    // By its own clock it keeps the record a little longer than it lives.
    let life = found.expiry_date - OffsetDateTime::now_utc();
    assert!((10..=11).contains(&life.whole_minutes()), "{life}");
}

#[tokio::test]
async fn what_is_no_record_of_ours_is_corrupt() {
    let inner = ForeignStore::default();
    let store = TowerSessionsStore::new(inner.clone());
    assert_eq!(store.create(&record(), NOW).await.unwrap(), CreateOutcome::Created);
    let intact = inner.records.lock().unwrap().values().next().unwrap().clone();
    for field in ["version", "user", "expires_at", "payload"] {
        let mut foreign = intact.clone();
        foreign.data.insert(field.into(), serde_json::Value::Bool(true));
        inner.records.lock().unwrap().insert(foreign.id, foreign);
        assert_eq!(store.load(record().id, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt, "{field}");
    }
    let other = ForeignRecord { id: Id(5), ..intact.clone() };
    inner.records.lock().unwrap().insert(intact.id, other);
    assert_eq!(store.load(record().id, NOW).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
}

/// A save whose caller goes away is done before the next one of its session begins.
#[tokio::test]
async fn a_save_that_is_cut_short_comes_to_its_end_in_its_turn() {
    let store = TowerSessionsStore::new(ForeignStore::default());
    assert_eq!(store.create(&record(), NOW).await.unwrap(), CreateOutcome::Created);
    let save = store.clone();
    let call = tokio::spawn(async move {
        let second = Record { version: 2, ..record() };
        save.save(&second, 1, NOW).await
    });
    tokio::task::yield_now().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    store.delete(record().id).await.unwrap();
    for _ in 0..10 {
        tokio::task::yield_now().await;
        assert!(store.load(record().id, NOW).await.unwrap().is_none());
    }
}
