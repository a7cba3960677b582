//! The store of one request whose client holds the data of its session, in front of the one that has all else.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::text;
use crate::clock::Timestamp;
use crate::codec::Binding;
use crate::data::Data;
use crate::error::StoreError;
use crate::record::{Contents, Decoded, Origin, Payload, Record, Version};
use crate::state::Terms;
use crate::store::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, SaveOutcome, SessionStore, UserIndex, load_fresh,
};
use crate::token::SessionId;

pub(super) struct DataStore {
    store: Arc<dyn SessionStore>,
    origin: Arc<Origin>,
    longest_text: usize,
    out_of_reach: bool,
    held: Mutex<Held>,
}

/// What the client holds, as far as is known here.
#[derive(Clone, Default)]
struct Held {
    /// `None` until the session is made.
    id: Option<SessionId>,
    data: Encoded,
    /// What is being saved, and by which write. It counts as soon as that is found in the store.
    unconfirmed: Option<(u64, Encoded)>,
}

/// Data, and their bytes as the codec has made them.
#[derive(Clone, Default)]
pub(super) struct Encoded {
    data: Arc<Data>,
    bytes: Bytes,
}

impl DataStore {
    pub(super) fn new(
        store: Arc<dyn SessionStore>,
        shown: Option<(SessionId, Encoded)>,
        terms: &Terms,
        longest_text: usize,
    ) -> Self {
        let (id, data) = shown.map_or((None, Encoded::default()), |(id, data)| (Some(id), data));
        Self {
            store,
            origin: terms.origin.clone(),
            longest_text,
            out_of_reach: false,
            held: Mutex::new(Held { id, data, unconfirmed: None }),
        }
    }

    /// For what goes on beyond the request: no data reach the client any more.
    pub(super) fn out_of_reach(&self) -> Self {
        Self {
            store: self.store.clone(),
            origin: self.origin.clone(),
            longest_text: self.longest_text,
            out_of_reach: true,
            held: Mutex::new(self.held().clone()),
        }
    }

    /// What the client is to hold.
    pub(super) fn to_bytes(&self) -> Bytes {
        self.held().data.bytes.clone()
    }

    /// Takes the data out of a record that is to be saved.
    fn take_out(&self, record: &Record) -> Result<Record, StoreError> {
        let contents = record.decode(&self.origin).map_err(StoreError::other)?;
        if self.out_of_reach && contents.data.as_str() != self.held().data.data.as_str() {
            return Err(StoreError::unsupported(
                "the client holds the data, and there is no answer that could bring it other ones",
            ));
        }
        let binding = Binding { namespace: &self.origin.namespace, id: record.id, user: None };
        let bytes = self.origin.codec.encode(contents.data.as_str().into(), binding).map_err(StoreError::other)?;
        text::check(bytes.len(), self.longest_text)?;
        let encoded = Encoded { data: contents.data.clone(), bytes: bytes.into() };
        let mut held = self.held();
        held.id = Some(record.id);
        held.unconfirmed = Some((contents.write, encoded));
        drop(held);
        Ok(Self::with_data(record.clone(), &contents, Arc::default()))
    }

    /// Puts the data into a record that was loaded. What cannot be read is for the engine to judge.
    fn put_in(&self, record: Record) -> Record {
        if self.held().id != Some(record.id) {
            return record;
        }
        let Ok(contents) = record.decode(&self.origin) else { return record };
        let data = {
            let mut held = self.held();
            held.confirm(contents.write);
            held.data.data.clone()
        };
        Self::with_data(record, &contents, data)
    }

    fn with_data(record: Record, contents: &Contents, data: Arc<Data>) -> Record {
        let contents = Decoded::from(Contents { data, ..contents.clone() });
        Record { payload: Payload::from(contents), ..record }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The store has what this write has saved.
    fn confirm(&mut self, write: u64) {
        if let Some((_, data)) = self.unconfirmed.take_if(|(unconfirmed, _)| *unconfirmed == write) {
            self.data = data;
        }
    }

    fn confirm_last(&mut self) {
        if let Some((_, data)) = self.unconfirmed.take() {
            self.data = data;
        }
    }
}

/// The data of a session; `None` if these are none.
pub(super) fn read(bytes: &[u8], id: SessionId, terms: &Terms) -> Option<Encoded> {
    let binding = Binding { namespace: &terms.origin.namespace, id, user: None };
    let document = terms.origin.codec.decode(bytes, binding).ok()?;
    let data = Data::parse(std::str::from_utf8(&document).ok()?).ok()?;
    Some(Encoded { data: data.into(), bytes: Bytes::copy_from_slice(bytes) })
}

/// No data: they are the application's.
impl fmt::Debug for DataStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataStore").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for DataStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let outcome = self.store.create(&self.take_out(record)?, now).await?;
        if outcome == CreateOutcome::Created {
            self.held().confirm_last();
        }
        Ok(outcome)
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.store.load(id, now).await?.map(|record| self.put_in(record)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let outcome = self.store.save(&self.take_out(record)?, expected, now).await?;
        if outcome == SaveOutcome::Saved {
            self.held().confirm_last();
        }
        Ok(outcome)
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.store.touch(id, expected, expires_at, now).await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.store.delete(id).await
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
        self.store.fresh_reads().map(|_| self as &dyn FreshReads)
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        None
    }
}

#[async_trait]
impl FreshReads for DataStore {
    async fn load_fresh(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(load_fresh(&self.store, id, now).await?.map(|record| self.put_in(record)))
    }
}
