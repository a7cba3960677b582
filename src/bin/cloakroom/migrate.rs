//! `cloakroom migrate`: copies sessions to another store.

use cloakroom::SessionStore;
use cloakroom::store::{CreateOutcome, Record, SessionId};
use serde_json::json;

use crate::failure::Failure;
use crate::output::{self, Output, sessions};
use crate::source::Source;
use crate::{progress, walk};

#[derive(Default)]
struct Moved {
    copied: u64,
    updated: u64,
    there_already: u64,
    expired: u64,
    unreadable: Vec<SessionId>,
}

/// What became of a record.
enum Copy {
    Copied,
    /// There was an older version of it.
    Updated,
    ThereAlready,
    Expired,
}

pub(crate) async fn run(from: &Source, to: &Source) -> Result<Output, Failure> {
    let (from_url, to_url) = (from.url()?, to.url()?);
    let from = from.open().await?;
    if from.inventory().is_none() {
        return Err(Failure::cannot_list().at(&from_url));
    }
    let to = to.open_or_create().await?;
    let (progress, mut moved) = (progress::counting("sessions copied"), Moved::default());
    let walked = walk::pages(&*from, async |records, unreadable| {
        moved.unreadable.extend(unreadable);
        let work = |record| {
            let (to, to_url) = (to.clone(), to_url.clone());
            async move { copy(&*to, &record).await.map_err(|failure| failure.at(&to_url)) }
        };
        walk::each(records, work, |copy| {
            moved.count(&copy);
            progress.inc(1);
        })
        .await
    })
    .await;
    progress.finish_and_clear();
    walked.map_err(|failure| failure.after(&format!("{} copied before that: run it again", sessions(moved.copied))))?;
    Ok(moved.into_output())
}

/// Inserts the record as it is. What is newer in the other store stays: the application may be using it already.
async fn copy(to: &dyn SessionStore, record: &Record) -> Result<Copy, Failure> {
    let now = output::now();
    if !record.is_live(now) {
        return Ok(Copy::Expired);
    }
    if to.create(record, now).await? == CreateOutcome::Created {
        return Ok(Copy::Copied);
    }
    match to.load(record.id, now).await? {
        Some(older) if older.version < record.version => {
            to.delete(record.id).await?;
            Ok(if to.create(record, now).await? == CreateOutcome::Created { Copy::Updated } else { Copy::ThereAlready })
        }
        _ => Ok(Copy::ThereAlready),
    }
}

impl Moved {
    fn count(&mut self, copy: &Copy) {
        *match copy {
            Copy::Copied => &mut self.copied,
            Copy::Updated => &mut self.updated,
            Copy::ThereAlready => &mut self.there_already,
            Copy::Expired => &mut self.expired,
        } += 1;
    }

    fn into_output(self) -> Output {
        let Self { copied, updated, there_already, expired, unreadable } = self;
        let mut text = format!("{} copied\n", sessions(copied));
        for (count, what) in
            [(updated, "brought up to date"), (there_already, "there already"), (expired, "left because expired")]
        {
            if count > 0 {
                text = format!("{text}{} {what}\n", sessions(count));
            }
        }
        let json = json!({
            "copied": copied,
            "updated": updated,
            "there_already": there_already,
            "expired": expired,
            "unreadable": unreadable,
        });
        let failure = (!unreadable.is_empty()).then(|| {
            let ids: Vec<_> = unreadable.iter().map(ToString::to_string).collect();
            Failure::undone(format!("{} records cannot be read, and were left: {}", ids.len(), ids.join(", ")))
        });
        Output { failure, ..Output::new(text, json) }
    }
}
