//! Finds our cookie among the others (RFC 6265bis section 4.2).
//!
//! Other cookies cannot influence ours, whatever bytes they hold: headers are split at `;` and nowhere else, only space and
//! tab are trimmed, names are compared byte for byte, nothing is decoded, and no text encoding is assumed. Quotes are a part
//! of the value that they stand in, and do not span a `;`.

use http::HeaderValue;

use super::SessionCookie;
use crate::engine::{MAX_TOKENS, Shown};
use crate::token::{TOKEN_CHARS, Token};

impl SessionCookie {
    /// What these headers show under our name.
    pub(in crate::http) fn read(&self, headers: &[HeaderValue]) -> Shown {
        let mut distinct = [&[][..]; MAX_TOKENS];
        let mut count = 0;
        let mut named = false;
        for value in headers.iter().flat_map(|header| values_of(header.as_bytes(), self.name.as_bytes())) {
            named = true;
            if value.len() != TOKEN_CHARS || distinct[..count].contains(&value) || Token::parse(value).is_none() {
                continue;
            }
            if count == MAX_TOKENS {
                return Shown::TooMany;
            }
            distinct[count] = value;
            count += 1;
        }
        let mut tokens = distinct[..count].iter().filter_map(|value| Token::parse(value));
        match tokens.next() {
            Some(first) => Shown::Tokens(first, tokens.collect()),
            None if named => Shown::Malformed,
            None => Shown::Nothing,
        }
    }
}

/// The values of all pairs of this name in one header.
fn values_of<'a>(header: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    header.split(|byte| *byte == b';').filter_map(move |pair| {
        // A pair without `=` is the value of a cookie that has no name.
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        (trim(&pair[..equals]) == name).then(|| trim(&pair[equals + 1..]))
    })
}

/// Without the white space that browsers strip, and no other: trimming what Unicode calls white space lets a sibling domain
/// spoof a prefix.
fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}
