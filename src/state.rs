//! One request's part of a session, as a state machine: what was found, what was changed, what is to be done at the commit.
//!
//! Decides and does no I/O: the [`engine`](crate::engine) asks what to do, does it, and tells how it went.

mod bond;
mod client;
mod csrf;
mod flash;
mod lifecycle;
mod reads;
mod recognition;
mod user;
mod wipes;
mod work;

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::data::{Data, OwnedPath, Segments};
use crate::error::{ErrorKind, SessionError};
use crate::journal::{Change, Journal};
use crate::policy::Limits;
use crate::token::Token;

pub(crate) use bond::Bond;
pub use bond::OnMismatch;
use client::{Client, PendingChange};
pub use client::{IssuedToken, TokenChange};
use flash::Flash;
pub(crate) use flash::{FlashGroup, entry as flash_entry};
pub(crate) use lifecycle::{Lifecycle, Renewal, Rotation};
use reads::Reads;
pub(crate) use recognition::{Absence, Bearer, ClientHolds, Identity, Present, Recognition, Refusal, Terms};
pub(crate) use user::{check_user, not_logged_in};
use wipes::Wipes;
pub(crate) use work::{Rebased, Step, Stored, Work};
use work::{Tell, Upkeep};

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
    Done,
    Work(Box<Work>),
    /// Nothing: a write of this request has failed unseen, and the commit fails by it.
    Failed(SessionError),
}

/// One request's part of a session.
#[derive(Debug)]
pub(crate) struct State {
    origin: Result<Arc<Present>, Absence>,
    status: SessionStatus,
    /// The session was ended by somebody else: this request has learnt it, and cannot begin another one by accident.
    ended: bool,
    closed: Option<Closed>,
    client: Client,
    /// The data with the journal applied; `None` while nothing was changed.
    changed: Option<Arc<Data>>,
    journal: Journal,
    wipes: Wipes,
    reads: Reads,
    lifecycle: Lifecycle,
    /// A commit of this request that has failed, and may have stored its changes all the same.
    unfinished: Option<Box<Work>>,
    /// What the commits of this request have to tell the client.
    token_change: PendingChange,
    /// Whether that was stored before the request's end, and is about a secret that others may have as well.
    told_early: bool,
    /// `None` as long as there is none, as with most sessions.
    flash: Option<Box<Flash>>,
    /// A write that failed when nobody was there to be told: so the commit has to.
    failure: Option<SessionError>,
    opened_at: Timestamp,
    /// What the request has of what sessions are bound to; `None` where they are bound to nothing.
    bond: Option<Bond>,
    /// Changes that are not wanted any more. Their functions are the application's, and so is what they hold: nothing of it
    /// is dropped as long as the state is locked.
    discarded: Option<Box<Journal>>,
    /// One more at every change: who computes something outside the lock sees whether it still fits.
    revision: u64,
}

/// How a request's part has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Answered,
    /// Without an answer: nothing of it counts.
    Abandoned,
}

/// The data as a request sees them, shared: whoever decodes values does it without a lock.
#[derive(Debug)]
pub(crate) struct View(Option<Arc<Data>>);

impl View {
    pub(crate) fn data(&self) -> Option<&Data> {
        self.0.as_deref()
    }

    /// The raw JSON text at a path.
    pub(crate) fn get(&self, path: Segments<'_>) -> Result<Option<&str>, SessionError> {
        match self.data() {
            Some(data) => data.get(path),
            None => path.check().map(|()| None),
        }
    }
}

impl State {
    /// What it begins, or logs in, is bound to `bond`.
    // Inlined, it is made where it stays; else it is moved there.
    #[inline]
    pub(crate) fn new(origin: Result<Arc<Present>, Absence>, bond: Option<Bond>, now: Timestamp) -> Self {
        Self {
            status: if origin.is_ok() { SessionStatus::Resumed } else { SessionStatus::New },
            flash: origin.as_ref().ok().and_then(|present| Flash::of(&present.contents.data)),
            failure: None,
            opened_at: now,
            bond,
            token_change: match &origin {
                Ok(present) if present.has_to_be_told(now) => PendingChange::Issue,
                _ => PendingChange::Keep,
            },
            client: if matches!(origin, Ok(_) | Err(Absence::Unknown)) { Client::HasToken } else { Client::HasNone },
            origin,
            told_early: false,
            ended: false,
            closed: None,
            changed: None,
            journal: Journal::default(),
            wipes: Wipes::default(),
            reads: Reads::default(),
            lifecycle: Lifecycle::default(),
            unfinished: None,
            discarded: None,
            revision: 0,
        }
    }

    /// A part of its own in a session, beyond the request that has opened it.
    pub(crate) fn detached(present: Arc<Present>, now: Timestamp) -> Self {
        Self { client: Client::OutOfReach, ..Self::new(Ok(present.without_shown()), None, now) }
    }

    /// Whether a logout has left the client without a session: it was deleted, or what the client shows opened none before.
    pub(crate) fn has_logged_out(&self) -> bool {
        match self.origin {
            Err(Absence::LoggedOut) => true,
            Err(Absence::Unknown) => self.status == SessionStatus::Destroyed,
            _ => false,
        }
    }

    /// What such a part begins with.
    pub(crate) fn to_detach(&self) -> Result<Arc<Present>, SessionError> {
        match (self.shared_present(), self.status) {
            (Some(present), _) => Ok(present.clone()),
            (None, SessionStatus::Destroyed) => Err(self.check_not_ended().err().unwrap_or_else(destroyed)),
            (None, _) => Err(SessionError::new(
                ErrorKind::NotStored,
                "the session was never stored, so there is nothing to detach from: write something to it first, or answer \
                 that the client has to begin with another page",
            )),
        }
    }

    pub(crate) fn status(&self) -> SessionStatus {
        self.status
    }

    pub(crate) fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    pub(crate) fn present(&self) -> Option<&Present> {
        self.shared_present().map(|present| &**present)
    }

    fn shared_present(&self) -> Option<&Arc<Present>> {
        self.origin.as_ref().ok().filter(|_| self.status != SessionStatus::Destroyed)
    }

    /// The token of the session in the store, also if this request is about to destroy it.
    pub(crate) fn stored_token(&self) -> Option<&Token> {
        self.origin.as_ref().ok().map(|present| &present.token)
    }

    /// Whether there is no session because what the request shows opens none.
    pub(crate) fn is_shown_in_vain(&self) -> bool {
        matches!(self.origin, Err(Absence::Unknown))
    }

    /// Goes on with a token that replaces the one so far.
    pub(crate) fn follow(&mut self, newer: &Present) {
        if let Ok(present) = &mut self.origin {
            let present = Arc::make_mut(present);
            present.token = newer.token.clone();
            present.followed = Some(newer.contents.clone());
        }
    }

    /// The data as this request sees them.
    pub(crate) fn view(&self) -> View {
        View(self.shared_data().cloned())
    }

    fn data(&self) -> Option<&Data> {
        self.shared_data().map(|data| &**data)
    }

    fn shared_data(&self) -> Option<&Arc<Data>> {
        self.changed.as_ref().or_else(|| self.present().map(|present| &present.contents.data))
    }

    /// Remembers that a place was read, all of it if there is no path, if the policy wants to know.
    pub(crate) fn note_read(&mut self, path: Option<Segments<'_>>, terms: &Terms) -> Result<(), SessionError> {
        if terms.policy.refuses_conflicts()
            && let Ok(present) = &self.origin
        {
            self.reads.note(path.map(Segments::to_owned).transpose()?.unwrap_or_default(), &present.contents.data);
        }
        Ok(())
    }

    /// Whether the raw JSON text at a path is this.
    pub(crate) fn is_still(&self, path: Segments<'_>, text: Option<&str>) -> bool {
        let found = self.data().map_or(Ok(None), |data| data.get(path));
        found.is_ok_and(|found| found == text)
    }

    /// Whether writing is possible at all.
    pub(crate) fn check_writable(&self) -> Result<(), SessionError> {
        self.check_not_ended()?;
        if self.closed.is_some() {
            return Err(SessionError::new(
                ErrorKind::Committed,
                "the session was written after its request had been answered, and the change was not kept; \
                 write before the response is returned, or use Session::detach for what goes on after it",
            ));
        }
        if self.status == SessionStatus::Destroyed {
            return Err(destroyed());
        }
        Ok(())
    }

    /// Whether nobody else has ended the session, as far as is known.
    pub(crate) fn check_not_ended(&self) -> Result<(), SessionError> {
        if self.ended { Err(ended()) } else { Ok(()) }
    }

    /// Does a change to the data as this request sees them. On an error nothing has changed.
    pub(crate) fn change(&mut self, change: Change, limits: &Limits) -> Result<(), SessionError> {
        self.check_writable()?;
        if let Some(data) = &mut self.changed {
            change.apply(Arc::make_mut(data), limits)?;
        } else {
            let changed = change.applied_to(self.data().unwrap_or(&Data::default()), limits)?;
            self.changed = Some(Arc::new(changed));
        }
        self.wipes.note(&change);
        self.journal.push(change);
        self.revision += 1;
        Ok(())
    }

    /// How often this request has taken data away as a whole.
    pub(crate) fn wipes(&self) -> usize {
        self.wipes.count()
    }

    /// Whether what stands at a place was taken away since there were so many.
    pub(crate) fn is_wiped_since(&self, wipes: usize, place: &OwnedPath) -> bool {
        self.wipes.have_hit(place, wipes)
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

    /// From now on a write is an error.
    pub(crate) fn close(&mut self) {
        self.closed.get_or_insert(Closed::Answered);
    }

    /// The request ends without an answer: nothing of it counts.
    pub(crate) fn abandon(&mut self) {
        self.closed = Some(Closed::Abandoned);
        self.lifecycle = Lifecycle::default();
        self.drop_data_changes();
    }

    /// A write has failed, and there is nobody to be told: the commit fails by it. Gives the error back if it is too late
    /// for that; what was to be written to a session that is over has no meaning any more.
    pub(crate) fn fail(&mut self, error: SessionError) -> Option<SessionError> {
        match self.closed {
            Some(Closed::Answered) => return Some(error),
            Some(Closed::Abandoned) => {}
            None if self.status == SessionStatus::Destroyed => {}
            None => self.failure = Some(error),
        }
        None
    }

    /// But what the user before had is not for the next one to see, nor what a login does not keep: of a login that stays, that
    /// stays as well.
    pub(crate) fn drop_data_changes(&mut self) {
        self.changed = None;
        self.wipes.note(&Change::Clear);
        self.discarded.get_or_insert_default().append(std::mem::take(&mut self.journal));
        if self.changes_user() {
            self.changed = Some(Arc::default());
            self.journal.push(Change::Clear);
        } else if let Some(names) = self.lifecycle.keep.clone() {
            let mut data = self.data().cloned().unwrap_or_default();
            data.keep(&names);
            self.changed = Some(data.into());
            self.journal.push(Change::Keep(names));
        }
        self.revision += 1;
    }

    /// What is to be dropped without the lock.
    pub(crate) fn take_discarded(&mut self) -> Option<Box<Journal>> {
        self.discarded.take()
    }

    /// Whether the commit logs in somebody else than who is logged in now.
    fn changes_user(&self) -> bool {
        let before = self.present().and_then(|present| present.contents.extras.user.as_ref());
        before.is_some_and(|before| self.lifecycle.login.as_ref().is_some_and(|user| user != before))
    }

    /// Whether a commit would take I/O.
    pub(crate) fn needs_store(&self, mode: Mode, terms: &Terms, now: Timestamp) -> bool {
        self.failure.is_some()
            || self.unfinished.is_some()
            || (mode != Mode::Save && self.to_look_up().is_some())
            || self.has_something_to_store(mode, terms)
            || (mode == Mode::Final && self.spent_flash().next().is_some())
            || self.due_upkeep(mode, terms, now).is_some()
    }

    /// Ends the request's part, unless that takes I/O: what the client has to be told.
    pub(crate) fn settle(&mut self, mode: Mode, terms: &Terms, now: Timestamp) -> Option<TokenChange> {
        if self.needs_store(mode, terms, now) {
            return None;
        }
        self.close();
        if mode == Mode::FinalWithoutData {
            self.drop_data_changes();
        }
        Some(self.token_change(|| now))
    }

    /// Begins a commit: nothing to do, a failure to report, or work that is taken out until [`finish`](Self::finish) or
    /// [`restore`](Self::restore). An earlier commit that has not ended comes first.
    pub(crate) fn begin(&mut self, mode: Mode, terms: &Terms, now: Timestamp) -> Result<Next, SessionError> {
        if let Some(failure) = self.failure.take().filter(|_| mode != Mode::FinalWithoutData) {
            return Ok(Next::Failed(failure));
        }
        match mode {
            Mode::Save if self.closed.is_some() || self.ended => self.check_writable()?,
            Mode::Save => {}
            Mode::Final => {
                self.remove_spent_flash(&terms.limits)?;
                self.close();
            }
            Mode::FinalWithoutData => {
                self.close();
                self.drop_data_changes();
            }
        }
        if let Some(work) = self.unfinished.take() {
            return Ok(Next::Work(work));
        }
        let upkeep = self.due_upkeep(mode, terms, now);
        if !self.has_something_to_store(mode, terms) && upkeep.is_none() {
            return Ok(Next::Done);
        }
        let work = Work::new(
            self.origin.clone(),
            self.changed.as_ref().map(Data::without_slack),
            std::mem::take(&mut self.journal),
            // Without data nothing is written that was computed from what was read.
            if mode == Mode::FinalWithoutData { Reads::default() } else { self.reads.clone() },
            std::mem::take(&mut self.lifecycle),
            upkeep.unwrap_or_default(),
            self.bond.clone(),
        );
        Ok(Next::Work(work))
    }

    fn has_something_to_store(&self, mode: Mode, terms: &Terms) -> bool {
        let with_data = mode != Mode::FinalWithoutData;
        let consent = self.lifecycle.consent;
        match &self.origin {
            Ok(_) => (with_data && !self.journal.is_empty()) || !self.lifecycle.is_empty(),
            Err(_) if self.lifecycle.login.is_some() => true,
            Err(_) if terms.policy.waits_for_consent() && !consent => false,
            // What was written and taken back, or was nothing from the start, needs no session. That the visitor has agreed
            // does: the session is how that is known from then on. So does a form that is to be recognized.
            Err(_) => {
                with_data
                    && (consent
                        || self.lifecycle.csrf.is_some()
                        || self.changed.as_ref().is_some_and(|data| !data.is_empty()))
            }
        }
    }

    /// What the session needs to go on, if anything.
    fn due_upkeep(&self, mode: Mode, terms: &Terms, now: Timestamp) -> Option<Upkeep> {
        let present = self.present()?;
        // An answer has to bring the new secret. Who is to be told one already has not shown that it has arrived.
        let can_renew =
            mode == Mode::Final && self.client != Client::OutOfReach && self.token_change < PendingChange::Issue;
        let upkeep = Upkeep {
            expires_at: present.due_expiry(now, &terms.policy),
            renewal: present.due_renewal(now, &terms.policy).filter(|_| can_renew),
        };
        (upkeep != Upkeep::default()).then_some(upkeep)
    }

    /// An earlier commit that has failed and may have stored its changes, to be brought to its end.
    pub(crate) fn take_unfinished(&mut self) -> Option<Box<Work>> {
        self.unfinished.take()
    }

    /// Ends a commit that has come to its end. What was written in the meantime stays in the journal, to be put on top of
    /// what was stored.
    /// Returned is what was stored, if there is something to be put on it.
    pub(crate) fn finish(&mut self, work: &mut Work) -> Option<Arc<Present>> {
        match work.take_outcome() {
            Stored::Saved { present, tell } => {
                self.token_change = match tell {
                    Tell::Issue => PendingChange::Issue,
                    Tell::Refresh => self.token_change.max(PendingChange::Refresh),
                    Tell::Nothing => self.token_change,
                    Tell::Withdraw => PendingChange::Keep,
                };
                self.told_early = self.closed.is_none() && !work.makes_secret();
                self.reads.catch_up(work.journal(), &present.contents.data);
                let below = (!self.journal.is_empty()).then(|| present.clone());
                self.origin = Ok(present);
                if below.is_none() {
                    self.changed = None;
                }
                return below;
            }
            Stored::Touched { expires_at, refresh } => {
                if let Ok(present) = &mut self.origin {
                    Arc::make_mut(present).expires_at = expires_at;
                }
                if refresh {
                    self.token_change = self.token_change.max(PendingChange::Refresh);
                    self.told_early = self.closed.is_none();
                }
            }
            Stored::Deleted => {
                // A token that was issued by this very request has not reached the client.
                self.token_change =
                    if self.client == Client::HasToken { PendingChange::Remove } else { PendingChange::Keep };
                self.origin = Err(Absence::LoggedOut);
            }
            Stored::Dropped(_) => self.end(),
        }
        None
    }

    /// Ends a commit that has failed. Its changes are there again, to be tried once more; if they may have been stored, they
    /// stay together until that is known.
    pub(crate) fn restore(&mut self, work: Box<Work>) {
        if work.is_unsure() {
            self.unfinished = Some(work);
            return;
        }
        let (mut journal, lifecycle) = work.into_changes();
        journal.append(std::mem::take(&mut self.journal));
        self.journal = journal;
        self.lifecycle = lifecycle.and_then(std::mem::take(&mut self.lifecycle));
    }

    /// The login that a commit was about is not allowed. It goes with all that was changed, since that was meant for a user who
    /// is not there.
    pub(crate) fn refuse(&mut self) {
        self.lifecycle = Lifecycle::default();
        self.drop_data_changes();
    }

    /// The changes that are not stored yet, to be done again on newer data, and the revision for which that holds.
    pub(crate) fn pending(&self) -> (Journal, u64) {
        (self.journal.clone(), self.revision)
    }

    /// Goes on from a newer state of the session, with the pending changes on top: `false` if there have been others since.
    pub(crate) fn rebase(&mut self, newer: Arc<Present>, changed: Option<Data>, revision: u64) -> bool {
        if self.revision != revision {
            return false;
        }
        // Who is told nothing need not go on from what was shown once, and is forgotten some day.
        self.origin = Ok(if self.client == Client::OutOfReach { newer.without_shown() } else { newer });
        self.changed = changed.map(Arc::new);
        self.revision += 1;
        true
    }

    /// Learns that somebody has ended the session, or replaced its secret. Whoever did has told the client already.
    pub(crate) fn end(&mut self) {
        self.ended = true;
        self.status = SessionStatus::Destroyed;
        self.origin = Err(Absence::NothingShown);
        self.lifecycle = Lifecycle::default();
        self.token_change = PendingChange::Keep;
        self.drop_data_changes();
    }
}

fn destroyed() -> SessionError {
    SessionError::new(
        ErrorKind::Destroyed,
        "the session was written after destroy() in the same request, and the change was not kept; \
         the next request starts with an empty session",
    )
}

/// The session is over, for whoever has to know.
pub(crate) fn ended() -> SessionError {
    SessionError::new(
        ErrorKind::Ended,
        "the session ended while this request was at work: it was logged out elsewhere, has expired, \
         or its secret was replaced; nothing more of this request is kept",
    )
}

/// A record that this version cannot read is somebody's session, for whoever has to know.
pub(crate) fn newer_format() -> SessionError {
    SessionError::new(
        ErrorKind::NewerFormat,
        "the session was written by a newer version of this crate and is left as it is; \
         finish the deployment, or go back with all processes",
    )
}

#[cfg(test)]
mod tests;
