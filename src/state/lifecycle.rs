//! What a request does to the life of its session, as opposed to its data.

use std::sync::Arc;
use std::time::Duration;

use super::{Client, SessionStatus, State};
use crate::clock::Timestamp;
use crate::error::{ErrorKind, SessionError};
use crate::token::CsrfKey;

/// How a session gets a new secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rotation {
    /// The old one goes on being good until the client has shown the new one, and for the policy's grace after that.
    OnTimer,
    /// The old one goes on being good for this long.
    WithGrace(Duration),
    /// The old one is dead.
    AtOnce,
}

/// What a session's secret needs from time to time, whatever the request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// It is old.
    Rotate,
    /// It is new, and the client has shown that it has it.
    Confirm,
}

/// Changes of the session's life, as opposed to its data.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifecycle {
    pub(crate) destroy: bool,
    pub(crate) rotate: Option<Rotation>,
    pub(crate) login: Option<Arc<str>>,
    /// All data of before the login that stay, if not all do.
    pub(crate) keep: Option<Box<[Box<str>]>>,
    /// The user has shown again who they are.
    pub(crate) reauthenticated: bool,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) remember: Option<Duration>,
    /// Not beyond this, whatever the other rules say.
    pub(crate) end_by: Option<Timestamp>,
    /// What forms that were made in this request show, if it does not follow from the secret that the record has.
    pub(crate) csrf: Option<CsrfKey>,
    /// The visitor has agreed to be given a session.
    pub(crate) consent: bool,
}

impl Lifecycle {
    /// Whether there is nothing to be done to a session that exists. One that does has been agreed to.
    pub(crate) fn is_empty(&self) -> bool {
        // Who shows again who they are gets a new secret.
        !self.destroy
            && self.rotate.is_none()
            && self.login.is_none()
            && self.remember.is_none()
            && self.end_by.is_none()
            && self.csrf.is_none()
            && self.label.is_none()
    }

    /// Whether somebody has shown who they are.
    pub(crate) fn authenticates(&self) -> bool {
        self.login.is_some() || self.reauthenticated
    }

    pub(super) fn and_then(self, later: Self) -> Self {
        Self {
            // A login makes those from before void.
            end_by: if later.login.is_some() { later.end_by } else { earlier(later.end_by, self.end_by) },
            destroy: self.destroy || later.destroy,
            rotate: self.rotate.max(later.rotate),
            login: later.login.or(self.login),
            keep: later.keep.or(self.keep),
            reauthenticated: self.reauthenticated || later.reauthenticated,
            label: later.label.or(self.label),
            remember: later.remember.or(self.remember),
            csrf: later.csrf.or(self.csrf),
            consent: self.consent || later.consent,
        }
    }
}

impl State {
    /// Whether what is changed can reach the client.
    pub(super) fn check_answerable(&self) -> Result<(), SessionError> {
        self.check_writable()?;
        if self.client == Client::OutOfReach {
            return Err(SessionError::new(
                ErrorKind::Committed,
                "a detached session has no answer that could bring the client its new cookie, and nothing was changed; \
                 log in, regenerate and remember sessions in requests",
            ));
        }
        Ok(())
    }

    pub(crate) fn rotate(&mut self, rotation: Rotation) -> Result<(), SessionError> {
        self.check_answerable()?;
        self.lifecycle.rotate = self.lifecycle.rotate.max(Some(rotation));
        if rotation == Rotation::AtOnce {
            self.lifecycle.csrf = None;
        }
        Ok(())
    }

    pub(crate) fn remember(&mut self, duration: Duration) -> Result<(), SessionError> {
        self.check_answerable()?;
        self.lifecycle.remember = Some(duration);
        Ok(())
    }

    pub(crate) fn end_by(&mut self, time: Timestamp) -> Result<(), SessionError> {
        self.check_writable()?;
        self.lifecycle.end_by = earlier(self.lifecycle.end_by, Some(time));
        Ok(())
    }

    pub(crate) fn consent(&mut self) -> Result<(), SessionError> {
        self.check_writable()?;
        self.lifecycle.consent = true;
        Ok(())
    }

    /// Whether the visitor has agreed to have a session: there is one, or there will be.
    pub(crate) fn has_consent(&self) -> bool {
        self.present().is_some() || self.lifecycle.consent
    }

    pub(crate) fn destroy(&mut self, keeps_cookie: bool) -> Result<(), SessionError> {
        if self.closed.is_some() {
            return self.check_writable();
        }
        if keeps_cookie {
            self.client = Client::HasNone;
        }
        self.lifecycle = Lifecycle { destroy: true, ..Lifecycle::default() };
        self.status = SessionStatus::Destroyed;
        self.failure = None;
        // A user's session is deleted whatever a commit that has failed has made of it.
        if self.origin.as_ref().is_ok_and(|present| present.contents.extras.user.is_some())
            && let Some(work) = self.unfinished.take()
        {
            self.journal.append(work.into_changes().0);
        }
        self.drop_data_changes();
        Ok(())
    }
}

/// The earlier of two times, of which each may be missing.
pub(super) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
