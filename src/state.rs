//! One request's part of a session, as a state machine: what was found, what was changed, what is to be done at the commit.
//!
//! Decides and does no I/O: the [`engine`](crate::engine) asks what to do, does it, and tells how it went.

mod recognition;
mod work;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::data::{Data, OwnedPath, Segments};
use crate::error::{ErrorKind, SessionError};
use crate::event::DropReason;
use crate::journal::{Change, Journal};
use crate::policy::{COOKIE_LIFETIME_MAX, Limits};
use crate::token::Token;

pub(crate) use recognition::{Absence, Present, Recognition, Terms};
pub(crate) use work::{Rebased, Step, Stored, Work};

/// What a commit does to the token that the client holds.
#[derive(Clone, Debug)]
pub enum TokenChange {
    /// The client keeps what it has, or still has nothing.
    Keep,
    /// The client gets this token, and forgets any other.
    Issue(IssuedToken),
    /// The client has this token already and should keep it for longer.
    Refresh(IssuedToken),
    /// The client should forget what it showed.
    Remove,
}

/// A token on its way to the client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IssuedToken {
    /// What the client is to show from now on.
    pub token: Token,
    /// How long the client should keep it. `None`: as long as its own session lasts, as with a browser that is closed.
    pub lifetime: Option<Duration>,
}

/// Changes of the session's life, as opposed to its data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lifecycle {
    pub(crate) destroy: bool,
    pub(crate) rotate: bool,
    pub(crate) remember: Option<Duration>,
}

impl Lifecycle {
    pub(crate) fn is_empty(self) -> bool {
        !self.destroy && !self.rotate && self.remember.is_none()
    }

    fn and_then(self, later: Self) -> Self {
        Self {
            destroy: self.destroy || later.destroy,
            rotate: self.rotate || later.rotate,
            remember: later.remember.or(self.remember),
        }
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionStatus {
    /// The request came without a session. There is one as soon as something is written.
    New,
    /// The request came with a session.
    Resumed,
    /// The request has ended its session.
    Destroyed,
}

/// How much a commit takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the middle of a request; the session can be written on.
    Save,
    /// At the end of a request.
    Final,
    /// At the end of a request that failed: changes of the session's life count, changes of its data do not.
    FinalWithoutData,
}

/// What is to be done at a commit.
pub(crate) enum Next {
    /// Nothing that takes I/O.
    Done(TokenChange),
    Work(Box<Work>),
}

/// One request's part of a session.
#[derive(Debug)]
pub(crate) struct State {
    origin: Result<Present, Absence>,
    status: SessionStatus,
    /// The data with the journal applied; `None` while nothing was changed.
    changed: Option<Data>,
    journal: Journal,
    /// The paths that were read, if the policy wants to know.
    reads: Vec<OwnedPath>,
    lifecycle: Lifecycle,
    /// What earlier commits of this request have to tell the client.
    token_change: PendingChange,
    closed: bool,
    /// One more at every change: who computes a value outside the lock sees whether it still fits.
    revision: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PendingChange {
    Keep,
    Refresh,
    Issue,
    Remove,
}

impl State {
    pub(crate) fn new(origin: Result<Present, Absence>) -> Self {
        Self {
            status: if origin.is_ok() { SessionStatus::Resumed } else { SessionStatus::New },
            token_change: if matches!(origin, Err(Absence::Unknown)) {
                PendingChange::Remove
            } else {
                PendingChange::Keep
            },
            origin,
            changed: None,
            journal: Journal::default(),
            reads: Vec::new(),
            lifecycle: Lifecycle::default(),
            closed: false,
            revision: 0,
        }
    }

    pub(crate) fn status(&self) -> SessionStatus {
        self.status
    }

    pub(crate) fn present(&self) -> Option<&Present> {
        self.origin.as_ref().ok().filter(|_| self.status != SessionStatus::Destroyed)
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// The data as this request sees them; `None` if there are none yet.
    pub(crate) fn data(&self) -> Option<&Data> {
        self.changed.as_ref().or_else(|| self.present().map(|present| &present.contents.data))
    }

    /// The raw JSON text at a path, as this request sees it.
    pub(crate) fn get(&mut self, path: Segments<'_>, terms: &Terms) -> Result<Option<&str>, SessionError> {
        if terms.policy.refuses_conflicts() && self.origin.is_ok() {
            self.reads.push(path.to_owned()?);
        }
        match self.data() {
            Some(data) => data.get(path),
            None => path.check().map(|()| None),
        }
    }

    /// Whether writing is possible at all.
    pub(crate) fn check_writable(&self) -> Result<(), SessionError> {
        if self.closed {
            return Err(SessionError::new(
                ErrorKind::Committed,
                "the session was written after its request had been answered, and the change was not kept; \
                 write before the response is returned",
            ));
        }
        if self.status == SessionStatus::Destroyed {
            return Err(SessionError::new(
                ErrorKind::Destroyed,
                "the session was written after destroy() in the same request, and the change was not kept; \
                 the next request starts with an empty session",
            ));
        }
        Ok(())
    }

    /// Does a change to the data as this request sees them. On an error nothing has changed.
    pub(crate) fn change(&mut self, change: Change, limits: &Limits) -> Result<(), SessionError> {
        self.check_writable()?;
        if self.changed.is_none() {
            self.changed = Some(self.data().cloned().unwrap_or_default());
        }
        if let Some(data) = &mut self.changed {
            change.apply(data, limits)?;
        }
        self.journal.push(change);
        self.revision += 1;
        Ok(())
    }

    /// Takes away what stands at a path. Whether anything did.
    pub(crate) fn remove(&mut self, path: Segments<'_>, limits: &Limits) -> Result<bool, SessionError> {
        self.check_writable()?;
        let there = match self.data() {
            Some(data) => data.get(path)?.is_some(),
            None => path.check().map(|()| false)?,
        };
        if there {
            self.change(Change::Remove(path.to_owned()?), limits)?;
        }
        Ok(there)
    }

    pub(crate) fn rotate(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.lifecycle.rotate = true;
        Ok(())
    }

    pub(crate) fn remember(&mut self, duration: Duration) -> Result<(), SessionError> {
        self.check_writable()?;
        self.lifecycle.remember = Some(duration);
        Ok(())
    }

    pub(crate) fn destroy(&mut self) -> Result<(), SessionError> {
        if self.closed {
            return self.check_writable();
        }
        self.lifecycle.destroy = true;
        self.status = SessionStatus::Destroyed;
        self.changed = None;
        self.journal = Journal::default();
        self.revision += 1;
        Ok(())
    }

    /// From now on a write is an error.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Whether a commit would take I/O.
    pub(crate) fn needs_store(&self, mode: Mode, terms: &Terms, now: Timestamp) -> bool {
        self.has_something_to_store(mode) || self.due_touch(terms, now).is_some()
    }

    /// Begins a commit: nothing to do, or work that is taken out until [`finish`](Self::finish) or
    /// [`restore`](Self::restore).
    pub(crate) fn begin(&mut self, mode: Mode, terms: &Terms, now: Timestamp) -> Next {
        if mode == Mode::FinalWithoutData {
            self.changed = None;
            self.journal = Journal::default();
        }
        if mode != Mode::Save {
            self.close();
        }
        let touch = self.due_touch(terms, now);
        if !self.has_something_to_store(mode) && touch.is_none() {
            return Next::Done(self.token_change(now));
        }
        Next::Work(Box::new(Work::new(
            self.origin.clone(),
            self.changed.clone(),
            std::mem::take(&mut self.journal),
            std::mem::take(&mut self.reads),
            std::mem::take(&mut self.lifecycle),
            touch,
        )))
    }

    fn has_something_to_store(&self, mode: Mode) -> bool {
        let with_data = mode != Mode::FinalWithoutData;
        match &self.origin {
            Ok(_) => (with_data && !self.journal.is_empty()) || !self.lifecycle.is_empty(),
            // What was written and taken back, or was nothing from the start, needs no session.
            Err(_) => with_data && self.changed.as_ref().is_some_and(|data| !data.is_empty()),
        }
    }

    fn due_touch(&self, terms: &Terms, now: Timestamp) -> Option<Timestamp> {
        self.present()?.due_expiry(now, &terms.policy)
    }

    /// Ends a commit that has stored something.
    pub(crate) fn finish(
        &mut self,
        stored: Stored,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<TokenChange, SessionError> {
        match stored {
            Stored::Saved { present, issue, refresh } => {
                // A token that the client should have forgotten is replaced, not removed.
                self.token_change = match (issue, refresh) {
                    (true, _) => PendingChange::Issue,
                    (false, true) => self.token_change.max(PendingChange::Refresh),
                    (false, false) => self.token_change,
                };
                self.changed = self.replay_later_changes(&present, terms)?;
                self.origin = Ok(present);
            }
            Stored::Touched { expires_at, refresh } => {
                if let Ok(present) = &mut self.origin {
                    present.expires_at = expires_at;
                }
                if refresh {
                    self.token_change = self.token_change.max(PendingChange::Refresh);
                }
            }
            Stored::Deleted => {
                self.origin = Err(Absence::NothingShown);
                self.token_change = PendingChange::Remove;
            }
            Stored::Dropped(reason) => {
                self.origin = Err(match reason {
                    DropReason::SecretReplaced => Absence::Latecomer,
                    DropReason::Ended => Absence::NothingShown,
                });
                self.changed = None;
                self.journal = Journal::default();
                // Whoever ended the session, or replaced its secret, has told the client already.
                self.token_change = PendingChange::Keep;
            }
        }
        Ok(self.token_change(now))
    }

    /// What was written while the commit was under way goes on top of what it stored.
    fn replay_later_changes(&self, present: &Present, terms: &Terms) -> Result<Option<Data>, SessionError> {
        if self.journal.is_empty() {
            return Ok(None);
        }
        let mut data = present.contents.data.clone();
        self.journal.replay(&mut data, &terms.limits)?;
        Ok(Some(data))
    }

    /// Ends a commit that has failed: its changes are there again, to be tried once more.
    pub(crate) fn restore(&mut self, work: Work) {
        let (mut journal, mut reads, lifecycle) = work.into_changes();
        journal.append(std::mem::take(&mut self.journal));
        reads.append(&mut self.reads);
        self.journal = journal;
        self.reads = reads;
        self.lifecycle = lifecycle.and_then(self.lifecycle);
    }

    /// Puts this request's changes on a newer state of the session.
    pub(crate) fn reload(&mut self, present: Present, terms: &Terms) -> Result<(), SessionError> {
        self.changed = self.replay_later_changes(&present, terms)?;
        self.origin = Ok(present);
        self.reads.clear();
        self.revision += 1;
        Ok(())
    }

    /// Learns that the session is over.
    pub(crate) fn end(&mut self) {
        self.origin = Err(Absence::NothingShown);
        self.changed = None;
        self.journal = Journal::default();
        self.revision += 1;
    }

    /// What the client has to be told, once the request ends; it stays pending until then.
    pub(crate) fn token_change(&self, now: Timestamp) -> TokenChange {
        let issued = |present: &Present| IssuedToken {
            token: present.token.clone(),
            lifetime: present
                .contents
                .persistent
                .then(|| present.expires_at.saturating_since(now).min(COOKIE_LIFETIME_MAX)),
        };
        match (self.token_change, &self.origin) {
            (PendingChange::Remove, _) => TokenChange::Remove,
            (PendingChange::Issue, Ok(present)) => TokenChange::Issue(issued(present)),
            (PendingChange::Refresh, Ok(present)) => TokenChange::Refresh(issued(present)),
            _ => TokenChange::Keep,
        }
    }
}

#[cfg(test)]
mod tests;
