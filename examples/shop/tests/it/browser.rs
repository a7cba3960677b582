//! What browsers make of it: Chromium, by `WebDriver`. Skipped with a line where it is not installed, unless `CI` is set.

mod chromium;
mod cookies;
mod privacy;
mod screenshots;
mod tabs;
