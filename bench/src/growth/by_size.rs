//! A save in memory: by the size of the session while the change stays small, and by the size of the change.

use std::time::Instant;

use cloakroom::{Limits, MemoryStore, SessionManager, TokenChange};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::figure::Figure;

const SIZES: [usize; 6] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10];
const SAVES: usize = 5_000;

pub(super) fn run(runtime: &Runtime) -> Outcome {
    let mut figures = Vec::new();
    for size in SIZES {
        for (workload, kept, changed) in [("W11 save by session", size, 8), ("W11 save by change", 8, size)] {
            let took = runtime.block_on(save(kept, changed))?;
            figures.push(Figure::of(workload, "memory", "time", "ns", &took).at(size as f64));
        }
    }
    Ok(figures)
}

/// Of a session that keeps so many bytes, and changes so many.
async fn save(kept: usize, changed: usize) -> Result<Vec<f64>, Box<dyn std::error::Error>> {
    let manager = SessionManager::new(MemoryStore::new()).limits(Limits::default().data_bytes(1 << 20))?;
    let (kept, changed) = ("k".repeat(kept), "c".repeat(changed));
    let session = manager.create();
    session.insert("kept", &kept)?;
    session.insert("changed", &changed)?;
    let TokenChange::Issue(issued) = manager.commit(&session).await? else { return Err("no token".into()) };
    let token = issued.text().to_string();
    let mut took = Vec::new();
    for _ in 0..SAVES {
        let started = Instant::now();
        let session = manager.open(token.as_bytes()).await?;
        session.insert("changed", &changed)?;
        manager.commit(&session).await?;
        took.push(started.elapsed().as_nanos() as f64);
    }
    Ok(took)
}
