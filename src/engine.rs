//! Loads and commits one session: orders the steps and does the I/O. What to do is decided by [`State`].

mod backoff;
#[cfg_attr(not(feature = "sealed"), path = "engine/nothing_carried.rs")]
mod carried;
mod closed;
mod deadline;
mod endings;
mod exclusive;
mod inherit;
mod key_types;
mod of_user;
mod run_to_end;
mod seats;
mod shown;
mod sweep;
mod turns;
mod unit;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::clock::{MonotonicClock, Timestamp};
use crate::error::{ErrorKind, SessionError, StoreError, StoreErrorKind};
use crate::event::{DropReason, Events, SessionEvent, Stopwatch, chain};
use crate::record::{DecodeError, Record, Version};
use crate::state::{
    Absence, Bearer, Bond, Mode, OnMismatch, Present, Rebased, Recognition, Refusal, State, Step, Terms, Work,
    newer_format,
};
use crate::store::{CreateOutcome, SaveOutcome, SessionStore, load_fresh};
use crate::token::{SessionId, Token, random_u64};
use backoff::Backoff;

pub(crate) use backoff::jitter;
pub(crate) use carried::Carried;
#[cfg(feature = "sealed")]
pub use carried::CookieStore;
pub(crate) use endings::Endings;
pub(crate) use exclusive::Exclusive;
pub(crate) use key_types::KeyTypes;
pub(crate) use of_user::Found;
use run_to_end::Running;
pub(crate) use run_to_end::{InFlight, RunToEnd};
pub(crate) use shown::{MAX_TOKENS, Shown, ShownToken};
pub(crate) use turns::Turns;
pub(crate) use unit::{Commit, Ending, Unit};
pub(crate) use watch::Watch;

/// Before all time: a record that expires then has expired for everybody, whatever their clocks say.
const LONG_AGO: Timestamp = Timestamp::from_millis(0);

/// Everything that sessions of one kind share.
#[derive(Clone, Debug)]
pub(crate) struct Engine {
    /// Where sessions are loaded and saved: what the client of a request holds, if clients hold anything.
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) carried: Option<Carried>,
    pub(crate) terms: Terms,
    pub(crate) clock: Arc<MonotonicClock>,
    pub(crate) events: Events,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) key_types: Arc<KeyTypes>,
    pub(crate) endings: Arc<Endings>,
}

impl Engine {
    /// Finds the session that a request belongs to.
    pub(crate) async fn open(self: &Arc<Self>, shown: &Shown, bond: Option<Bond>) -> Result<Arc<Unit>, SessionError> {
        let now = self.clock.now();
        Ok(match self.find(shown, now).await? {
            Ok((_, present)) if self.refuses(&present, bond.as_ref()) => self.absent(Absence::Mismatch, bond),
            Ok((engine, present)) => {
                self.events.emit(SessionEvent::Resumed { id: present.id() });
                Unit::new(engine, State::new(Ok(present), bond, now))
            }
            Err(absence) => self.absent(absence, bond),
        })
    }

    /// The session that a request shows, with the engine that reaches its store.
    async fn find(
        self: &Arc<Self>,
        shown: &Shown,
        now: Timestamp,
    ) -> Result<Result<(Arc<Self>, Arc<Present>), Absence>, SessionError> {
        let tokens = match shown {
            Shown::Nothing => return Ok(Err(Absence::NothingShown)),
            Shown::Malformed => {
                self.events.unknown_token(None, now);
                return Ok(Err(Absence::Unknown));
            }
            Shown::TooMany => return Ok(Err(self.ambiguous(MAX_TOKENS + 1, now))),
            Shown::Tokens(tokens) => tokens,
        };
        let mut valid: Option<(Arc<Self>, Arc<Present>)> = None;
        let (mut absence, mut stranger) = (Absence::Unknown, None);
        for shown in tokens {
            let id = shown.token.id();
            let Some(engine) = self.for_client(shown) else {
                stranger = stranger.or(Some(id));
                continue;
            };
            match engine.recognize_anywhere(&shown.token, now).await? {
                // Order says nothing (RFC 6265bis section 4.2.2), so neither of two good tokens may win.
                Recognition::Valid(_) if valid.is_some() => return Ok(Err(self.ambiguous(tokens.len(), now))),
                Recognition::Valid(present) => valid = Some((engine, present)),
                Recognition::Refused(Refusal::Latecomer) => absence = Absence::Latecomer,
                // Of another session it says nothing: whoever can plant a cookie has one of their own to show.
                Recognition::Refused(Refusal::Replayed(version)) => {
                    // An alarm that is lost because the client goes away would not be raised again.
                    let (ending, token) = (engine.clone(), shown.token.clone());
                    let end = async move { ending.end_replayed(&token, version, now).await };
                    if RunToEnd::new(self.running(), end).await? {
                        valid = valid.filter(|(_, present)| present.id() != id);
                    }
                }
                Recognition::Refused(Refusal::Stranger) => stranger = stranger.or(Some(id)),
                // Told already.
                Recognition::Refused(Refusal::WrongRecord) | Recognition::Unreadable(_) => {}
            }
        }
        if let (None, Absence::Unknown, Some(id)) = (&valid, absence, stranger) {
            self.events.unknown_token(Some(id), now);
        }
        Ok(valid.ok_or(absence))
    }

    /// Whoever holds the new secret is as likely the thief as whoever holds the old one. Whether the session is over for who
    /// shows it. A login since it was loaded has made an end of all that, and stays.
    async fn end_replayed(&self, token: &Token, version: Version, now: Timestamp) -> Result<bool, SessionError> {
        let (id, ended) = (token.id(), self.terms.policy.ends_at_replay());
        if ended && !self.end_while_replayed(token, version, now).await? {
            return Ok(true);
        }
        self.events.emit(SessionEvent::Replayed { id, ended });
        if ended {
            self.endings.announce(id);
            // It is over: what cannot be deleted now is swept.
            let _ = self.call("delete", self.store().delete(id)).await;
        }
        Ok(ended)
    }

    /// Makes the session expire, as long as the token is one of a replaced secret. Whether it was.
    async fn end_while_replayed(&self, token: &Token, version: Version, now: Timestamp) -> Result<bool, SessionError> {
        let (mut expected, mut backoff) = (version, Backoff::default());
        loop {
            if self.expire_unchanged(token.id(), expected).await? != SaveOutcome::Conflict {
                return Ok(true);
            }
            backoff.wait().await;
            match self.recognize(token, Bearer::Newcomer, now).await? {
                Recognition::Refused(Refusal::Replayed(newer)) => expected = newer,
                _ => return Ok(false),
            }
        }
    }

    fn ambiguous(&self, tokens: usize, now: Timestamp) -> Absence {
        self.events.ambiguous_token(tokens, tokens > MAX_TOKENS, now);
        Absence::Ambiguous
    }

    /// Whether a session has to stay closed to somebody who is not what it is bound to. That they are not is told.
    fn refuses(&self, present: &Present, bond: Option<&Bond>) -> bool {
        if bond.is_none_or(|bond| bond.fits(present, &self.terms)) {
            return false;
        }
        self.events.emit(SessionEvent::BindingMismatch { id: present.id() });
        self.terms.on_mismatch == OnMismatch::Anonymous
    }

    /// The part of a request that has no session yet.
    pub(crate) fn absent(self: &Arc<Self>, absence: Absence, bond: Option<Bond>) -> Arc<Unit> {
        Unit::new(self.for_visitor(), State::new(Err(absence), bond, self.clock.now()))
    }

    /// As [`recognize`](Self::recognize), from a cache if there is one. What that has may be older than the token's secret,
    /// so nobody is a stranger on its word alone. Every stranger is looked up twice then, whatever is wrong with the token.
    async fn recognize_anywhere(&self, token: &Token, now: Timestamp) -> Result<Recognition, SessionError> {
        let loaded = self.call("load", self.store().load(token.id(), now)).await;
        let recognition = self.judge_loaded(token, loaded, Bearer::Newcomer, now)?;
        let is_bad = matches!(recognition, Recognition::Refused(Refusal::Stranger | Refusal::Replayed(_)));
        if is_bad && self.store().fresh_reads().is_some() {
            return Box::pin(self.recognize(token, Bearer::Newcomer, now)).await;
        }
        Ok(recognition)
    }

    /// Loads the record of a token, as it is in the store at this moment, and checks it.
    async fn recognize(&self, token: &Token, bearer: Bearer, now: Timestamp) -> Result<Recognition, SessionError> {
        self.judge_loaded(token, self.load(token.id(), now).await, bearer, now)
    }

    fn judge_loaded(
        &self,
        token: &Token,
        loaded: Result<Option<Record>, StoreError>,
        bearer: Bearer,
        now: Timestamp,
    ) -> Result<Recognition, SessionError> {
        match loaded {
            Ok(record) => self.judge(token, record, bearer, now),
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                self.events.emit(SessionEvent::Corrupt { id: token.id(), cause: chain(&error) });
                Ok(Recognition::Unreadable(DecodeError::NotARecord))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks a record against a token, and tells what should not be. A record of a newer version is an error: it is
    /// somebody's session.
    fn judge(
        &self,
        token: &Token,
        record: Option<Record>,
        bearer: Bearer,
        now: Timestamp,
    ) -> Result<Recognition, SessionError> {
        let recognition = self.terms.recognize(token, record, bearer, now);
        match &recognition {
            Recognition::Refused(Refusal::WrongRecord) => {
                self.events.emit(SessionEvent::WrongRecord { id: token.id() });
            }
            Recognition::Unreadable(DecodeError::Newer) => {
                return Err(newer_format());
            }
            Recognition::Unreadable(error) => {
                self.events.emit(SessionEvent::Corrupt { id: token.id(), cause: error.to_string() });
            }
            Recognition::Valid(_) | Recognition::Refused(_) => {}
        }
        Ok(recognition)
    }

    /// Takes step after step until the work is stored, has nowhere to go, or fails.
    async fn store_changes(&self, work: &mut Work, mode: Mode, mut now: Timestamp) -> Result<(), SessionError> {
        let mut backoff = Backoff::default();
        let (mut retries, mut failed_before, mut turn) = (0, false, None);
        let mut next =
            if work.is_unsure() { Box::pin(self.look_again(work)).await? } else { self.first_step(work, now)? };
        loop {
            let step = match next {
                Rebased::Done => return Ok(()),
                Rebased::Again(step) => step,
            };
            match self.take(&step, now).await {
                Ok(Taken::Done) => {
                    if let (Some(id), 1..) = (work.id(), retries) {
                        self.events.emit(SessionEvent::Retried { id, retries });
                    }
                    return Ok(());
                }
                Ok(Taken::Dropped(reason)) => {
                    work.be_dropped(reason);
                    return Ok(());
                }
                // Whoever was faster has moved the expiry as well: good enough for a request, which is about to end.
                Ok(Taken::Conflict) if work.is_upkeep() && mode != Mode::Save => {
                    work.be_done_by_others();
                    return Ok(());
                }
                Ok(Taken::Conflict) => {
                    retries += 1;
                    match work.id() {
                        Some(id) if turn.is_none() => turn = Some(Box::pin(self.turns.wait(id)).await),
                        // Only another process, or a request that has just come, can have been faster.
                        _ => backoff.wait().await,
                    }
                }
                Err(error) => {
                    let ambiguous = error.is_ambiguous() && !work.is_upkeep();
                    if ambiguous {
                        work.be_unsure();
                    }
                    if failed_before || !ambiguous {
                        return Err(error.into());
                    }
                    failed_before = true;
                }
            }
            next = Box::pin(self.look_again(work)).await?;
            now = self.clock.now();
        }
    }

    fn first_step(&self, work: &mut Work, now: Timestamp) -> Result<Rebased, SessionError> {
        work.first_step(unique_name()?, &self.terms, now).map(Rebased::Again)
    }

    /// After a conflict or a failure: what is there now, and what it means.
    async fn look_again(&self, work: &mut Work) -> Result<Rebased, SessionError> {
        let now = self.clock.now();
        if work.is_delete_in_any_case() {
            return self.first_step(work, now);
        }
        let Some(token) = work.token().cloned() else {
            return self.first_step(work, now);
        };
        let found = self.load(token.id(), now).await?;
        // Not only when in doubt: a store's client may have sent a call twice, and have met its own record.
        if found.as_ref().is_some_and(|record| work.is_own(record, &self.terms, now)) {
            return Ok(Rebased::Done);
        }
        // What is over is to be cleaned away.
        if found.is_none() && work.is_delete() {
            return Ok(Rebased::Again(Step::Delete(token.id())));
        }
        if work.has_base() {
            return work.rebase(self.judge(&token, found, Bearer::Admitted, now)?, &self.terms, now);
        }
        if found.is_none() {
            return work.create(&self.terms, now).map(Rebased::Again);
        }
        Err(SessionError::new(
            ErrorKind::Store,
            "the store says that a session with a new random id exists already; look at the store",
        ))
    }

    async fn take(&self, step: &Step, now: Timestamp) -> Result<Taken, StoreError> {
        let store = self.store();
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
            Step::DeleteUnchanged { id, expected } => {
                match Box::pin(self.expire_unchanged(*id, *expected)).await? {
                    SaveOutcome::Conflict => return Ok(Taken::Conflict),
                    SaveOutcome::Saved => self.call("delete", store.delete(*id)).await?,
                    SaveOutcome::Gone => {}
                }
                Taken::Done
            }
            Step::Drop(reason) => Taken::Dropped(*reason),
        })
    }

    /// Makes a record expire that has not changed: for everybody, whatever is on its way to it.
    async fn expire_unchanged(&self, id: SessionId, expected: Version) -> Result<SaveOutcome, StoreError> {
        self.call("touch", self.store().touch(id, expected, LONG_AGO, self.clock.now())).await
    }

    fn running(&self) -> Running {
        Running::enter(&self.in_flight, &self.events)
    }

    /// Not the `Arc`, which is a store as well, and would box each future once more.
    fn store(&self) -> &dyn SessionStore {
        &*self.store
    }

    /// A record as it is in the store at this moment, and not in a cache.
    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Box::pin(self.call("load", load_fresh(self.store(), id, now))).await
    }

    /// One call to the store, not longer than the operation timeout.
    async fn call<T>(
        &self,
        operation: &'static str,
        future: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let (limit, stopwatch) = (self.terms.limits.max_operation_time(), Stopwatch::start());
        let result = deadline::within(limit, future).await.unwrap_or_else(|| Err(StoreError::timed_out(limit)));
        self.events.store_called(operation, stopwatch);
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

/// A name that nothing else has, in this process or another: for a commit's writes, for flash values.
pub(crate) fn unique_name() -> Result<u64, SessionError> {
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
