//! What the client has to be told.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{Absence, Present, State};
use crate::clock::Timestamp;
use crate::policy::COOKIE_LIFETIME_MAX;
use crate::token::Token;

/// What a commit does to the token that the client holds.
#[derive(Clone, Debug)]
pub enum TokenChange {
    /// The client keeps what it has, or still has nothing.
    Keep,
    /// The client gets this token, and forgets any other.
    Issue(IssuedToken),
    /// The client has this token already and should keep it for longer. Where it holds more than that (`CookieStore`), this
    /// [text](IssuedToken::text) takes the place of the one before.
    Refresh(IssuedToken),
    /// The client should forget what it showed.
    Remove,
}

/// A token on its way to the client.
#[derive(Clone)]
#[non_exhaustive]
pub struct IssuedToken {
    /// What the client is to show from now on; together with its [`text`](Self::text) what it holds beside that.
    pub token: Token,
    /// How long the client should keep it. `None`: as long as its own session lasts, as with a browser that is closed.
    pub lifetime: Option<Duration>,
    /// What follows the token, as text, where clients hold more than that.
    pub(crate) carried: Option<Box<str>>,
}

impl IssuedToken {
    /// The text for the client to keep and to show: that of the [token](Token::expose), and what it holds of its session
    /// beside that, if it does (`CookieStore`).
    pub fn text(&self) -> Zeroizing<String> {
        let token = self.token.expose();
        match &self.carried {
            Some(carried) => Zeroizing::new([&token, &**carried].concat()),
            None => token,
        }
    }

    /// Whether the client is to hold more than the token, so that what it has is out of date.
    pub(crate) fn is_more_than_a_token(&self) -> bool {
        self.carried.is_some()
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("IssuedToken");
        debug.field("token", &self.token).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It has something to forget when the session ends.
    HasToken,
    /// It has nothing to forget, or keeps it.
    HasNone,
    /// No answer is to come that could bring it a token.
    OutOfReach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PendingChange {
    Keep,
    Refresh,
    Issue,
    Remove,
}

impl State {
    /// What the client has to be told once the request ends.
    pub(crate) fn token_change(&self, now: impl Fn() -> Timestamp) -> TokenChange {
        match (self.stored_token_change(now), &self.origin) {
            (TokenChange::Keep, Err(Absence::Unknown)) => TokenChange::Remove,
            (change, _) => change,
        }
    }

    /// What earlier commits have stored that the client has to know, even if a later one has failed. What it showed in vain is
    /// not among that: with a store that fails, nobody can tell.
    pub(crate) fn stored_token_change(&self, now: impl Fn() -> Timestamp) -> TokenChange {
        let issued = |present: &Present| IssuedToken {
            token: present.token.clone(),
            carried: None,
            lifetime: present
                .contents
                .persistent
                .then(|| present.expires_at.saturating_since(now()).min(COOKIE_LIFETIME_MAX)),
        };
        match (self.token_change, &self.origin) {
            (PendingChange::Remove, _) => TokenChange::Remove,
            _ if self.to_confirm().is_some() => TokenChange::Keep,
            (PendingChange::Issue, Ok(present)) => TokenChange::Issue(issued(present)),
            (PendingChange::Refresh, Ok(present)) => TokenChange::Refresh(issued(present)),
            _ => TokenChange::Keep,
        }
    }

    /// What the client has shown, if it is to be told another token on the word of what was loaded when the request began. A
    /// login may have replaced that since, and must not lose its cookie to this answer.
    pub(crate) fn to_confirm(&self) -> Option<&Token> {
        let present = self.present().filter(|_| self.token_change == PendingChange::Issue)?;
        present.shown.as_ref().map(|_| present.shown_token())
    }

    /// The token to be looked up before the client is told: also one that a login or the timer may have replaced since it was
    /// stored in the middle of the request.
    pub(crate) fn to_look_up(&self) -> Option<&Token> {
        let is_early = self.told_early && matches!(self.token_change, PendingChange::Refresh | PendingChange::Issue);
        self.to_confirm().or_else(|| self.present().filter(|_| is_early).map(|present| &present.token))
    }

    /// This is what follows that token at this moment.
    pub(crate) fn confirm(&mut self, newer: &Present, now: Timestamp) {
        if newer.shown.is_none() {
            return;
        }
        if !newer.has_to_be_told(now) {
            self.token_change = PendingChange::Keep;
            return;
        }
        self.token_change = PendingChange::Issue;
        self.follow(newer);
        if let Ok(present) = &mut self.origin {
            Arc::make_mut(present).shown = None;
        }
    }

    /// Others have replaced the token or ended the session, and have told the client.
    pub(crate) fn tell_nothing(&mut self) {
        self.token_change = PendingChange::Keep;
    }

    /// The client has shown another library's cookie, and is to be told the token in its place. So are others who show it.
    pub(crate) fn be_told(&mut self) {
        self.client = Client::HasNone;
        self.token_change = PendingChange::Issue;
        self.told_early = true;
    }
}
