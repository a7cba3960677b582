//! Loads and commits one session: orders the steps and does the I/O. What to do is decided by [`State`].

mod backoff;
mod deadline;
mod run_to_end;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::clock::{MonotonicClock, Timestamp};
use crate::error::{ErrorKind, SessionError, StoreError, StoreErrorKind};
use crate::event::{DropReason, Events, SessionEvent};
use crate::record::{DecodeError, Record};
use crate::state::{Absence, Mode, Next, Present, Rebased, Recognition, State, Step, Stored, Terms, TokenChange, Work};
use crate::store::{CreateOutcome, SaveOutcome, SessionStore};
use crate::token::{SessionId, Token, random_u64};
use backoff::Backoff;

pub(crate) use backoff::jitter;
pub(crate) use run_to_end::{InFlight, RunToEnd};

/// Tokens of one name that a request may show before none of them is looked up.
pub(crate) const MAX_TOKENS: usize = 4;

/// What a request shows to be recognized.
#[derive(Debug, Default)]
pub(crate) enum Shown {
    #[default]
    Nothing,
    /// Something of our name that cannot be a token.
    Malformed,
    /// Different tokens, at most [`MAX_TOKENS`].
    Tokens(Token, Vec<Token>),
    TooMany,
}

/// Everything that sessions of one kind share.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) terms: Terms,
    pub(crate) clock: Arc<MonotonicClock>,
    pub(crate) events: Events,
    pub(crate) in_flight: Arc<InFlight>,
}

/// One request's part of a session, shared by all handles of that request.
#[derive(Debug)]
pub(crate) struct Unit {
    pub(crate) engine: Arc<Engine>,
    state: Mutex<State>,
    /// Held while the store is at work for this request: a commit and a reload follow one another.
    io: tokio::sync::Mutex<()>,
}

impl Unit {
    pub(crate) fn new(engine: Arc<Engine>, state: State) -> Arc<Self> {
        Arc::new(Self { engine, state: Mutex::new(state), io: tokio::sync::Mutex::new(()) })
    }

    /// Never held while foreign code runs, the application's or a store's.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the request's part at once, if that takes no I/O.
    pub(crate) fn settle(&self, mode: Mode) -> Option<TokenChange> {
        let _nothing_under_way = self.io.try_lock().ok()?;
        let (terms, now) = (&self.engine.terms, self.engine.clock.now());
        let mut state = self.state();
        if state.needs_store(mode, terms, now) {
            return None;
        }
        match state.begin(mode, terms, now) {
            Next::Done(change) => Some(change),
            Next::Work(_) => None,
        }
    }

    /// Stores what was changed. Runs to its end even if nobody waits for it any more.
    pub(crate) fn commit(self: Arc<Self>, mode: Mode) -> RunToEnd<Result<TokenChange, SessionError>> {
        let engine = self.engine.clone();
        RunToEnd::new(&engine.in_flight, &engine.events, async move {
            let _one_at_a_time = self.io.lock().await;
            let next = self.state().begin(mode, &self.engine.terms, self.engine.clock.now());
            match next {
                Next::Done(change) => Ok(change),
                Next::Work(work) => self.perform(*work, mode).await,
            }
        })
    }

    /// Learns what others have saved in the meantime.
    pub(crate) async fn reload(&self) -> Result<(), SessionError> {
        let _one_at_a_time = self.io.lock().await;
        let Some(token) = self.state().present().map(|present| present.token.clone()) else {
            return Ok(());
        };
        if let Recognition::Valid(present) = self.engine.recognize(&token).await? {
            return self.state().reload(present, &self.engine.terms);
        }
        self.state().end();
        Err(ended())
    }

    async fn perform(&self, mut work: Work, mode: Mode) -> Result<TokenChange, SessionError> {
        let engine = &self.engine;
        let limit = engine.terms.limits.max_commit_time();
        let result = match deadline::within(limit, engine.store_changes(&mut work)).await {
            Some(result) => result,
            None => Err(SessionError::new(
                ErrorKind::Contended,
                "the session could not be saved within Limits::commit_timeout, because others saved it again and again \
                 or the store was slow; nothing of this request is known to be kept: try again",
            )),
        };
        let now = engine.clock.now();
        match result {
            Ok(stored) => {
                let dropped = match &stored {
                    Stored::Dropped(reason) if !work.is_touch() => Some(*reason),
                    _ => None,
                };
                let change = self.state().finish(stored, &engine.terms, now)?;
                if let Some(reason) = dropped {
                    engine.events.emit(&SessionEvent::Dropped { id: work.id(), reason });
                    // In the middle of a request somebody waits who can still act on it.
                    if mode == Mode::Save {
                        return Err(ended());
                    }
                }
                Ok(change)
            }
            // A request that only reads does not fail because its session could not be kept alive for longer.
            Err(_) if work.is_touch() => Ok(self.state().token_change(now)),
            Err(error) if engine.terms.policy.is_best_effort() && work.is_data_only() && error.is_temporary() => {
                engine.events.lost(work.id(), &error);
                Ok(self.state().token_change(now))
            }
            Err(error) => {
                self.state().restore(work);
                Err(error)
            }
        }
    }
}

/// The session is over, for whoever has to know.
pub(crate) fn ended() -> SessionError {
    SessionError::new(
        ErrorKind::Ended,
        "the session ended while this request was at work: it was logged out elsewhere, has expired, \
         or its secret was replaced; nothing of this request was kept",
    )
}

impl Engine {
    /// Finds the session that a request belongs to.
    pub(crate) async fn open(&self, shown: &Shown) -> Result<State, SessionError> {
        let (first, others) = match shown {
            Shown::Nothing => return Ok(State::new(Err(Absence::NothingShown))),
            Shown::Malformed => return Ok(State::new(Err(Absence::Unknown))),
            Shown::TooMany => return Ok(self.ambiguous(MAX_TOKENS + 1)),
            Shown::Tokens(first, others) => (first, others),
        };
        let mut valid: Option<Present> = None;
        let mut absence = Absence::Unknown;
        for token in std::iter::once(first).chain(others) {
            match self.recognize(token).await? {
                // Order says nothing (RFC 6265bis section 4.2.2), so neither of two good tokens may win.
                Recognition::Valid(_) if valid.is_some() => return Ok(self.ambiguous(1 + others.len())),
                Recognition::Valid(present) => valid = Some(present),
                Recognition::Latecomer => absence = Absence::Latecomer,
                Recognition::Stranger | Recognition::WrongRecord | Recognition::Unreadable(_) => {}
            }
        }
        Ok(State::new(valid.ok_or(absence)))
    }

    fn ambiguous(&self, tokens: usize) -> State {
        self.events.emit(&SessionEvent::AmbiguousToken { tokens });
        State::new(Err(Absence::Ambiguous))
    }

    /// Loads the record of a token and checks it. A record of a newer version is an error: it is somebody's session.
    async fn recognize(&self, token: &Token) -> Result<Recognition, SessionError> {
        let now = self.clock.now();
        let record = match self.load(token.id(), now).await {
            Ok(record) => record,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                self.events.emit(&SessionEvent::Corrupt { id: token.id(), cause: format!("{error:?}") });
                return Ok(Recognition::Stranger);
            }
            Err(error) => return Err(error.into()),
        };
        let recognition = self.terms.recognize(token, record, now);
        match &recognition {
            Recognition::WrongRecord => self.events.emit(&SessionEvent::WrongRecord { id: token.id() }),
            Recognition::Unreadable(DecodeError::Newer) => {
                return Err(SessionError::new(
                    ErrorKind::NewerFormat,
                    "the session was written by a newer version of this crate and is left as it is; \
                     finish the deployment, or go back with all processes",
                ));
            }
            Recognition::Unreadable(error) => {
                self.events.emit(&SessionEvent::Corrupt { id: token.id(), cause: error.to_string() });
            }
            Recognition::Valid(_) | Recognition::Latecomer | Recognition::Stranger => {}
        }
        Ok(recognition)
    }

    /// Takes step after step until the work is stored, has nowhere to go, or fails.
    async fn store_changes(&self, work: &mut Work) -> Result<Stored, SessionError> {
        let write = next_write()?;
        let mut step = work.first_step(write, &self.terms, self.clock.now())?;
        let mut backoff = Backoff::default();
        let mut retries = 0;
        let mut failed_before = false;
        loop {
            match self.take(&step).await {
                Ok(Taken::Done) => {
                    if let (Some(id), 1..) = (work.id(), retries) {
                        self.events.emit(&SessionEvent::Retried { id, retries });
                    }
                    return Ok(work.done());
                }
                Ok(Taken::Dropped(reason)) => return Ok(Stored::Dropped(reason)),
                // Whoever was faster has moved the expiry as well.
                Ok(Taken::Conflict) if work.is_touch() => return Ok(work.done_by_others()),
                Ok(Taken::Conflict) => {
                    retries += 1;
                    backoff.wait().await;
                }
                Err(error) if error.is_ambiguous() && !failed_before && !work.is_touch() => {
                    failed_before = true;
                    work.be_unsure();
                }
                Err(error) => return Err(error.into()),
            }
            if matches!(step, Step::Delete(_)) {
                continue;
            }
            let now = self.clock.now();
            let found = match work.token() {
                Some(token) => self.load(token.id(), now).await?,
                None => None,
            };
            match work.rebase(found, write, &self.terms, now)? {
                Rebased::Done(stored) => return Ok(stored),
                Rebased::Again(next) => step = next,
            }
        }
    }

    async fn take(&self, step: &Step) -> Result<Taken, StoreError> {
        let (store, now) = (&self.store, self.clock.now());
        Ok(match step {
            Step::Create(record) => match self.call("create", store.create(record, now)).await? {
                CreateOutcome::Created => Taken::Done,
                CreateOutcome::Exists => Taken::Conflict,
            },
            Step::Save { record, expected } => self.call("save", store.save(record, *expected, now)).await?.into(),
            Step::Touch { id, expected, expires_at } => {
                self.call("touch", store.touch(*id, *expected, *expires_at, now)).await?.into()
            }
            Step::Delete(id) => {
                self.call("delete", store.delete(*id)).await?;
                Taken::Done
            }
            Step::Drop(reason) => Taken::Dropped(*reason),
        })
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.call("load", self.store.load(id, now)).await
    }

    /// Deletes records that have expired, at most `limit`. How many.
    pub(crate) async fn delete_expired(&self, limit: usize) -> Result<usize, StoreError> {
        self.call("delete_expired", self.store.delete_expired(self.clock.now(), limit)).await
    }

    /// One call to the store, not longer than the operation timeout.
    async fn call<T>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let limit = self.terms.limits.max_operation_time();
        let result = deadline::within(limit, future).await.unwrap_or_else(|| Err(StoreError::timed_out(limit)));
        if let Err(error) = &result {
            self.events.store_failed(operation, error);
        }
        result
    }
}

/// How a call to the store ended.
enum Taken {
    Done,
    Conflict,
    Dropped(DropReason),
}

impl From<SaveOutcome> for Taken {
    fn from(outcome: SaveOutcome) -> Self {
        match outcome {
            SaveOutcome::Saved => Self::Done,
            SaveOutcome::Conflict => Self::Conflict,
            SaveOutcome::Gone => Self::Dropped(DropReason::Ended),
        }
    }
}

/// A name for a commit's writes that no other commit has, in this process or another.
fn next_write() -> Result<u64, SessionError> {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let first = if let Some(first) = FIRST.get() {
        *first
    } else {
        let random = random_u64()?;
        *FIRST.get_or_init(|| random)
    };
    Ok(first.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)))
}
