//! What a request shows to be recognized.

use std::fmt;

use crate::token::{TOKEN_CHARS, Token};

/// Tokens of one name that a request may show before none of them is looked up.
pub(crate) const MAX_TOKENS: usize = 4;

#[derive(Debug, Default)]
pub(crate) enum Shown {
    #[default]
    Nothing,
    /// Something of our name that cannot be a token.
    Malformed,
    /// Different tokens: at least one, at most [`MAX_TOKENS`].
    Tokens(Vec<ShownToken>),
    TooMany,
}

/// A token, and what follows it where clients hold more than that.
pub(crate) struct ShownToken {
    pub(crate) token: Token,
    pub(super) carried: Box<[u8]>,
}

impl ShownToken {
    /// Nothing follows it.
    pub(crate) fn plain(token: Token) -> Self {
        Self { token, carried: Box::default() }
    }

    /// Reads a text of at most this length; `None` for anything that no text of ours begins like.
    pub(crate) fn parse(text: &[u8], longest: usize) -> Option<Self> {
        let (token, carried) = text.split_at_checked(TOKEN_CHARS)?;
        if text.len() > longest {
            return None;
        }
        Some(Self { token: Token::parse(token)?, carried: carried.into() })
    }
}

impl fmt::Debug for ShownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShownToken").field("token", &self.token).finish_non_exhaustive()
    }
}
