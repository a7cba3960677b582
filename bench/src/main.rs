//! What cloakroom costs: `cargo run --release -- COMMAND`, and `all` for everything that the machine can.
//!
//! Each command prints its figures and writes them to `results/COMMAND.json`, unless `--subject` or `--work` chooses a part; `report` renders these as `RESULTS.md`.

mod alloc;
mod args;
mod at_once;
mod by_place;
mod callgrind;
mod choice;
mod count;
mod figure;
mod floor;
mod guard;
mod pin;
mod process;
mod rig;
mod subjects;
mod time;
mod work;

#[cfg(feature = "full")]
mod growth;
#[cfg(feature = "full")]
mod latency;
#[cfg(feature = "full")]
mod load;
#[cfg(feature = "full")]
mod memory;
#[cfg(feature = "full")]
mod over_http;
#[cfg(feature = "full")]
mod redis;
#[cfg(feature = "full")]
mod report;
#[cfg(feature = "full")]
mod servers;
#[cfg(feature = "full")]
mod sizing;
#[cfg(feature = "full")]
mod sql;

use std::error::Error;
use std::process::ExitCode;

use args::Args;
use figure::Figure;

type Outcome = Result<Vec<Figure>, Box<dyn Error>>;
type Command = (&'static str, &'static str, fn(&Args) -> Outcome);

const COMMANDS: &[Command] = &[
    ("time", "W1 to W5 by the clock: nanoseconds and allocations of a request", time::run),
    ("samples", "the rounds of one of the processes that measure for `time`", time::samples),
    ("count", "W1 to W5 by callgrind: instructions of a request", count::run),
    ("where", "W1 to W5 by callgrind: instructions by place in the code, into WHERE.md", by_place::run),
    ("guard", "W1 to W5 by callgrind against the accepted figures", guard::run),
    ("repeat", "one request --times times, to look at with a profiler", count::repeat),
    ("at_once", "W10: 200 requests that change one counter at once", at_once::run),
    #[cfg(feature = "full")]
    ("memory", "W6: the memory store with a million sessions", memory::run),
    #[cfg(feature = "full")]
    ("redis", "W7: Redis, over a bare GET", redis::run),
    #[cfg(feature = "full")]
    ("redis_rounds", "the rounds of one of the processes that measure for `redis`", redis::rounds),
    #[cfg(feature = "full")]
    ("sql", "W8: Postgres, MariaDB and SQLite, over the bare statement", sql::run),
    #[cfg(feature = "full")]
    ("over_http", "W9: over HTTP, beside the bare handler", over_http::run),
    #[cfg(feature = "full")]
    ("growth", "W11: the cost of a request from 10 to 1,000,000 sessions", growth::run),
    #[cfg(feature = "full")]
    ("sizing", "what a session takes in each store", sizing::run),
    #[cfg(feature = "full")]
    ("report", "RESULTS.md and its plots from what the commands kept", report::run),
    #[cfg(feature = "full")]
    ("all", "every command that the machine can run but `load`, for the report", all),
    #[cfg(feature = "full")]
    ("load", "Load: ten minutes at saturation, over real sockets", load::run),
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let args = Args::new(words);
    let Some((_, _, run)) = COMMANDS.iter().find(|(command, ..)| *command == name) else {
        eprintln!("commands:");
        for (command, does, _) in COMMANDS {
            eprintln!("  {command:12} {does}");
        }
        return ExitCode::FAILURE;
    };
    match run(&args).and_then(|figures| finish(&name, &args, &figures)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A part of the figures is shown, and leaves what was kept before.
fn finish(command: &str, args: &Args, figures: &[Figure]) -> Result<(), Box<dyn Error>> {
    figure::print(figures);
    if args.has("--subject") || args.has("--work") { Ok(()) } else { figure::keep(command, figures) }
}

/// Those that measure, one after another, each in a process of its own; then the report. What fails is said, and the rest goes on.
#[cfg(feature = "full")]
fn all(_: &Args) -> Outcome {
    const MEASURE: [&str; 9] = ["time", "count", "at_once", "memory", "redis", "sql", "over_http", "growth", "sizing"];
    let me = std::env::current_exe()?;
    for command in MEASURE.into_iter().chain(["where", "report"]) {
        println!("\n==> {command}");
        if !std::process::Command::new(&me).arg(command).status()?.success() {
            println!("{command} is missing from the report, or as it was before");
        }
    }
    Ok(Vec::new())
}
