//! Finds our cookie among the others (RFC 6265bis section 4.2).
//!
//! Other cookies cannot influence ours, whatever bytes they hold: headers are split at `;` and nowhere else, only space and
//! tab are trimmed, names are compared byte for byte, nothing is decoded, and no text encoding is assumed. Quotes are a part
//! of the value that they stand in, and do not span a `;`.

use http::HeaderValue;
use memchr::memchr;

use super::SessionCookie;
use crate::engine::Shown;
use crate::http::shown::{shown, trim};

impl SessionCookie {
    /// What these headers show under our name.
    pub(in crate::http) fn read<'a>(
        &self,
        headers: impl Iterator<Item = &'a HeaderValue> + Clone,
        longest: usize,
    ) -> Shown {
        if self.chunks > 1 {
            return self.read_chunks(&headers, longest);
        }
        shown(values_of(headers, self.name.as_bytes()), longest)
    }
}

impl SessionCookie {
    /// The values under our name, whatever they are.
    pub(in crate::http) fn values<'a>(&'a self, headers: &'a [HeaderValue]) -> impl Iterator<Item = &'a [u8]> {
        values_of(headers.iter(), self.name.as_bytes())
    }
}

/// The values of all pairs of this name.
pub(super) fn values_of<'a>(
    headers: impl Iterator<Item = &'a HeaderValue>,
    name: &[u8],
) -> impl Iterator<Item = &'a [u8]> {
    headers.flat_map(move |header| values_in(header.as_bytes(), name))
}

/// The values of all pairs of this name in one header.
fn values_in<'a>(header: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(header);
    let pairs = std::iter::from_fn(move || {
        let header = rest?;
        let end = memchr(b';', header);
        rest = end.map(|end| &header[end + 1..]);
        Some(end.map_or(header, |end| &header[..end]))
    });
    pairs.filter_map(move |pair| {
        // A pair without `=` is the value of a cookie that has no name.
        let equals = memchr(b'=', pair)?;
        (trim(&pair[..equals]) == name).then(|| trim(&pair[equals + 1..]))
    })
}
