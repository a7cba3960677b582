//! What a session has beside what all have.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use super::Superseded;
use crate::clock::Timestamp;
use crate::data::Data;
use crate::token::{CsrfMask, TokenDigest};

/// What most visitors' sessions have nothing of, kept apart, so that a store with a million of them keeps no room for it.
#[derive(Clone, Default)]
pub(crate) struct Extras(Option<Arc<ExtraFields>>);

#[derive(Clone, Default)]
pub(crate) struct ExtraFields {
    /// The record's column: no part of the document, but a codec that authenticates holds them together.
    pub(crate) user: Option<Arc<str>>,
    /// When the user has shown last who they are. `None` while nobody is logged in.
    pub(crate) logged_in_at: Option<Timestamp>,
    /// What the application calls the client in a list of devices.
    pub(crate) label: Option<Arc<str>>,
    /// Beyond this its deadline is not moved but by a login.
    pub(crate) end_by: Option<Timestamp>,
    /// The session's own idle timeout, if it is not the policy's.
    pub(crate) idle: Option<Duration>,
    /// What the session is bound to beside its secret: a digest of it. `None` if it is bound to nothing.
    pub(crate) bond: Option<TokenDigest>,
    /// What makes the key of the session's forms, if it does not follow from the token.
    pub(crate) csrf: Option<CsrfMask>,
    /// Since when the secret is good, or was first shown if it came by the timer. `None`: since the session was created.
    pub(crate) secret_since: Option<Timestamp>,
    /// The secrets that were good before, and until when their holders count as latecomers. The newest comes first.
    pub(crate) superseded: Vec<Superseded>,
    /// What a later version of this crate has written and this one does not know: kept as it is.
    pub(crate) unknown: Option<Arc<Data>>,
}

static NONE: ExtraFields = ExtraFields {
    user: None,
    logged_in_at: None,
    label: None,
    end_by: None,
    idle: None,
    bond: None,
    csrf: None,
    secret_since: None,
    superseded: Vec::new(),
    unknown: None,
};

impl From<ExtraFields> for Extras {
    fn from(fields: ExtraFields) -> Self {
        Self((!fields.is_empty()).then(|| Arc::new(fields)))
    }
}

impl ExtraFields {
    fn is_empty(&self) -> bool {
        let Self { user, logged_in_at, label, end_by, idle, bond, csrf, secret_since, superseded, unknown } = self;
        user.is_none()
            && logged_in_at.is_none()
            && label.is_none()
            && end_by.is_none()
            && idle.is_none()
            && bond.is_none()
            && csrf.is_none()
            && secret_since.is_none()
            && superseded.is_empty()
            && unknown.is_none()
    }
}

impl Deref for Extras {
    type Target = ExtraFields;

    fn deref(&self) -> &ExtraFields {
        self.0.as_deref().unwrap_or(&NONE)
    }
}

/// Makes the room. Who writes that there is nothing looks first whether there is something.
impl DerefMut for Extras {
    fn deref_mut(&mut self) -> &mut ExtraFields {
        Arc::make_mut(self.0.get_or_insert_default())
    }
}
