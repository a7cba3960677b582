//! What there is to be told of a commit that is stored.

use super::{Rotation, Stored, Work};
use crate::event::SessionEvent;

impl Work {
    /// What has happened to the session's life. Nothing, for most commits.
    pub(crate) fn events(&self, stored: &Stored) -> impl Iterator<Item = SessionEvent> {
        let (first, second) = match (stored, &self.base) {
            (Stored::Saved { present, .. }, base) => {
                let id = present.id();
                let login = self.lifecycle.login.clone().map(|user| SessionEvent::LoggedIn { id, user });
                let grace = match self.lifecycle.rotate {
                    Some(Rotation::WithGrace(grace)) => Some(grace),
                    _ => None,
                };
                match base {
                    Err(_) => (Some(SessionEvent::Created { id }), login),
                    Ok(_) if login.is_some() || self.lifecycle.rotate.is_none() => (None, login),
                    Ok(_) => (None, Some(SessionEvent::Rotated { id, grace })),
                }
            }
            (Stored::Deleted, Ok(base)) => {
                (None, Some(SessionEvent::LoggedOut { id: base.id(), user: base.contents.user.clone() }))
            }
            (Stored::Deleted | Stored::Touched { .. } | Stored::Dropped(_), _) => (None, None),
        };
        first.into_iter().chain(second)
    }
}
