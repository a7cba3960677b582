//! W9: a read over HTTP by `wrk`, with `axum::serve` in a process of its own.

use std::error::Error;
use std::process::Command;

use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;
use crate::load::{Connection, Process, serve};
use crate::subjects;
use crate::work::{DONE, FILL, READ};

const SECONDS: u32 = 2;

/// `--rounds 9`.
pub(crate) fn run(args: &Args) -> Outcome {
    let name = args.value("--serve", String::new())?;
    if !name.is_empty() {
        let (_, app) = subjects::served().into_iter().find(|(served, _)| *served == name).ok_or("nobody's name")?;
        // One for the server, one for wrk.
        serve(async { Ok(app) }, 1)?;
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for (name, _) in subjects::served() {
        all.push(Served::start(name)?);
    }
    for round in 0..args.value("--rounds", 9)? {
        let first = round % all.len();
        let (later, earlier) = all.split_at_mut(first);
        for served in earlier.iter_mut().chain(later) {
            served.measure()?;
        }
    }
    let (bare, others) = all.split_first().ok_or("nobody is served")?;
    let mut figures = bare.figures();
    for served in others {
        figures.extend(served.figures());
        let pairs = || served.rounds.iter().zip(&bare.rounds);
        let share: Vec<_> = pairs().map(|(its, bares)| its.per_second / bares.per_second).collect();
        let more: Vec<_> = pairs().map(|(its, bares)| its.cpu_micros - bares.cpu_micros).collect();
        figures.push(Figure::of("W9", served.name, "share of bare", "", &share));
        figures.push(Figure::of("W9", served.name, "CPU over bare", "µs", &more));
    }
    Ok(figures)
}

struct Served {
    name: &'static str,
    process: Process,
    cookie: String,
    rounds: Vec<Round>,
}

struct Round {
    per_second: f64,
    /// Of the server, for each request.
    cpu_micros: f64,
}

impl Served {
    fn start(name: &'static str) -> Result<Self, Box<dyn Error>> {
        let process = Process::start(&["over_http", "--serve", name])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cookie = runtime.block_on(async {
            let mut connection = Connection::to(process.address).await?;
            // The bare handler is sent a cookie as well.
            let cookie = connection.get(FILL, None).await?.cookie.unwrap_or_else(|| format!("id={}", "k".repeat(64)));
            let answer = connection.get(READ, Some(&cookie)).await?;
            assert_eq!((answer.status, &*answer.body), (200, DONE), "{name}");
            Ok::<_, std::io::Error>(cookie)
        })?;
        Ok(Self { name, process, cookie, rounds: Vec::new() })
    }

    fn measure(&mut self) -> Result<(), Box<dyn Error>> {
        let before = self.process.cpu_time()?;
        let output = Command::new("wrk")
            .args(["-t1", "-c32", &format!("-d{SECONDS}s"), "-H", &format!("Cookie: {}", self.cookie)])
            .arg(format!("http://{}{READ}", self.process.address))
            .output()
            .map_err(|error| format!("wrk: {error}; it measures what HTTP adds, and is to be installed"))?;
        let spent = self.process.cpu_time()?.saturating_sub(before);
        let text = String::from_utf8(output.stdout)?;
        if text.contains("Non-2xx") || text.contains("Socket errors") {
            return Err(format!("{}: {text}", self.name).into());
        }
        let word_before = |what: &str| -> Option<f64> {
            let line = text.lines().find(|line| line.contains(what))?;
            line.split_whitespace().find_map(|word| word.parse().ok())
        };
        let requests = word_before("requests in").ok_or("wrk has counted nothing")?;
        let per_second = word_before("Requests/sec").ok_or("wrk has counted nothing")?;
        self.rounds.push(Round { per_second, cpu_micros: spent.as_secs_f64() * 1e6 / requests });
        Ok(())
    }

    fn figures(&self) -> Vec<Figure> {
        let per_second: Vec<_> = self.rounds.iter().map(|round| round.per_second).collect();
        let cpu: Vec<_> = self.rounds.iter().map(|round| round.cpu_micros).collect();
        vec![
            Figure::of("W9", self.name, "requests", "1/s", &per_second),
            Figure::of("W9", self.name, "CPU of the server", "µs", &cpu),
        ]
    }
}
