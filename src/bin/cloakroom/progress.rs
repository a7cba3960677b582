//! How far it is, on a terminal and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts sessions. Drawn to the standard error, if that is a terminal.
pub(crate) fn counting(what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {human_pos} {msg} ({per_sec})");
    let progress = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr())
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(what);
    progress.enable_steady_tick(Duration::from_millis(200));
    progress
}
