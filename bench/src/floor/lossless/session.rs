//! What a request does with its session, from the load to the commit.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Done;
use super::data::Data;
use super::store::{Record, Store};
use crate::floor::layer::shown;
use crate::floor::{Scheme, Secured};

const IDLE: Duration = Duration::from_hours(1);
/// An expiry that is nearer than this is moved.
const MOVED_BELOW: Duration = Duration::from_mins(54);
const DEADLINE: Duration = Duration::from_hours(12);

type Token = <Secured as Scheme>::Token;

/// A request of which nobody may ever ask for the session.
pub(super) struct Visit {
    store: Arc<dyn Store>,
    /// Set by the first who asks, and nothing again once the handler has answered.
    work: OnceLock<Mutex<Option<Work>>>,
}

pub(super) struct Work {
    base: Option<(Token, Record)>,
    /// The base's, with the changes.
    data: Arc<Data>,
    changes: Vec<Change>,
    now: SystemTime,
}

/// What can be done again.
enum Change {
    Put(&'static str, String),
    Update(&'static str, Again),
}

/// From the text of the old value, if there is one, to that of the new one.
type Again = Box<dyn Fn(Option<&str>) -> Done<String> + Send>;

/// What handlers get.
#[derive(Clone)]
pub(crate) struct LosslessSession(Arc<Visit>);

impl LosslessSession {
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Done<Option<T>> {
        let data = self.0.with_work(|work| Ok(work.data.clone()))?;
        data.get(name).map(decode).transpose()
    }

    pub(crate) fn insert<T: Serialize>(&self, name: &'static str, value: &T) -> Done {
        let text = encode(value)?;
        self.0.with_work(|work| work.change(Change::Put(name, text)))
    }

    pub(crate) fn update<T: DeserializeOwned + Serialize>(
        &self,
        name: &'static str,
        change: impl Fn(Option<T>) -> T + Send + 'static,
    ) -> Done {
        let again = move |old: Option<&str>| encode(&change(old.map(decode).transpose()?));
        self.0.with_work(|work| work.change(Change::Update(name, Box::new(again))))
    }
}

fn decode<T: DeserializeOwned>(text: &str) -> Done<T> {
    serde_json::from_str(text).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

fn encode<T: Serialize>(value: &T) -> Done<String> {
    serde_json::to_string(value).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

impl<T: Sync> FromRequestParts<T> for LosslessSession {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &T) -> Done<Self> {
        let visit = parts.extensions.get::<Arc<Visit>>().expect("the layer has put it there").clone();
        if visit.work.get().is_none() {
            let work = Work::open(&*visit.store, shown::<Secured>(&parts.headers)).await?;
            // If two have asked at once, the first has brought the work that both do.
            visit.work.get_or_init(|| Mutex::new(Some(work)));
        }
        Ok(Self(visit))
    }
}

impl Visit {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, work: OnceLock::new() }
    }

    pub(super) fn was_looked_at(&self) -> bool {
        self.work.get().is_some()
    }

    /// What has to be stored. Nothing can be written to it any more.
    pub(super) fn close(&self) -> Option<Work> {
        lock(self.work.get()?).take().filter(Work::is_due)
    }

    /// Stores it. A token is for the client to keep.
    pub(super) async fn commit(&self, work: Work) -> Done<Option<Token>> {
        work.commit(&*self.store).await
    }

    fn with_work<R>(&self, act: impl FnOnce(&mut Work) -> Done<R>) -> Done<R> {
        let work = self.work.get().expect("who has a handle has asked for it");
        lock(work).as_mut().ok_or(StatusCode::GONE).and_then(act)
    }
}

fn lock(work: &Mutex<Option<Work>>) -> MutexGuard<'_, Option<Work>> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work {
    async fn open(store: &dyn Store, token: Option<Token>) -> Done<Self> {
        let now = SystemTime::now();
        let base = match token {
            Some(token) => recognize(store, &token, now).await?.map(|record| (token, record)),
            None => None,
        };
        let data = base.as_ref().map_or_else(Arc::default, |(_, record)| record.data.clone());
        Ok(Self { base, data, changes: Vec::new(), now })
    }

    fn change(&mut self, change: Change) -> Done {
        self.data = change.done_to(&self.data)?;
        self.changes.push(change);
        Ok(())
    }

    fn is_due(&self) -> bool {
        let nears_its_end = |(_, record): &(Token, Record)| record.idle_until < self.now + MOVED_BELOW;
        !self.changes.is_empty() || self.base.as_ref().is_some_and(nears_its_end)
    }

    async fn commit(self, store: &dyn Store) -> Done<Option<Token>> {
        let Self { base, mut data, changes, now } = self;
        let idle_until = now + IDLE;
        let Some((token, mut record)) = base else {
            let token = Secured::fresh();
            let record = Record { version: 1, digest: Secured::digest(&token), idle_until, ends: now + DEADLINE, data };
            let is_new = store.create(Secured::id(&token), record).await?;
            return if is_new { Ok(Some(token)) } else { Err(StatusCode::SERVICE_UNAVAILABLE) };
        };
        loop {
            let next = Record { version: record.version + 1, idle_until, data, ..record };
            if store.save(Secured::id(&token), next).await? {
                return Ok(None);
            }
            // Somebody was faster, or has ended the session.
            record = recognize(store, &token, now).await?.ok_or(StatusCode::CONFLICT)?;
            data = changes.iter().try_fold(record.data.clone(), |data, change| change.done_to(&data))?;
        }
    }
}

impl Change {
    fn done_to(&self, data: &Data) -> Done<Arc<Data>> {
        Ok(Arc::new(match self {
            Self::Put(name, text) => data.with(name, text),
            Self::Update(name, again) => data.with(name, &again(data.get(name))?),
        }))
    }
}

/// The record that this token opens now.
async fn recognize(store: &dyn Store, token: &Token, now: SystemTime) -> Done<Option<Record>> {
    let record = store.load(Secured::id(token)).await?;
    Ok(record.filter(|record| now < record.idle_until.min(record.ends) && Secured::is_of(&record.digest, token)))
}
