//! Sizing.

use crate::Outcome;
use crate::args::Args;

pub(crate) fn run(_args: &Args) -> Outcome {
    Err("not there yet".into())
}
