//! Texts that are too long for one cookie.
//!
//! The first cookie says how many there are: `3.` and the beginning. The others have the rest, and a number behind the name.

use std::borrow::Cow;

use http::HeaderValue;

use super::read::values_of;
use super::{SIZE_MAX, SessionCookie};
use crate::engine::{MAX_TOKENS, Shown};
use crate::http::shown::shown;
use crate::token::{TOKEN_CHARS, Token};

/// Of the count before the first chunk, and of the number behind a name.
const MARK: usize = 2;

impl SessionCookie {
    /// The longest text that fits.
    pub(in crate::http) fn longest_text(&self) -> usize {
        match self.chunks {
            1 => SIZE_MAX.saturating_sub(self.name.len()),
            chunks => self.chunk_size() * chunks,
        }
    }

    fn chunk_size(&self) -> usize {
        SIZE_MAX.saturating_sub(self.name.len() + MARK)
    }

    pub(super) fn chunk_name(&self, index: usize) -> String {
        format!("{}.{index}", self.name)
    }

    /// The value of the first cookie, and those of the others.
    pub(super) fn split<'a>(&self, text: &'a str) -> (Cow<'a, str>, Vec<&'a str>) {
        if self.name.len() + text.len() <= SIZE_MAX {
            return (text.into(), Vec::new());
        }
        let (first, mut rest) = text.split_at(self.chunk_size());
        let mut others = Vec::new();
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(self.chunk_size().min(rest.len()));
            others.push(chunk);
            rest = more;
        }
        (format!("{}.{first}", 1 + others.len()).into(), others)
    }

    /// What the client has of ours to forget: one more than the highest number of a cookie that is there.
    pub(in crate::http) fn count_chunks<'a>(&self, headers: &(impl Iterator<Item = &'a HeaderValue> + Clone)) -> u16 {
        let is_there = |index: &u16| {
            let name = self.chunk_name(usize::from(*index));
            values_of(headers.clone(), name.as_bytes()).next().is_some()
        };
        (1..).take(self.chunks.saturating_sub(1)).filter(is_there).last().map_or(1, |index| index + 1)
    }

    /// What these headers show. Where a name has several values each may be the right one: as with one cookie, not more
    /// texts are tried than a request may show tokens.
    pub(super) fn read_chunks<'a>(
        &self,
        headers: &(impl Iterator<Item = &'a HeaderValue> + Clone),
        longest: usize,
    ) -> Shown {
        if values_of(headers.clone(), self.name.as_bytes()).next().is_none() {
            return Shown::Nothing;
        }
        let firsts =
            distinct(values_of(headers.clone(), self.name.as_bytes()).filter(|value| begins_with_token(value)));
        if firsts.len() > MAX_TOKENS {
            return Shown::TooMany;
        }
        let others: Vec<_> = (1..self.chunks)
            .map(|index| distinct(values_of(headers.clone(), self.chunk_name(index).as_bytes())))
            .collect();
        let texts: Vec<_> = firsts.into_iter().flat_map(|first| joined(first, &others, longest)).collect();
        match shown(texts.iter().map(Vec::as_slice), longest) {
            Shown::Nothing => Shown::Malformed,
            shown => shown,
        }
    }
}

/// At most one more than may be tried.
fn distinct<'a>(values: impl Iterator<Item = &'a [u8]>) -> Vec<&'a [u8]> {
    let mut distinct = Vec::new();
    for value in values {
        if distinct.len() <= MAX_TOKENS && !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

fn begins_with_token(first: &[u8]) -> bool {
    let (_, text) = counted(first);
    text.get(..TOKEN_CHARS).and_then(Token::parse).is_some()
}

/// How many chunks there are, and what the first one has of the text.
fn counted(first: &[u8]) -> (usize, &[u8]) {
    match first {
        [count @ b'2'..=b'9', b'.', text @ ..] => (usize::from(count - b'0'), text),
        text => (1, text),
    }
}

/// The texts that begin like this, one for each choice among the other chunks: none if one is missing.
fn joined(first: &[u8], others: &[Vec<&[u8]>], longest: usize) -> Vec<Vec<u8>> {
    let (count, text) = counted(first);
    let Some(others) = others.get(..count - 1) else { return Vec::new() };
    let mut texts = vec![text.to_vec()];
    for chunks in others {
        let pairs = texts.iter().flat_map(|text| chunks.iter().map(move |chunk| (text, *chunk)));
        let fitting = pairs.filter(|(text, chunk)| text.len() + chunk.len() <= longest);
        texts = fitting.map(|(text, chunk)| [text, chunk].concat()).take(MAX_TOKENS + 1).collect();
    }
    texts
}
