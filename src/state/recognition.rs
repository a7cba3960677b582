//! Whether a token opens a record.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::codec::Codec;
use crate::policy::{Limits, SessionPolicy};
use crate::record::{DecodeError, Decoded, Name, Record, Superseded, Version};
use crate::token::{SessionId, Token, TokenDigest, TokenDigester};

/// A clock that is this far ahead of ours is taken for wrong, and not for precise.
const CLOCK_SKEW: Duration = Duration::from_mins(1);

/// The terms on which sessions are kept.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Name,
    pub(crate) policy: SessionPolicy,
    pub(crate) limits: Limits,
    pub(crate) digester: TokenDigester,
    pub(crate) codec: Arc<dyn Codec>,
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
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) contents: Decoded,
    /// The client has shown a secret that was replaced, and has to be told the token.
    pub(crate) reissue: bool,
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
    /// It showed a secret that was replaced a moment ago. The client holds the new one by now, and must not lose it to
    /// the answer of a latecomer.
    Latecomer,
}

/// What a record says to a token.
pub(crate) enum Recognition {
    Valid(Present),
    Latecomer,
    Stranger,
    /// The record is another session's.
    WrongRecord,
    Unreadable(DecodeError),
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
    pub(crate) fn identify(&self, record: &Record, now: Timestamp) -> Identity {
        if !record.is_live(now) {
            return Identity::Stranger;
        }
        let contents = match record.decode(&self.codec, &self.namespace) {
            Ok(contents) => contents,
            Err(error) => return Identity::Unreadable(error),
        };
        if contents.id != record.id {
            return Identity::WrongRecord;
        }
        let is_ours = contents.namespace == self.namespace && contents.name == self.name;
        if !is_ours || now >= contents.deadline || !self.policy.admits(contents.created_at) {
            return Identity::Stranger;
        }
        Identity::Ours(contents)
    }

    /// Checks a record against a token, in constant time as far as the secret is concerned.
    pub(crate) fn recognize(&self, token: &Token, record: Option<Record>, now: Timestamp) -> Recognition {
        let digest = self.digester.digest(token);
        let Some(record) = record.filter(|record| record.is_live(now)) else {
            // The same work as for a wrong secret.
            let _ = digest.matches(&TokenDigest::NONE);
            return Recognition::Stranger;
        };
        if record.id != token.id() {
            return Recognition::WrongRecord;
        }
        let contents = match self.identify(&record, now) {
            Identity::Ours(contents) => contents,
            Identity::Stranger => return Recognition::Stranger,
            Identity::WrongRecord => return Recognition::WrongRecord,
            Identity::Unreadable(error) => return Recognition::Unreadable(error),
        };
        let (mut token, mut digest, mut reissue) = (token.clone(), digest, false);
        // Older secrets than the one in grace have graces of their own, so this ends.
        while !contents.digest.matches(&digest) {
            let known = |old: &&Superseded| now < old.until && old.digest.matches(&digest);
            let Some(old) = contents.superseded.iter().find(known) else {
                return if reissue { Recognition::Latecomer } else { Recognition::Stranger };
            };
            let Some(grace) = old.grace.filter(|grace| now < grace.until) else { return Recognition::Latecomer };
            token = token.derived(&grace.nonce);
            digest = self.digester.digest(&token);
            reissue = true;
        }
        Recognition::Valid(Present { token, version: record.version, expires_at: record.expires_at, contents, reissue })
    }
}

impl Present {
    pub(crate) fn id(&self) -> SessionId {
        self.token.id()
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
