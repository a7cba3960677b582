//! What becomes of the handler's answer.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::cache;
use super::cookie::SessionCookie;
use super::lazy::{Opened, Visit};
use super::site_data;
use super::transport::Place;
use crate::error::{ErrorKind, SessionError};
use crate::state::TokenChange;

const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// Completes an answer whose session was asked for, once that has come to its end; puts another one in its place if that has
/// failed.
pub(super) fn complete<B>(
    answer: &mut Response<B>,
    ended: Result<TokenChange, SessionError>,
    visit: &Visit,
    opened: &Opened,
    on_error: &impl OnError<B>,
) {
    match ended {
        Ok(change) => {
            tell(answer, &change, visit, opened.place);
            site_data::clear(answer, visit, &opened.session);
        }
        Err(error) => {
            let mut instead = on_error.respond(&error);
            error.mark(&mut instead);
            replace(answer, instead);
            // What an earlier save of this request has stored, the client has to know all the same.
            tell(answer, &opened.session.stored_token_change(), visit, opened.place);
        }
    }
}

fn tell<B>(response: &mut Response<B>, change: &TokenChange, visit: &Visit, place: Place) {
    let transport = &visit.shared().transport;
    let ours = match change {
        TokenChange::Keep => None,
        TokenChange::Refresh(_) if cache::is_public(response.headers()) => None,
        TokenChange::Refresh(issued) if !transport.tells_lifetimes(place) && !issued.is_more_than_a_token() => None,
        TokenChange::Issue(issued) | TokenChange::Refresh(issued) => Some(transport.token(issued, place)),
        TokenChange::Remove => Some(transport.removal(place)),
    };
    if let Some((first, others)) = ours {
        for ours in std::iter::once(first).chain(others) {
            // Only a layer further out may put another answer in the place of this one.
            if visit.is_within_another() {
                let told = response.extensions_mut().get_or_insert_default::<Told>();
                told.0.push((transport.answers_in(place).clone(), ours.clone()));
            }
            transport.write(response.headers_mut(), ours, place);
        }
        cache::forbid_storing(response.headers_mut());
    }
    if let Some(removal) = visit.removal_of_old_cookie().filter(|_| !cache::is_public(response.headers())) {
        SessionCookie::write(response.headers_mut(), removal);
        cache::forbid_storing(response.headers_mut());
    }
    for header in transport.looked_at(place) {
        cache::vary_by(response.headers_mut(), header);
    }
}

/// What this layer, and those further in, have told the client about its tokens.
#[derive(Clone, Default)]
struct Told(Vec<(HeaderName, HeaderValue)>);

/// Puts another answer in the place of one. What sessions of layers further in have stored stays stored, so what they have
/// told the client stays as well.
fn replace<B>(answer: &mut Response<B>, mut instead: Response<B>) {
    if let Some(told) = answer.extensions_mut().remove::<Told>() {
        for (name, value) in &told.0 {
            instead.headers_mut().append(name, value.clone());
        }
        cache::forbid_storing(instead.headers_mut());
        instead.extensions_mut().insert(told);
    }
    *answer = instead;
}

impl SessionError {
    /// The status to answer with: 503 if the store is down or too slow, 409 for a conflict, if the session has ended or
    /// was never stored, or if the user has too many, 401 if nobody is logged in, 403 if the login is too old or a form
    /// may be forged, 413 for data
    /// that are too large, 400 for a user who can be none, else 500.
    pub fn status(&self) -> StatusCode {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Contended | ErrorKind::NewerFormat => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            ErrorKind::Conflict | ErrorKind::Ended | ErrorKind::NotStored | ErrorKind::TooManySessions => {
                StatusCode::CONFLICT
            }
            ErrorKind::NotLoggedIn => StatusCode::UNAUTHORIZED,
            ErrorKind::LoginTooOld | ErrorKind::CsrfToken => StatusCode::FORBIDDEN,
            ErrorKind::TooLarge | ErrorKind::TooLargeForStore | ErrorKind::TooDeep => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::InvalidUser => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The text to answer with. It is for strangers, and says nothing about the inside; the log gets the whole error.
    pub fn body_text(&self) -> &'static str {
        match self.status() {
            _ if self.kind() == ErrorKind::TooManySessions => {
                "You are logged in as often as is allowed. Please log out somewhere else first.\n"
            }
            _ if self.kind() == ErrorKind::CsrfToken => "This page is out of date. Please load it again.\n",
            StatusCode::UNAUTHORIZED => "Please log in.\n",
            StatusCode::FORBIDDEN => "Please log in once more to do this.\n",
            StatusCode::SERVICE_UNAVAILABLE => "Sessions are not available at the moment. Please try again.\n",
            StatusCode::CONFLICT => "Your session was changed by another request. Please load the page again.\n",
            StatusCode::PAYLOAD_TOO_LARGE => "That is more than a session can hold.\n",
            StatusCode::BAD_REQUEST => "Nobody can have that name.\n",
            _ => "Something is wrong with the sessions of this site.\n",
        }
    }

    /// An answer with [`status`](Self::status), [`body_text`](Self::body_text), and `Retry-After: 1` where a later try may
    /// succeed. Its extensions have the [`ErrorKind`], for middleware further out that makes pages of errors.
    pub(crate) fn to_response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(Bytes::from_static(self.body_text().as_bytes())));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        self.mark(&mut response);
        response
    }

    /// What an answer to this error says of it, unless it says something itself.
    fn mark<B>(&self, response: &mut Response<B>) {
        response.extensions_mut().get_or_insert(self.kind());
        let is_later_time_better = self.is_temporary() && response.status() == StatusCode::SERVICE_UNAVAILABLE;
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        if is_later_time_better {
            headers.entry(RETRY_AFTER).or_insert(RETRY_AFTER_SECONDS);
        }
    }
}

/// Makes the answer when a session could not be stored.
///
/// Any function from `&SessionError` to a response is one. The default, [`DefaultOnError`], answers in plain text and serves
/// all bodies that are made from [`Bytes`], such as axum's and `http_body_util::Full`.
#[diagnostic::on_unimplemented(
    message = "no answer with a body of type `{ResBody}` can be made when a session cannot be stored",
    note = "give `SessionLayer::on_error` a function `Fn(&SessionError) -> Response<{ResBody}>`"
)]
pub trait OnError<ResBody> {
    /// The answer to give in place of the handler's.
    fn respond(&self, error: &SessionError) -> Response<ResBody>;
}

impl<F, ResBody> OnError<ResBody> for F
where
    F: Fn(&SessionError) -> Response<ResBody>,
{
    fn respond(&self, error: &SessionError) -> Response<ResBody> {
        self(error)
    }
}

/// Answers with [`SessionError::status`] and a line of plain text.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DefaultOnError;

impl<ResBody: From<Bytes>> OnError<ResBody> for DefaultOnError {
    fn respond(&self, error: &SessionError) -> Response<ResBody> {
        error.to_response()
    }
}

impl<ResBody, E: OnError<ResBody> + ?Sized> OnError<ResBody> for Arc<E> {
    fn respond(&self, error: &SessionError) -> Response<ResBody> {
        (**self).respond(error)
    }
}
