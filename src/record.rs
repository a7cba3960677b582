//! What a store keeps of a session ([`Record`]), and its opaque part ([`Payload`]).

mod document;
mod extras;
mod name;
mod summary;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::codec::{Binding, Codec};
use crate::data::Data;
use crate::error::StoreError;
use crate::policy::{COOKIE_LIFETIME_MAX, SessionPolicy};
use crate::token::{Nonce, SessionId, TokenDigest};

pub(crate) use document::DecodeError;
pub(crate) use extras::{ExtraFields, Extras};
pub(crate) use name::{Name, is_token_byte};
pub use summary::{NoSummary, RecordSummary};

/// The payload of a mark that a session was logged out during a migration. No codec writes it: JSON has no NUL.
pub(crate) const TOMBSTONE: &[u8] = b"\0cloakroom: logged out during a migration";

/// Counts the saves of a record, from 1: the expected value of a compare-and-swap.
pub type Version = u64;

/// What a store keeps: four plain columns and one that is opaque.
///
/// Nothing in it can be sent as a token, so that a stolen store logs nobody in.
#[derive(Clone, Debug)]
#[allow(
    clippy::exhaustive_structs,
    reason = "stores build it column by column; a sixth column would be a new contract"
)]
pub struct Record {
    /// Primary key, 16 bytes. Never changes while the session lives.
    pub id: SessionId,
    /// 1 when created, one more at every save.
    pub version: Version,
    /// Who is logged in, for "all sessions of this user". Text without NUL, compared byte by byte.
    pub user: Option<Arc<str>>,
    /// When the record dies if nothing else happens. From this very millisecond on it is gone.
    pub expires_at: Timestamp,
    /// Everything else.
    pub payload: Payload,
}

impl Record {
    /// Whether the record is alive at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }

    /// What the payload says, decoded if it is not yet.
    pub(crate) fn decode(&self, origin: &Arc<Origin>) -> Result<Decoded, DecodeError> {
        self.clone().into_contents(origin)
    }

    /// The same of a record that is not needed any more.
    pub(crate) fn into_contents(self, origin: &Arc<Origin>) -> Result<Decoded, DecodeError> {
        match self.payload.0 {
            Form::Decoded(decoded) => Ok(decoded),
            Form::Stored(bytes) => {
                let binding = Binding { namespace: &origin.namespace, id: self.id, user: self.user.as_deref() };
                let document = origin.codec.decode(&bytes, binding).map_err(DecodeError::Codec)?;
                Ok(Decoded::from(document::read(&document, self.user, origin)?))
            }
        }
    }
}

/// The opaque part of a record.
///
/// A store that needs bytes asks for them ([`to_bytes`](Self::to_bytes)) and gives them back
/// ([`from_bytes`](Self::from_bytes)). A store that lives in this process keeps the payload as it is: a clone is one
/// reference count, and nothing is ever encoded.
#[derive(Clone)]
pub struct Payload(Form);

#[derive(Clone)]
enum Form {
    /// Shared in a word, so that a store which keeps payloads as they are needs little room for each.
    Stored(Arc<Bytes>),
    Decoded(Decoded),
}

/// Contents, shared between everybody who reads them.
#[derive(Clone)]
pub(crate) struct Decoded(Arc<Contents>);

impl From<Contents> for Decoded {
    fn from(contents: Contents) -> Self {
        Self(Arc::new(contents))
    }
}

impl From<Decoded> for Payload {
    fn from(decoded: Decoded) -> Self {
        Self(Form::Decoded(decoded))
    }
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Deref for Decoded {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.0
    }
}

impl Payload {
    /// What a store has kept, unread.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Form::Stored(Arc::new(bytes.into())))
    }

    /// What a store has to keep. Encodes at every call, unless the payload came from bytes.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Other`](crate::store::StoreErrorKind::Other) if the codec fails.
    pub fn to_bytes(&self) -> Result<Bytes, StoreError> {
        match &self.0 {
            Form::Stored(bytes) => Ok((**bytes).clone()),
            Form::Decoded(decoded) => {
                let document = document::write(decoded);
                decoded.origin.codec.encode(document, decoded.binding()).map(Bytes::from).map_err(StoreError::other)
            }
        }
    }

    /// About how many bytes it takes, without encoding it.
    pub fn size_hint(&self) -> usize {
        match &self.0 {
            Form::Stored(bytes) => bytes.len(),
            Form::Decoded(decoded) => decoded.data.as_str().len() + document::OVERHEAD,
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Stored(bytes) => write!(f, "Payload({} bytes)", bytes.len()),
            Form::Decoded(_) => f.write_str("Payload(decoded)"),
        }
    }
}

/// What a payload says.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) origin: Arc<Origin>,
    /// Whose record it is, again: a record that answers for another one is not served.
    pub(crate) id: SessionId,
    pub(crate) created_at: Timestamp,
    /// Beyond this the session does not live, whatever is done with it.
    pub(crate) deadline: Timestamp,
    /// Whether the browser keeps the cookie when it is closed.
    pub(crate) persistent: bool,
    pub(crate) digest: TokenDigest,
    /// Names the last write, so that a write whose answer got lost is recognized.
    pub(crate) write: u64,
    pub(crate) extras: Extras,
    pub(crate) data: Arc<Data>,
}

/// Which sessions a record is one of, and how they are encoded: shared by all of one application.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Name,
    /// Encodes the record if a store asks for bytes.
    pub(crate) codec: Arc<dyn Codec>,
}

impl Origin {
    /// Whether they are sessions of one application and one kind.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.has(&other.namespace, other.name.to_record())
    }

    /// Whether a record that says this is of its sessions.
    fn has(&self, namespace: &str, name: Option<&str>) -> bool {
        *self.namespace == *namespace && self.name.to_record() == name
    }
}

/// A secret that was replaced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseded {
    pub(crate) digest: TokenDigest,
    pub(crate) until: Timestamp,
    pub(crate) grace: Option<Grace>,
}

/// How long a secret that was replaced still opens the session, and what its successor follows from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grace {
    pub(crate) nonce: Nonce,
    pub(crate) until: Timestamp,
    pub(crate) reason: GraceReason,
}

/// Why a secret was replaced with grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GraceReason {
    /// The application wanted it.
    Demand,
    /// It was time, and nobody has shown the new secret yet: the answers that told it may be lost, so the grace has no end.
    TimerUnconfirmed,
    /// It was time, and the new secret has arrived: whoever shows the old one after the grace has no business with it.
    Timer,
}

impl fmt::Debug for Contents {
    /// Leaves out the data and the label: they are the application's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contents")
            .field("namespace", &self.origin.namespace)
            .field("name", &self.origin.name)
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("deadline", &self.deadline)
            .field("idle", &self.extras.idle)
            .field("persistent", &self.persistent)
            .field("logged_in_at", &self.extras.logged_in_at)
            .field("secret_since", &self.extras.secret_since)
            .finish_non_exhaustive()
    }
}

/// How many replaced secrets are remembered: more changes of secret within a minute are no login that anybody waits for.
const SUPERSEDED_MAX: usize = 4;

impl Contents {
    /// Remembers a secret that is replaced now, and forgets those whose time is over.
    pub(crate) fn supersede(&mut self, old: Superseded, now: Timestamp) {
        let superseded = &mut self.extras.superseded;
        superseded.retain(|old| now < old.until);
        superseded.truncate(SUPERSEDED_MAX - 1);
        superseded.insert(0, old);
    }

    /// Whether the timer has made a secret that nobody has shown yet.
    pub(crate) fn is_secret_unconfirmed(&self) -> bool {
        let mut graces = self.extras.superseded.iter().filter_map(|old| old.grace);
        graces.any(|grace| grace.reason == GraceReason::TimerUnconfirmed)
    }

    /// The secret has been shown: from now on the graces of those before it run.
    pub(crate) fn confirm_secret(&mut self, now: Timestamp, grace: Duration) {
        for old in self.extras.superseded.iter_mut().filter_map(|old| old.grace.as_mut()) {
            if old.reason == GraceReason::TimerUnconfirmed {
                *old = Grace { until: now.saturating_add(grace), reason: GraceReason::Timer, ..*old };
            }
        }
        self.extras.secret_since = Some(now);
    }

    /// Ends all graces, as at a login: who holds a secret from before comes late, and is nobody after that.
    pub(crate) fn end_graces(&mut self, latecomers_until: Timestamp) {
        if !self.extras.superseded.is_empty() {
            for old in &mut self.extras.superseded {
                old.grace = None;
                old.until = old.until.min(latecomers_until);
            }
        }
    }

    pub(crate) fn binding(&self) -> Binding<'_> {
        Binding { namespace: &self.origin.namespace, id: self.id, user: self.extras.user.as_deref() }
    }

    /// How long the session lives without being used.
    pub(crate) fn idle_timeout(&self, policy: &SessionPolicy) -> Duration {
        self.extras.idle.unwrap_or_else(|| policy.idle_timeout())
    }

    /// When the session dies if it is used at `now` and never again.
    pub(crate) fn expiry_if_used(&self, now: Timestamp, policy: &SessionPolicy) -> Timestamp {
        let idle = self.idle_timeout(policy);
        // The server does not promise what the browser cannot keep.
        let idle = if self.persistent { idle.min(COOKIE_LIFETIME_MAX) } else { idle };
        now.saturating_add(idle).min(self.deadline)
    }
}
