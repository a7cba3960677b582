//! `--name value` on the command line.

use std::error::Error;
use std::str::FromStr;

pub(crate) struct Args(Vec<String>);

impl Args {
    pub(crate) fn new(words: impl Iterator<Item = String>) -> Self {
        Self(words.collect())
    }

    /// The word after `name`, or `default` if it is not there.
    pub(crate) fn value<T>(&self, name: &str, default: T) -> Result<T, Box<dyn Error>>
    where
        T: FromStr,
        T::Err: Error + 'static,
    {
        let at = self.0.iter().position(|word| word == name);
        match at.and_then(|at| self.0.get(at + 1)) {
            Some(word) => Ok(word.parse().map_err(|error| format!("{name} {word}: {error}"))?),
            None if at.is_some() => Err(format!("{name} wants a value").into()),
            None => Ok(default),
        }
    }

    /// All of them, for a process that is to do the same.
    pub(crate) fn words(&self) -> &[String] {
        &self.0
    }

    /// Whether the word stands there, as `--accept` does.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|word| word == name)
    }
}
