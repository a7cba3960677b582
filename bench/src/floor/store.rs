//! Sessions in a map.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::Scheme;

pub(super) struct Store<S: Scheme>(Mutex<HashMap<u128, Kept<S>, BuildHasherDefault<AsItIs>>>);

struct Kept<S: Scheme> {
    proof: S::Proof,
    data: Arc<Data>,
}

/// The values of a session.
#[derive(Default)]
pub(crate) struct Data(Mutex<Values>);

/// Ten keys are found faster in a row than in a hash table.
#[derive(Default)]
pub(crate) struct Values(Vec<(String, Value)>);

impl<S: Scheme> Store<S> {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    pub(super) fn find(&self, token: &S::Token) -> Option<Arc<Data>> {
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = sessions.get(&S::id(token)).filter(|kept| S::holds(&kept.proof, token))?;
        Some(kept.data.clone())
    }

    pub(super) fn add(&self, token: &S::Token) -> Arc<Data> {
        let kept = Kept { proof: S::proof(token), data: Arc::default() };
        let data = kept.data.clone();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(S::id(token), kept);
        data
    }
}

impl Data {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Values> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Values {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn insert_in_place(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }
}

/// Ids are random: they need no hashing.
#[derive(Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u128")
    }

    fn write_u128(&mut self, id: u128) {
        self.0 = (id >> 64) as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
