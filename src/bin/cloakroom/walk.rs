//! Goes through all records of a store.

use cloakroom::SessionStore;
use cloakroom::store::{NoSummary, Record, SessionId};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// How many records are asked for at once.
const PAGE: usize = 500;

/// How many are worked on at the same time.
const AT_ONCE: usize = 32;

/// Calls `visit` with each page: its records, and the ids of those that the store cannot read.
pub(crate) async fn pages(
    store: &dyn SessionStore,
    mut visit: impl AsyncFnMut(Vec<Record>, Vec<SessionId>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let inventory = store.inventory().ok_or_else(Failure::cannot_list)?;
    let mut bookmark = None;
    loop {
        let page = inventory.page(bookmark.as_ref(), PAGE).await?;
        visit(page.records, page.unreadable).await?;
        bookmark = page.next;
        if bookmark.is_none() {
            return Ok(());
        }
    }
}

/// Works on some records at the same time, and hands over what came of each. After an error nothing more is begun.
pub(crate) async fn each<T, F>(
    records: Vec<Record>,
    work: impl Fn(Record) -> F,
    mut done: impl FnMut(T),
) -> Result<(), Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Failure>> + Send + 'static,
{
    let (mut records, mut under_way) = (records.into_iter(), JoinSet::new());
    let mut result = Ok(());
    loop {
        while result.is_ok() && under_way.len() < AT_ONCE {
            let Some(record) = records.next() else { break };
            under_way.spawn(work(record));
        }
        match under_way.join_next().await {
            None => return result,
            Some(Ok(Ok(value))) => done(value),
            Some(Ok(Err(failure))) => result = result.and(Err(failure)),
            Some(Err(panic)) => result = result.and(Err(Failure::undone(panic.to_string()))),
        }
    }
}

/// Whether it is a session: the seats of a user are kept like sessions, and so are the marks of logouts during a migration.
pub(crate) fn is_session(record: &Record) -> bool {
    record.id.as_uuid().get_version_num() == 4 && !matches!(record.summary(), Err(NoSummary::Tombstone))
}
