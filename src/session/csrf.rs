//! Forms that only this session's pages can send.

use super::Session;
use crate::error::{ErrorKind, SessionError};

/// Forms that only pages of this session can send: protection against forged requests (ASVS 3.5.1, NIST SP 800-63B-4 section
/// 5.1).
///
/// ```
/// use axum::{Form, response::Html};
/// use cloakroom::{Session, SessionError};
///
/// #[derive(serde::Deserialize)]
/// struct Transfer { to: String, csrf: String }
///
/// async fn page(session: Session) -> Result<Html<String>, SessionError> {
///     let csrf = session.csrf_token()?;
///     Ok(Html(format!("<form method=post><input type=hidden name=csrf value={csrf}><input name=to></form>")))
/// }
///
/// async fn transfer(session: Session, Form(form): Form<Transfer>) -> Result<String, SessionError> {
///     session.verify_csrf(&form.csrf)?; // 403 for forms of other sites
///     Ok(format!("sent to {}", form.to))
/// }
/// ```
impl Session {
    /// A text for a form, or for a header that a script sends, which proves that the page was made for this session: 80
    /// characters of the URL-safe base64 alphabet, another one at each call, so that the size of a compressed page tells
    /// nothing about it (BREACH). All of them are good, as often as they are shown.
    ///
    /// They are good as long as the session is, in every tab, also when its secret is renewed
    /// [with grace](Self::regenerate_with_grace). Whatever makes an old secret bad at once makes them bad:
    /// [`login`](Self::login), [`reauthenticated`](Self::reauthenticated), [`regenerate`](Self::regenerate), and the session's
    /// end. In a request that calls one of these, ask for the text afterwards.
    ///
    /// It follows from the client's secret. So nothing is stored for it, and who has read the store cannot make one. A
    /// visitor without a session gets one by this call, with its cookie. Keep the page out of shared caches.
    ///
    /// # Errors
    ///
    /// For a visitor without a session [`ErrorKind::Committed`] once the request has been answered, and
    /// [`ErrorKind::NotStored`] as long as the policy waits for [consent](Self::consent). [`ErrorKind::Destroyed`],
    /// [`ErrorKind::Ended`], [`ErrorKind::NoRandomness`].
    pub fn csrf_token(&self) -> Result<String, SessionError> {
        let key = self.unit().state().csrf_key(&self.unit().engine.terms)?;
        key.to_form()
    }

    /// Whether a request shows a text that [`csrf_token`](Self::csrf_token) has made for this session. The comparison takes the
    /// same time, whatever differs.
    ///
    /// To be called before anything is changed, a [`login`](Self::login) included: what was shown to the visitor before is bad
    /// from then on, in this request as well.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::CsrfToken`], answered as 403.
    pub fn verify_csrf(&self, shown: impl AsRef<[u8]>) -> Result<(), SessionError> {
        let key = self.unit().state().known_csrf_key();
        if key.is_some_and(|key| key.is_shown_by(shown.as_ref())) {
            return Ok(());
        }
        Err(SessionError::new(
            ErrorKind::CsrfToken,
            "the request shows no CSRF token of this session: it was forged, or its page is from before a login; put \
             Session::csrf_token into every form, and let the visitor load the page again",
        ))
    }
}
