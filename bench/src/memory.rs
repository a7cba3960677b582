//! W6: the memory store with a million sessions of 100 bytes of data.

mod expiry;
mod scaling;
pub(crate) mod sessions;
mod size;

use std::env;
use std::process::Command;

use crate::Outcome;
use crate::args::Args;
use crate::figure;

type Part = (&'static str, fn(&Args) -> Outcome);

const PARTS: &[Part] = &[("size", size::run), ("scaling", scaling::run), ("expiry", expiry::run)];

/// One part with `--part`; without it all, each in a process of its own: what one leaves to the allocator is what the next
/// one would find.
pub(crate) fn run(args: &Args) -> Outcome {
    let wanted = args.value("--part", String::new())?;
    if let Some((_, run)) = PARTS.iter().find(|(part, _)| *part == wanted) {
        return run(args);
    }
    let mut figures = Vec::new();
    for (part, _) in PARTS {
        let ended = Command::new(env::current_exe()?).args(["memory", "--part", part]).status()?;
        if !ended.success() {
            return Err(format!("the part {part} has failed").into());
        }
        figures.extend(figure::kept("memory")?);
    }
    Ok(figures)
}
