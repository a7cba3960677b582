//! One request's part of a session: keeps its [`State`], and does the I/O that it asks for.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Engine, Exclusive, Reading, RunToEnd, deadline};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::{ErrorKind, SessionError};
use crate::event::{SessionEvent, Stopwatch};
use crate::journal::Journal;
use crate::state::{Bearer, Mode, Next, Present, Recognition, State, Stored, TokenChange, Work, ended};

/// A state under its lock. The fields are dropped in their order: first the lock, then what the state has discarded.
pub(crate) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    discarded: Journal,
}

impl Deref for Locked<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        self.discarded = self.state.take_discarded();
    }
}

/// One request's part of a session, shared by all handles of that request.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) engine: Arc<Engine>,
    state: Mutex<State>,
    /// Held while the store is at work for this request: a commit and a reload follow one another.
    io: Exclusive,
}

impl Unit {
    // Inlined as the state is.
    #[inline]
    pub(crate) fn new(engine: Arc<Engine>, state: State) -> Arc<Self> {
        Arc::new(Self { engine, state: Mutex::new(state), io: Exclusive::default() })
    }

    /// Never held while foreign code runs, the application's or a store's.
    pub(crate) fn state(&self) -> Locked<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { state, discarded: Journal::default() }
    }

    /// Ends the request's part at once, if that takes no I/O.
    pub(crate) fn settle(&self, mode: Mode) -> Option<TokenChange> {
        let (terms, now) = (&self.engine.terms, self.engine.clock.now());
        let mut state = self.state();
        // Under the state's lock: whoever begins something from now on finds the state closed.
        if self.io.is_held() {
            return None;
        }
        let change = state.settle(mode, terms, now)?;
        self.engine.hand_out(change).ok()
    }

    /// Stores what was changed. Runs to its end even if nobody waits for it any more.
    pub(crate) fn commit(self: Arc<Self>, mode: Mode) -> RunToEnd<Result<TokenChange, SessionError>> {
        let running = self.engine.running();
        RunToEnd::new(running, async move {
            let _one_at_a_time = self.io.hold().await;
            let change = self.store(mode).await?;
            if mode == Mode::Save {
                return Ok(change);
            }
            self.engine.hand_out(self.confirmed(change).await)
        })
    }

    async fn store(&self, mode: Mode) -> Result<TokenChange, SessionError> {
        loop {
            let now = self.engine.clock.now();
            let next = self.state().begin(mode, &self.engine.terms, now)?;
            let work = match next {
                Next::Done(change) => return Ok(change),
                Next::Work(work) => work,
                Next::Failed(failure) => return Err(self.give_up(failure, mode).await),
            };
            let was_left_over = work.is_unsure();
            let change = self.perform(work, mode, now).await?;
            // An earlier commit has come to its end: now it is the turn of this one.
            if !was_left_over {
                return Ok(change);
            }
        }
    }

    /// What failed takes the other data with it. A logout counts all the same.
    async fn give_up(&self, failure: SessionError, mode: Mode) -> SessionError {
        let id = self.state().present().map(Present::id);
        self.engine.events.commit_failed(id, &failure);
        if mode == Mode::Save {
            return failure;
        }
        Box::pin(self.store(Mode::FinalWithoutData)).await.err().unwrap_or(failure)
    }

    /// What to tell the client, once it is known that a secret which it is to be told is still good. If that cannot be known,
    /// the client goes on with the one that it has.
    async fn confirmed(&self, change: TokenChange) -> TokenChange {
        let Some(token) = self.state().to_look_up(&self.engine.terms).cloned() else { return change };
        let now = self.engine.clock.now();
        let found = Box::pin(self.engine.recognize(&token, Reading::Fresh, Bearer::Admitted, now)).await;
        if let Ok(Recognition::Valid(newer)) = found {
            self.state().confirm(newer, now);
        }
        self.token_change()
    }

    /// Learns what others have saved in the meantime. Runs to its end as well: it may have a commit to finish first.
    pub(crate) fn reload(self: Arc<Self>) -> RunToEnd<Result<(), SessionError>> {
        let running = self.engine.running();
        RunToEnd::new(running, async move {
            let _one_at_a_time = self.io.hold().await;
            let left_over = {
                let mut state = self.state();
                if state.present().is_none() {
                    return state.check_not_ended();
                }
                state.take_unfinished()
            };
            if let Some(work) = left_over {
                self.perform(work, Mode::Save, self.engine.clock.now()).await?;
            }
            self.catch_up().await
        })
    }

    /// Goes on from what the store has now.
    async fn catch_up(&self) -> Result<(), SessionError> {
        let Some(token) = self.state().present().map(|present| present.shown_token().clone()) else { return Ok(()) };
        match self.engine.recognize(&token, Reading::Fresh, Bearer::Admitted, self.engine.clock.now()).await? {
            Recognition::Valid(newer) => self.rebase(&newer),
            Recognition::Unreadable(error) => Err(SessionError::new(
                ErrorKind::Store,
                "another request has left a record that cannot be read; this one goes on with what it has",
            )
            .because(error)),
            Recognition::Latecomer | Recognition::Stranger | Recognition::Replayed(_) | Recognition::WrongRecord => {
                self.state().end();
                Err(ended())
            }
        }
    }

    /// Whether the session is over for those who hold this unit's token; if so, the unit learns it. A store that does not know
    /// ends nothing.
    pub(super) async fn is_over(self: Arc<Self>) -> bool {
        let Some(token) = self.state().stored_token().cloned() else { return true };
        match self.engine.recognize(&token, Reading::Fresh, Bearer::Admitted, self.engine.clock.now()).await {
            Ok(
                Recognition::Latecomer | Recognition::Stranger | Recognition::Replayed(_) | Recognition::WrongRecord,
            ) => {
                self.state().end();
                true
            }
            Ok(Recognition::Valid(newer)) => {
                // Its secret may have been replaced with a grace, which is too short to wait for.
                self.state().follow(newer);
                false
            }
            Ok(Recognition::Unreadable(_)) | Err(_) => false,
        }
    }

    async fn perform(&self, work: Box<Work>, mode: Mode, now: Timestamp) -> Result<TokenChange, SessionError> {
        let stopwatch = Stopwatch::start();
        let result = self.carry_out(work, mode, now).await;
        self.engine.events.committed(stopwatch);
        result
    }

    async fn carry_out(&self, mut work: Box<Work>, mode: Mode, now: Timestamp) -> Result<TokenChange, SessionError> {
        let engine = &self.engine;
        let seat = match engine.take_seat(&mut work).await {
            Ok(seat) => seat,
            Err(error) => return Err(self.fail(work, error)),
        };
        // A seat may have taken its time.
        let now = if seat.is_some() { engine.clock.now() } else { now };
        let limit = engine.terms.limits.max_commit_time();
        let in_time = deadline::within(limit, engine.store_changes(&mut work, mode, now)).await;
        let result = in_time.unwrap_or_else(|| {
            work.be_unsure();
            Err(SessionError::new(
                ErrorKind::Contended,
                "the session could not be saved within Limits::commit_timeout, because others saved it again and again \
                 or the store was slow; whether anything of this request was kept is unknown: look, and try again",
            ))
        });
        if let Some(seat) = seat.filter(|_| !work.is_unsure()) {
            engine.leave_seat(&seat).await;
        }
        match result {
            Ok(stored) => {
                // It has happened: whatever becomes of those who hear of it.
                work.events(&stored, &engine.terms).for_each(|event| engine.events.emit(event));
                self.finish(engine.end_surplus(stored, &work).await, &work, mode)
            }
            // A request that only reads does not fail because its session could not be kept alive for longer.
            Err(_) if work.is_upkeep() => Ok(self.token_change()),
            Err(error) => {
                let may_be_lost = engine.terms.policy.is_best_effort() && work.is_data_only() && error.is_temporary();
                if may_be_lost && mode != Mode::Save {
                    engine.events.lost(work.id(), &error);
                    return Ok(self.token_change());
                }
                Err(self.fail(work, error))
            }
        }
    }

    fn fail(&self, work: Box<Work>, error: SessionError) -> SessionError {
        self.engine.events.commit_failed(work.id(), &error);
        match error.kind() {
            ErrorKind::TooManySessions => self.state().refuse(),
            _ => self.state().restore(work),
        }
        error
    }

    fn finish(&self, stored: Stored, work: &Work, mode: Mode) -> Result<TokenChange, SessionError> {
        let dropped = match &stored {
            Stored::Dropped(reason) => Some(*reason),
            _ => None,
        };
        if let Some(id) = work.ended_for_others(&stored) {
            self.engine.endings.announce(id);
        }
        let (written_since, change) = {
            let mut state = self.state();
            (state.finish(stored, work), state.token_change(|| self.engine.clock.now()))
        };
        if let Some(reason) = dropped {
            if !work.is_upkeep() {
                self.engine.events.emit(SessionEvent::Dropped { id: work.id(), reason });
            }
            // In the middle of a request somebody waits who can still act on it.
            if mode == Mode::Save {
                return Err(ended());
            }
        }
        let Some(saved) = written_since else { return Ok(change) };
        self.rebase(&saved).inspect_err(|_| self.state().drop_data_changes())?;
        Ok(self.token_change())
    }

    /// Puts the changes that are not stored yet on a newer state of the session. The functions of updates are the
    /// application's, and may use the session: they run without the lock.
    fn rebase(&self, newer: &Present) -> Result<(), SessionError> {
        loop {
            let (journal, revision) = self.state().pending();
            let mut data = None;
            if !journal.is_empty() {
                let data = data.insert(Data::clone(&newer.contents.data));
                journal.replay(data, &self.engine.terms.limits)?;
            }
            if self.state().rebase(newer.clone(), data, revision) {
                return Ok(());
            }
        }
    }

    fn token_change(&self) -> TokenChange {
        self.state().token_change(|| self.engine.clock.now())
    }

    /// What commits of this request have stored that the client has to know, although the last one has failed.
    pub(crate) fn stored_token_change(&self) -> TokenChange {
        let change = self.state().stored_token_change(|| self.engine.clock.now());
        // Without random bytes the client is told nothing: it learns a new secret with its next request, or not at all.
        self.engine.hand_out(change).unwrap_or(TokenChange::Keep)
    }
}
