//! W6: the memory store with a million sessions of 100 bytes of data.

mod clock;
mod expiry;
mod scaling;
mod size;

use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;

/// Each part by itself with `--part size`, `logged-in`, `scaling`, `expiry`; without it each in a process of its own, because what
/// one leaves to the allocator is what the next one finds.
pub(crate) fn run(args: &Args) -> Outcome {
    let sessions = args.value("--sessions", 1_000_000)?;
    match args.value("--part", String::new())?.as_str() {
        "size" => size::run(sessions),
        "scaling" => scaling::run(args.value("--rounds", 9)?),
        "expiry" => expiry::run(sessions),
        _ => all(),
    }
}

fn all() -> Outcome {
    let mut figures = Vec::new();
    for part in ["size", "scaling", "expiry"] {
        figures.extend(crate::figure::of_process(&["memory", "--part", part])?);
    }
    Ok(figures)
}
