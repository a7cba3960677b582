//! What a request shows, whatever carried it.

use crate::engine::{MAX_TOKENS, Shown, ShownToken};

/// What these values show, of which each should be a token, or a longer text that begins with one.
pub(super) fn shown<'a>(values: impl Iterator<Item = &'a [u8]>, longest: usize) -> Shown {
    let mut distinct = [&[][..]; MAX_TOKENS];
    let mut count = 0;
    let mut any = false;
    for value in values {
        any = true;
        if distinct[..count].contains(&value) || ShownToken::parse(value, longest).is_none() {
            continue;
        }
        if count == MAX_TOKENS {
            return Shown::TooMany;
        }
        distinct[count] = value;
        count += 1;
    }
    let mut tokens = distinct[..count].iter().filter_map(|value| ShownToken::parse(value, longest));
    match tokens.next() {
        Some(first) => Shown::Tokens(first, tokens.collect()),
        None if any => Shown::Malformed,
        None => Shown::Nothing,
    }
}

/// Without the white space that browsers strip, and no other: trimming what Unicode calls white space lets a sibling domain
/// spoof a prefix.
pub(super) fn trim(bytes: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let Some(start) = bytes.iter().position(|byte| !is_space(byte)) else { return &[] };
    let end = bytes.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}
