//! What a request shows, whatever carried it.

use crate::engine::{MAX_TOKENS, Shown, ShownToken};

/// What these values show, of which each should be a token, or a longer text that begins with one.
pub(super) fn shown<'a>(values: impl Iterator<Item = &'a [u8]>, longest: usize) -> Shown {
    let mut distinct = [&[][..]; MAX_TOKENS];
    let mut tokens = Vec::new();
    let mut any = false;
    for value in values {
        any = true;
        let count = tokens.len();
        if distinct[..count].contains(&value) {
            continue;
        }
        let Some(token) = ShownToken::parse(value, longest) else { continue };
        if count == MAX_TOKENS {
            return Shown::TooMany;
        }
        distinct[count] = value;
        // Nearly always there is one.
        tokens.reserve_exact(1);
        tokens.push(token);
    }
    if !tokens.is_empty() {
        Shown::Tokens(tokens)
    } else if any {
        Shown::Malformed
    } else {
        Shown::Nothing
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
