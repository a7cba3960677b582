//! `FileStore`: several processes on one folder, killed ones, damaged files, a full disk. Power loss: see its unit tests.

mod crashes;
mod folder;
mod processes;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};

use cloakroom::FileStore;
use cloakroom::store::{CreateOutcome, Payload, Record, SaveOutcome, SessionId, SessionStore, Timestamp};
use cloakroom::testing::conformance;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const LATER: Timestamp = Timestamp::from_millis(1_000_000_060_000);

fn new_id() -> SessionId {
    // The standard library's only source of randomness.
    let random = || RandomState::new().build_hasher().finish();
    SessionId::from_bytes((u128::from(random()) << 64 | u128::from(random())).to_be_bytes())
}

fn record(id: SessionId, version: u64, payload: impl Into<Vec<u8>>) -> Record {
    Record { id, version, user: None, expires_at: LATER, payload: Payload::from_bytes(payload.into()) }
}

async fn created(store: &FileStore, record: Record) -> Record {
    assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    record
}

async fn payload(store: &FileStore, id: SessionId) -> Option<Vec<u8>> {
    let record = store.load(id, NOW).await.unwrap()?;
    Some(record.payload.to_bytes().unwrap().to_vec())
}

fn file_of(root: &Path, id: SessionId) -> PathBuf {
    let name = id.as_uuid().simple().to_string();
    root.join(&name[..2]).join(name)
}

/// All files below the folder but the locks.
fn files_in(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if path.file_name().unwrap() != "lock" {
            files.push(path);
        }
    }
    files
}

/// Adds one to the number that the record holds, `times` times, whoever else does so too.
async fn count(store: &FileStore, id: SessionId, times: usize) {
    for _ in 0..times {
        loop {
            let old = store.load(id, NOW).await.unwrap().unwrap();
            let number: u64 = str::from_utf8(&old.payload.to_bytes().unwrap()).unwrap().parse().unwrap();
            let new = record(id, old.version + 1, (number + 1).to_string());
            if store.save(&new, old.version, NOW).await.unwrap() == SaveOutcome::Saved {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    conformance::check(async || FileStore::open(dir.path()).await.unwrap()).await;
}
