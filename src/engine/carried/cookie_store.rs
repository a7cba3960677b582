use std::sync::Arc;

use super::{Carried, LONGEST_TEXT, RecordStore};
use crate::codec::KeyRing;
use crate::state::ClientHolds;
use crate::store::SessionStore;

/// Sessions that their clients hold themselves, encrypted and authenticated, behind the token (feature `sealed`).
///
/// Given to [`SessionLayer::in_cookie`](crate::SessionLayer::in_cookie), or
/// [`SessionManager::in_cookie`](crate::SessionManager::in_cookie) where there is no HTTP. Handlers do not notice. Whoever
/// holds the cookie can neither read what is in it nor change it: XChaCha20-Poly1305 with a new random nonce every time, by the
/// first key of a [`KeyRing`], bound to the namespace, the session's id and its secret.
///
/// Either is said outright, since there is no good default:
///
/// | | [`with_revocation`](Self::with_revocation) | [`without_revocation`](Self::without_revocation) |
/// |---|---|---|
/// | what the client holds | the data | everything |
/// | what a store holds | a small record without data | nothing: there is none |
/// | a cookie that was copied before a logout | opens nothing | **is good until the session would have expired** |
/// | a cookie that was copied before a login | opens nothing | **is good as it was: not logged in** |
/// | devices, revoking, [`max_sessions`](crate::SessionPolicy::max_sessions) | as the store can | no |
/// | [`rotate_every`](crate::SessionPolicy::rotate_every) | yes | no |
/// | [`detach`](crate::Session::detach) | to read, and to hear of the end | no |
/// | calls to the store | as with any store | none |
///
/// Expiry is inside, on the server's clock: a browser that keeps a cookie for longer keeps nothing of use.
///
/// # What is given up in both
///
/// * **Changes get lost.** Of two requests at the same time each gives the client its own data, and the cookie that arrives
///   last stays. So [`update`](crate::Session::update) counts right within one request only, and
///   [`Conflicts::Refuse`](crate::Conflicts::Refuse) is refused.
/// * **Old data can be put back.** Who keeps an older cookie of his own session can show it again, and the data are as they
///   were; a new secret ([`login`](crate::Session::login), [`regenerate`](crate::Session::regenerate)) puts an end to that
///   with revocation, and not without. Keep nothing there that must not be undone: a voucher that was used, failed attempts.
/// * **There is little room.** Browsers keep 4096 bytes of a cookie, its name among them (RFC 6265bis section 5.6); for a header
///   it is as much. That is some 2,900 bytes of data, and 2,700 without revocation;
///   [`SessionCookie::chunks`](crate::SessionCookie::chunks) gives up to four times as much. A session that does not fit is
///   [`ErrorKind::TooLargeForStore`](crate::ErrorKind::TooLargeForStore), at `save` or, after the handler, as an answer of
///   413: nothing is stored, and the client keeps what it has. A [codec](crate::SessionManager::codec) that compresses
///   makes room, and lets the length say something of the contents.
/// * Every answer that changes data, or without revocation moves the expiry, sets the cookie and cannot be cached.
///
/// # Keys
///
/// As with [`SealedCodec`](crate::SealedCodec#changing-keys), and the same keys may serve both: what is sealed for the one does
/// not open for the other. A cookie gets the new key when it is set the next time. One whose key has left the ring is a
/// stranger's.
///
/// # Example
///
/// ```
/// use cloakroom::{ConfigError, CookieStore, KeyRing, MemoryStore, SessionLayer};
///
/// fn sessions(keys: &str) -> Result<SessionLayer, ConfigError> {
///     let keys: KeyRing = keys.parse()?;
///     Ok(SessionLayer::in_cookie(CookieStore::with_revocation(keys, MemoryStore::new())))
/// }
/// # sessions(&cloakroom::SealingKey::generate().unwrap().expose()).unwrap();
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct CookieStore {
    keys: KeyRing,
    revocation: Option<Arc<dyn SessionStore>>,
}

impl CookieStore {
    /// The client holds the data, and this store the rest: a record of some 300 bytes.
    ///
    /// So a session ends everywhere when it ends: with a logout, with a login for whoever held the old secret, when it is
    /// revoked. With the data only half of a cookie is gone: without its record it opens nothing.
    pub fn with_revocation(keys: impl Into<KeyRing>, store: impl SessionStore) -> Self {
        Self { keys: keys.into(), revocation: Some(Arc::new(store)) }
    }

    /// The client holds everything, and nothing is kept here.
    ///
    /// What that gives up: **a session cannot be ended.** [`destroy`](crate::Session::destroy) and
    /// [`logout`](crate::Session::logout) tell the client to forget its cookie, and a [`login`](crate::Session::login)
    /// gives it another one; who has copied the old cookie, from a shared computer or by malware, goes on with it as if
    /// nothing had happened, until the session expires. No password change, no "log out everywhere", no administrator helps
    /// against that (ASVS 5.0, 7.4.1); only a new key does, or
    /// [`SessionPolicy::not_before`](crate::SessionPolicy::not_before), for all sessions at once. Keep them short, or
    /// keep nothing in them that is worth stealing.
    pub fn without_revocation(keys: impl Into<KeyRing>) -> Self {
        Self { keys: keys.into(), revocation: None }
    }

    pub(crate) fn into_parts(self) -> (Arc<dyn SessionStore>, Carried, ClientHolds) {
        let Self { keys, revocation } = self;
        let (store, client_holds) = match &revocation {
            Some(store) => (store.clone(), ClientHolds::Data),
            None => (Arc::new(RecordStore::new(None, LONGEST_TEXT)) as Arc<dyn SessionStore>, ClientHolds::Record),
        };
        (store, Carried { keys, longest_text: LONGEST_TEXT, revocation, held: None }, client_holds)
    }
}
