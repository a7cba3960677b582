//! Runs this program under callgrind and reads what it wrote.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::fs;
use std::process::{Command, Stdio};

use crate::subjects::Subject;
use crate::work::Work;

/// Instructions by place in the code.
#[derive(Debug, Default)]
pub(crate) struct Profile(pub(crate) BTreeMap<Place, f64>);

/// A function, and the file that the instruction comes from: another one than the function's where it was inlined.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Place {
    pub(crate) function: String,
    pub(crate) file: String,
}

pub(crate) fn is_installed() -> bool {
    let version = Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// The instructions of one request: the difference between two runs, one of which does as many requests more.
pub(crate) fn of_a_request(subject: Subject, work: Work, times: u64) -> Result<Profile, Box<dyn Error>> {
    let (once, twice) = (profile(subject, work, times)?, profile(subject, work, 2 * times)?);
    let mut difference = twice.0;
    for (place, instructions) in once.0 {
        *difference.entry(place).or_default() -= instructions;
    }
    for instructions in difference.values_mut() {
        *instructions /= times as f64;
    }
    difference.retain(|_, instructions| instructions.abs() > 0.005);
    Ok(Profile(difference))
}

impl Profile {
    pub(crate) fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

fn profile(subject: Subject, work: Work, times: u64) -> Result<Profile, Box<dyn Error>> {
    let out = env::temp_dir().join(format!("cloakroom-bench.{}.callgrind", std::process::id()));
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet", "--error-exitcode=1"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe()?)
        .args(["repeat", "--subject", subject.name, "--work", work.name(), "--times", &times.to_string()])
        .output()?;
    if !run.status.success() {
        return Err(format!("valgrind: {}", String::from_utf8_lossy(&run.stderr)).into());
    }
    let text = fs::read_to_string(&out)?;
    fs::remove_file(out)?;
    Ok(parse(&text))
}

/// The format is described in the manual of valgrind, "Callgrind Format Specification".
fn parse(text: &str) -> Profile {
    let (mut files, mut functions) = (Names::default(), Names::default());
    let mut profile = Profile::default();
    let mut place = Place { function: String::new(), file: String::new() };
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((key, name)) = line.split_once('=') {
            match key {
                "fl" | "fi" | "fe" => place.file = files.resolve(name),
                "fn" => place.function = functions.resolve(name),
                "cfi" | "cfl" => drop(files.resolve(name)),
                "cfn" => drop(functions.resolve(name)),
                // The next line is what the callee took, which stands with the callee as well.
                "calls" => drop(lines.next()),
                _ => {}
            }
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let instructions = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
            *profile.0.entry(place.clone()).or_default() += instructions.unwrap_or_default();
        }
    }
    profile
}

/// Names are written once, as `(7) name`, and `(7)` from then on.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn resolve(&mut self, text: &str) -> String {
        let Some((number, name)) = text.split_once(')') else { return text.to_owned() };
        if !name.is_empty() {
            self.0.insert(number.to_owned(), name.trim().to_owned());
        }
        self.0.get(number).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_callee_took_is_counted_once_and_inlined_lines_go_to_their_file() {
        let profile = parse(
            "events: Ir\nfl=(1) a.rs\nfn=(1) main\n10 5\nfi=(2) b.rs\n+3 7\nfe=(1)\ncfi=(2)\ncfn=(2) inner\ncalls=3 20\n11 100\n\
             * 1\n\nfl=(2)\nfn=(2)\n20 100\ntotals: 113\n",
        );
        let seen: Vec<_> = profile.0.iter().map(|(at, cost)| (at.function.as_str(), at.file.as_str(), *cost)).collect();
        assert_eq!(seen, [("inner", "b.rs", 100.0), ("main", "a.rs", 6.0), ("main", "b.rs", 7.0)]);
    }
}
