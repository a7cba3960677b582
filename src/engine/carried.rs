//! Sessions of which the client holds more than the token: [`CookieStore`].
//!
//! A request gets a store of its own, with what its client has shown. So the engine loads, saves and tries again as with any
//! other store, and what the client is to hold from then on is taken from there at the end.

mod cookie_store;
mod data_store;
mod record_store;
mod text;

use std::sync::Arc;

pub use cookie_store::CookieStore;
use data_store::DataStore;
use record_store::RecordStore;

use super::{Engine, ShownToken};
use crate::codec::{Binding, KeyRing};
use crate::error::{ErrorKind, SessionError, StoreError};
use crate::state::{Terms, TokenChange};
use crate::store::SessionStore;
use crate::token::{TOKEN_CHARS, Token};

/// How long a text may be where no transport says less: what browsers keep of a cookie (RFC 6265bis section 5.6).
const LONGEST_TEXT: usize = 4096;

/// What all clients hold has in common, and in the engine of a request what its client holds.
#[derive(Clone, Debug)]
pub(crate) struct Carried {
    keys: KeyRing,
    /// The most characters of a token and what follows it.
    longest_text: usize,
    /// Where all is kept but the data; nowhere, if clients hold that as well.
    revocation: Option<Arc<dyn SessionStore>>,
    held: Option<Held>,
}

/// What the client of a request holds.
#[derive(Clone, Debug)]
enum Held {
    Record(Arc<RecordStore>),
    Data(Arc<DataStore>),
}

impl Engine {
    /// The engine for a client that shows this. `None` if what it shows beside the token does not open.
    pub(super) fn for_client(self: &Arc<Self>, shown: &ShownToken) -> Option<Arc<Self>> {
        let Some(carried) = &self.carried else { return shown.carried.is_empty().then(|| self.clone()) };
        let plain = carried.open(shown, &self.terms)?;
        let (id, longest) = (shown.token.id(), carried.longest_text);
        let held = match &carried.revocation {
            Some(store) => {
                let data = data_store::read(&plain, id, &self.terms)?;
                Held::Data(Arc::new(DataStore::new(store.clone(), Some((id, data)), &self.terms, longest)))
            }
            None => Held::Record(Arc::new(RecordStore::new(Some(record_store::read(&plain, id)?), longest))),
        };
        Some(self.with(carried, held))
    }

    /// The engine for a client that holds nothing yet.
    pub(super) fn for_visitor(self: &Arc<Self>) -> Arc<Self> {
        let Some(carried) = &self.carried else { return self.clone() };
        let longest = carried.longest_text;
        let held = match &carried.revocation {
            Some(store) => Held::Data(Arc::new(DataStore::new(store.clone(), None, &self.terms, longest))),
            None => Held::Record(Arc::new(RecordStore::new(None, longest))),
        };
        self.with(carried, held)
    }

    /// The engine for what goes on beyond a request, when the client can be given nothing any more.
    pub(crate) fn for_detached(self: &Arc<Self>) -> Result<Arc<Self>, SessionError> {
        match self.carried.as_ref().and_then(|carried| Some((carried, carried.held.as_ref()?))) {
            None => Ok(self.clone()),
            Some((carried, Held::Data(held))) => Ok(self.with(carried, Held::Data(Arc::new(held.out_of_reach())))),
            Some((_, Held::Record(_))) => Err(SessionError::new(
                ErrorKind::Unsupported,
                "the client alone holds this session, so that there is nothing to go on with beyond the request: keep \
                 sessions in a store, or make the CookieStore with revocation",
            )),
        }
    }

    fn with(&self, carried: &Carried, held: Held) -> Arc<Self> {
        let store: Arc<dyn SessionStore> = match &held {
            Held::Record(held) => held.clone(),
            Held::Data(held) => held.clone(),
        };
        Arc::new(Self { store, carried: Some(Carried { held: Some(held), ..carried.clone() }), ..self.clone() })
    }

    /// Puts what the client is to hold behind a token that it is told.
    pub(super) fn hand_out(&self, mut change: TokenChange) -> Result<TokenChange, SessionError> {
        if let (Some(carried), TokenChange::Issue(issued) | TokenChange::Refresh(issued)) = (&self.carried, &mut change)
        {
            issued.carried = Some(carried.seal(&issued.token, &self.terms)?);
        }
        Ok(change)
    }

    /// The store that holds more than one client's session.
    pub(super) fn store_of_all(&self) -> &dyn SessionStore {
        let revocation = self.carried.as_ref().and_then(|carried| carried.revocation.as_deref());
        revocation.unwrap_or_else(|| self.store())
    }

    /// How long a text may be that a client shows.
    pub(crate) fn longest_text(&self) -> usize {
        self.carried.as_ref().map_or(TOKEN_CHARS, |carried| carried.longest_text)
    }

    /// Sets how long a text clients keep.
    pub(crate) fn set_longest_text(self: &mut Arc<Self>, longest: usize) {
        if self.carried.is_some()
            && let Some(carried) = &mut Arc::make_mut(self).carried
        {
            carried.longest_text = longest;
        }
    }
}

impl Carried {
    /// What follows a token, if it was sealed for this very token.
    fn open(&self, shown: &ShownToken, terms: &Terms) -> Option<Vec<u8>> {
        let sealed = text::decode(&shown.carried)?;
        let (purpose, binding) = self.bound_to(&shown.token, terms);
        text::unpad(&self.keys.open(&purpose, &sealed, binding).ok()?)
    }

    fn seal(&self, token: &Token, terms: &Terms) -> Result<Box<str>, SessionError> {
        let contents = match self.held.as_ref().expect("a request has an engine of its own") {
            Held::Record(held) => held.to_bytes()?,
            Held::Data(held) => held.to_bytes(),
        };
        let plain = text::pad(&contents);
        let (purpose, binding) = self.bound_to(token, terms);
        let sealed = self.keys.seal(&purpose, &plain, binding).map_err(StoreError::other)?;
        Ok(text::encode(&sealed))
    }

    /// What is handed out opens behind the token that it was handed out with, and no other: not behind one of another
    /// application or session, and not behind one with a newer secret of the same session.
    fn bound_to<'a>(&self, token: &Token, terms: &'a Terms) -> (Vec<u8>, Binding<'a>) {
        let purpose: &[u8] = match self.revocation {
            Some(_) => b"cloakroom: the data that a client holds",
            None => b"cloakroom: the session that a client holds",
        };
        let digest = terms.digester.digest(token);
        let binding = Binding { namespace: &terms.origin.namespace, id: token.id(), user: None };
        ([purpose, digest.as_bytes()].concat(), binding)
    }
}
