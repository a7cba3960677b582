//! What goes wrong, in a sentence that says what to do.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use cloakroom::ConfigError;
use cloakroom::store::{StoreError, StoreUrl};

#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The store failed, or something could not be done.
    pub(crate) fn undone(message: String) -> Self {
        Self { code: 1, message }
    }

    pub(crate) fn usage(message: String) -> Self {
        Self { code: 2, message }
    }

    pub(crate) fn no_such_session() -> Self {
        Self { code: 3, message: "there is no live session with this id".into() }
    }

    pub(crate) fn cannot_list() -> Self {
        Self::undone(
            "this store cannot go through all that it keeps: nobody can with Memcached and with a cluster of Redis. To end \
             all sessions set SessionPolicy::not_before; to move them use MigratingStore"
                .into(),
        )
    }

    /// Which store it was.
    pub(crate) fn at(self, url: &StoreUrl) -> Self {
        Self { message: format!("{url}: {}", self.message), ..self }
    }

    /// How far it came.
    pub(crate) fn after(self, done: &str) -> Self {
        Self { message: format!("{}\n{done}", self.message), ..self }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        self.code.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::undone(chain(&error))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::undone(format!("the result cannot be printed: {error}"))
    }
}

/// An error and its causes, each once: some have the text of their cause in their own.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}
