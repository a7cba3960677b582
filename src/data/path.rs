//! How a place in the data is named.

use crate::error::{ErrorKind, SessionError};

mod sealed {
    pub trait Sealed {}
}

/// Names a place in a session's data.
///
/// Text is split at its dots: `"account.current_user_id"` is the member `current_user_id` of the object `account`.
/// A key that holds a dot itself is named by its segments: `["hosts", "example.org"]`. No segment may be empty
/// ([`ErrorKind::InvalidPath`]).
///
/// ```
/// # use cloakroom::{MemoryStore, SessionError, SessionManager};
/// # async fn run() -> Result<(), SessionError> {
/// # let session = SessionManager::new(MemoryStore::new()).create();
/// session.insert("account.current_user_id", 7)?;
/// session.insert(["hosts", "example.org"], "10.0.0.1")?;
///
/// assert_eq!(session.get("account.current_user_id")?, Some(7));
/// assert!(session.contains("account")?);
/// assert_eq!(session.get(["hosts", "example.org"])?, Some("10.0.0.1".to_owned()));
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run()).unwrap();
/// ```
pub trait Path: sealed::Sealed {
    #[doc(hidden)]
    fn segments(&self) -> Segments<'_>;
}

macro_rules! dotted {
    ($($text:ty),*) => {$(
        impl sealed::Sealed for $text {}
        impl Path for $text {
            fn segments(&self) -> Segments<'_> {
                Segments(Rest::Dotted(Some(self)))
            }
        }
    )*};
}

dotted!(&str, String, &String);

impl<const N: usize> sealed::Sealed for [&str; N] {}
impl<const N: usize> Path for [&str; N] {
    fn segments(&self) -> Segments<'_> {
        Segments(Rest::Listed(self))
    }
}

impl sealed::Sealed for &[&str] {}
impl Path for &[&str] {
    fn segments(&self) -> Segments<'_> {
        Segments(Rest::Listed(self))
    }
}

/// The member of the top level under which the crate keeps what is its own. Paths of applications have no empty segment.
pub(crate) const RESERVED: &str = "";

/// The segments of a path that are still ahead.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Segments<'a>(Rest<'a>);

#[derive(Clone, Copy, Debug)]
enum Rest<'a> {
    Dotted(Option<&'a str>),
    Listed(&'a [&'a str]),
    Owned(&'a [Box<str>]),
}

impl<'a> Segments<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.0, Rest::Dotted(None) | Rest::Listed([]) | Rest::Owned([]))
    }

    /// The first segment, which every path has.
    pub(crate) fn first(&mut self) -> Result<&'a str, SessionError> {
        self.next_checked()?.ok_or_else(invalid)
    }

    pub(crate) fn next_checked(&mut self) -> Result<Option<&'a str>, SessionError> {
        match self.advance() {
            // What is owned was checked before, or is the crate's own.
            Some("") if !matches!(self.0, Rest::Owned(_)) => Err(invalid()),
            segment => Ok(segment),
        }
    }

    /// Whether the path is well formed, for callers that have no use for it.
    pub(crate) fn check(mut self) -> Result<(), SessionError> {
        self.first()?;
        self.check_rest()
    }

    /// The same for what is still ahead of a path, which may be nothing.
    pub(crate) fn check_rest(mut self) -> Result<(), SessionError> {
        while self.next_checked()?.is_some() {}
        Ok(())
    }

    pub(crate) fn to_owned(mut self) -> Result<OwnedPath, SessionError> {
        let first = self.first()?.into();
        let Some(second) = self.next_checked()? else { return Ok(OwnedPath::Key(first)) };
        let mut owned = vec![first, second.into()];
        while let Some(segment) = self.next_checked()? {
            owned.push(segment.into());
        }
        Ok(OwnedPath::List(owned.into()))
    }

    pub(crate) fn len(mut self) -> usize {
        std::iter::from_fn(|| self.advance()).count()
    }

    fn advance(&mut self) -> Option<&'a str> {
        match &mut self.0 {
            Rest::Dotted(rest) => {
                let text = (*rest)?;
                // Paths are short: to look at each byte is done before `split_once` has begun.
                let (segment, behind) = match text.bytes().position(|byte| byte == b'.') {
                    Some(dot) => (&text[..dot], Some(&text[dot + 1..])),
                    None => (text, None),
                };
                *rest = behind;
                Some(segment)
            }
            Rest::Listed(rest) => rest.split_off_first().copied(),
            Rest::Owned(rest) => rest.split_off_first().map(|segment| &**segment),
        }
    }
}

/// A path that is kept for later. It has been checked. The default is the path to everything.
#[derive(Clone, Debug)]
pub(crate) enum OwnedPath {
    /// Most paths are one key, which needs no list.
    Key(Box<str>),
    List(Box<[Box<str>]>),
}

impl Default for OwnedPath {
    fn default() -> Self {
        Self::List(Box::default())
    }
}

impl PartialEq for OwnedPath {
    fn eq(&self, other: &Self) -> bool {
        self.list() == other.list()
    }
}

impl OwnedPath {
    /// A place of the crate's own: its first segment is [`RESERVED`], so that no application can name it.
    pub(crate) fn reserved(segments: &[&str]) -> Self {
        Self::List([RESERVED].iter().chain(segments).map(|&segment| segment.into()).collect())
    }

    /// A place below this one.
    pub(crate) fn join(&self, below: Segments<'_>) -> Result<Self, SessionError> {
        Ok(Self::List(self.list().iter().chain(below.to_owned()?.list()).cloned().collect()))
    }

    /// A member of the object at this place, whatever its name is.
    pub(crate) fn member(&self, name: &str) -> Self {
        Self::List(self.list().iter().cloned().chain([name.into()]).collect())
    }

    pub(crate) fn segments(&self) -> Segments<'_> {
        Segments(Rest::Owned(self.list()))
    }

    /// Whether one of the two places lies within the other.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.list().iter().zip(other.list()).all(|(ours, theirs)| ours == theirs)
    }

    /// Whether it is, or lies within, one of these members of the top level.
    pub(crate) fn is_within_one_of(&self, members: &[Box<str>]) -> bool {
        self.list().first().is_some_and(|first| members.contains(first))
    }

    /// Whether a field of the object at this place leads to another place, or lies within it.
    pub(crate) fn has_on_the_way(&self, field: &str, place: &Self) -> bool {
        self.overlaps(place) && place.list().get(self.list().len()).is_none_or(|segment| **segment == *field)
    }

    fn list(&self) -> &[Box<str>] {
        match self {
            Self::Key(key) => std::slice::from_ref(key),
            Self::List(list) => list,
        }
    }
}

fn invalid() -> SessionError {
    SessionError::new(
        ErrorKind::InvalidPath,
        "a path needs at least one segment and none that is empty; \
         name a key that holds a dot by its segments, as in [\"hosts\", \"example.org\"]",
    )
}
