//! Sessions of another library that go on as sessions of this one.
//!
//! Who shows a cookie of the other library is given a session with its data, once. What makes it "once" is a *deed*: a record beside
//! the session, under an id that follows from the old one. It is created after the session and before anybody is told of it:
//!
//! 1. If there is a deed, it says which session it is. The old store is not asked any more, ever.
//! 2. Else the old session is loaded, a new one is stored with its data, and then the deed.
//! 3. Of requests that come at the same time one creates the deed. The others drop the sessions that they have just stored, of
//!    which nobody knows, and follow the deed.
//! 4. The old session is deleted.
//!
//! So an answer that is lost loses nothing: the old cookie comes again and leads to the same session, as long as the old one would have
//! lived. After a logout it leads to a session that is over, whether the old record could be deleted or not.
//!
//! The deed has the session's id and a nonce. The secret follows from the nonce and the old cookie, which nobody but the browser has:
//! who reads the store cannot make it.

use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Engine, RunToEnd, deadline, unique_name};
use crate::clock::Timestamp;
use crate::data::Data;
use crate::error::{ErrorKind, SessionError, StoreError};
use crate::event::SessionEvent;
use crate::policy::COOKIE_LIFETIME_MAX;
use crate::record::{Contents, DecodeError, Decoded, ExtraFields, Payload, Record};
use crate::state::{Identity, check_user, newer_format};
use crate::store::{CreateOutcome, Inheritance, Predecessor};
use crate::token::{Nonce, SessionId, Token};

/// How much longer than the old session its deed is kept: clocks differ, and stores are late with deleting.
const SLACK: Duration = Duration::from_hours(24);

const SESSION: &str = "session";
const NONCE: &str = "nonce";

/// Who has taken over an old session.
enum Deed {
    None,
    /// The session of this id, whose secret follows from this nonce.
    To(SessionId, Nonce),
    /// It cannot be told, but somebody has.
    Lost,
}

impl Engine {
    /// The token of the session that goes on where one of another library ends, if the cookie shows one of those. Runs to its end, so
    /// that nothing is left halfway.
    pub(crate) fn inherit(
        self: &Arc<Self>,
        predecessor: Arc<dyn Predecessor>,
        cookie: String,
    ) -> RunToEnd<Result<Option<Token>, SessionError>> {
        let engine = self.clone();
        RunToEnd::new(self.running(), async move {
            let Some(old) = predecessor.session(&cookie) else { return Ok(None) };
            let limit = engine.terms.limits.max_commit_time();
            let took = deadline::within(limit, engine.take_over(&*predecessor, &old, &cookie)).await;
            took.unwrap_or_else(|| Err(contended()))
        })
    }

    async fn take_over(
        &self,
        predecessor: &dyn Predecessor,
        old: &str,
        cookie: &str,
    ) -> Result<Option<Token>, SessionError> {
        let (id, mut backoff) = (self.id_of("deed", old), Backoff::default());
        loop {
            match self.deed(id).await? {
                Deed::None => {}
                Deed::To(session, nonce) => return Ok(Some(Token::after_cookie(session, cookie.as_bytes(), &nonce))),
                Deed::Lost => return Ok(None),
            }
            let Some(inheritance) = self.call("load_predecessor", predecessor.load(old)).await? else {
                // Another request may have taken it between the two looks.
                return match self.deed(id).await? {
                    Deed::To(session, nonce) => Ok(Some(Token::after_cookie(session, cookie.as_bytes(), &nonce))),
                    Deed::None | Deed::Lost => Ok(None),
                };
            };
            let nonce = Nonce::generate()?;
            let token = Token::after_cookie(Token::generate()?.id(), cookie.as_bytes(), &nonce);
            let until = inheritance.expires_at;
            if let Err(error) = self.create_heir(&token, inheritance).await {
                // It may be stored all the same, and nobody will ever know of it.
                let _ = self.call("delete", self.store().delete(token.id())).await;
                return Err(error);
            }
            if self.create_deed(id, token.id(), nonce, until).await? {
                // The deed is asked first from now on: if this fails, nothing is lost but space.
                let _ = self.call("delete_predecessor", predecessor.delete(old)).await;
                self.events.emit(SessionEvent::Created { id: token.id() });
                return Ok(Some(token));
            }
            backoff.wait().await;
        }
    }

    async fn deed(&self, id: SessionId) -> Result<Deed, SessionError> {
        let now = self.clock.now();
        let Some(record) = self.load(id, now).await? else { return Ok(Deed::None) };
        Ok(match self.terms.identify(record, now) {
            Identity::Ours(contents) => read_deed(&contents.data).unwrap_or(Deed::Lost),
            Identity::Unreadable(DecodeError::Newer) => return Err(newer_format()),
            _ => Deed::Lost,
        })
    }

    /// Stores the session that goes on. Nobody knows of it yet.
    async fn create_heir(&self, token: &Token, inheritance: Inheritance) -> Result<(), SessionError> {
        let (terms, now, id) = (&self.terms, self.clock.now(), token.id());
        let Inheritance { data, user, logged_in_at, remember, .. } = inheritance;
        if let Some(user) = &user {
            check_user(user)?;
        }
        let data = Data::inherited(&data, &terms.limits)?;
        let remember = remember.map(|time| time.clamp(Duration::from_secs(1), COOKIE_LIFETIME_MAX));
        let extras = ExtraFields {
            logged_in_at: logged_in_at.filter(|_| user.is_some()).map(|at| at.min(now)),
            user: user.map(Into::into),
            idle: remember,
            ..ExtraFields::default()
        };
        let contents = Contents {
            origin: terms.origin.clone(),
            id,
            created_at: now,
            deadline: now.saturating_add(remember.unwrap_or(terms.policy.absolute_lifetime())),
            persistent: remember.is_some() || terms.policy.is_persistent(),
            digest: terms.digester.digest(token),
            write: unique_name()?,
            extras: extras.into(),
            data: data.into(),
        };
        let (user, expires_at) = (contents.extras.user.clone(), contents.expiry_if_used(now, &terms.policy));
        let payload = Payload::from(Decoded::from(contents));
        let record = Record { id, version: 1, user, expires_at, payload };
        match self.call("create", self.store().create(&record, now)).await? {
            CreateOutcome::Created => Ok(()),
            CreateOutcome::Exists => Err(contended()),
        }
    }

    /// `false` if others were faster. The session that it was to be for is gone then.
    async fn create_deed(
        &self,
        id: SessionId,
        session: SessionId,
        nonce: Nonce,
        until: Timestamp,
    ) -> Result<bool, SessionError> {
        let now = self.clock.now();
        let mut data = Data::default();
        data.set_member(SESSION, &format!("\"{session}\""));
        data.set_member(NONCE, &format!("\"{}\"", nonce.to_text()));
        let record = self.closed_record(id, 1, until.max(now).saturating_add(SLACK), data)?;
        match self.call("create", self.store().create(&record, now)).await {
            Ok(CreateOutcome::Created) => Ok(true),
            Ok(CreateOutcome::Exists) => {
                self.call("delete", self.store().delete(session)).await?;
                Ok(false)
            }
            Err(error) => self.unless_created(id, session, error).await,
        }
    }

    /// After an error: the deed may be stored all the same. If that cannot be known, the session stays, for whoever comes next.
    async fn unless_created(&self, id: SessionId, session: SessionId, error: StoreError) -> Result<bool, SessionError> {
        match self.deed(id).await {
            Ok(Deed::To(heir, _)) if heir == session => Ok(true),
            Ok(_) => {
                let _ = self.call("delete", self.store().delete(session)).await;
                Err(error.into())
            }
            Err(_) => Err(error.into()),
        }
    }
}

fn read_deed(data: &Data) -> Option<Deed> {
    let text = |name| serde_json::from_str::<String>(data.member(name)?).ok();
    Some(Deed::To(text(SESSION)?.parse().ok()?, Nonce::from_text(&text(NONCE)?)?))
}

fn contended() -> SessionError {
    SessionError::new(
        ErrorKind::Contended,
        "a session of another library could not be taken over within Limits::commit_timeout; it is as it was: try again",
    )
}
