//! How long a session lives: what can be asked.

use std::time::{Duration, SystemTime};

use super::Session;
use crate::state::Present;

/// How long it lives. `None` everywhere while nothing is stored.
impl Session {
    /// When the session was created.
    pub fn created_at(&self) -> Option<SystemTime> {
        self.of_present(|present| present.contents.created_at.into())
    }

    /// When the session dies if it is not used again, as its store has it now. This request's own use counts from the
    /// commit on.
    pub fn expires_at(&self) -> Option<SystemTime> {
        self.of_present(|present| present.expires_at.into())
    }

    /// How long the session lives if it is not used again.
    pub fn idle_remaining(&self) -> Option<Duration> {
        let now = self.unit().engine.clock.now();
        self.of_present(|present| present.expires_at.saturating_since(now))
    }

    /// How long the session lives at most, whatever is done with it.
    pub fn absolute_remaining(&self) -> Option<Duration> {
        let now = self.unit().engine.clock.now();
        self.of_present(|present| present.contents.deadline.saturating_since(now))
    }

    /// Whether the browser keeps the session when it is closed.
    pub fn is_persistent(&self) -> Option<bool> {
        self.of_present(|present| present.contents.persistent)
    }

    fn of_present<T>(&self, answer: impl FnOnce(&Present) -> T) -> Option<T> {
        self.unit().state().present().map(answer)
    }
}
