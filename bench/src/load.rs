//! Saturation over real sockets: no error, no lost update, flat memory.

mod browser;
mod client;
mod server;

use std::error::Error;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;
use crate::servers::{self, Server};
use browser::Browser;

pub(crate) use client::Connection;
pub(crate) use server::{Process, serve};

const SHOW: &str = "/show";
const ADD: &str = "/add";
const LOGIN: &str = "/login";
const LOGOUT: &str = "/logout";

/// `--store memory`, `sqlite` or `redis`, one after the other without it; `--minutes 10`, `--browsers 64`.
pub(crate) fn run(args: &Args) -> Outcome {
    let minutes: f64 = args.value("--minutes", 10.0)?;
    // Sessions that are left behind expire, so that their number stays the same after the first fifth.
    let idle = Duration::from_secs_f64((minutes * 6.0).clamp(3.0, 30.0));
    let url = args.value("--serve", String::new())?;
    if !url.is_empty() {
        serve(server::app(url, idle), 2)?;
        return Ok(Vec::new());
    }
    let (wanted, browsers) = (args.value("--store", String::new())?, args.value("--browsers", 64)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut figures = Vec::new();
    for store in ["memory", "sqlite", "redis"].into_iter().filter(|store| wanted.is_empty() || *store == wanted) {
        let place = Place::new(store)?;
        let process = Process::start(&["load", "--serve", &place.url, "--minutes", &minutes.to_string()])?;
        let report = runtime.block_on(saturate(&process, browsers, Duration::from_secs_f64(minutes * 60.0)))?;
        report.check()?;
        figures.extend(report.figures(store));
    }
    if figures.is_empty() {
        return Err("--store memory, sqlite or redis".into());
    }
    Ok(figures)
}

/// Where the sessions are, for as long as this is kept.
struct Place {
    url: String,
    _server: Option<Server>,
    _folder: TempDir,
}

impl Place {
    fn new(store: &str) -> Result<Self, Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let server = match store {
            "redis" => Some(servers::redis("").ok_or("there is no redis-server")?),
            _ => None,
        };
        let url = match (&server, store) {
            (Some(server), _) => servers::redis_url(server),
            (None, "memory") => "memory:".to_owned(),
            (None, _) => format!("sqlite:{}/sessions.db", folder.path().display()),
        };
        Ok(Self { url, _server: server, _folder: folder })
    }
}

struct Report {
    seconds: f64,
    /// In microseconds, sorted.
    took: Vec<u32>,
    /// Of each second, in bytes.
    resident: Vec<f64>,
}

async fn saturate(process: &Process, browsers: usize, time: Duration) -> Result<Report, Box<dyn Error>> {
    let started = Instant::now();
    let mut visits = JoinSet::new();
    for _ in 0..browsers {
        let mut browser = Browser::new(process.address).await?;
        visits.spawn(async move { browser.visit(started + time).await.map(|()| browser.took) });
    }
    let mut report = Report { seconds: time.as_secs_f64(), took: Vec::new(), resident: Vec::new() };
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            visit = visits.join_next() => match visit {
                Some(took) => report.took.append(&mut took??),
                None => break,
            },
            _ = ticks.tick() => report.resident.push(process.resident()?),
        }
    }
    report.took.sort_unstable();
    Ok(report)
}

impl Report {
    /// The mean memory of the `n`-th tenth. From the third on what expires makes up for what begins.
    fn tenth(&self, n: usize) -> f64 {
        let part = &self.resident[self.resident.len() * n / 10..self.resident.len() * (n + 1) / 10];
        part.iter().sum::<f64>() / part.len().max(1) as f64
    }

    fn growth(&self) -> f64 {
        self.tenth(9) / self.tenth(2)
    }

    fn grown_by(&self) -> f64 {
        self.tenth(9) - self.tenth(2)
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        let growth = self.growth();
        println!("{} requests, each as it has to be; memory {growth:.3} times what it was", self.took.len());
        // An allocator's whims are some megabytes, whatever there is in all.
        let is_flat = growth <= 1.05 || self.grown_by() < 4e6;
        if is_flat { Ok(()) } else { Err(format!("memory grows: {:?}", self.resident).into()) }
    }

    fn figures(&self, store: &str) -> Vec<Figure> {
        let figure = |metric, unit, value| Figure::exact("load", &format!("cloakroom, {store}"), metric, unit, value);
        let at = |part: f64| f64::from(self.took[((self.took.len() - 1) as f64 * part) as usize]) / 1e3;
        vec![
            figure("minutes", "", self.seconds / 60.0),
            figure("requests", "1/s", self.took.len() as f64 / self.seconds),
            figure("p50", "ms", at(0.5)),
            figure("p99", "ms", at(0.99)),
            figure("p99.9", "ms", at(0.999)),
            figure("slowest", "ms", at(1.0)),
            figure("resident at the end", "MB", self.resident.last().copied().unwrap_or_default() / 1e6),
            figure("memory over that after a quarter", "", self.growth()),
        ]
    }
}
