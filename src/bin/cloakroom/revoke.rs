//! `cloakroom revoke`: ends sessions.

use std::sync::Arc;

use cloakroom::store::Record;
use cloakroom::{SessionId, SessionStore};
use serde_json::json;

use crate::arguments::Which;
use crate::failure::Failure;
use crate::list::no_user_index;
use crate::output::{self, Output, sessions};
use crate::source::Source;
use crate::{progress, walk};

pub(crate) async fn run(store: &Source, which: &Which) -> Result<Output, Failure> {
    let store = store.open().await?;
    let ended = match which {
        Which { id: Some(id), .. } => one(&*store, *id).await?,
        Which { user: Some(user), .. } => of_user(store, user).await?,
        Which { all: true, .. } => all(store).await?,
        Which { id: None, user: None, all: false } => unreachable!("the command line is refused without any of them"),
    };
    Ok(Output::new(format!("{} ended\n", sessions(ended)), json!({ "ended": ended })))
}

async fn one(store: &dyn SessionStore, id: SessionId) -> Result<u64, Failure> {
    let found = store.load(id, output::now()).await;
    // What cannot be read can be ended all the same.
    if let Ok(None) = found {
        return Err(Failure::no_such_session());
    }
    store.delete(id).await?;
    Ok(1)
}

async fn of_user(store: Arc<dyn SessionStore>, user: &str) -> Result<u64, Failure> {
    let index = store.user_index().ok_or_else(no_user_index)?;
    let records = index.records_of(user, output::now()).await?;
    let mut ended = 0;
    end(&store, records, || ended += 1).await?;
    Ok(ended)
}

async fn all(store: Arc<dyn SessionStore>) -> Result<u64, Failure> {
    let (now, progress) = (output::now(), progress::counting("sessions ended"));
    walk::pages(&*store, async |mut records, unreadable| {
        records.retain(|record| record.is_live(now) && walk::is_session(record));
        end(&store, records, || progress.inc(1)).await?;
        for id in unreadable {
            store.delete(id).await?;
            progress.inc(1);
        }
        Ok(())
    })
    .await
    .map_err(|failure| failure.after(&format!("{} ended before that: run it again", sessions(progress.position()))))?;
    progress.finish_and_clear();
    Ok(progress.position())
}

async fn end(store: &Arc<dyn SessionStore>, records: Vec<Record>, mut ended: impl FnMut()) -> Result<(), Failure> {
    let end = |record: Record| {
        let store = store.clone();
        async move { Ok(store.delete(record.id).await?) }
    };
    walk::each(records, end, |()| ended()).await
}
