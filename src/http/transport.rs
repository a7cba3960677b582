//! How the token travels between client and server.

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::captured::Captured;
use super::cookie::SessionCookie;
use super::header::SessionHeader;
use crate::engine::Shown;
use crate::error::ConfigError;
use crate::policy::Row;
use crate::state::IssuedToken;

/// How the token travels: as a [`SessionCookie`], in a [`SessionHeader`], or in one of several.
///
/// # Example: browsers and other clients
///
/// ```
/// use cloakroom::{ConfigError, MemoryStore, SessionCookie, SessionHeader, SessionLayer, Transport};
///
/// # fn main() -> Result<(), ConfigError> {
/// let mut transport = Transport::from(SessionCookie::new("id"));
/// if std::env::var_os("SERVE_APPS").is_some() {
///     transport = Transport::from(SessionHeader::bearer()).or(transport);
/// }
/// let layer = SessionLayer::new(MemoryStore::new()).transport(transport)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Transport(Vec<Carrier>);

/// Each has a number of 16 bits, and nobody has so many.
const CARRIERS_MAX: usize = 256;

/// As much as servers and proxies commonly take of one header, and no more than a cookie.
const HEADER_MAX: usize = 4096;

#[derive(Clone, Debug)]
enum Carrier {
    Cookie(Box<SessionCookie>),
    Header(SessionHeader),
}

impl From<SessionCookie> for Transport {
    fn from(cookie: SessionCookie) -> Self {
        Self(vec![Carrier::Cookie(Box::new(cookie))])
    }
}

impl From<SessionHeader> for Transport {
    fn from(header: SessionHeader) -> Self {
        Self(vec![Carrier::Header(header)])
    }
}

impl Transport {
    /// This one first, and the other where a request shows nothing in this one.
    ///
    /// The first in which a request shows something counts, be it a token that opens nothing or an empty header: what it shows
    /// in the others is not looked at, and the answer goes where the request was read. A client that shows nothing at all
    /// gets its token in the first. So no answer has two tokens.
    ///
    /// No more than 256 cookies and headers in all.
    ///
    /// With a header first, browsers that show nothing yet are given their token in the header, where they do not keep
    /// it. Where new visitors are browsers, put the cookie first; other clients then begin with an empty header.
    pub fn or(mut self, other: impl Into<Self>) -> Self {
        self.0.extend(other.into().0);
        self
    }

    /// What a client gets, and where.
    pub(super) fn rows(&self) -> Vec<Row> {
        self.0.iter().map(Carrier::row).collect()
    }

    /// Checks the options and works out what follows from them.
    pub(super) fn prepare(&mut self) -> Result<(), ConfigError> {
        if self.0.len() > CARRIERS_MAX {
            return Err(ConfigError::Limit { option: "Transport", range: "of at most 256 cookies and headers" });
        }
        self.0.iter_mut().try_for_each(|carrier| match carrier {
            Carrier::Cookie(cookie) => cookie.prepare(),
            Carrier::Header(_) => Ok(()),
        })
    }

    /// Whether both read and write the same cookie, or the same header.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.0.iter().any(|own| other.0.iter().any(|other| own.is_same_as(other)))
    }

    /// The names of headers that may hold a token, each with the number of its carrier.
    #[inline]
    pub(super) fn request_headers(&self) -> impl Iterator<Item = (u16, &HeaderName)> {
        (0..).zip(self.0.iter().map(Carrier::request_header))
    }

    /// What the request shows, and where. No text of ours is longer than this.
    pub(super) fn read(&self, captured: &Captured, longest: usize) -> (Shown, Place) {
        for (index, carrier) in (0..).zip(&self.0) {
            let Some(shown) = carrier.read(captured.values(index), longest) else { continue };
            let chunks = match carrier {
                Carrier::Cookie(cookie) => cookie.count_chunks(&captured.values(index)),
                Carrier::Header(_) => 1,
            };
            return (shown, Place { carrier: Some(index), chunks });
        }
        (Shown::Nothing, Place { carrier: None, chunks: 1 })
    }

    /// How long a text can be that travels in any of these ways.
    pub(super) fn longest_text(&self) -> usize {
        let longest = self.0.iter().map(|carrier| match carrier {
            Carrier::Cookie(cookie) => cookie.longest_text(),
            Carrier::Header(_) => HEADER_MAX,
        });
        longest.min().unwrap_or_default()
    }

    /// The headers that hand a token to a client who showed what it has in this place: a first, and others.
    pub(super) fn token(&self, issued: &IssuedToken, place: Place) -> (HeaderValue, Vec<HeaderValue>) {
        match self.answering(place) {
            Carrier::Cookie(cookie) => cookie.set(&issued.text(), issued.lifetime, place.chunks.into()),
            Carrier::Header(header) => (header.set(&issued.text()), Vec::new()),
        }
    }

    /// The headers that tell the client to forget what it showed.
    pub(super) fn removal(&self, place: Place) -> (HeaderValue, Vec<HeaderValue>) {
        match self.answering(place) {
            Carrier::Cookie(cookie) => cookie.removal(place.chunks.into()),
            Carrier::Header(_) => (HeaderValue::from_static(""), Vec::new()),
        }
    }

    /// Puts ours on an answer, in the place of any other of the same name.
    pub(super) fn write(&self, headers: &mut HeaderMap, ours: HeaderValue, place: Place) {
        match self.answering(place) {
            Carrier::Cookie(_) => SessionCookie::write(headers, ours),
            Carrier::Header(header) => drop(headers.insert(header.name(), ours)),
        }
    }

    /// The name of the answer's header.
    pub(super) fn answers_in(&self, place: Place) -> &HeaderName {
        match self.answering(place) {
            Carrier::Cookie(_) => &SET_COOKIE,
            Carrier::Header(header) => header.name(),
        }
    }

    /// Whether the client is told how long to keep a token.
    pub(super) fn tells_lifetimes(&self, place: Place) -> bool {
        matches!(self.answering(place), Carrier::Cookie(_))
    }

    /// The headers of the request on which the answer depends.
    pub(super) fn looked_at(&self, place: Place) -> impl Iterator<Item = &HeaderName> {
        let count = place.carrier.map_or(self.0.len(), |index| usize::from(index) + 1);
        self.0[..count].iter().map(Carrier::request_header)
    }

    /// The headers of all carriers that take a token away from a client.
    #[cfg(feature = "testing")]
    pub(super) fn removals(&self) -> HeaderMap {
        let places = (0..).zip(&self.0).map(|(index, _)| Place { carrier: Some(index), chunks: 1 });
        places.map(|place| (self.answers_in(place).clone(), self.removal(place).0)).collect()
    }

    fn answering(&self, place: Place) -> &Carrier {
        &self.0[place.carrier.map_or(0, usize::from)]
    }
}

impl Carrier {
    fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cookie(own), Self::Cookie(other)) => own.name() == other.name(),
            (Self::Header(own), Self::Header(other)) => own.name() == other.name(),
            _ => false,
        }
    }

    fn row(&self) -> Row {
        let (name, value) = match self {
            Self::Cookie(cookie) => ("Set-Cookie", cookie.set("<token>", None, 0).0),
            Self::Header(header) => (header.name().as_str(), header.set("<token>")),
        };
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let reference = match self {
            Self::Cookie(_) => "ASVS 3.3.1 to 3.3.4, NIST SP 800-63B-4 section 5.1.1",
            Self::Header(_) => "",
        };
        ("the client's token, in each answer that changes it", format!("`{name}: {value}`"), reference)
    }

    fn request_header(&self) -> &HeaderName {
        match self {
            Self::Cookie(_) => &COOKIE,
            Self::Header(header) => header.name(),
        }
    }

    fn read<'a>(&self, values: impl Iterator<Item = &'a HeaderValue> + Clone, longest: usize) -> Option<Shown> {
        match self {
            Self::Cookie(cookie) => Some(cookie.read(values, longest)).filter(|shown| !matches!(shown, Shown::Nothing)),
            Self::Header(header) => header.read(values, longest),
        }
    }
}

/// Where a request showed something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// None if it showed nothing.
    carrier: Option<u16>,
    /// Over how many cookies that may be spread: all of them have to be forgotten with it.
    chunks: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_not_more_carriers_than_can_be_numbered() {
        let of =
            |count| (1..count).fold(Transport::from(SessionHeader::bearer()), |all, _| all.or(SessionHeader::bearer()));
        assert!(of(CARRIERS_MAX).prepare().is_ok());
        let error = of(CARRIERS_MAX + 1).prepare().unwrap_err();
        assert_eq!(error.to_string(), "Transport has to be of at most 256 cookies and headers");
    }
}
