//! Whether a token opens a record.

use std::sync::Arc;
use std::time::Duration;

use super::{OnMismatch, Renewal};
use crate::clock::Timestamp;
use crate::policy::{Limits, SessionPolicy, TimedRotation};
use crate::record::{DecodeError, Decoded, GraceReason, Origin, Record, Superseded, Version};
use crate::token::{SessionId, Token, TokenDigest, TokenDigester};

/// A clock that is this far ahead of ours is taken for wrong, and not for precise.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// The terms on which sessions are kept.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) origin: Arc<Origin>,
    pub(crate) policy: SessionPolicy,
    pub(crate) limits: Limits,
    pub(crate) digester: TokenDigester,
    pub(crate) on_mismatch: OnMismatch,
    pub(crate) client_holds: ClientHolds,
}

/// What a client holds of its session beside the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "sealed"), expect(dead_code, reason = "what clients hold is sealed"))]
pub(crate) enum ClientHolds {
    Nothing,
    /// The data: it needs new ones when they are saved.
    Data,
    /// The whole record: it needs a new one as well when the expiry is moved.
    Record,
}

/// A live session as it was found or stored last, and the token that opens it.
#[derive(Clone, Debug)]
pub(crate) struct Present {
    pub(crate) token: Token,
    /// The record that the token was followed to, if its secret was replaced since.
    pub(super) followed: Option<Decoded>,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) contents: Decoded,
    /// What was shown, if it is not this token but one from before.
    pub(crate) shown: Option<Box<OldToken>>,
}

/// A token whose secret was replaced with grace.
#[derive(Clone, Debug)]
pub(crate) struct OldToken {
    token: Token,
    /// Whoever shows it up to then has to be told the new one. Who has been at work for longer has not: others have told the
    /// client, and might have told it of a newer one since.
    until: Timestamp,
}

/// Why a request has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// It showed no token.
    NothingShown,
    /// It showed something that opens no session: the client should forget it.
    Unknown,
    /// It showed several tokens, and none can be preferred: none is to be forgotten either.
    Ambiguous,
    /// It showed a token without what its session is bound to. Whoever has that as well may hold the same cookie.
    Mismatch,
    /// It showed a secret that was replaced a moment ago. The client holds the new one by now, and must not lose it to
    /// the answer of a latecomer.
    Latecomer,
    /// It has ended its session.
    LoggedOut,
}

/// Who shows a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer {
    /// A request that has just come.
    Newcomer,
    /// Somebody whose token was good when they came. What the timer does to secrets is not meant for them, however long they
    /// stay.
    Admitted,
}

/// What a record says to a token.
pub(crate) enum Recognition {
    Valid(Arc<Present>),
    Refused(Refusal),
    Unreadable(DecodeError),
}

/// Why a token opens no session, or none any more.
pub(crate) enum Refusal {
    Latecomer,
    Stranger,
    /// The timer has replaced the secret, its grace is over, and a newcomer shows it: it was stolen, or the new one was.
    Replayed(Version),
    /// The record is another session's.
    WrongRecord,
}

/// What a record is, whoever asks for it.
pub(crate) enum Identity {
    Ours(Decoded),
    /// Expired, or from before the time when sessions began anew, or of another application or name.
    Stranger,
    /// The record is another session's.
    WrongRecord,
    Unreadable(DecodeError),
}

impl Terms {
    /// Checks whether a record is a live session under these terms.
    pub(crate) fn identify(&self, record: Record, now: Timestamp) -> Identity {
        if !record.is_live(now) {
            return Identity::Stranger;
        }
        let id = record.id;
        let contents = match record.into_contents(&self.origin) {
            Ok(contents) => contents,
            Err(error) => return Identity::Unreadable(error),
        };
        if contents.id != id {
            return Identity::WrongRecord;
        }
        let is_ours = Arc::ptr_eq(&contents.origin, &self.origin) || contents.origin.is_same(&self.origin);
        if !is_ours || now >= contents.deadline || !self.policy.admits(contents.created_at) {
            return Identity::Stranger;
        }
        Identity::Ours(contents)
    }

    /// Checks a record against a token, in constant time as far as the secret is concerned.
    pub(crate) fn recognize(
        &self,
        token: &Token,
        record: Option<Record>,
        bearer: Bearer,
        now: Timestamp,
    ) -> Recognition {
        let digest = self.digester.digest(token);
        let Some(record) = record.filter(|record| record.is_live(now)) else {
            // The same work as for a wrong secret.
            let _ = digest.matches(&TokenDigest::NONE);
            return Recognition::Refused(Refusal::Stranger);
        };
        if record.id != token.id() {
            return Recognition::Refused(Refusal::WrongRecord);
        }
        let (version, expires_at) = (record.version, record.expires_at);
        let contents = match self.identify(record, now) {
            Identity::Ours(contents) => contents,
            Identity::Stranger => return Recognition::Refused(Refusal::Stranger),
            Identity::WrongRecord => return Recognition::Refused(Refusal::WrongRecord),
            Identity::Unreadable(error) => return Recognition::Unreadable(error),
        };
        let (mut current, mut digest, mut in_grace) = (token.clone(), digest, None::<Timestamp>);
        // Older secrets than the one in grace have graces of their own, so this ends.
        while !contents.digest.matches(&digest) {
            let known = |old: &&Superseded| now < old.until && old.digest.matches(&digest);
            let Some(old) = contents.extras.superseded.iter().find(known) else {
                let refusal = if in_grace.is_some() { Refusal::Latecomer } else { Refusal::Stranger };
                return Recognition::Refused(refusal);
            };
            let Some(grace) = old.grace else { return Recognition::Refused(Refusal::Latecomer) };
            if now >= grace.until {
                match (grace.reason, bearer) {
                    (GraceReason::Demand, _) => return Recognition::Refused(Refusal::Latecomer),
                    // What led here was in grace itself.
                    (_, Bearer::Newcomer) if in_grace.is_some() => return Recognition::Refused(Refusal::Latecomer),
                    (_, Bearer::Newcomer) => return Recognition::Refused(Refusal::Replayed(version)),
                    (_, Bearer::Admitted) => {}
                }
            }
            in_grace = Some(in_grace.map_or(grace.until, |until| until.min(grace.until)));
            current = current.derived(&grace.nonce);
            digest = self.digester.digest(&current);
        }
        let shown = in_grace.map(|until| Box::new(OldToken { token: token.clone(), until }));
        let present = Present { token: current, followed: None, version, expires_at, contents, shown };
        Recognition::Valid(Arc::new(present))
    }
}

impl Present {
    pub(crate) fn id(&self) -> SessionId {
        self.token.id()
    }

    /// What the session's secret needs, if its holder uses it now.
    pub(super) fn due_renewal(&self, now: Timestamp, policy: &SessionPolicy) -> Option<Renewal> {
        if self.shown.is_some() {
            return None;
        }
        if self.contents.is_secret_unconfirmed() {
            return Some(Renewal::Confirm);
        }
        let TimedRotation { interval, grace } = policy.timed_rotation()?;
        let since = self.contents.extras.secret_since.unwrap_or(self.contents.created_at);
        let is_old = now.saturating_since(since) >= interval;
        (is_old && !self.was_refreshed_within(grace, now, policy)).then_some(Renewal::Rotate)
    }

    /// Whether an answer may be under way that tells a browser to keep its cookie for longer. If it arrived after a new
    /// secret, the old one would be in the browser again.
    fn was_refreshed_within(&self, time: Duration, now: Timestamp, policy: &SessionPolicy) -> bool {
        let idle = self.contents.idle_timeout(policy);
        self.contents.persistent && self.expires_at.saturating_since(now) > idle.saturating_sub(time)
    }

    /// What the client has shown: by that, and not by what followed it, is to be judged what it is told.
    pub(crate) fn shown_token(&self) -> &Token {
        self.shown.as_ref().map_or(&self.token, |old| &old.token)
    }

    /// For whoever tells the client nothing: as if the token itself had been shown.
    pub(super) fn without_shown(mut self: Arc<Self>) -> Arc<Self> {
        if self.shown.is_some() {
            Arc::make_mut(&mut self).shown = None;
        }
        self
    }

    /// Whether the client has to be told the token, because it has shown one from before.
    pub(super) fn has_to_be_told(&self, now: Timestamp) -> bool {
        self.shown.as_ref().is_some_and(|old| now < old.until)
    }

    /// The expiry to move to, if the session is used now and a move is due.
    pub(super) fn due_expiry(&self, now: Timestamp, policy: &SessionPolicy) -> Option<Timestamp> {
        let target = self.contents.expiry_if_used(now, policy);
        let threshold = policy.touch_threshold(self.contents.idle_timeout(policy));
        let later = target > self.expires_at && target.saturating_since(self.expires_at) >= threshold;
        // Another node's clock was ahead when it wrote this, or the policy has become stricter since.
        let too_late = self.expires_at.saturating_since(target) > CLOCK_SKEW;
        (later || too_late).then_some(target)
    }
}
