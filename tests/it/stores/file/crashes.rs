//! Processes that are killed, and a disk that is full.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::processes::{Told, payload_of, spawn, told};
use super::{NOW, created, files_in, new_id, payload, record};
use cloakroom::FileStore;
use cloakroom::store::{SaveOutcome, SessionId, SessionStore as _, StoreErrorKind};

/// Of one session: the version that was confirmed last, and the one that was being written. `None` is deleted.
#[derive(Default)]
struct Known {
    done: Option<u64>,
    begun: Option<u64>,
}

/// One round: a process writes, and is killed. How much was confirmed.
async fn round(root: &Path, number: u64) -> usize {
    let mut child = spawn("write", root);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (at_work, first_confirmed) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut sessions: HashMap<SessionId, Known> = HashMap::new();
        let mut confirmed = 0;
        while let Some(Ok(line)) = lines.next() {
            match told(&line) {
                Some(Told::Begins(id, version)) => sessions.entry(id).or_default().begun = version,
                Some(Told::Done(id, version)) => {
                    sessions.entry(id).or_default().done = version;
                    confirmed += 1;
                    let _ = at_work.send(());
                }
                None => {}
            }
        }
        (sessions, confirmed)
    });
    // Most of them are killed at work, some as they open the store.
    if !number.is_multiple_of(10) {
        first_confirmed.recv_timeout(Duration::from_secs(30)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1 + number % 20)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let (sessions, confirmed) = reader.join().unwrap();

    let opening = Instant::now();
    let store = FileStore::open(root).await.unwrap();
    assert!(opening.elapsed() < Duration::from_secs(5), "a lock outlived its process");
    let mut stored = 0;
    for (id, Known { done, begun }) in sessions {
        let found = store.load(id, NOW).await.unwrap();
        let version = found.as_ref().map(|record| record.version);
        assert!(version == done || version == begun, "{id}: {version:?} instead of {done:?} or {begun:?}");
        if let Some(found) = found {
            stored += 1;
            assert_eq!(found.payload.to_bytes().unwrap(), payload_of(id, found.version));
            // No lock blocks, and what was stored can be replaced and deleted.
            let next = record(id, found.version + 1, "next");
            assert_eq!(store.save(&next, found.version, NOW).await.unwrap(), SaveOutcome::Saved);
            store.delete(id).await.unwrap();
            stored -= 1;
        }
    }
    assert_eq!(files_in(root).len(), stored, "{:?}", files_in(root));
    confirmed
}

#[tokio::test(flavor = "multi_thread")]
async fn rel_07_a_killed_process_leaves_whole_records_and_no_locks() {
    let dir = tempfile::tempdir().unwrap();
    let mut confirmed = 0;
    for number in 0..200 {
        confirmed += round(dir.path(), number).await;
    }
    assert!(confirmed > 200, "the rounds were too short: {confirmed}");
}

#[tokio::test]
async fn rel_07_what_a_killed_process_was_writing_is_removed_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = FileStore::open(dir.path()).await.unwrap();
    let id = created(&store, record(new_id(), 1, "kept")).await.id;
    drop(store);
    for folder in ["00", "a7", "ff"] {
        fs::write(dir.path().join(folder).join("tmp"), "half a reco").unwrap();
    }
    let store = FileStore::open(dir.path()).await.unwrap();
    assert_eq!(files_in(dir.path()).len(), 1);
    assert_eq!(payload(&store, id).await.unwrap(), b"kept");
}

/// A disk of 64 KiB. `None` where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs"]).arg(dir.path()).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: only root may mount a small disk");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn rel_06_a_full_disk_keeps_what_is_stored_and_lets_people_log_out() {
    let Some(disk) = SmallDisk::mount() else { return };
    let root = disk.0.path();
    let store = FileStore::open(root).await.unwrap();
    let id = created(&store, record(new_id(), 1, "first")).await.id;
    let mut others = Vec::new();
    let error = loop {
        let other = record(new_id(), 1, vec![b'x'; 4_000]);
        match store.create(&other, NOW).await {
            Ok(_) => others.push(other.id),
            Err(error) => break error,
        }
        assert!(others.len() < 100, "the disk is never full");
    };
    assert_eq!(error.kind(), StoreErrorKind::Other);
    let text = std::error::Error::source(&error).unwrap().to_string();
    assert!(text.contains("free some space"), "{text}");

    for payload_size in [1, 4_000, 100_000] {
        let error = store.save(&record(id, 2, vec![b'y'; payload_size]), 1, NOW).await.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Other);
        assert_eq!(payload(&store, id).await.unwrap(), b"first");
        let files = files_in(root);
        assert_eq!(files.len(), 1 + others.len(), "{files:?}");
        assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() > 0));
    }
    // A process that starts on a full disk can let people log out as well.
    let restarted = FileStore::open(root).await.unwrap();
    restarted.delete(id).await.unwrap();
    assert!(store.load(id, NOW).await.unwrap().is_none());
    // And there is room again.
    created(&store, record(new_id(), 1, "next")).await;
}
