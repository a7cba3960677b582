//! Mistakes of stores.

use std::time::Duration;

use cloakroom::{SessionManager, SqliteStore};
use futures_util::poll;

use super::{new_token, open};

/// A load borrowed the one connection that writes, and kept it until somebody polled it again. A `select!` loop that was busy
/// with something else, or a job that opened sessions in a buffer and committed each, waited for itself: nobody in the process
/// could write meanwhile.
#[tokio::test]
async fn a_load_that_nobody_polls_holds_up_no_write() {
    let folder = tempfile::tempdir().unwrap();
    let manager = SessionManager::new(SqliteStore::open(folder.path().join("sessions.db")).await.unwrap());
    let (token, other) = (new_token(&manager).await, new_token(&manager).await);
    // Most are done within the first poll.
    let load = loop {
        let mut load = Box::pin(open(&manager, &token));
        if poll!(&mut load).is_pending() {
            break load;
        }
    };
    for n in 1..4 {
        let session = open(&manager, &other).await;
        session.insert("n", n).unwrap();
        let commit = tokio::time::timeout(Duration::from_secs(2), manager.commit(&session)).await;
        commit.expect("a write waits for a load").unwrap();
    }
    assert_eq!(load.await.get("n").unwrap(), Some(0));
}
