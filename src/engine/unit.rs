//! One request's part of a session: keeps its [`State`], and does the I/O that it asks for.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Engine, Exclusive, RunToEnd, deadline};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::{ErrorKind, SessionError};
use crate::event::{SessionEvent, Stopwatch};
use crate::journal::Journal;
use crate::state::{Bearer, Mode, Next, Present, Recognition, State, Stored, TokenChange, Work, ended};

/// A state under its lock. The fields are dropped in their order: first the lock, then what the state has discarded.
pub(crate) struct Locked<'a> {
    state: MutexGuard<'a, State>,
    discarded: Option<Box<Journal>>,
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

/// How a request's part of a session ends: what the client has to be told.
pub(crate) enum Ending {
    AtOnce(Result<TokenChange, SessionError>),
    Commit(Commit),
}

pub(crate) type Commit = RunToEnd<Result<TokenChange, SessionError>>;

/// What is to be done at a commit, and when that was decided.
struct Begun {
    next: Result<Next, SessionError>,
    at: Timestamp,
}

/// A unit that has its store to itself until this is dropped: a commit and a reload follow one another.
struct Turn(Arc<Unit>);

impl Deref for Turn {
    type Target = Unit;

    fn deref(&self) -> &Unit {
        &self.0
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.io.free();
    }
}

/// One request's part of a session, shared by all handles of that request.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) engine: Arc<Engine>,
    state: Mutex<State>,
    /// Taken while the store is at work for this request.
    io: Exclusive,
}

impl Unit {
    // Inlined as the state is.
    #[inline]
    pub(crate) fn new(engine: Arc<Engine>, state: State) -> Arc<Self> {
        Arc::new(Self { engine, state: Mutex::new(state), io: Exclusive::default() })
    }

    /// Never held while foreign code runs, the application's or a store's; but the clock is read.
    pub(crate) fn state(&self) -> Locked<'_> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Locked { state, discarded: None }
    }

    /// Ends the request's part: at once, unless that takes I/O. Then it runs to its end even if nobody waits for it any more.
    pub(crate) fn end(self: &Arc<Self>, mode: Mode) -> Ending {
        let (terms, at) = (&self.engine.terms, self.engine.clock.now());
        let begun = {
            let mut state = self.state();
            // Under the state's lock: whoever begins something from now on finds the state closed.
            if self.io.is_taken() {
                None
            } else if let Some(change) = state.settle(mode, terms, at) {
                return Ending::AtOnce(self.engine.hand_out(change));
            } else {
                self.io.try_take().then(|| (Turn(self.clone()), Begun { next: state.begin(mode, terms, at), at }))
            }
        };
        let begun = begun.ok_or_else(|| self.clone());
        Ending::Commit(RunToEnd::new(self.engine.running(), async move {
            let (turn, begun) = match begun {
                Ok(begun) => begun,
                Err(unit) => unit.begin_in_turn(mode).await,
            };
            turn.store(mode, begun).await?;
            turn.engine.hand_out(turn.confirmed_token_change().await)
        }))
    }

    /// Stores what was changed so far; the session can be written on. Runs to its end as well.
    pub(crate) fn save(self: Arc<Self>) -> RunToEnd<Result<(), SessionError>> {
        RunToEnd::new(self.engine.running(), async move {
            let (turn, begun) = self.begin_in_turn(Mode::Save).await;
            turn.store(Mode::Save, begun).await
        })
    }

    async fn begin_in_turn(self: Arc<Self>, mode: Mode) -> (Turn, Begun) {
        let turn = self.turn().await;
        let begun = turn.begin(mode);
        (turn, begun)
    }

    /// Waits until no other commit or reload of this request is at work.
    async fn turn(self: Arc<Self>) -> Turn {
        self.io.take().await;
        Turn(self)
    }

    fn begin(&self, mode: Mode) -> Begun {
        let at = self.engine.clock.now();
        Begun { next: self.state().begin(mode, &self.engine.terms, at), at }
    }

    async fn store(&self, mode: Mode, mut begun: Begun) -> Result<(), SessionError> {
        loop {
            let work = match begun.next? {
                Next::Done => return Ok(()),
                Next::Work(work) => work,
                Next::Failed(failure) => return Err(self.give_up(failure, mode).await),
            };
            let was_left_over = work.is_unsure();
            self.perform(work, mode, begun.at).await?;
            // An earlier commit has come to its end: now it is the turn of this one.
            if !was_left_over {
                return Ok(());
            }
            begun = self.begin(mode);
        }
    }

    /// What failed takes the other data with it. A logout counts all the same.
    async fn give_up(&self, failure: SessionError, mode: Mode) -> SessionError {
        let id = self.state().present().map(Present::id);
        self.engine.events.commit_failed(id, &failure);
        if mode == Mode::Save {
            return failure;
        }
        let without_data = self.begin(Mode::FinalWithoutData);
        Box::pin(self.store(Mode::FinalWithoutData, without_data)).await.err().unwrap_or(failure)
    }

    /// What to tell the client, once it is known that a secret which it is to be told is still good. If that cannot be known,
    /// the client goes on with the one that it has.
    async fn confirmed_token_change(&self) -> TokenChange {
        let token = {
            let state = self.state();
            match state.to_look_up() {
                Some(token) => token.clone(),
                None => return state.token_change(|| self.engine.clock.now()),
            }
        };
        let now = self.engine.clock.now();
        let found = Box::pin(self.engine.recognize(&token, Bearer::Admitted, now)).await;
        let mut state = self.state();
        match found {
            Ok(Recognition::Valid(newer)) => state.confirm(&newer, now),
            Ok(Recognition::Refused(_)) => state.tell_nothing(),
            Ok(Recognition::Unreadable(_)) | Err(_) => {}
        }
        state.token_change(|| self.engine.clock.now())
    }

    /// Learns what others have saved in the meantime. Runs to its end as well: it may have a commit to finish first.
    pub(crate) fn reload(self: Arc<Self>) -> RunToEnd<Result<(), SessionError>> {
        RunToEnd::new(self.engine.running(), async move {
            let turn = self.turn().await;
            let left_over = {
                let mut state = turn.state();
                if state.present().is_none() {
                    return state.check_not_ended();
                }
                state.take_unfinished()
            };
            if let Some(work) = left_over {
                turn.perform(work, Mode::Save, turn.engine.clock.now()).await?;
            }
            turn.catch_up().await
        })
    }

    /// Goes on from what the store has now.
    async fn catch_up(&self) -> Result<(), SessionError> {
        let Some(token) = self.state().present().map(|present| present.shown_token().clone()) else { return Ok(()) };
        match self.engine.recognize(&token, Bearer::Admitted, self.engine.clock.now()).await? {
            Recognition::Valid(newer) => self.rebase(&newer),
            Recognition::Unreadable(error) => Err(SessionError::new(
                ErrorKind::Store,
                "another request has left a record that cannot be read; this one goes on with what it has",
            )
            .because(error)),
            Recognition::Refused(_) => {
                self.state().end();
                Err(ended())
            }
        }
    }

    /// Whether the session is over for those who hold this unit's token; if so, the unit learns it. A store that does not know
    /// ends nothing.
    pub(super) async fn is_over(self: Arc<Self>) -> bool {
        let Some(token) = self.state().stored_token().cloned() else { return true };
        match self.engine.recognize(&token, Bearer::Admitted, self.engine.clock.now()).await {
            Ok(Recognition::Refused(_)) => {
                self.state().end();
                true
            }
            Ok(Recognition::Valid(newer)) => {
                // Its secret may have been replaced with a grace, which is too short to wait for.
                self.state().follow(&newer);
                false
            }
            Ok(Recognition::Unreadable(_)) | Err(_) => false,
        }
    }

    async fn perform(&self, work: Box<Work>, mode: Mode, now: Timestamp) -> Result<(), SessionError> {
        let stopwatch = Stopwatch::start();
        let result = self.carry_out(work, mode, now).await;
        self.engine.events.committed(stopwatch);
        result
    }

    async fn carry_out(&self, mut work: Box<Work>, mode: Mode, now: Timestamp) -> Result<(), SessionError> {
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
            Ok(()) => {
                // It has happened: whatever becomes of those who hear of it.
                work.events(&engine.terms).for_each(|event| engine.events.emit(event));
                engine.end_surplus(&mut work).await;
                self.finish(&mut work, mode)
            }
            // A request that only reads does not fail because its session could not be kept alive for longer.
            Err(_) if work.is_upkeep() => Ok(()),
            Err(error) => {
                let may_be_lost = engine.terms.policy.is_best_effort() && work.is_data_only() && error.is_temporary();
                if may_be_lost && mode != Mode::Save {
                    engine.events.lost(work.id(), &error);
                    return Ok(());
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

    fn finish(&self, work: &mut Work, mode: Mode) -> Result<(), SessionError> {
        let dropped = match work.outcome() {
            Stored::Dropped(reason) => Some(*reason),
            _ => None,
        };
        if let Some(id) = work.ended_for_others() {
            self.engine.endings.announce(id);
        }
        let (authenticates, written_since) = {
            let mut state = self.state();
            // An earlier commit comes first, and takes what is pending along if it is dropped.
            (work.authenticates() || state.authenticates(), state.finish(work))
        };
        if let Some(reason) = dropped {
            if !work.is_upkeep() {
                self.engine.events.emit(SessionEvent::Dropped { id: work.id(), reason });
            }
            // In the middle of a request somebody waits who can still act on it; and no answer is to say welcome to somebody who
            // is not logged in.
            if mode == Mode::Save || (mode == Mode::Final && authenticates) {
                return Err(ended());
            }
        }
        match written_since {
            Some(saved) => self.rebase(&saved).inspect_err(|_| self.state().drop_data_changes()),
            None => Ok(()),
        }
    }

    /// Puts the changes that are not stored yet on a newer state of the session. The functions of updates are the
    /// application's, and may use the session: they run without the lock.
    fn rebase(&self, newer: &Arc<Present>) -> Result<(), SessionError> {
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

    /// What commits of this request have stored that the client has to know, although the last one has failed.
    pub(crate) fn stored_token_change(&self) -> TokenChange {
        let change = self.state().stored_token_change(|| self.engine.clock.now());
        // Without random bytes the client is told nothing: it learns a new secret with its next request, or not at all.
        self.engine.hand_out(change).unwrap_or(TokenChange::Keep)
    }
}
