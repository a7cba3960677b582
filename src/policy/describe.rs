//! What is configured, in words and with its references, for an application's own documentation.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::{Limits, OnReplay, SessionPolicy, TimedRotation, WhenFull, days, hours};

/// What, how much, and who asks for it.
pub(crate) type Row = (&'static str, String, &'static str);

/// A table in Markdown.
pub(crate) fn table(rows: impl IntoIterator<Item = Row>) -> String {
    let mut text = String::from("| | | asked for by |\n|---|---|---|\n");
    for (what, value, reference) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {what} | {} | {reference} |", value.replace('|', "\\|"));
    }
    text
}

/// What NIST SP 800-63B-4 asks for: its level and section, and the longest inactivity and life.
const LEVELS: [(&str, Option<Duration>, Duration); 3] = [
    ("AAL3 (section 2.3.3", Some(Duration::from_mins(15)), hours(12)),
    ("AAL2 (section 2.2.3", Some(hours(1)), hours(24)),
    ("AAL1 (section 2.1.3", None, days(30)),
];

impl SessionPolicy {
    /// What the policy says, as a table in Markdown for the documentation of an application, which has to name the
    /// timeouts, the number of sessions and their reasons (ASVS 7.1.1, 7.1.2). Made from the values themselves: a test that
    /// compares it with the documentation finds out when they part.
    ///
    /// [`SessionLayer::describe`](crate::SessionLayer::describe) has the cookie and the limits as well.
    ///
    /// ```
    /// use cloakroom::SessionPolicy;
    ///
    /// let table = SessionPolicy::aal2().describe();
    /// assert!(table.contains("| ends after an inactivity of | 1 hour | ASVS 7.3.1 |"));
    /// ```
    pub fn describe(&self) -> String {
        table(self.rows())
    }

    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows = vec![
            ("ends after an inactivity of", in_words(self.idle), "ASVS 7.3.1"),
            ("which is measured to", in_words(self.touch_threshold(self.idle)), ""),
            ("ends in any case after its beginning or last login by", in_words(self.absolute), "ASVS 7.3.2"),
            ("these two are within", self.level(), "ASVS 7.1.1"),
            (
                "gets a new secret",
                "at each login and whenever the user shows again who they are; the old one is dead at once".to_owned(),
                "ASVS 7.2.4",
            ),
            ("ends at a logout", "at once, and is deleted from the store".to_owned(), "ASVS 7.4.1"),
            (
                "is kept by the browser when that is closed",
                if self.persistent { "yes" } else { "no, except where the application remembers the user" }.to_owned(),
                "NIST SP 800-63B-4 section 5.1",
            ),
            ("begins", self.beginning().to_owned(), "ASVS 7.6.2"),
            ("of one user at a time", self.at_a_time(), "ASVS 7.1.2"),
        ];
        if let Some(TimedRotation { interval, grace }) = self.rotation {
            let replay = match self.on_replay {
                OnReplay::EndSession => "ends the session",
                OnReplay::Report => "is reported",
            };
            let value = format!(
                "when it is used {} after the last; the old one is good for {} after the new one has arrived, and who shows \
                 it later {replay}",
                in_words(interval),
                in_words(grace)
            );
            rows.insert(5, ("gets a new secret in passing", value, "OWASP Session Management Cheat Sheet"));
        }
        if let Some(first) = self.not_before {
            let value = format!("those from before {} are over", date(first));
            rows.push(("by age", value, "ASVS 7.4.5"));
        }
        rows
    }

    fn level(&self) -> String {
        let fits = |(_, idle, absolute): &&(&str, Option<Duration>, Duration)| {
            idle.is_none_or(|idle| self.idle <= idle) && self.absolute <= *absolute
        };
        match LEVELS.iter().find(fits) {
            Some((level, Some(idle), absolute)) => format!(
                "NIST SP 800-63B-4 {level}: at most {} of inactivity, {} overall)",
                in_words(*idle),
                in_words(*absolute)
            ),
            Some((level, None, absolute)) => {
                format!("NIST SP 800-63B-4 {level}: at most {} overall)", in_words(*absolute))
            }
            None => {
                "none of the levels of NIST SP 800-63B-4, of which AAL1 has at most 30 days overall (section 2.1.3); \
                     the reason for it has to be given"
                    .to_owned()
            }
        }
    }

    const fn beginning(&self) -> &'static str {
        if self.on_consent {
            "when the visitor agrees, or logs in"
        } else {
            "when something is written to it; reading stores nothing and sets no cookie"
        }
    }

    fn at_a_time(&self) -> String {
        match self.max_sessions {
            None => "any number".to_owned(),
            Some((most, WhenFull::EndOldest)) => {
                format!("{most}; one login more ends the session that has gone longest without one")
            }
            Some((most, WhenFull::RefuseNewest)) => format!("{most}; one login more is refused"),
        }
    }
}

impl Limits {
    pub(crate) fn rows(&self) -> Vec<Row> {
        vec![
            ("data of a session", format!("at most {} bytes", self.data_bytes), ""),
            ("nesting of its values", format!("at most {} levels", self.depth), ""),
            ("a call to the store", format!("at most {}", in_words(self.operation_timeout)), ""),
            ("all calls that store one request", format!("at most {}", in_words(self.commit_timeout)), ""),
        ]
    }
}

/// Whole units, the largest first. Days from two on: until then people count hours.
fn in_words(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut words = Vec::new();
    for (unit, millis) in
        [("day", 86_400_000_u128), ("hour", 3_600_000), ("minute", 60_000), ("second", 1_000), ("millisecond", 1)]
    {
        let count = rest / millis;
        if count == 0 || (unit == "day" && count == 1) {
            continue;
        }
        rest %= millis;
        words.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
    }
    if words.is_empty() { "no time".to_owned() } else { words.join(" ") }
}

fn date(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let date = i64::try_from(seconds).ok().and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(date) = date else { return format!("second {seconds} of Unix time") };
    let (hour, minute, second) = date.to_hms();
    format!("{}-{:02}-{:02} {hour:02}:{minute:02}:{second:02} UTC", date.year(), u8::from(date.month()), date.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_policy_in_words() {
        let expected = "\
| | | asked for by |
|---|---|---|
| ends after an inactivity of | 1 hour | ASVS 7.3.1 |
| which is measured to | 6 minutes |  |
| ends in any case after its beginning or last login by | 24 hours | ASVS 7.3.2 |
| these two are within | NIST SP 800-63B-4 AAL2 (section 2.2.3: at most 1 hour of inactivity, 24 hours overall) | ASVS 7.1.1 |
| gets a new secret | at each login and whenever the user shows again who they are; the old one is dead at once | ASVS 7.2.4 |
| ends at a logout | at once, and is deleted from the store | ASVS 7.4.1 |
| is kept by the browser when that is closed | no, except where the application remembers the user | NIST SP 800-63B-4 section 5.1 |
| begins | when something is written to it; reading stores nothing and sets no cookie | ASVS 7.6.2 |
| of one user at a time | any number | ASVS 7.1.2 |
";
        assert_eq!(SessionPolicy::default().describe(), expected);
    }

    #[test]
    fn every_option_that_matters_is_told_by_its_value() {
        let policy = SessionPolicy::aal3()
            .idle(Duration::from_secs(90))
            .touch_after(Duration::from_millis(1_500))
            .persistent(true)
            .on_consent(true)
            .max_sessions(3, WhenFull::RefuseNewest)
            .not_before(SystemTime::UNIX_EPOCH + Duration::from_secs(1_735_689_661));
        let text = policy.describe();
        for part in [
            "| 1 minute 30 seconds |",
            "| 1 second 500 milliseconds |",
            "| 12 hours |",
            "AAL3 (section 2.3.3: at most 15 minutes of inactivity, 12 hours overall)",
            "is closed | yes |",
            "when the visitor agrees",
            "| 3; one login more is refused |",
            "before 2025-01-01 00:01:01 UTC are over",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(policy.max_sessions(3, WhenFull::EndOldest).describe().contains("ends the session that has gone"));
    }

    #[test]
    fn the_level_follows_from_the_timeouts_and_not_from_the_presets_name() {
        for (policy, level) in [
            (SessionPolicy::aal1(), "AAL1 (section 2.1.3: at most 30 days overall)"),
            (SessionPolicy::aal1().idle(hours(1)).absolute(hours(24)), "AAL2 (section 2.2.3"),
            (SessionPolicy::aal2().absolute(hours(25)), "AAL1"),
            (SessionPolicy::aal3().idle(Duration::from_mins(16)), "AAL2"),
            (SessionPolicy::aal3(), "AAL3"),
            (SessionPolicy::aal1().absolute(days(31)), "none of the levels"),
        ] {
            assert!(policy.level().contains(level), "{level}: {}", policy.level());
        }
    }
}
