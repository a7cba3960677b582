//! `SECURITY.md` has a row for each demand, and each row names tests that exist or says why it is the application's.

use crate::support::tables::{Sources, last_column, page, proofs};

/// All of ASVS 5.0 V7 and V3.3, the other rows that bind a session library, the testing guide, the cheat sheets, and NIST.
const DEMANDS: &[&str] = &[
    "7.1.1",
    "7.1.2",
    "7.1.3",
    "7.2.1",
    "7.2.2",
    "7.2.3",
    "7.2.4",
    "7.3.1",
    "7.3.2",
    "7.4.1",
    "7.4.2",
    "7.4.3",
    "7.4.4",
    "7.4.5",
    "7.5.1",
    "7.5.2",
    "7.5.3",
    "7.6.1",
    "7.6.2",
    "3.3.1",
    "3.3.2",
    "3.3.3",
    "3.3.4",
    "3.3.5",
    "3.5.1–3.5.3",
    "4.4.3, 4.4.4",
    "8.2.4",
    "9.1.1–9.2.4",
    "11.2.4",
    "11.5.1",
    "13.3",
    "14.2.1",
    "14.3.1",
    "14.3.2",
    "14.3.3",
    "15.4.1",
    "16.2.5",
    "SESS-01",
    "SESS-02",
    "SESS-03",
    "SESS-04",
    "SESS-05",
    "SESS-06",
    "SESS-07",
    "SESS-08",
    "SESS-09",
    "SESS-10",
    "SESS-11",
    "unknown ids",
    "untrusted ids",
    "renewal timeout",
    "caching",
    "logging",
    "guessing",
    "generic name",
    "not persistent",
    "timeouts",
    "§5.1",
    "§5.1.1",
    "§2.1.3, 2.2.3, 2.3.3",
    "§5.2",
    "§5.1 CSRF",
];

#[test]
fn every_demand_has_a_row_and_every_row_a_test_or_a_reason() {
    let (page, sources) = (page("SECURITY.md"), Sources::all());
    for demand in DEMANDS {
        let row = page.lines().find(|line| line.starts_with(&format!("| {demand} |")));
        let row = row.unwrap_or_else(|| panic!("{demand} has no row"));
        let (proof, names) = (last_column(row), proofs(row).collect::<Vec<_>>());
        assert!(!names.is_empty() || proof.contains("application") || proof.contains("none:"), "{demand}: {proof}");
        for name in names {
            sources.assert_have_test(name);
        }
    }
}
