//! Durations and sizes in words.
//!
//! Not with `humantime`, to which `30M` are thirty months of 30.44 days: nobody who writes that means it.

use std::time::Duration;

const MILLISECONDS: &[(&[&str], u64)] = &[
    (&["ms", "millisecond", "milliseconds"], 1),
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60 * 1_000),
    (&["h", "hr", "hrs", "hour", "hours"], 60 * 60 * 1_000),
    (&["d", "day", "days"], 24 * 60 * 60 * 1_000),
    (&["w", "week", "weeks"], 7 * 24 * 60 * 60 * 1_000),
];

const BYTES: &[(&[&str], u64)] = &[
    (&["", "B", "byte", "bytes"], 1),
    (&["kB", "KB"], 1_000),
    (&["MB"], 1_000_000),
    (&["GB"], 1_000_000_000),
    (&["KiB"], 1 << 10),
    (&["MiB"], 1 << 20),
    (&["GiB"], 1 << 30),
];

/// `30 minutes`, `1h 30m`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (mut total, mut rest) = (0_u64, text.trim());
    while !rest.is_empty() {
        let (part, after) = quantity(rest, MILLISECONDS)?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (!text.trim().is_empty()).then(|| Duration::from_millis(total))
}

/// `64 KiB`, `65536`.
pub(super) fn size(text: &str) -> Option<usize> {
    let (bytes, rest) = quantity(text.trim(), BYTES)?;
    if rest.is_empty() { usize::try_from(bytes).ok() } else { None }
}

/// A whole number with its unit, in the smallest unit; and what follows.
fn quantity<'a>(text: &'a str, units: &[(&[&str], u64)]) -> Option<(u64, &'a str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let rest = rest.trim_start();
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len()));
    let (_, factor) = units.iter().find(|(names, _)| names.contains(&unit))?;
    Some((number.parse::<u64>().ok()?.checked_mul(*factor)?, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_words() {
        for (text, seconds) in [
            ("30 minutes", 1_800),
            ("30m", 1_800),
            ("1h 30m", 5_400),
            ("1h30m", 5_400),
            (" 1 hour 30 minutes ", 5_400),
            ("2 weeks", 1_209_600),
            ("1 day", 86_400),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(duration("250 ms"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn what_is_no_duration() {
        for text in [
            "",
            " ",
            "30",
            "minutes",
            "30 parsecs",
            "30M",
            "1 month",
            "1 year",
            "-1h",
            "1.5 h",
            "1h, 30m",
            "1h 30",
            "99999999999999999999 s",
            "18446744073709551615 weeks",
            "10000000000000000000ms 10000000000000000000ms",
            "½ h",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_in_words() {
        for (text, bytes) in [
            ("65536", 65_536),
            ("64 KiB", 65_536),
            ("64KiB", 65_536),
            ("64 kB", 64_000),
            ("1 MiB", 1 << 20),
            ("1 GB", 1_000_000_000),
            ("100 B", 100),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "64 kib", "64 K", "1 KiB 1 KiB", "-1", "1.5 MiB", "64 minutes", "99999999999 GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
