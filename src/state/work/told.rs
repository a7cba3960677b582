//! What there is to be told of a commit that is stored.

use super::{Rotation, Stored, Terms, Work};
use crate::event::SessionEvent;

impl Work {
    /// What has happened to the session's life. Nothing, for most commits.
    pub(crate) fn events(&self, terms: &Terms) -> impl Iterator<Item = SessionEvent> {
        let (first, second) = match (self.outcome(), &self.base) {
            (Stored::Saved { present, .. }, base) => {
                let id = present.id();
                let login = self.lifecycle.login.clone().map(|user| SessionEvent::LoggedIn { id, user });
                let grace = match self.lifecycle.rotate {
                    Some(Rotation::AtOnce) => None,
                    Some(Rotation::WithGrace(grace)) => Some(grace),
                    Some(Rotation::OnTimer) | None => Some(terms.policy.rotation_grace()),
                };
                match base {
                    Err(_) => (Some(SessionEvent::Created { id }), login),
                    Ok(base) => {
                        // Another request may have made the secret that this one had in mind.
                        let has_rotated =
                            self.token.is_some() && !present.contents.digest.matches(&base.contents.digest);
                        let rotated = has_rotated.then_some(SessionEvent::Rotated { id, grace });
                        (None, login.or(rotated))
                    }
                }
            }
            (Stored::Deleted, Ok(base)) => {
                (None, Some(SessionEvent::LoggedOut { id: base.id(), user: base.contents.extras.user.clone() }))
            }
            (Stored::Deleted | Stored::Touched { .. } | Stored::Dropped(_), _) => (None, None),
        };
        first.into_iter().chain(second)
    }
}
