//! What it takes to delete what has expired, and what requests notice of it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use cloakroom::{Clock, SessionError, SessionManager, SessionPolicy, SweeperSettings};

use super::place::Place;
use super::{KINDS, Tokens, fill, fill_with};
use crate::figure::Figure;

const LIVE: usize = 10_000;

/// Two hours late: by then sessions with the default policy have expired.
#[derive(Debug)]
struct Later;

impl Clock for Later {
    fn now(&self) -> SystemTime {
        SystemTime::now() + Duration::from_hours(2)
    }
}

pub(super) async fn figures(place: &Place, expired: usize) -> Result<Vec<Figure>, Box<dyn Error>> {
    let manager = SessionManager::new(place.store.clone());
    fill(&manager, KINDS[1], expired).await?;
    let long = SessionPolicy::default().idle(Duration::from_hours(24)).absolute(Duration::from_hours(48));
    let tokens = Arc::new(fill_with(&manager, long.clone(), KINDS[1], LIVE).await?);

    let manager = manager.policy(long)?.clock(Later);
    let quiet = requests(&manager, &tokens, 5_000, &AtomicBool::new(false)).await?;
    let swept = Arc::new(AtomicBool::new(false));
    let meanwhile = {
        let (manager, tokens, swept) = (manager.clone(), tokens.clone(), swept.clone());
        tokio::spawn(async move { requests(&manager, &tokens, usize::MAX, &swept).await })
    };
    let cpu = place.cpu_time();
    let sweeper = manager.start_sweeper(SweeperSettings::default());
    while sweeper.report().sweeps == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let cpu = place.cpu_time().saturating_sub(cpu);
    let report = sweeper.report();
    swept.store(true, Relaxed);
    let meanwhile = meanwhile.await??;
    assert!(report.deleted >= expired as u64, "{report:?}");

    let took = report.last_took.unwrap_or_default().as_secs_f64() * 100_000.0 / expired as f64;
    let workload = "sweep";
    Ok(vec![
        Figure::exact(workload, place.name, "100,000 sessions", "s", took),
        Figure::exact(workload, place.name, "server CPU", "s", cpu.as_secs_f64() * 100_000.0 / expired as f64),
        Figure::exact(workload, place.name, "read, p99 without", "ms", p99(quiet)),
        Figure::exact(workload, place.name, "read, p99 meanwhile", "ms", p99(meanwhile)),
    ])
}

/// Reads one after another, so many or until told to stop. In milliseconds.
async fn requests(
    manager: &SessionManager,
    tokens: &Tokens,
    times: usize,
    stop: &AtomicBool,
) -> Result<Vec<f64>, SessionError> {
    let mut took = Vec::new();
    for token in tokens.iter().cycle().take(times) {
        if stop.load(Relaxed) {
            break;
        }
        let start = Instant::now();
        let session = manager.open(token.as_bytes()).await?;
        session.get::<String>("k")?;
        manager.commit(&session).await?;
        took.push(start.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(took)
}

fn p99(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took.get(took.len() * 99 / 100).copied().unwrap_or(f64::NAN)
}
