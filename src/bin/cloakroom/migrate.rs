//! `cloakroom migrate`: copies sessions to another store.

use cloakroom::SessionStore;
use cloakroom::store::{CreateOutcome, Record, SaveOutcome, SessionId, StoreError, Timestamp};
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
    /// There was an older version of it, or the same one that was to expire earlier.
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
    Ok(update(to, record, now).await?)
}

/// Brings the copy of an earlier run up to date. Never by deleting it first: if it is gone by now, that was a logout.
async fn update(to: &dyn SessionStore, record: &Record, now: Timestamp) -> Result<Copy, StoreError> {
    let Some(found) = to.load(record.id, now).await? else { return Ok(Copy::ThereAlready) };
    let outcome = if found.version < record.version {
        to.save(record, found.version, now).await?
    } else if found.version == record.version && found.expires_at < record.expires_at {
        to.touch(record.id, found.version, record.expires_at, now).await?
    } else {
        return Ok(Copy::ThereAlready);
    };
    Ok(if outcome == SaveOutcome::Saved { Copy::Updated } else { Copy::ThereAlready })
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

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use cloakroom::store::Payload;
    use cloakroom::testing::{Fault, FaultStore, Operation};
    use cloakroom::{MemoryStore, MigratingStore};

    use super::*;

    fn record(version: u64) -> Record {
        Record {
            id: SessionId::from_bytes([7; 16]),
            version,
            user: Some("ada".into()),
            expires_at: output::now().saturating_add(Duration::from_hours(1)),
            payload: Payload::from_bytes(version.to_string()),
        }
    }

    /// The older copy was deleted, and with it the mark of a logout that had come in between; the newer one was then inserted.
    #[tokio::test]
    async fn a_logout_meanwhile_is_not_undone() {
        let (old, new) = (MemoryStore::new(), MemoryStore::new());
        for (store, version) in [(&old, 3), (&new, 1)] {
            assert_eq!(store.create(&record(version), output::now()).await.unwrap(), CreateOutcome::Created);
        }
        let application = MigratingStore::new(old, new.clone());
        assert!(application.load(record(1).id, output::now()).await.unwrap().is_some());
        let (slow, newer) = (FaultStore::new(new), record(3));
        slow.once(Operation::Load, Fault::Yield(1));
        let mut copied = Box::pin(copy(&slow, &newer));
        // Once to where the load gives way, once to where it has seen the copy and gives way again.
        for _ in 0..2 {
            assert!(matches!(copied.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending));
        }
        application.delete(newer.id).await.unwrap();
        assert!(matches!(copied.await.unwrap(), Copy::ThereAlready));
        assert!(application.load(newer.id, output::now()).await.unwrap().is_none());
    }
}
