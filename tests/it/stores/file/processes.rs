//! Several stores and several processes on one folder.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::{LATER, NOW, count, created, file_of, files_in, new_id, payload, record};
use cloakroom::FileStore;
use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, SessionId, SessionStore as _};

const CHILD: &str = "CLOAKROOM_TEST_FILE_CHILD";

/// This very binary as another process that does `work` in the folder.
pub(super) fn spawn(work: &str, root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["stores::file::processes::works_as_a_child_when_told_to", "--exact", "--nocapture"])
        .env(CHILD, format!("{work}:{}", root.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn works_as_a_child_when_told_to() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (work, root) = told.split_once(':').unwrap();
    let store = FileStore::open(root).await.unwrap();
    if let Some(id) = work.strip_prefix("count ") {
        count(&store, id.parse().unwrap(), 500).await;
    } else {
        write_until_killed(&store).await;
    }
}

/// What a writer tells before and after each step: `+` is confirmed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    Begins(SessionId, Option<u64>),
    Done(SessionId, Option<u64>),
}

/// Reads a line of a writer; other lines are those of the test harness.
pub(super) fn told(line: &str) -> Option<Told> {
    let mut words = line.split(' ');
    let mark = words.next().filter(|mark| matches!(*mark, "begins" | "done"))?;
    let id = words.next()?.parse().ok()?;
    let version: u64 = words.next()?.parse().ok()?;
    // A last word says that the line was written as a whole.
    words.next().filter(|word| *word == ".")?;
    let version = (version > 0).then_some(version);
    Some(if mark == "begins" { Told::Begins(id, version) } else { Told::Done(id, version) })
}

/// The payload of a version: long enough to be torn.
pub(super) fn payload_of(id: SessionId, version: u64) -> Vec<u8> {
    format!("{id} {version};").repeat(500 + usize::try_from(version % 7).unwrap() * 100).into_bytes()
}

/// Four tasks that create, save and delete, each a session after the other.
async fn write_until_killed(store: &FileStore) {
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        writers.spawn(async move {
            loop {
                let id = new_id();
                for version in 1..=8 {
                    println!("begins {id} {version} .");
                    let record = record(id, version, payload_of(id, version));
                    if version == 1 {
                        assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
                    } else {
                        assert_eq!(store.save(&record, version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
                    }
                    println!("done {id} {version} .");
                }
                println!("begins {id} 0 .");
                store.delete(id).await.unwrap();
                println!("done {id} 0 .");
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_stores_on_one_folder_lose_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [FileStore::open(dir.path()).await.unwrap(), FileStore::open(dir.path()).await.unwrap()];
    let id = created(&stores[0], record(new_id(), 1, "0")).await.id;
    let counters = stores.clone().map(|store| tokio::spawn(async move { count(&store, id, 500).await }));
    for counter in counters {
        counter.await.unwrap();
    }
    for store in &stores {
        assert_eq!(payload(store, id).await.unwrap(), b"1000");
        assert_eq!(store.load(id, NOW).await.unwrap().unwrap().version, 1_001);
    }
    assert_eq!(files_in(dir.path()), [file_of(&dir.path().canonicalize().unwrap(), id)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_loses_no_update() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let id = created(&store, record(new_id(), 1, "0")).await.id;
    let child = spawn(&format!("count {id}"), dir.path());
    count(&store, id, 500).await;
    let output = tokio::task::spawn_blocking(|| child.wait_with_output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(payload(&store, id).await.unwrap(), b"1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_missed_while_sessions_are_saved() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (FileStore::open(dir.path()).await.unwrap(), FileStore::open(dir.path()).await.unwrap());
    let ids: Vec<_> = (0..20).map(|_| new_id()).collect();
    let of_ada = |id, version| Record {
        user: Some("ada".into()),
        expires_at: LATER,
        payload: Payload::from_bytes("{}"),
        ..record(id, version, "")
    };
    for id in &ids {
        created(&store, of_ada(*id, 1)).await;
    }
    let saved = ids.clone();
    let saver = tokio::spawn(async move {
        for version in 2..10 {
            for id in &saved {
                assert_eq!(other.save(&of_ada(*id, version), version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
            }
        }
    });
    while !saver.is_finished() {
        assert_eq!(store.user_index().unwrap().records_of("ada", NOW).await.unwrap().len(), ids.len());
    }
    saver.await.unwrap();
}
