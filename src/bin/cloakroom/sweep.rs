//! `cloakroom sweep`: deletes what has expired.

use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Output, sessions};
use crate::progress;
use crate::source::Source;

/// How many are deleted at once.
const STEP: usize = 500;

pub(crate) async fn run(store: &Source) -> Result<Output, Failure> {
    let store = store.open().await?;
    let progress = progress::counting("expired sessions deleted");
    let (now, mut deleted) = (output::now(), 0);
    loop {
        let expired = store.expired(now, STEP).await?;
        let ids: Vec<_> = expired.iter().map(|record| record.id).collect();
        let step = if ids.is_empty() { 0 } else { store.delete_expired(&ids, now).await? as u64 };
        // Where another sweeper is at work, the rest is left to it.
        if step == 0 {
            break;
        }
        deleted += step;
        progress.inc(step);
    }
    progress.finish_and_clear();
    Ok(Output::new(format!("{} deleted that had expired\n", sessions(deleted)), json!({ "deleted": deleted })))
}
