use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cloakroom::TowerSessionsStore;
use cloakroom::testing::conformance;
use time::OffsetDateTime;
use tower_sessions_core::SessionStore;
use tower_sessions_core::session::{Id, Record};
use tower_sessions_core::session_store::{Error, Result};

/// As the one in the docs of `tower-sessions-core`. Clones share one store. Every call gives way to others.
#[derive(Clone, Debug, Default)]
struct ForeignStore {
    records: Arc<Mutex<HashMap<Id, Record>>>,
    is_down: Arc<Mutex<bool>>,
}

impl ForeignStore {
    async fn records(&self) -> Result<std::sync::MutexGuard<'_, HashMap<Id, Record>>> {
        tokio::task::yield_now().await;
        if *self.is_down.lock().unwrap() {
            return Err(Error::Backend("no connection".into()));
        }
        Ok(self.records.lock().unwrap())
    }
}

#[async_trait]
impl SessionStore for ForeignStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let mut records = self.records().await?;
        while records.contains_key(&record.id) {
            record.id = Id::default();
        }
        records.insert(record.id, record.clone());
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.records().await?.insert(record.id, record.clone());
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
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
    let settings = conformance::Settings::default().cleans_up_by_itself().concurrent_savers(200);
    conformance::check_with(settings, async || TowerSessionsStore::new(ForeignStore::default())).await;
}
