//! What a request has read, for policies that refuse to overwrite what changed since.

use crate::data::{Data, OwnedPath};
use crate::error::{ErrorKind, SessionError};
use crate::journal::Journal;

/// Places, and what stood there in the store when they were read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads(Vec<(OwnedPath, Option<Box<str>>)>);

impl Reads {
    pub(super) fn note(&mut self, path: OwnedPath, stored: &Data) {
        let text = stored.at(&path).map(Into::into);
        match self.0.iter_mut().find(|(noted, _)| *noted == path) {
            Some((_, noted)) => *noted = text,
            None => self.0.push((path, text)),
        }
    }

    /// After changes were stored: what they have overwritten is no surprise any more.
    pub(super) fn catch_up(&mut self, changes: &Journal, stored: &Data) {
        for (path, text) in &mut self.0 {
            if changes.touches(path) {
                *text = stored.at(path).map(Into::into);
            }
        }
    }

    /// Refuses changes that overwrite a place which was read and has changed since.
    pub(super) fn check(&self, changes: &Journal, stored: &Data) -> Result<(), SessionError> {
        let changed_since = |(path, text): &(OwnedPath, Option<Box<str>>)| stored.at(path) != text.as_deref();
        if self.0.iter().any(|read| changes.overwrites(&read.0) && changed_since(read)) {
            return Err(SessionError::new(
                ErrorKind::Conflict,
                "another request changed a key of the session after this one had read it and before it wrote it; \
                 nothing of this request was kept: load the page again, or use Session::update",
            ));
        }
        Ok(())
    }
}
