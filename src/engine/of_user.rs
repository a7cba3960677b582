//! All sessions of a user: finding them, and ending them from outside.

use std::cmp::Reverse;

use super::{Backoff, Engine, deadline};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, SessionError, StoreError};
use crate::event::{DropReason, SessionEvent};
use crate::policy::WhenFull;
use crate::record::{DecodeError, Decoded, Record, Version};
use crate::state::{Identity, Stored, Work, newer_format};
use crate::store::SaveOutcome;
use crate::token::SessionId;

/// A live session, found without its token.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: SessionId,
    pub(crate) expires_at: Timestamp,
    pub(crate) contents: Decoded,
    version: Version,
}

impl Engine {
    /// The live sessions of a user that are of this kind, the one with the newest login first. What cannot be read is left out.
    pub(crate) async fn sessions_of(&self, user: &str) -> Result<Vec<Found>, SessionError> {
        let Some(index) = self.store().user_index() else {
            return Err(SessionError::new(
                ErrorKind::Unsupported,
                "this store cannot find the sessions of a user: choose one with a user index",
            ));
        };
        let now = self.clock.now();
        let records = self.call("records_of", index.records_of(user, now)).await?;
        let mut found = Vec::with_capacity(records.len());
        for record in records {
            found.extend(self.identify(user, record, now)?);
        }
        // Every process has the same order.
        found.sort_unstable_by_key(|session: &Found| Reverse((session.contents.extras.logged_in_at, session.id)));
        Ok(found)
    }

    /// Ends a session of a user. `false` if the user has none of this id.
    pub(crate) async fn revoke(&self, user: &str, id: SessionId) -> Result<bool, SessionError> {
        let now = self.clock.now();
        let Some(record) = self.load(id, now).await? else { return Ok(false) };
        let found = self.identify(user, record, now)?;
        if let Some(session) = &found {
            self.end(session).await?;
        }
        Ok(found.is_some())
    }

    /// Ends all sessions of a user but one. How many.
    pub(crate) async fn revoke_all(&self, user: &str, except: Option<SessionId>) -> Result<usize, SessionError> {
        let found = self.sessions_of(user).await?;
        let mut ended = 0;
        for session in found.iter().filter(|session| Some(session.id) != except) {
            self.end(session).await?;
            ended += 1;
        }
        Ok(ended)
    }

    /// After a login: ends the sessions that are too many, and that may be this one.
    ///
    /// However many do so at once, and in whatever order: each has stored its own session before it looks, so whoever looks
    /// last sees all of them. A session that is not too many among all is not too many among some either, so nobody ends
    /// one that should stay.
    pub(super) async fn end_surplus(&self, work: &mut Work) {
        let Some((most, WhenFull::EndOldest)) = self.terms.policy.most_sessions() else { return };
        let Stored::Saved { present, .. } = work.outcome() else { return };
        let Some(user) = present.contents.extras.user.as_deref().filter(|_| work.is_login()) else { return };
        let limit = self.terms.limits.max_commit_time();
        let stays = deadline::within(limit, Box::pin(self.keep_newest(most, user, present.id()))).await;
        // If it failed the login is stored all the same. The next one makes up for what could not be done: an event tells
        // of it.
        if let Some(Ok(false)) = stays {
            work.be_dropped(DropReason::Ended);
        }
    }

    /// Ends all sessions of a user but the newest ones. Whether `own` is among these.
    async fn keep_newest(&self, most: usize, user: &str, own: SessionId) -> Result<bool, SessionError> {
        let mut backoff = Backoff::default();
        loop {
            let found = self.sessions_of(user).await?;
            let (stay, surplus) = found.split_at(most.min(found.len()));
            let mut has_changed = false;
            for session in surplus {
                has_changed |= !self.end_unchanged(session).await?;
            }
            if !has_changed {
                return Ok(stay.iter().any(|session| session.id == own));
            }
            backoff.wait().await;
        }
    }

    /// Ends a session, unless it has changed since it was found: it may have a new login, and be the newest by now.
    async fn end_unchanged(&self, session: &Found) -> Result<bool, StoreError> {
        match self.expire_unchanged(session.id, session.version).await? {
            SaveOutcome::Conflict => Ok(false),
            SaveOutcome::Saved => self.end(session).await.map(|()| true),
            SaveOutcome::Gone => Ok(true),
        }
    }

    async fn end(&self, session: &Found) -> Result<(), StoreError> {
        let id = session.id;
        self.call("delete", self.store().delete(id)).await?;
        self.endings.announce(id);
        self.events.emit(SessionEvent::Revoked { id, user: session.contents.extras.user.clone() });
        Ok(())
    }

    fn identify(&self, user: &str, record: Record, now: Timestamp) -> Result<Option<Found>, SessionError> {
        if record.user.as_deref() != Some(user) {
            return Ok(None);
        }
        let Record { id, version, expires_at, .. } = record;
        match self.terms.identify(record, now) {
            Identity::Ours(contents) => return Ok(Some(Found { id, expires_at, contents, version })),
            Identity::Stranger => {}
            Identity::WrongRecord => self.events.emit(SessionEvent::WrongRecord { id }),
            Identity::Unreadable(DecodeError::Newer) => return Err(newer_format()),
            Identity::Unreadable(error) => {
                self.events.emit(SessionEvent::Corrupt { id, cause: error.to_string() });
            }
        }
        Ok(None)
    }
}
