//! Errors about the command line, which quote it: never the URL of a store, which may hold a password.

use std::process::ExitCode;

use clap::error::ErrorKind;

pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    let text = without_urls(error.render().to_string(), std::env::args().skip(1));
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    eprint!("{text}");
    ExitCode::from(2)
}

/// The text without those arguments that look like URLs, however misspelt.
fn without_urls(text: String, arguments: impl Iterator<Item = String>) -> String {
    let values = arguments.flat_map(|argument| {
        let value = argument.split_once('=').map(|(_, value)| value.to_owned());
        std::iter::once(argument).chain(value)
    });
    values.filter(|value| value.contains(['/', ':', '@'])).fold(text, |text, url| text.replace(&url, "…"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_url_is_left() {
        let arguments = ["--store=postgres://ada:secret@db/shop", "redis:/:secret@host", "stats"].map(str::to_owned);
        let text = format!("unexpected {:?}, {:?} or {:?}", arguments[0], arguments[1], arguments[2]);
        assert_eq!(without_urls(text, arguments.into_iter()), "unexpected \"…\", \"…\" or \"stats\"");
    }
}
