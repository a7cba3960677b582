//! W1 to W5 by instructions against the figures that were accepted: `scripts/instructions`.
//!
//! What is compared is what the layer adds to the bare handler, in a build of fixed versions. A run gives the same number as
//! the one before within 0.4 %, whatever else the machine does. Another compiler, valgrind or processor gives others, with the
//! code as it was: then the figures are shown, and nobody is told that they have made something slower.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::subjects::{BARE, CLOAKROOM, named};
use crate::work::Work;
use crate::{Outcome, callgrind, figure};

/// How far a figure may be from the accepted one, either way: what got faster is accepted as well, or it can be lost again.
const TOLERANCE: f64 = 0.03;

const TIMES: u64 = 2_000;

#[derive(Deserialize, Serialize)]
struct Accepted {
    #[serde(flatten)]
    with: Tools,
    /// By workload, over the bare handler.
    instructions: BTreeMap<String, f64>,
}

/// What the figures depend on beside the code.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Tools {
    rustc: String,
    valgrind: String,
    /// The C library's `memcpy` and the like choose their instructions by it.
    processor: String,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let measured = Accepted { with: Tools::here()?, instructions: measure()? };
    if args.has("--accept") {
        fs::write(place(), serde_json::to_string_pretty(&measured)? + "\n")?;
        println!("accepted, in {}", place().display());
        return Ok(Vec::new());
    }
    let accepted: Accepted = serde_json::from_str(&fs::read_to_string(place())?)?;
    let is_near = table(&accepted, &measured);
    if accepted.with != measured.with {
        println!("\nnot compared: accepted were figures of\n  {:?}\nand this is\n  {:?}", accepted.with, measured.with);
    } else if !is_near {
        return Err("more than 3 % from what was accepted; if that is meant: scripts/instructions --accept".into());
    }
    Ok(Vec::new())
}

fn measure() -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
    let total = |subject, work| {
        let subject = named(subject).expect("both are always there");
        callgrind::of_a_request(subject, work, TIMES).map(|profile| profile.total())
    };
    let over_bare = |work: Work| Ok((work.name().to_owned(), (total(CLOAKROOM, work)? - total(BARE, work)?).round()));
    Work::ALL.into_iter().map(over_bare).collect()
}

/// Prints what was accepted beside what is, and returns whether they are near each other.
fn table(accepted: &Accepted, measured: &Accepted) -> bool {
    let mut all_near = true;
    println!("instructions over the bare handler\n\n      accepted       now");
    for (work, now) in &measured.instructions {
        let before = accepted.instructions.get(work).copied().unwrap_or_default();
        let change = now / before - 1.0;
        let is_near = change.abs() <= TOLERANCE;
        all_near &= is_near;
        println!("{work:4} {before:9.0} {now:9.0} {:+7.1} %{}", change * 100.0, if is_near { "" } else { "  <--" });
    }
    all_near
}

fn place() -> PathBuf {
    figure::home().join("instructions.json")
}

impl Tools {
    fn here() -> Result<Self, Box<dyn Error>> {
        let said = |program: &str, word: &str| -> Result<String, Box<dyn Error>> {
            Ok(String::from_utf8(Command::new(program).arg(word).output()?.stdout)?.trim().to_owned())
        };
        let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model =
            processor.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown").to_owned();
        Ok(Self { rustc: said("rustc", "-V")?, valgrind: said("valgrind", "--version")?, processor: model })
    }
}
