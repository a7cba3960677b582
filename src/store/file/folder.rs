//! A folder of records, and the lock without which nothing in it is changed.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::disk::{Disk, private};
use super::failure::Failure;
use super::format::{self, Head};
use crate::record::Record;
use crate::token::SessionId;

/// Never removed: whoever waits for a lock waits for that of this very file.
const LOCK: &str = "lock";

/// Holds what is being written. There is one at most, for it takes the lock to make it.
const TEMP: &str = "tmp";

/// One of the folders that share the records by the first byte of their ids.
pub(super) struct Folder<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    first_byte: u8,
    unsynced: &'a Unsynced,
}

/// The folders, by their first bytes, of which a power loss may undo what has taken effect already.
#[derive(Default)]
pub(super) struct Unsynced(Mutex<BTreeSet<u8>>);

impl Unsynced {
    fn folders(&self) -> MutexGuard<'_, BTreeSet<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A folder that nobody else changes, in this process or in another one.
pub(super) struct Locked<'a> {
    folder: &'a Folder<'a>,
    file: File,
}

impl<'a> Folder<'a> {
    pub(super) fn new(disk: &'a dyn Disk, root: &Path, first_byte: u8, unsynced: &'a Unsynced) -> Self {
        Self { disk, path: root.join(format!("{first_byte:02x}")), first_byte, unsynced }
    }

    /// Makes the folder with all that its records need, and removes what a process that was killed has left in it.
    pub(super) fn prepare(&self) -> Result<(), Failure> {
        self.disk.make_folder(&self.path).map_err(Failure::io("make the folder", &self.path))?;
        check_private(&self.path)?;
        let file = self.lock_file()?;
        match file.try_lock() {
            Ok(()) => Locked { folder: self, file }.remove_temp(),
            // Somebody is at work, so what lies there is theirs. Whoever is at work next clears away what they leave.
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(error)) => Err(Failure::io("lock", &self.path)(error)),
        }
    }

    fn lock_file(&self) -> Result<File, Failure> {
        let path = self.path.join(LOCK);
        let mut options = OpenOptions::new();
        private(options.read(true).append(true).create(true)).open(&path).map_err(Failure::io("open", &path))
    }

    /// Waits until nobody else changes the folder.
    pub(super) fn lock(&'a self) -> Result<Locked<'a>, Failure> {
        let file = self.lock_file()?;
        loop {
            match file.lock() {
                Ok(()) => return Ok(Locked { folder: self, file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::io("lock", &self.path)(error)),
            }
        }
    }

    fn file_of(&self, id: SessionId) -> PathBuf {
        self.path.join(id.as_uuid().simple().to_string())
    }

    /// The record, live or not. Needs no lock: a file is replaced in one step.
    pub(super) fn record(&self, id: SessionId) -> Result<Option<Record>, Failure> {
        self.read(id, format::read_record)
    }

    /// The record without its payload, live or not. Needs no lock.
    pub(super) fn head(&self, id: SessionId) -> Result<Option<Head>, Failure> {
        self.read(id, format::read_head)
    }

    fn read<T>(
        &self,
        id: SessionId,
        read: impl FnOnce(SessionId, &mut File) -> io::Result<Result<T, format::Unreadable>>,
    ) -> Result<Option<T>, Failure> {
        self.sync_again()?;
        let path = self.file_of(id);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::io("open", &path)(error)),
        };
        let found = read(id, &mut file).map_err(Failure::io("read", &path))?;
        found.map(Some).map_err(Failure::unreadable(path))
    }

    fn sync(&self) -> Result<(), Failure> {
        let synced = self.disk.sync_folder(&self.path).map_err(Failure::not_synced(&self.path));
        if synced.is_err() {
            self.unsynced.folders().insert(self.first_byte);
        }
        synced
    }

    /// Whoever finds a change here takes it for one that lasts: a caller, for one, who looks what became of a write that has failed.
    fn sync_again(&self) -> Result<(), Failure> {
        let is_synced = !self.unsynced.folders().contains(&self.first_byte);
        if is_synced {
            return Ok(());
        }
        self.sync()?;
        self.unsynced.folders().remove(&self.first_byte);
        Ok(())
    }

    /// The ids of all records, live or not.
    ///
    /// A record that is replaced meanwhile may be missing on some file systems, unless the folder is locked.
    pub(super) fn ids(&self) -> Result<Vec<SessionId>, Failure> {
        let failed = || Failure::io("list the folder", &self.path);
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let id = entry.file_name().to_str().and_then(id_of).filter(|id| id.as_bytes()[0] == self.first_byte);
            // Whatever else lies here belongs to others.
            if let Some(id) = id
                && entry.file_type().is_ok_and(|kind| kind.is_file())
            {
                ids.push(id);
            }
        }
        Ok(ids)
    }
}

impl Locked<'_> {
    pub(super) fn ids(&self) -> Result<Vec<SessionId>, Failure> {
        self.folder.ids()
    }

    pub(super) fn record(&self, id: SessionId) -> Result<Option<Record>, Failure> {
        self.folder.record(id)
    }

    pub(super) fn head(&self, id: SessionId) -> Result<Option<Head>, Failure> {
        self.folder.head(id)
    }

    /// Stores a record in the place of the one that has its id, if there is one. When this has returned, a power loss does
    /// not undo it; when it fails, what was stored is stored still, unless no more than the [sync](Self::sync) has failed.
    pub(super) fn write(&self, record: &Record, payload: &[u8]) -> Result<(), Failure> {
        let Folder { disk, path: folder, .. } = self.folder;
        let (temp, path) = (folder.join(TEMP), self.folder.file_of(record.id));
        self.remove_temp()?;
        let replace = || {
            let file = disk.write(&temp, &[&format::encode_head(record, payload), payload])?;
            disk.sync_file(&file, &temp)?;
            // Some systems do not rename a file that is open.
            drop(file);
            disk.rename(&temp, &path)
        };
        if let Err(error) = replace() {
            // If this fails too, the next write or the next start does it.
            let _ = disk.unlink(&temp);
            return Err(Failure::io("write", &path)(error));
        }
        self.sync()
    }

    /// `false` if there is no such record. A power loss undoes it until [`sync`](Self::sync) has returned.
    pub(super) fn remove(&self, id: SessionId) -> Result<bool, Failure> {
        let path = self.folder.file_of(id);
        self.folder.disk.unlink(&path).map_err(Failure::io("remove", &path))
    }

    /// If it fails, what was done to the folder has taken effect all the same, and a power loss may undo it.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.folder.sync()
    }

    /// Removes what a process that was killed has left. Who holds the lock knows that nobody is writing it.
    pub(super) fn remove_temp(&self) -> Result<(), Failure> {
        let path = self.folder.path.join(TEMP);
        self.folder.disk.unlink(&path).map_err(Failure::io("remove", &path)).map(|_| ())
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // A process that is just being started has a copy of the descriptor, so that closing it might not unlock it.
        let _ = self.file.unlock();
    }
}

/// The id that a file's name spells, if it does so as this store would.
fn id_of(name: &str) -> Option<SessionId> {
    if name.len() != 32 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    u128::from_str_radix(name, 16).ok().map(|number| SessionId::from_bytes(number.to_be_bytes()))
}

/// Makes the folder of a store and those above it, for good, and refuses one in which others could plant records.
pub(super) fn make_root(disk: &dyn Disk, path: &Path) -> Result<PathBuf, Failure> {
    let path = std::path::absolute(path).map_err(Failure::io("find", path))?;
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    for folder in missing.into_iter().rev() {
        disk.make_folder(folder).map_err(Failure::io("make the folder", folder))?;
        if let Some(parent) = folder.parent() {
            disk.sync_folder(parent).map_err(Failure::io("write to the disk the folder", parent))?;
        }
    }
    check_private(&path)?;
    fs::canonicalize(&path).map_err(Failure::io("find", &path))
}

fn check_private(path: &Path) -> Result<(), Failure> {
    let metadata = fs::metadata(path).map_err(Failure::io("look at the folder", path))?;
    if !metadata.is_dir() {
        return Err(Failure::not_a_folder(path));
    }
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::mode(&metadata) & 0o022 != 0 {
        return Err(Failure::writable_for_others(path));
    }
    Ok(())
}
