//! Which type the values of a typed key have.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The types of the keys that were used so far. Names are constants of the program, so there is an end to them.
#[derive(Debug, Default)]
pub(crate) struct KeyTypes(Mutex<HashMap<&'static str, TypeId>>);

impl KeyTypes {
    /// Whether all keys of this name had this type so far.
    pub(crate) fn agree(&self, name: &'static str, id: TypeId) -> bool {
        let mut types = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *types.entry(name).or_insert(id) == id
    }
}
