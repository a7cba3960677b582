//! The store in a folder: one file per session.

mod disk;
mod failure;
mod folder;
mod format;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex;

use super::{
    CreateOutcome, ExpiredRecord, FreshReads, Inventory, Page, Record, SaveOutcome, SessionId, SessionStore,
    StoreError, Timestamp, UserIndex, Version,
};
use disk::{Disk, RealDisk};
use failure::Failure;
use folder::{Folder, Locked, Unsynced};
use format::{Head, PAYLOAD_MAX, USER_MAX};

/// Keeps each session in a file of its own, for one machine.
///
/// What it has confirmed it keeps: a login, a save or a logout that has returned survives a crash of the process and a loss
/// of power. Several processes may share a folder. A record whose file was damaged is noticed by its checksum.
///
/// Clones share one store.
///
/// | | |
/// |---|---|
/// | survives a restart | yes, and a power loss |
/// | several machines | no, and no network file system; several processes of one machine: yes |
/// | user index | yes, by a search through all files |
/// | what can be lost | nothing that was confirmed, as long as the disk keeps what it has confirmed |
///
/// # Cost
///
/// A load reads one file. A write syncs the new file and its folder, which takes the disk some milliseconds; writes on
/// sessions in different folders do not wait for each other. [`records_of`](UserIndex::records_of) and
/// [`expired`](SessionStore::expired) read the head of every file: 10,000 files
/// are opened for 10,000 sessions. If users list their sessions often, or there are many of them, choose a database.
///
/// # In the folder
///
/// A session lies at `3f/3f2504e04f8941d39a0c0305e82c3301`: the first two digits of its id, then the whole id. Folders have
/// the mode 0700, files 0600. What has other names is ignored and never removed, but for `tmp`, which holds what is being
/// written, and `lock`, which must not be removed while a process uses the store. A file that cannot be read as a record is left
/// as it is until its session is destroyed or someone removes it.
///
/// A full disk fails creating and saving, and leaves what is stored as it was; deleting needs no space. A payload may have
/// 1 GiB, a user 1 MiB.
///
/// It needs a tokio runtime, whose threads for blocking work do what waits for the disk. Modes and the sync of folders are
/// for Unix; the store works elsewhere without them.
///
/// # Example
///
/// ```
/// use cloakroom::{FileStore, SessionLayer};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("sessions");
/// // Such as "/var/lib/my-app/sessions". It is made if it is missing.
/// let store = FileStore::open(path).await?;
/// let layer = SessionLayer::new(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FileStore(Arc<Shared>);

struct Shared {
    root: PathBuf,
    disk: Box<dyn Disk>,
    /// Who wants to change a folder waits here first: a waiter for a lock on a file would keep a thread from its work.
    queues: Box<[Arc<Mutex<()>>]>,
    unsynced: Unsynced,
    /// Where the next search for expired records begins: where the last one has stopped.
    next_search: AtomicU8,
}

impl FileStore {
    /// Opens the store in this folder, and makes the folder if there is none.
    ///
    /// The folder should belong to the store alone.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Other`](crate::store::StoreErrorKind::Other) if there is something else at this path, if users
    /// other than the folder's owner may write to it, or if the operating system refuses.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_on(Box::new(RealDisk), path.as_ref().to_path_buf()).await
    }

    async fn open_on(disk: Box<dyn Disk>, path: PathBuf) -> Result<Self, StoreError> {
        let open = move || -> Result<Self, Failure> {
            let (root, unsynced) = (folder::make_root(&*disk, &path)?, Unsynced::default());
            for first_byte in 0..=u8::MAX {
                Folder::new(&*disk, &root, first_byte, &unsynced).prepare()?;
            }
            // Another process may have made some of them, and not have come as far as this.
            disk.sync_folder(&root).map_err(Failure::io("write to the disk the folder", &root))?;
            let queues = (0..=u8::MAX).map(|_| Arc::default()).collect();
            Ok(Self(Arc::new(Shared { root, disk, queues, unsynced, next_search: AtomicU8::new(0) })))
        };
        blocking(move || Ok(open()?)).await
    }

    /// Runs `work` on the folder of a record, where it may block.
    async fn with_folder<T: Send + 'static>(
        &self,
        id: SessionId,
        work: impl FnOnce(&Folder<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.0.clone();
        blocking(move || work(&shared.folder(id.as_bytes()[0]))).await
    }

    /// Runs `work` on the folder of a record while nobody else changes it. Once begun it runs to its end, whether the
    /// caller waits for it or not.
    async fn with_locked<T: Send + 'static>(
        &self,
        id: SessionId,
        work: impl FnOnce(&Locked<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.0.queues[usize::from(id.as_bytes()[0])].clone().lock_owned().await;
        self.with_folder(id, move |folder| {
            let _turn = turn;
            work(&folder.lock()?)
        })
        .await
    }
}

impl Shared {
    fn folder(&self, first_byte: u8) -> Folder<'_> {
        Folder::new(&*self.disk, &self.root, first_byte, &self.unsynced)
    }

    /// The records of a folder that are not live, at most `limit`.
    fn expired_in(&self, first_byte: u8, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, Failure> {
        let folder = self.folder(first_byte);
        let mut expired = Vec::new();
        for id in folder.ids()? {
            if expired.len() == limit {
                break;
            }
            if let Some(head) = known(folder.head(id))?.filter(|head| !head.is_live(now)) {
                expired.push(ExpiredRecord { id, version: head.version, user: head.user });
            }
        }
        Ok(expired)
    }

    /// Deletes those of these records of one folder that are not live.
    fn delete_expired_in(&self, first_byte: u8, ids: &[SessionId], now: Timestamp) -> Result<usize, Failure> {
        let folder = self.folder(first_byte);
        let locked = folder.lock()?;
        locked.remove_temp()?;
        let mut deleted = 0;
        for id in ids {
            // Somebody may have prolonged it, or replaced it by a new one.
            if known(locked.head(*id))?.is_some_and(|head| !head.is_live(now)) && locked.remove(*id)? {
                deleted += 1;
            }
        }
        locked.sync()?;
        Ok(deleted)
    }

    /// As [`Inventory::page`]: folder by folder, in each of them by the id.
    fn page(&self, after: Option<SessionId>, limit: usize) -> Result<Page, Failure> {
        let (mut page, mut last, mut found) = (Page::default(), None, 0);
        for first_byte in after.map_or(0, |id| id.as_bytes()[0])..=u8::MAX {
            let folder = self.folder(first_byte);
            let mut ids = folder.lock()?.ids()?;
            ids.retain(|id| after.is_none_or(|after| *id > after));
            ids.sort_unstable();
            ids.truncate(limit - found);
            (found, last) = (found + ids.len(), ids.last().copied().or(last));
            for id in ids {
                match folder.record(id) {
                    Err(failure) if failure.is_corrupt() || failure.is_newer() => page.unreadable.push(id),
                    record => page.records.extend(record?),
                }
            }
            if found >= limit {
                break;
            }
        }
        page.next = Page::behind(last, found, limit);
        Ok(page)
    }

    fn records_of_in(&self, first_byte: u8, user: &str, now: Timestamp) -> Result<Vec<Record>, Failure> {
        let folder = self.folder(first_byte);
        let mut records = Vec::new();
        // Locked for as long as it takes to list the names: nobody who is saved right now is to be missed.
        let ids = folder.lock()?.ids()?;
        for id in ids {
            if readable(folder.head(id))?.is_none_or(|head| !head.is_live(now) || head.user.as_deref() != Some(user)) {
                continue;
            }
            let record = readable(folder.record(id))?;
            records.extend(record.filter(|record| record.is_live(now) && record.user.as_deref() == Some(user)));
        }
        Ok(records)
    }
}

/// What is corrupt logs nobody in and is no reason to stop a search.
fn readable<T>(found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.is_corrupt() => Ok(None),
        found => found,
    }
}

/// As [`readable`], for a sweep: when something newer expires is not known, and no reason to keep the rest.
fn known<T>(found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.is_newer() => Ok(None),
        found => readable(found),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::unavailable(error)))
}

/// The bytes to store, unless they are too many.
fn payload_of(record: &Record) -> Result<Bytes, StoreError> {
    let payload = record.payload.to_bytes()?;
    if payload.len() > PAYLOAD_MAX {
        return Err(StoreError::too_large(payload.len(), PAYLOAD_MAX));
    }
    match &record.user {
        Some(user) if user.len() > USER_MAX => Err(StoreError::too_large(user.len(), USER_MAX)),
        _ => Ok(payload),
    }
}

/// What a conditional write comes to.
fn compare(stored: Option<&Head>, expected: Version, now: Timestamp) -> SaveOutcome {
    match stored {
        Some(head) if !head.is_live(now) => SaveOutcome::Gone,
        Some(head) if head.version == expected => SaveOutcome::Saved,
        Some(_) => SaveOutcome::Conflict,
        None => SaveOutcome::Gone,
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl SessionStore for FileStore {
    async fn create(&self, record: &Record, now: Timestamp) -> Result<CreateOutcome, StoreError> {
        let (payload, record) = (payload_of(record)?, record.clone());
        self.with_locked(record.id, move |folder| {
            match folder.head(record.id) {
                Ok(Some(head)) if head.is_live(now) => return Ok(CreateOutcome::Exists),
                // Whatever it was, it is not to be overwritten.
                Err(failure) if failure.is_corrupt() => return Ok(CreateOutcome::Exists),
                Err(failure) => return Err(failure.into()),
                Ok(_) => {}
            }
            folder.write(&record, &payload)?;
            Ok(CreateOutcome::Created)
        })
        .await
    }

    async fn load(&self, id: SessionId, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let record = self.with_folder(id, move |folder| Ok(folder.record(id)?)).await?;
        Ok(record.filter(|record| record.is_live(now)))
    }

    async fn save(&self, record: &Record, expected: Version, now: Timestamp) -> Result<SaveOutcome, StoreError> {
        let (payload, record) = (payload_of(record)?, record.clone());
        self.with_locked(record.id, move |folder| {
            let outcome = compare(folder.head(record.id)?.as_ref(), expected, now);
            if outcome == SaveOutcome::Saved {
                folder.write(&record, &payload)?;
            }
            Ok(outcome)
        })
        .await
    }

    async fn touch(
        &self,
        id: SessionId,
        expected: Version,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.with_locked(id, move |folder| {
            let outcome = compare(folder.head(id)?.as_ref(), expected, now);
            if outcome == SaveOutcome::Saved
                && let Some(record) = folder.record(id)?
            {
                let payload = record.payload.to_bytes()?;
                folder.write(&Record { expires_at, ..record }, &payload)?;
            }
            Ok(outcome)
        })
        .await
    }

    async fn delete(&self, id: SessionId) -> Result<(), StoreError> {
        self.with_locked(id, move |folder| {
            folder.remove(id)?;
            // Even if there was none: whoever has removed it may have been killed before this.
            Ok(folder.sync()?)
        })
        .await
    }

    async fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<ExpiredRecord>, StoreError> {
        let shared = self.0.clone();
        blocking(move || {
            let first = shared.next_search.load(Ordering::Relaxed);
            let mut found = Vec::new();
            for step in 0..=u8::MAX {
                let first_byte = first.wrapping_add(step);
                found.append(&mut shared.expired_in(first_byte, now, limit - found.len())?);
                shared.next_search.store(first_byte, Ordering::Relaxed);
                if found.len() == limit {
                    break;
                }
            }
            Ok(found)
        })
        .await
    }

    async fn delete_expired(&self, ids: &[SessionId], now: Timestamp) -> Result<usize, StoreError> {
        let (shared, mut ids) = (self.0.clone(), ids.to_vec());
        blocking(move || {
            ids.sort_unstable();
            let mut deleted = 0;
            for ids in ids.chunk_by(|one, next| one.as_bytes()[0] == next.as_bytes()[0]) {
                deleted += shared.delete_expired_in(ids[0].as_bytes()[0], ids, now)?;
            }
            Ok(deleted)
        })
        .await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }

    fn fresh_reads(&self) -> Option<&dyn FreshReads> {
        None
    }

    fn inventory(&self) -> Option<&dyn Inventory> {
        Some(self)
    }
}

#[async_trait]
impl Inventory for FileStore {
    async fn page(&self, bookmark: Option<&Bytes>, limit: usize) -> Result<Page, StoreError> {
        let (shared, after) = (self.0.clone(), Page::after(bookmark));
        blocking(move || Ok(shared.page(after, limit)?)).await
    }
}

#[async_trait]
impl UserIndex for FileStore {
    async fn records_of(&self, user: &str, now: Timestamp) -> Result<Vec<Record>, StoreError> {
        let (shared, user) = (self.0.clone(), user.to_owned());
        blocking(move || {
            let mut records = Vec::new();
            for first_byte in 0..=u8::MAX {
                records.extend(shared.records_of_in(first_byte, &user, now)?);
            }
            Ok(records)
        })
        .await
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("root", &self.0.root).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
