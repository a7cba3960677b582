//! A map behind the trait for stores of actix-session, with tokens of as many characters as its own stores have.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use actix_session::storage::{LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key};
use actix_web::cookie::time::Duration;

type Values = HashMap<String, String>;

#[derive(Default)]
pub(super) struct InMemory(Mutex<HashMap<String, Values>>);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Values>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for InMemory {
    async fn load(&self, key: &SessionKey) -> Result<Option<Values>, LoadError> {
        Ok(self.lock().get(key.as_ref()).cloned())
    }

    async fn save(&self, values: Values, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.lock().insert(key.as_ref().to_owned(), values);
        Ok(key)
    }

    async fn update(&self, key: SessionKey, values: Values, _: &Duration) -> Result<SessionKey, UpdateError> {
        self.lock().insert(key.as_ref().to_owned(), values);
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.lock().remove(key.as_ref());
        Ok(())
    }
}
