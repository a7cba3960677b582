//! What a store keeps of a session ([`Record`]), and its opaque part ([`Payload`]).

mod document;
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
use crate::token::{CsrfMask, Nonce, SessionId, TokenDigest};

pub(crate) use document::DecodeError;
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
    pub(crate) fn decode(&self, codec: &Arc<dyn Codec>, namespace: &str) -> Result<Decoded, DecodeError> {
        match &self.payload.0 {
            Form::Decoded(decoded) => Ok(decoded.clone()),
            Form::Stored(bytes) => {
                let binding = Binding { namespace, id: self.id, user: self.user.as_deref() };
                let document = codec.decode(bytes, binding).map_err(DecodeError::Codec)?;
                let contents = Contents { user: self.user.clone(), ..document::read(&document)? };
                Ok(Decoded::new(contents, codec.clone()))
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
    Stored(Bytes),
    Decoded(Decoded),
}

/// Contents, shared between everybody who reads them, with the codec that will encode them if a store asks for bytes.
#[derive(Clone)]
pub(crate) struct Decoded(Arc<(Contents, Arc<dyn Codec>)>);

impl Decoded {
    pub(crate) fn new(contents: Contents, codec: Arc<dyn Codec>) -> Self {
        Self(Arc::new((contents, codec)))
    }
}

impl From<Decoded> for Payload {
    fn from(decoded: Decoded) -> Self {
        Self(Form::Decoded(decoded))
    }
}

impl fmt::Debug for Decoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.fmt(f)
    }
}

impl Deref for Decoded {
    type Target = Contents;

    fn deref(&self) -> &Contents {
        &self.0.0
    }
}

impl Payload {
    /// What a store has kept, unread.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Form::Stored(bytes.into()))
    }

    /// What a store has to keep. Encodes at every call, unless the payload came from bytes.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Other`](crate::store::StoreErrorKind::Other) if the codec fails.
    pub fn to_bytes(&self) -> Result<Bytes, StoreError> {
        match &self.0 {
            Form::Stored(bytes) => Ok(bytes.clone()),
            Form::Decoded(decoded) => {
                let document = document::write(decoded);
                decoded.0.1.encode(document, decoded.binding()).map(Bytes::from).map_err(StoreError::other)
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
    /// Whose record it is, again: a record that answers for another one is not served.
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Name,
    pub(crate) id: SessionId,
    /// The record's column: no part of the document, but a codec that authenticates holds them together.
    pub(crate) user: Option<Arc<str>>,
    pub(crate) created_at: Timestamp,
    /// Beyond this the session does not live, whatever is done with it.
    pub(crate) deadline: Timestamp,
    /// Beyond this its deadline is not moved but by a login.
    pub(crate) end_by: Option<Timestamp>,
    /// The session's own idle timeout, if it is not the policy's.
    pub(crate) idle: Option<Duration>,
    /// What the session is bound to beside its secret: a digest of it. `None` if it is bound to nothing.
    pub(crate) bond: Option<TokenDigest>,
    /// What makes the key of the session's forms, if it does not follow from the token.
    pub(crate) csrf: Option<CsrfMask>,
    /// Whether the browser keeps the cookie when it is closed.
    pub(crate) persistent: bool,
    /// When the user has shown last who they are. `None` while nobody is logged in.
    pub(crate) logged_in_at: Option<Timestamp>,
    /// What the application calls the client in a list of devices.
    pub(crate) label: Option<Arc<str>>,
    pub(crate) digest: TokenDigest,
    /// Since when the secret is good, or was first shown if it came by the timer. `None`: since the session was created.
    pub(crate) secret_since: Option<Timestamp>,
    /// The secrets that were good before, and until when their holders count as latecomers. The newest comes first.
    pub(crate) superseded: Vec<Superseded>,
    /// Names the last write, so that a write whose answer got lost is recognized.
    pub(crate) write: u64,
    /// What a later version of this crate has written and this one does not know: kept as it is.
    pub(crate) unknown: Option<Arc<Data>>,
    pub(crate) data: Data,
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
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("id", &self.id)
            .field("created_at", &self.created_at)
            .field("deadline", &self.deadline)
            .field("idle", &self.idle)
            .field("persistent", &self.persistent)
            .field("logged_in_at", &self.logged_in_at)
            .field("secret_since", &self.secret_since)
            .finish_non_exhaustive()
    }
}

/// How many replaced secrets are remembered: more changes of secret within a minute are no login that anybody waits for.
const SUPERSEDED_MAX: usize = 4;

impl Contents {
    /// Remembers a secret that is replaced now, and forgets those whose time is over.
    pub(crate) fn supersede(&mut self, old: Superseded, now: Timestamp) {
        self.superseded.retain(|old| now < old.until);
        self.superseded.truncate(SUPERSEDED_MAX - 1);
        self.superseded.insert(0, old);
    }

    /// Whether the timer has made a secret that nobody has shown yet.
    pub(crate) fn is_secret_unconfirmed(&self) -> bool {
        let mut graces = self.superseded.iter().filter_map(|old| old.grace);
        graces.any(|grace| grace.reason == GraceReason::TimerUnconfirmed)
    }

    /// The secret has been shown: from now on the graces of those before it run.
    pub(crate) fn confirm_secret(&mut self, now: Timestamp, grace: Duration) {
        for old in self.superseded.iter_mut().filter_map(|old| old.grace.as_mut()) {
            if old.reason == GraceReason::TimerUnconfirmed {
                *old = Grace { until: now.saturating_add(grace), reason: GraceReason::Timer, ..*old };
            }
        }
        self.secret_since = Some(now);
    }

    /// Ends all graces, as at a login: who holds a secret from before comes late, and is nobody after that.
    pub(crate) fn end_graces(&mut self, latecomers_until: Timestamp) {
        for old in &mut self.superseded {
            old.grace = None;
            old.until = old.until.min(latecomers_until);
        }
    }

    pub(crate) fn binding(&self) -> Binding<'_> {
        Binding { namespace: &self.namespace, id: self.id, user: self.user.as_deref() }
    }

    /// How long the session lives without being used.
    pub(crate) fn idle_timeout(&self, policy: &SessionPolicy) -> Duration {
        self.idle.unwrap_or_else(|| policy.idle_timeout())
    }

    /// When the session dies if it is used at `now` and never again.
    pub(crate) fn expiry_if_used(&self, now: Timestamp, policy: &SessionPolicy) -> Timestamp {
        let idle = self.idle_timeout(policy);
        // The server does not promise what the browser cannot keep.
        let idle = if self.persistent { idle.min(COOKIE_LIFETIME_MAX) } else { idle };
        now.saturating_add(idle).min(self.deadline)
    }
}
