//! Writes down all that is logged while the tests run, so that it can be searched for tokens afterwards (`log_scan`).
//!
//! In the folder that `CLOAKROOM_LOG_SCAN` names, if it does: everything that any crate sends to `tracing` or `log`, at every
//! level, every panic, and what the examples print, in the file `log`; the tokens that clients were given in the file
//! `tokens`. Of all this only the first is searched.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::LazyLock;

use cloakroom::Token;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The folder, if somebody wants to search.
pub fn folder() -> Option<PathBuf> {
    std::env::var_os("CLOAKROOM_LOG_SCAN").map(PathBuf::from)
}

/// From now on everything is written down. Called before the first request, and as often as anybody likes.
pub fn listen() {
    LazyLock::force(&FILES);
}

/// A client was given this text: the tokens in it are what nobody may log.
pub fn given(text: &[u8]) {
    let Some(files) = &*FILES else { return };
    for token in tokens(text) {
        write(&files.tokens, token);
    }
}

/// Something was logged, or went to where everybody can read it.
pub fn logged(line: &str) {
    if let Some(files) = &*FILES {
        write(&files.log, line.as_bytes());
    }
}

/// Where a program that a test starts is to complain.
pub fn stderr() -> Stdio {
    FILES.as_ref().map_or_else(Stdio::inherit, |files| files.log.try_clone().unwrap().into())
}

/// The runs of characters that can be tokens.
pub fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_foreign = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    text.split(is_foreign).filter(|run| Token::parse(run).is_some())
}

struct Files {
    log: File,
    tokens: File,
}

static FILES: LazyLock<Option<Files>> = LazyLock::new(|| {
    let folder = folder()?;
    let open = |name| OpenOptions::new().create(true).append(true).open(folder.join(name)).unwrap();
    tracing::subscriber::set_global_default(Everything).unwrap();
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        logged(&format!("panic {panic}"));
        usual(panic);
    }));
    Some(Files { log: open("log"), tokens: open("tokens") })
});

/// In one call, so that lines of different threads do not mix.
fn write(mut file: &File, line: &[u8]) {
    file.write_all(&[line, b"\n"].concat()).unwrap();
}

/// Takes events and spans of every level.
struct Everything;

impl Everything {
    fn write(metadata: &Metadata<'_>, record: impl FnOnce(&mut Line)) {
        let mut line = Line(format!("{} {} {}", metadata.level(), metadata.target(), metadata.name()));
        record(&mut line);
        logged(&line.0);
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        Self::write(span.metadata(), |line| span.record(line));
        // Nobody asks which span an event is in, so all may have one number.
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        logged(&line.0);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        Self::write(event.metadata(), |line| event.record(line));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        logged(&format!("{} {} {}", record.level(), record.target(), record.args()));
    }

    fn flush(&self) {}
}

/// What is said in one event.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }

    /// With all that is behind it.
    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        self.record_debug(field, &error);
        let mut cause = Some(error);
        while let Some(error) = cause {
            write!(self.0, ": {error}").unwrap();
            cause = error.source();
        }
    }
}
