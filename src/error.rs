//! The errors of this crate: what went wrong ([`ErrorKind`]), what to do about it (the text), and why (the source).

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a session could not be read, changed or kept.
///
/// One opaque type for every operation of a session. [`kind`](Self::kind) says what happened and is meant for `match`;
/// the text says what to do and is meant for logs; [`source`](StdError::source) keeps the cause as it was.
/// No error holds a token or a secret.
///
/// With the feature `axum` it is an `IntoResponse`, so that `?` works in handlers that return
/// `Result<_, SessionError>`; together with other errors it works under `axum::response::Result<_>`.
pub struct SessionError(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    source: Option<BoxError>,
}

/// What went wrong, for programs to decide by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store could not be reached, or gave up in the middle: whether a write was kept may be unknown. A later try may
    /// succeed.
    Unavailable,
    /// The store did not answer before its deadline ([`Limits::operation_timeout`](crate::Limits::operation_timeout)).
    TimedOut,
    /// Others saved the same session again and again until the
    /// [`commit_timeout`](crate::Limits::commit_timeout) was over, or the function of an update writes to its own path.
    Contended,
    /// A key that this request had read and then wrote was changed by another request in between, and the policy is
    /// [`Conflicts::Refuse`](crate::Conflicts::Refuse). Nothing of this request was kept.
    Conflict,
    /// The data would be larger than [`Limits::data_bytes`](crate::Limits::data_bytes). The data are as before the call.
    TooLarge,
    /// The record as a whole is larger than the store takes, or than the cookie that is to hold it (`CookieStore`). The stored
    /// session is as before.
    TooLargeForStore,
    /// The value is nested deeper than [`Limits::depth`](crate::Limits::depth). The data are as before the call.
    TooDeep,
    /// A path has no segment, or an empty one.
    InvalidPath,
    /// A path leads through a value that is not an object. Nothing was overwritten.
    NotAnObject,
    /// A value could not be written as JSON. The data are as before the call.
    Encode,
    /// The stored value is not of the type that was asked for. It stays as it is.
    Decode,
    /// A counter would go beyond the range of its type. It stays as it is.
    OutOfRange,
    /// Two keys have one name and different types. Nothing was read or written.
    KeyType,
    /// A user's name is empty, too long, or has a NUL in it. Nobody was logged in.
    InvalidUser,
    /// Nobody is logged in, and somebody has to be.
    NotLoggedIn,
    /// The user is logged in, and has to show again who they are: the last time is too long ago.
    LoginTooOld,
    /// The request shows no CSRF token of its session ([`Session::verify_csrf`](crate::Session::verify_csrf)): it was forged, or
    /// its page is from before a login.
    CsrfToken,
    /// The user has as many sessions as the policy allows
    /// ([`WhenFull::RefuseNewest`](crate::WhenFull::RefuseNewest)). Nobody was logged in, and the session is as it was stored.
    TooManySessions,
    /// The session was written after its request had been answered, or was to get a new cookie with no answer to come.
    Committed,
    /// The session was written after `destroy` in the same request.
    Destroyed,
    /// The session ended while this request was at work: logged out elsewhere, expired, or its secret replaced.
    Ended,
    /// Something was asked for that only a stored session has, and nothing was ever written to this one.
    NotStored,
    /// The record was written by a newer version of this crate. It is kept as it is.
    NewerFormat,
    /// There is no `SessionLayer` around the handler that asked for a session.
    MissingLayer,
    /// The route is declared to use no session ([`StatelessLayer`](crate::StatelessLayer)), and somebody asked for one.
    Stateless,
    /// The operating system gave no random bytes.
    NoRandomness,
    /// The store cannot do what was asked for.
    Unsupported,
    /// The store failed in a way that a second try will not mend.
    Store,
}

impl SessionError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    pub(crate) fn because(mut self, source: impl Into<BoxError>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same request may succeed when it is sent again later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Unavailable | ErrorKind::TimedOut | ErrorKind::Contended | ErrorKind::NewerFormat
        )
    }
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SessionError");
        debug.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for SessionError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// Why a store could not do what it was asked for.
///
/// Made by implementations of [`SessionStore`](crate::SessionStore). A lost race is not an error: it is an outcome
/// ([`SaveOutcome::Conflict`](crate::store::SaveOutcome::Conflict)).
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<BoxError>,
}

/// What kept a store from its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Not reachable, refused, or cut off in the middle. Whether a write took effect is unknown.
    Unavailable,
    /// No answer in time. Whether a write took effect is unknown.
    TimedOut,
    /// The record is larger than the store takes, in bytes. Nothing was written.
    #[non_exhaustive]
    TooLarge {
        /// Size of the record.
        size: usize,
        /// The most that the store takes.
        limit: usize,
    },
    /// What is stored cannot be read as a record.
    Corrupt,
    /// The store has no such ability.
    Unsupported,
    /// Anything that a second try will not mend, such as a missing table or a refused permission.
    Other,
}

impl StoreError {
    /// The store could not be reached or gave up in the middle. A write may or may not have taken effect.
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Unavailable, source: Some(source.into()) }
    }

    /// The store did not answer within `limit`. A write may or may not have taken effect.
    pub fn timed_out(limit: Duration) -> Self {
        Self { kind: StoreErrorKind::TimedOut, source: Some(format!("no answer within {limit:?}").into()) }
    }

    /// A record of `size` bytes is more than the `limit` of this store.
    pub fn too_large(size: usize, limit: usize) -> Self {
        Self { kind: StoreErrorKind::TooLarge { size, limit }, source: None }
    }

    /// What is stored under an id is not a record.
    pub fn corrupt(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Corrupt, source: Some(source.into()) }
    }

    /// The store cannot do `what`.
    pub fn unsupported(what: &str) -> Self {
        Self { kind: StoreErrorKind::Unsupported, source: Some(what.into()) }
    }

    /// A failure that a second try will not mend.
    pub fn other(source: impl Into<BoxError>) -> Self {
        Self { kind: StoreErrorKind::Other, source: Some(source.into()) }
    }

    /// What kept the store from its work.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Whether a write that failed so may have taken effect all the same.
    pub(crate) fn is_ambiguous(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unavailable | StoreErrorKind::TimedOut)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            StoreErrorKind::Unavailable => f.write_str("the session store is not reachable"),
            StoreErrorKind::TimedOut => f.write_str("the session store did not answer in time"),
            StoreErrorKind::TooLarge { size, limit } => {
                write!(f, "the session takes {size} bytes, and its store takes no more than {limit}")
            }
            StoreErrorKind::Corrupt => f.write_str("what is stored for the session is not a record"),
            StoreErrorKind::Unsupported => f.write_str("the session store has no such ability"),
            StoreErrorKind::Other => f.write_str("the session store failed"),
        }
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreError").field("kind", &self.kind).field("source", &self.source).finish()
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> Self {
        let (kind, message) = match error.kind {
            StoreErrorKind::Unavailable => (
                ErrorKind::Unavailable,
                "the session store is not reachable; try again, and look at the store's own log",
            ),
            StoreErrorKind::TimedOut => (
                ErrorKind::TimedOut,
                "the session store did not answer in time; try again, and see Limits::operation_timeout",
            ),
            StoreErrorKind::TooLarge { .. } => (
                ErrorKind::TooLargeForStore,
                "the session is larger than its store takes, or the cookie that is to hold it; keep less in it, or lower Limits::data_bytes below that",
            ),
            StoreErrorKind::Corrupt => {
                (ErrorKind::Store, "what is stored for the session cannot be read; it was left as it is")
            }
            StoreErrorKind::Unsupported => {
                (ErrorKind::Unsupported, "the session store has no such ability; choose a store that has it")
            }
            StoreErrorKind::Other => {
                (ErrorKind::Store, "the session store failed; its own error, the source of this one, says why")
            }
        };
        Self::new(kind, message).because(error)
    }
}

/// A configuration that contradicts itself, found when it is given to a
/// [`SessionLayer`](crate::SessionLayer), a [`SessionManager`](crate::SessionManager) or a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cookie's name is empty or has a character that RFC 6265 section 4.1.1 does not allow.
    CookieName {
        /// The name as given.
        name: String,
    },
    /// A session's name cannot be a cookie's name, or is longer than 64 characters.
    SessionName {
        /// The name as given.
        name: String,
    },
    /// A header cannot carry tokens: its name is not one, or it has a meaning of its own.
    HeaderName {
        /// The name as given.
        name: String,
    },
    /// An attribute has a character that RFC 6265 section 4.1.1 does not allow, or is too long (1024 bytes).
    CookieAttribute {
        /// `Path` or `Domain`.
        attribute: &'static str,
        /// The value as given.
        value: String,
    },
    /// The name's prefix demands what another option rules out.
    CookiePrefix {
        /// The name as given.
        name: String,
        /// What the prefix demands.
        demands: &'static str,
    },
    /// The cookie of a predecessor has the name of the layer's own.
    SameCookie {
        /// The name of both.
        name: String,
    },
    /// The option needs a `Secure` cookie, and this one was made for plain HTTP.
    NeedsSecure {
        /// The option.
        option: &'static str,
    },
    /// A duration is zero.
    ZeroDuration {
        /// The option.
        option: &'static str,
    },
    /// One duration is too long beside another.
    NotShorter {
        /// The option that is too long.
        shorter: &'static str,
        /// The option that is too short for it.
        longer: &'static str,
    },
    /// Persistent cookies live for 400 days at most (RFC 6265bis section 5.5).
    CookieLifetime {
        /// The lifetime as given.
        lifetime: Duration,
    },
    /// A key has fewer than 32 bytes, or bytes that are all the same.
    WeakKey {
        /// What the key is for.
        purpose: &'static str,
    },
    /// A key that seals records has not 32 bytes, or such as are not random.
    #[cfg(feature = "sealed")]
    SealingKey {
        /// What is wrong with it, without anything of the key.
        problem: &'static str,
    },
    /// A limit is out of its range.
    Limit {
        /// The option.
        option: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The URL of a store cannot be read, or names one that is not compiled in.
    StoreUrl {
        /// What is wrong with it, without anything that could be secret.
        problem: String,
    },
    /// A setting in a configuration file or the environment says something that it cannot be, or is not known.
    #[cfg(feature = "config")]
    Setting {
        /// The key in the file, such as `policy.idle`, or the environment variable.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The option has to find the sessions of a user, and the store cannot
    /// ([`SessionStore::user_index`](crate::SessionStore::user_index)).
    NeedsUserIndex {
        /// The option.
        option: &'static str,
    },
    /// The option has to know what other requests have stored, and clients hold that (`CookieStore`).
    #[cfg(feature = "sealed")]
    NeedsStore {
        /// The option.
        option: &'static str,
    },
    /// A table's name is none that a store would put into a statement.
    TableName {
        /// The name as given.
        name: String,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CookieName { name } => {
                write!(f, "{name:?} cannot be a cookie's name: use letters, digits and any of !#$%&'*+-.^_`|~")
            }
            Self::SessionName { name } => write!(
                f,
                "{name:?} cannot be a session's name, since its cookie is called after it: use letters, digits and any of !#$%&'*+-.^_`|~, at most 64 of them"
            ),
            Self::HeaderName { name } => write!(
                f,
                "the header {name:?} cannot carry a session's token: choose a name that means nothing else, such as x-session-token, or SessionHeader::bearer() for Authorization"
            ),
            Self::CookieAttribute { attribute, value } => write!(
                f,
                "{value:?} cannot be a cookie's {attribute}: leave out control characters, ';' and anything beyond ASCII, and stay below 1024 bytes"
            ),
            Self::CookiePrefix { name, demands } => {
                write!(f, "a cookie named {name:?} {demands}: change that, or give the name without its prefix")
            }
            Self::SameCookie { name } => write!(
                f,
                "the predecessor's cookie is called {name:?}, as this layer's own: give this layer another one, by SessionLayer::transport"
            ),
            Self::NeedsSecure { option } => write!(
                f,
                "{option} needs a Secure cookie: make it with SessionCookie::new, not SessionCookie::new_for_http"
            ),
            Self::ZeroDuration { option } => write!(f, "{option} is zero: every session would be over at once"),
            Self::NotShorter { shorter, longer } => {
                write!(f, "{shorter} is too long beside {longer}: lower the one or raise the other")
            }
            Self::CookieLifetime { lifetime } => write!(
                f,
                "a persistent cookie lives for at most 400 days, not for {} days: lower the idle or the absolute timeout",
                lifetime.as_secs() / 86_400
            ),
            Self::WeakKey { purpose } => write!(
                f,
                "the key for {purpose} is too weak: use at least 32 random bytes from a secret manager or the operating system"
            ),
            #[cfg(feature = "sealed")]
            Self::SealingKey { problem } => write!(
                f,
                "a sealing key {problem}: use 32 random bytes, as SealingKey::generate and `openssl rand -hex 32` make them"
            ),
            Self::Limit { option, range } => write!(f, "{option} has to be {range}"),
            Self::StoreUrl { problem } => write!(f, "the URL of the session store: {problem}"),
            #[cfg(feature = "config")]
            Self::Setting { name, problem } => write!(f, "{name}: {problem}"),
            Self::NeedsUserIndex { option } => write!(
                f,
                "{option} has to find all sessions of a user, and the store cannot: choose one with a user index, or leave the option out"
            ),
            #[cfg(feature = "sealed")]
            Self::NeedsStore { option } => write!(
                f,
                "{option} has to know what other requests have stored, and here the clients hold that: keep sessions in a store, or leave the option out"
            ),
            Self::TableName { name } => write!(
                f,
                "{name:?} cannot be a table's name: use letters, digits and underscores, at most 48 of them and no digit first, with the schema and a dot before it if need be"
            ),
        }
    }
}

impl StdError for ConfigError {}
