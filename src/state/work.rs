//! A commit under way: the changes that were taken out of a [`State`](super::State), and how they get into the store.

mod told;

use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::earlier;
use super::reads::Reads;
use super::{Absence, Bearer, Bond, ClientHolds, Lifecycle, Present, Recognition, Refusal, Renewal, Rotation, Terms};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::{ErrorKind, SessionError};
use crate::event::DropReason;
use crate::journal::Journal;
use crate::policy::{COOKIE_LIFETIME_MAX, LATECOMERS};
use crate::record::{Contents, Decoded, ExtraFields, Grace, GraceReason, Payload, Record, Superseded, Version};
use crate::token::{CsrfMask, Nonce, SessionId, Token};

/// One call to the store.
#[derive(Debug)]
pub(crate) enum Step {
    Create(Record),
    Save {
        record: Record,
        expected: Version,
    },
    Touch {
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
    },
    Delete(SessionId),
    /// Deletes the record unless it has changed.
    DeleteUnchanged {
        id: SessionId,
        expected: Version,
    },
    /// None: the changes have no session to go to.
    Drop(DropReason),
}

/// How a commit ended.
#[derive(Debug)]
pub(crate) enum Stored {
    Saved { present: Arc<Present>, tell: Tell },
    Touched { expires_at: Timestamp, refresh: bool },
    Deleted,
    Dropped(DropReason),
}

/// What a save has to say to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Nothing,
    /// It has the token and should keep it for longer.
    Refresh,
    /// It needs the token.
    Issue,
    /// Not what it was to be told so far: it knows from others.
    Withdraw,
}

/// What a newer record means to a commit that has met a conflict, or does not know how its own call ended.
pub(crate) enum Rebased {
    /// Nothing is left to be done: the record is this commit's own, or the changes have no session to go to.
    Done,
    /// The changes were done again on the newer record: try to store them.
    Again(Step),
}

/// What a session needs to go on, whatever a request does with it. Without it the request goes well all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upkeep {
    /// When it is to expire from now on.
    pub(super) expires_at: Option<Timestamp>,
    pub(super) renewal: Option<Renewal>,
}

/// A commit under way.
#[derive(Debug)]
pub(crate) struct Work {
    base: Result<Arc<Present>, Absence>,
    /// The data with the journal applied, if there are changes.
    data: Option<Arc<Data>>,
    journal: Journal,
    reads: Reads,
    lifecycle: Lifecycle,
    upkeep: Upkeep,
    /// What a session that begins or is logged in by this is bound to.
    bond: Option<Bond>,
    /// Names the writes of this commit, from its first step on.
    write: Option<u64>,
    /// The token that the next record answers to. Made once, however often the commit is tried.
    pub(super) token: Option<Token>,
    /// What that token follows from, if it is one with grace. Made once as well: an earlier try may be what is stored.
    nonce: Option<Nonce>,
    /// What the last step leaves behind, if it succeeds.
    outcome: Option<Stored>,
    /// A step may have been taken although the store reported a failure.
    unsure: bool,
}

impl Work {
    pub(super) fn new(
        base: Result<Arc<Present>, Absence>,
        data: Option<Arc<Data>>,
        journal: Journal,
        reads: Reads,
        lifecycle: Lifecycle,
        upkeep: Upkeep,
        bond: Option<Bond>,
    ) -> Box<Self> {
        Box::new(Self {
            base,
            data,
            journal,
            reads,
            lifecycle,
            upkeep,
            bond,
            write: None,
            token: None,
            nonce: None,
            outcome: None,
            unsure: false,
        })
    }

    pub(super) fn into_changes(self) -> (Journal, Lifecycle) {
        (self.journal, self.lifecycle)
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(crate) fn id(&self) -> Option<SessionId> {
        self.token().map(Token::id)
    }

    /// Whether there was a session when it began.
    pub(crate) fn has_base(&self) -> bool {
        self.base.is_ok()
    }

    /// The token by which the record is to be loaded again.
    pub(crate) fn token(&self) -> Option<&Token> {
        self.base.as_ref().ok().map(|base| base.shown_token()).or(self.token.as_ref())
    }

    /// How the commit has ended, once it has.
    pub(crate) fn outcome(&self) -> &Stored {
        self.outcome.as_ref().expect("a step was taken before it succeeded")
    }

    pub(super) fn take_outcome(&mut self) -> Stored {
        self.outcome.take().expect("a step was taken before it succeeded")
    }

    /// The changes have no session to go to.
    pub(crate) fn be_dropped(&mut self, reason: DropReason) {
        self.outcome = Some(Stored::Dropped(reason));
    }

    /// The session, if this is how it has ended for others who hold it, or how that became known.
    pub(crate) fn ended_for_others(&self) -> Option<SessionId> {
        let ended = match self.outcome() {
            Stored::Saved { .. } => self.lifecycle.rotate.is_some(),
            Stored::Deleted | Stored::Dropped(_) => true,
            Stored::Touched { .. } => false,
        };
        self.base.as_ref().ok().filter(|_| ended).map(|base| base.id())
    }

    /// Whether the secret from then on is one that only this request has.
    pub(super) fn makes_secret(&self) -> bool {
        self.base.is_err() || self.lifecycle.rotate == Some(Rotation::AtOnce)
    }

    /// Who is to be logged in, and to which session. A session that is new gets its token here.
    pub(crate) fn login(&mut self) -> Result<Option<(SessionId, Arc<str>)>, SessionError> {
        let Some(user) = self.lifecycle.login.clone() else { return Ok(None) };
        if self.base.is_err() && self.token.is_none() {
            self.token = Some(Token::generate()?);
        }
        Ok(self.id().map(|id| (id, user)))
    }

    pub(crate) fn is_login(&self) -> bool {
        self.lifecycle.login.is_some()
    }

    /// Whether somebody has shown who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.lifecycle.authenticates()
    }

    /// Whether it is about data alone, so that a policy may let it be lost.
    pub(crate) fn is_data_only(&self) -> bool {
        self.lifecycle.is_empty()
    }

    /// Whether the request itself has nothing to be stored.
    pub(crate) fn is_upkeep(&self) -> bool {
        self.base.is_ok() && self.journal.is_empty() && self.lifecycle.is_empty()
    }

    pub(crate) fn is_delete(&self) -> bool {
        self.base.is_ok() && self.lifecycle.destroy
    }

    /// Whether the session is to be deleted whatever has become of it. A logout counts, however many others there are. But
    /// who ends a session that is nobody's must not end that of a user who has logged in since.
    pub(crate) fn is_delete_in_any_case(&self) -> bool {
        self.is_delete() && self.base.as_ref().is_ok_and(|base| base.contents.extras.user.is_some())
    }

    /// The last call has failed, and may have taken effect all the same.
    pub(crate) fn be_unsure(&mut self) {
        self.unsure = true;
    }

    /// Whether a call that has failed may have taken effect all the same.
    pub(crate) fn is_unsure(&self) -> bool {
        self.unsure
    }

    /// The first call to the store. `write` names this commit's writes.
    pub(crate) fn first_step(&mut self, write: u64, terms: &Terms, now: Timestamp) -> Result<Step, SessionError> {
        self.write = Some(write);
        let base = match &self.base {
            // Only another login may take the cookie of the one that has made it late.
            Err(Absence::Latecomer) if self.lifecycle.rotate != Some(Rotation::AtOnce) => {
                return Ok(Step::Drop(DropReason::SecretReplaced));
            }
            Err(_) => return self.create(terms, now),
            Ok(base) => base.clone(),
        };
        if self.lifecycle.destroy {
            return Ok(self.delete(&base));
        }
        if let (true, Upkeep { expires_at: Some(expires_at), renewal: None }) = (self.is_upkeep(), self.upkeep) {
            return Ok(self.touch(&base, expires_at, terms));
        }
        self.reads.check(&self.journal, &base.contents.data)?;
        let data = self.data.as_ref().unwrap_or(&base.contents.data).clone();
        self.save(&base, data, terms, now)
    }

    /// Somebody else has saved, and moved the expiry as well: nothing is left to be done.
    pub(crate) fn be_done_by_others(&mut self) {
        self.outcome = Some(match &self.base {
            Ok(base) => Stored::Touched { expires_at: base.expires_at, refresh: false },
            Err(_) => Stored::Dropped(DropReason::Ended),
        });
    }

    /// Somebody else was faster, or nobody knows how the last call ended: what to make of the record that is there now.
    pub(crate) fn rebase(
        &mut self,
        found: Recognition,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Rebased, SessionError> {
        let Ok(base) = &self.base else { return self.create(terms, now).map(Rebased::Again) };
        let known = base.version;
        let newer = match found {
            Recognition::Valid(newer) => newer,
            Recognition::Refused(Refusal::Latecomer) => return Ok(self.drop_rebased(DropReason::SecretReplaced)),
            Recognition::Refused(_) => return Ok(self.drop_rebased(DropReason::Ended)),
            Recognition::Unreadable(error) => {
                return Err(SessionError::new(
                    ErrorKind::Store,
                    "another request has left a record that cannot be read; this one's changes were not kept",
                )
                .because(error));
            }
        };
        if self.unsure && newer.version > known + 1 && !self.journal.is_idempotent() {
            return Err(SessionError::new(
                ErrorKind::Unavailable,
                "the store failed in the middle of a save, and others have saved since: whether this request's changes \
                 were kept is unknown, and they were not done a second time",
            ));
        }
        if self.is_upkeep() {
            return Ok(self.touch_again(newer, terms, now));
        }
        if self.is_delete() {
            let step = self.delete(&newer);
            self.base = Ok(newer);
            return Ok(Rebased::Again(step));
        }
        // Whoever was faster may have seen to the secret as well.
        self.upkeep.renewal = self.upkeep.renewal.and_then(|_| newer.due_renewal(now, &terms.policy));
        self.reads.check(&self.journal, &newer.contents.data)?;
        let mut data = Data::clone(&newer.contents.data);
        self.journal.replay(&mut data, &terms.limits)?;
        let step = self.save(&newer, Arc::new(data).without_slack(), terms, now)?;
        // What expected an older version than the present one can take effect no more.
        self.unsure &= newer.version == known;
        self.base = Ok(newer);
        Ok(Rebased::Again(step))
    }

    fn drop_rebased(&mut self, reason: DropReason) -> Rebased {
        self.be_dropped(reason);
        Rebased::Done
    }

    fn delete(&mut self, base: &Present) -> Step {
        self.outcome = Some(Stored::Deleted);
        if self.is_delete_in_any_case() {
            return Step::Delete(base.id());
        }
        Step::DeleteUnchanged { id: base.id(), expected: base.version }
    }

    fn touch(&mut self, base: &Present, expires_at: Timestamp, terms: &Terms) -> Step {
        let refresh = base.contents.persistent || terms.client_holds == ClientHolds::Record;
        self.outcome = Some(Stored::Touched { expires_at, refresh });
        Step::Touch { id: base.id(), expected: base.version, expires_at }
    }

    /// Others have saved since this part of the session began, which may be long ago.
    fn touch_again(&mut self, newer: Arc<Present>, terms: &Terms, now: Timestamp) -> Rebased {
        let rebased = if let Some(expires_at) = newer.due_expiry(now, &terms.policy) {
            Rebased::Again(self.touch(&newer, expires_at, terms))
        } else {
            self.outcome = Some(Stored::Touched { expires_at: newer.expires_at, refresh: false });
            Rebased::Done
        };
        self.base = Ok(newer);
        rebased
    }

    /// Whether this commit has written the record, or the one that it grew out of.
    pub(crate) fn is_own(&self, record: &Record, terms: &Terms, now: Timestamp) -> bool {
        if self.id() != Some(record.id) || self.outcome.is_none() {
            return false;
        }
        let contents = record.decode(&terms.origin);
        if contents.is_ok_and(|contents| contents.id == record.id && Some(contents.write) == self.write) {
            return true;
        }
        // Nobody but this commit knows the secret that it has made.
        let made = self.token.as_ref();
        made.is_some_and(|token| {
            matches!(terms.recognize(token, Some(record.clone()), Bearer::Admitted, now), Recognition::Valid(_))
        })
    }

    /// The step that makes a new session.
    pub(crate) fn create(&mut self, terms: &Terms, now: Timestamp) -> Result<Step, SessionError> {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => self.token.insert(Token::generate()?).clone(),
        };
        let extras = ExtraFields {
            user: self.lifecycle.login.clone(),
            logged_in_at: self.lifecycle.login.as_ref().map(|_| now),
            label: self.lifecycle.label.clone(),
            bond: self.bond.as_ref().and_then(|bond| bond.digest(token.id(), terms)),
            csrf: self.lifecycle.csrf.as_ref().map(|key| key.mask_for(&token)),
            ..ExtraFields::default()
        };
        let mut contents = Contents {
            origin: terms.origin.clone(),
            id: token.id(),
            created_at: now,
            deadline: now.saturating_add(terms.policy.absolute_lifetime()),
            persistent: terms.policy.is_persistent(),
            digest: terms.digester.digest(&token),
            write: self.write.unwrap_or_default(),
            extras: extras.into(),
            data: self.data.clone().unwrap_or_default(),
        };
        self.remember(&mut contents, now);
        self.shorten(&mut contents, now);
        let expires_at = contents.expiry_if_used(now, &terms.policy);
        let record = self.prepare(token, 1, expires_at, contents, Tell::Issue);
        Ok(Step::Create(record))
    }

    fn save(&mut self, base: &Present, data: Arc<Data>, terms: &Terms, now: Timestamp) -> Result<Step, SessionError> {
        let Contents { id, created_at, deadline, persistent, digest, .. } = *base.contents;
        let (origin, extras) = (terms.origin.clone(), base.contents.extras.clone());
        let write = self.write.unwrap_or_default();
        let mut contents = Contents { origin, id, created_at, deadline, persistent, digest, write, extras, data };
        if let Some(user) = &self.lifecycle.login {
            contents.extras.user = Some(user.clone());
            contents.extras.end_by = None;
            contents.extras.idle = None;
            contents.deadline = now.saturating_add(terms.policy.absolute_lifetime());
            contents.persistent = terms.policy.is_persistent();
        } else if self.lifecycle.reauthenticated && contents.extras.idle.is_none() {
            contents.deadline = now.saturating_add(terms.policy.absolute_lifetime());
        }
        if self.lifecycle.authenticates() {
            contents.extras.logged_in_at = Some(now);
            if let Some(bond) = &self.bond {
                contents.extras.bond = bond.digest(base.id(), terms);
            }
        }
        if let Some(label) = &self.lifecycle.label {
            contents.extras.label = Some(label.clone());
        }
        if self.upkeep.renewal == Some(Renewal::Confirm) {
            contents.confirm_secret(now, terms.policy.rotation_grace());
        }
        let on_timer = self.upkeep.renewal.filter(|renewal| *renewal == Renewal::Rotate).map(|_| Rotation::OnTimer);
        let rotation = self.lifecycle.rotate.or(on_timer);
        let token = match rotation {
            Some(rotation) => self.rotate(rotation, base, &mut contents, terms, now)?,
            None => base.token.clone(),
        };
        if rotation.is_some() || self.lifecycle.csrf.is_some() {
            let csrf = self.csrf_mask(&token, base);
            if csrf != contents.extras.csrf {
                contents.extras.csrf = csrf;
            }
        }
        self.remember(&mut contents, now);
        self.shorten(&mut contents, now);
        let issue = base.has_to_be_told(now) || rotation.is_some() || self.lifecycle.remember.is_some();
        // A cookie that says when it ends moves together with the record, and only when that is due.
        let expires_at = if contents.persistent && !issue {
            base.due_expiry(now, &terms.policy).unwrap_or(base.expires_at).min(contents.deadline)
        } else {
            contents.expiry_if_used(now, &terms.policy)
        };
        let is_out_of_date = match terms.client_holds {
            ClientHolds::Nothing => false,
            ClientHolds::Data => !self.journal.is_empty(),
            ClientHolds::Record => true,
        };
        let tell = match base.shown {
            _ if issue => Tell::Issue,
            Some(_) => Tell::Withdraw,
            None if is_out_of_date => Tell::Issue,
            None if contents.persistent && expires_at != base.expires_at => Tell::Refresh,
            None => Tell::Nothing,
        };
        let record = self.prepare(token, base.version + 1, expires_at, contents, tell);
        Ok(Step::Save { record, expected: base.version })
    }

    /// The token that replaces the one of `base`.
    fn rotate(
        &mut self,
        rotation: Rotation,
        base: &Present,
        contents: &mut Contents,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Token, SessionError> {
        let latecomers = now.saturating_add(LATECOMERS);
        let (token, until, grace) = match rotation {
            Rotation::AtOnce => {
                contents.end_graces(latecomers);
                let token = match &self.token {
                    Some(token) => token.clone(),
                    None => base.token.with_new_secret()?,
                };
                (token, latecomers, None)
            }
            Rotation::WithGrace(duration) => {
                let until = now.saturating_add(duration);
                let grace = Grace { nonce: self.nonce()?, until, reason: GraceReason::Demand };
                (base.token.derived(&grace.nonce), until.max(latecomers), Some(grace))
            }
            Rotation::OnTimer => {
                let reason = GraceReason::TimerUnconfirmed;
                let grace = Grace { nonce: self.nonce()?, until: Timestamp::MAX, reason };
                (base.token.derived(&grace.nonce), Timestamp::MAX, Some(grace))
            }
        };
        contents.supersede(Superseded { digest: base.contents.digest, until, grace }, now);
        contents.extras.secret_since = Some(now);
        contents.digest = terms.digester.digest(&token);
        self.token = Some(token.clone());
        Ok(token)
    }

    /// What makes the key of the forms follow from `token`, which opens the session from now on.
    fn csrf_mask(&self, token: &Token, base: &Present) -> Option<CsrfMask> {
        match &self.lifecycle.csrf {
            Some(key) => Some(key.mask_for(token)),
            None if self.lifecycle.rotate == Some(Rotation::AtOnce) => None,
            None => Some(base.csrf_key().mask_for(token)),
        }
    }

    fn nonce(&mut self) -> Result<Nonce, SessionError> {
        match self.nonce {
            Some(nonce) => Ok(nonce),
            None => Ok(*self.nonce.insert(Nonce::generate()?)),
        }
    }

    fn remember(&self, contents: &mut Contents, now: Timestamp) {
        if let Some(duration) = self.lifecycle.remember {
            let duration = duration.clamp(Duration::from_secs(1), COOKIE_LIFETIME_MAX);
            contents.persistent = true;
            contents.extras.idle = Some(duration);
            contents.deadline = now.saturating_add(duration);
        }
    }

    /// What is to end earlier does, whatever has moved the deadline. A millisecond is left, since a record that is stored
    /// after its end means something else to each store.
    fn shorten(&self, contents: &mut Contents, now: Timestamp) {
        if let Some(end_by) = earlier(contents.extras.end_by, self.lifecycle.end_by) {
            contents.extras.end_by = Some(end_by);
            contents.deadline = contents.deadline.min(end_by.max(now.saturating_add(Duration::from_millis(1))));
        }
    }

    /// Makes the record, and notes what will be there once it is stored.
    fn prepare(
        &mut self,
        token: Token,
        version: Version,
        expires_at: Timestamp,
        contents: Contents,
        tell: Tell,
    ) -> Record {
        let user = contents.extras.user.clone();
        let contents = Decoded::from(contents);
        let payload = Payload::from(contents.clone());
        let record = Record { id: token.id(), version, user, expires_at, payload };
        let present = Present { token, followed: None, version, expires_at, contents, shown: None };
        self.outcome = Some(Stored::Saved { present: Arc::new(present), tell });
        record
    }
}
