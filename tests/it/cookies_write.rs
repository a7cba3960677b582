//! Writing `Set-Cookie`: the cases SC-01 to SC-20; and what caches are told (design.md, section 5).

mod attributes;
mod browsers;
mod caches;
mod latecomers;
mod lifetime;
mod occasions;
mod one_cookie;
mod removal;
mod set_cookie;
mod site;

use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const TICK: Duration = Duration::from_millis(1);
const MAX_AGE_MAX: u64 = 34_560_000;
