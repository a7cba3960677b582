//! What a power loss leaves: every step on the disk is written down, and the disk is rebuilt as it may be after each of
//! them, less what was not synced.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::disk::{Disk, RealDisk};
use super::{CreateOutcome, FileStore, Record, SaveOutcome, SessionId, SessionStore, StoreError, Timestamp};
use crate::error::{ErrorKind, StoreErrorKind};
use crate::manager::SessionManager;
use crate::record::Payload;
use crate::state::TokenChange;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_000);

/// The first byte says in which folder it lies.
fn id(first_byte: u8) -> SessionId {
    SessionId::from_bytes([first_byte; 16])
}

fn record(id: SessionId, version: u64) -> Record {
    let expires_at = NOW.saturating_add(Duration::from_mins(1));
    let payload = Payload::from_bytes(version.to_string().repeat(40));
    Record { id, version, user: Some("ada".into()), expires_at, payload }
}

/// In memory where there is such a place: the model needs no disk, and many folders.
fn model_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What happened, on the disk and at the callers'. Paths are relative to the folder that holds the store.
#[derive(Clone, Debug)]
enum Step {
    MakeFolder(PathBuf),
    Write(PathBuf, Vec<u8>),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
    SyncFolder(PathBuf),
    /// An operation begins that makes the record this version; `None` deletes it.
    Begin(SessionId, Option<u64>),
    /// It has returned: from here on a power loss must not undo it.
    Confirmed,
}

/// A step that is left out, for the test to notice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Forgets {
    Nothing,
    SyncFile,
    SyncFolderAfterSave,
    SyncFolderAfterLogout,
}

#[derive(Clone, Debug)]
struct RecordingDisk {
    base: PathBuf,
    forgets: Forgets,
    steps: Arc<Mutex<Vec<Step>>>,
}

impl RecordingDisk {
    fn note(&self, step: Step) {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.base).unwrap().to_owned()
    }
}

impl Disk for RecordingDisk {
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        if !path.exists() {
            self.note(Step::MakeFolder(self.relative(path)));
        }
        RealDisk.make_folder(path)
    }

    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<File> {
        self.note(Step::Write(self.relative(path), parts.concat()));
        RealDisk.write(path, parts)
    }

    fn sync_file(&self, _: &File, path: &Path) -> io::Result<()> {
        if self.forgets != Forgets::SyncFile {
            self.note(Step::SyncFile(self.relative(path)));
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(Step::Rename(self.relative(from), self.relative(to)));
        RealDisk.rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<bool> {
        let done = RealDisk.unlink(path)?;
        if done {
            self.note(Step::Unlink(self.relative(path)));
        }
        Ok(done)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let last = self.steps.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
        let forgotten = match last {
            Some(Step::Rename(..)) => self.forgets == Forgets::SyncFolderAfterSave,
            Some(Step::Unlink(_)) => self.forgets == Forgets::SyncFolderAfterLogout,
            _ => false,
        };
        if !forgotten {
            self.note(Step::SyncFolder(self.relative(path)));
        }
        Ok(())
    }
}

/// What a name in a folder stands for.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Folder,
    /// A file, by the number of its contents.
    File(usize),
}

/// A change of the names of one folder, done as a whole or not at all.
type Change = Vec<(PathBuf, Option<Node>)>;

/// A disk that keeps what was synced, and may or may not keep the rest.
#[derive(Clone, Debug, Default)]
struct ModelDisk {
    /// As programs see it.
    names: BTreeMap<PathBuf, Node>,
    /// As a power loss leaves it.
    durable: BTreeMap<PathBuf, Node>,
    /// Changes that are not synced, in their order, with their folder.
    pending: Vec<(PathBuf, Change)>,
    /// The bytes of each file, and whether they are synced.
    contents: Vec<(Vec<u8>, bool)>,
}

impl ModelDisk {
    fn file(&self, path: &Path) -> usize {
        let Some(Node::File(number)) = self.names.get(path) else { panic!("{path:?} is no file") };
        *number
    }

    fn change(&mut self, folder: &Path, change: Change) {
        apply(&mut self.names, &change);
        self.pending.push((folder.to_owned(), change));
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::MakeFolder(path) => self.change(path.parent().unwrap(), vec![(path.clone(), Some(Node::Folder))]),
            Step::Write(path, bytes) => {
                let node = Node::File(self.contents.len());
                self.contents.push((bytes.clone(), false));
                self.change(path.parent().unwrap(), vec![(path.clone(), Some(node))]);
            }
            Step::SyncFile(path) => {
                let file = self.file(path);
                self.contents[file].1 = true;
            }
            Step::Rename(from, to) => {
                let node = Node::File(self.file(from));
                self.change(to.parent().unwrap(), vec![(from.clone(), None), (to.clone(), Some(node))]);
            }
            Step::Unlink(path) => self.change(path.parent().unwrap(), vec![(path.clone(), None)]),
            Step::SyncFolder(folder) => {
                for (_, change) in self.pending.extract_if(.., |(of, _)| of == folder) {
                    apply(&mut self.durable, &change);
                }
            }
            Step::Begin(..) | Step::Confirmed => {}
        }
    }

    /// All disks that a power loss may leave now: any of the changes that are not synced may be kept or lost, and what was
    /// not synced of a file may be there, be missing, or be there in part.
    fn after_power_loss(&self) -> Vec<BTreeMap<PathBuf, Option<Vec<u8>>>> {
        // Any choice among the last changes; of older ones all or none, lest the choices explode.
        let free = self.pending.len().min(3);
        let (older, last) = self.pending.split_at(self.pending.len() - free);
        let mut disks = Vec::new();
        for kept in 0..1_usize << free {
            for older in [&[], older] {
                let mut names = self.durable.clone();
                let last = last.iter().enumerate().filter(|(at, _)| kept >> at & 1 == 1).map(|(_, change)| change);
                for (_, change) in older.iter().chain(last) {
                    apply(&mut names, change);
                }
                disks.extend([0, 1, 2].map(|halves| self.contents_of(&names, halves)));
            }
        }
        disks
    }

    fn contents_of(&self, names: &BTreeMap<PathBuf, Node>, halves: usize) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
        let bytes = |number: usize| {
            let (bytes, synced) = &self.contents[number];
            bytes[..if *synced { bytes.len() } else { bytes.len() * halves / 2 }].to_vec()
        };
        let reachable = names.iter().filter(|(path, _)| {
            // What lies in a folder that was lost is lost.
            path.ancestors().skip(1).all(|folder| folder == Path::new("") || names.contains_key(folder))
        });
        let content = |(path, node): (&PathBuf, &Node)| {
            let content = if let Node::File(number) = node { Some(bytes(*number)) } else { None };
            (path.clone(), content)
        };
        reachable.map(content).collect()
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    for (path, node) in change {
        match node {
            Some(node) => drop(names.insert(path.clone(), node.clone())),
            None => drop(names.remove(path)),
        }
    }
}

/// Logins, saves and logouts, and how each of them went about it on the disk.
async fn recorded(forgets: Forgets) -> Vec<Step> {
    let dir = model_dir();
    let base = dir.path().canonicalize().unwrap();
    let disk = RecordingDisk { base: base.clone(), forgets, steps: Arc::default() };
    let store = FileStore::open_on(Box::new(disk.clone()), base.join("sessions")).await.unwrap();
    // Two share a folder, one has another to itself.
    let sharing = SessionId::from_bytes(*b"\x01another session");
    for id in [id(1), sharing, id(2)] {
        disk.note(Step::Begin(id, Some(1)));
        assert_eq!(store.create(&record(id, 1), NOW).await.unwrap(), CreateOutcome::Created);
        disk.note(Step::Confirmed);
        for version in 2..=3 {
            disk.note(Step::Begin(id, Some(version)));
            assert_eq!(store.save(&record(id, version), version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
            disk.note(Step::Confirmed);
        }
    }
    disk.note(Step::Begin(id(1), Some(3)));
    assert_eq!(store.touch(id(1), 3, record(id(1), 3).expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
    disk.note(Step::Confirmed);
    for id in [id(2), id(1)] {
        disk.note(Step::Begin(id, None));
        store.delete(id).await.unwrap();
        disk.note(Step::Confirmed);
    }
    disk.note(Step::Begin(sharing, None));
    let expired: Vec<_> = store.expired(Timestamp::MAX, 10).await.unwrap().iter().map(|record| record.id).collect();
    assert_eq!(store.delete_expired(&expired, Timestamp::MAX).await.unwrap(), 1);
    disk.note(Step::Confirmed);
    let steps = disk.steps.lock().unwrap();
    steps.clone()
}

/// Loses power after every step, starts a store on what is left, and says what is not as it was promised.
///
/// Ends as soon as it has found `sought`.
async fn broken_promises(steps: &[Step], sought: Option<&str>) -> Vec<String> {
    let reused = model_dir();
    let mut broken = Vec::new();
    let mut model = ModelDisk::default();
    let mut confirmed: BTreeMap<SessionId, Option<u64>> = BTreeMap::new();
    let mut begun = None;
    let mut before: Option<Vec<BTreeMap<PathBuf, Option<Vec<u8>>>>> = None;
    let opened = steps.iter().position(|step| matches!(step, Step::Begin(..))).unwrap();
    for (number, step) in steps.iter().enumerate() {
        model.step(step);
        match step {
            Step::Begin(id, version) => begun = Some((*id, *version)),
            Step::Confirmed => confirmed.extend(begun.take()),
            _ => {}
        }
        // While the store is opened there is nothing to lose: enough to see that it can be opened again, now and then.
        if number < opened && number % 40 != 0 {
            continue;
        }
        let disks = model.after_power_loss();
        if before.as_ref() == Some(&disks) && !matches!(step, Step::Confirmed) {
            continue;
        }
        let mut distinct: Vec<&BTreeMap<PathBuf, Option<Vec<u8>>>> = Vec::new();
        for disk in &disks {
            if !distinct.contains(&disk) {
                distinct.push(disk);
            }
        }
        for disk in distinct {
            if let Err(promise) = check(reused.path(), disk, &confirmed, begun).await {
                let found = sought.is_some_and(|sought| promise.contains(sought));
                broken.push(format!("power lost after step {number}, {step:?}: {promise}"));
                if found {
                    return broken;
                }
            }
        }
        before = Some(disks);
    }
    broken
}

async fn check(
    reused: &Path,
    disk: &BTreeMap<PathBuf, Option<Vec<u8>>>,
    confirmed: &BTreeMap<SessionId, Option<u64>>,
    begun: Option<(SessionId, Option<u64>)>,
) -> Result<(), String> {
    let fresh = model_dir();
    // Making 256 folders takes its time: where they are all there, those of the last disk do.
    let is_whole = disk.values().filter(|content| content.is_none()).count() == 257;
    let dir = if is_whole { reused } else { fresh.path() };
    for path in ["sessions/01", "sessions/02"].into_iter().filter_map(|folder| fs::read_dir(dir.join(folder)).ok()) {
        for entry in path {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    for (path, content) in disk {
        let path = dir.join(path);
        match content {
            None => RealDisk.make_folder(&path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
    }
    let (base, forgets) = (dir.canonicalize().unwrap(), Forgets::Nothing);
    let disk = RecordingDisk { base: base.clone(), forgets, steps: Arc::default() };
    let store =
        FileStore::open_on(Box::new(disk), base.join("sessions")).await.map_err(|error| format!("{error:?}"))?;
    for id in confirmed.keys().copied().chain(begun.map(|it| it.0)) {
        let found = store.load(id, NOW).await.map_err(|error| format!("{id} cannot be read: {error:?}"))?;
        let version = found.as_ref().map(|record| record.version);
        let before = confirmed.get(&id).copied().flatten();
        let allowed = [Some(before), begun.filter(|it| it.0 == id).map(|it| it.1)];
        if !allowed.contains(&Some(version)) {
            return Err(format!("{id} has the version {version:?} instead of {allowed:?}"));
        }
        if let Some(found) = found {
            let expected = record(id, found.version).payload.to_bytes().unwrap();
            if found.payload.to_bytes().unwrap() != expected {
                return Err(format!("{id} has another payload"));
            }
        }
    }
    for folder in ["01", "02"] {
        if base.join("sessions").join(folder).join("tmp").exists() {
            return Err(format!("there is litter in {folder}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn rel_08_what_was_confirmed_survives_a_power_loss() {
    assert_eq!(broken_promises(&recorded(Forgets::Nothing).await, None).await, Vec::<String>::new());
}

/// The crash table: what each step is there for.
#[tokio::test]
async fn rel_08_each_sync_is_needed() {
    for (forgets, lost) in [
        // A name without its contents: what the file says is torn.
        (Forgets::SyncFile, "cannot be read"),
        // A confirmed save is undone.
        (Forgets::SyncFolderAfterSave, "has the version Some(1) instead of [Some(Some(2)), None]"),
        // A session that was logged out is back.
        (Forgets::SyncFolderAfterLogout, "has the version Some(3) instead of [Some(None), None]"),
    ] {
        let broken = broken_promises(&recorded(forgets).await, Some(lost)).await;
        assert!(broken.iter().any(|it| it.contains(lost)), "{forgets:?} is not noticed: {broken:#?}");
    }
}

/// Passes on what it is told, and cannot sync a folder while it is to fail.
#[derive(Clone, Default)]
struct FailingDisk(Arc<AtomicBool>);

impl Disk for FailingDisk {
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        if self.0.load(Relaxed) { Err(io::Error::other("the disk is dying")) } else { RealDisk.sync_folder(path) }
    }
}

/// The record had taken its place, and the error said that nothing was written: the request was done again on top of itself, and
/// counted twice.
#[tokio::test]
async fn a_change_that_may_not_last_is_no_change_that_failed() {
    let (dir, disk) = (model_dir(), FailingDisk::default());
    let store = FileStore::open_on(Box::new(disk.clone()), dir.path().join("sessions")).await.unwrap();
    disk.0.store(true, Relaxed);
    let unsure = |error: StoreError| error.kind() == StoreErrorKind::Unavailable;
    assert!(unsure(store.create(&record(id(1), 1), NOW).await.unwrap_err()));
    assert!(unsure(store.load(id(1), NOW).await.unwrap_err()), "nobody takes it for stored");
    assert_eq!(store.load(id(2), NOW).await.unwrap().map(|record| record.version), None, "others are not concerned");
    disk.0.store(false, Relaxed);
    assert_eq!(store.load(id(1), NOW).await.unwrap().unwrap().version, 1);
    disk.0.store(true, Relaxed);
    assert!(unsure(store.save(&record(id(1), 2), 1, NOW).await.unwrap_err()));
    disk.0.store(false, Relaxed);
    assert_eq!(store.load(id(1), NOW).await.unwrap().unwrap().version, 2);
    disk.0.store(true, Relaxed);
    assert!(unsure(store.delete_expired(&[id(1)], Timestamp::MAX).await.unwrap_err()));
    assert!(unsure(store.delete(id(1)).await.unwrap_err()));
}

/// The engine looks what became of a save that has failed. What it finds may be gone tomorrow.
#[tokio::test]
async fn a_session_is_not_confirmed_while_its_folder_cannot_be_synced() {
    let (dir, disk) = (model_dir(), FailingDisk::default());
    let store = FileStore::open_on(Box::new(disk.clone()), dir.path().join("sessions")).await.unwrap();
    let manager = SessionManager::new(store);
    let session = manager.create();
    session.insert("n", 1).unwrap();
    disk.0.store(true, Relaxed);
    assert_eq!(manager.commit(&session).await.unwrap_err().kind(), ErrorKind::Unavailable);
    disk.0.store(false, Relaxed);
    assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Issue(_)));
}
