//! What goes wrong with files, and what to do about it.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::format::Unreadable;
use crate::error::StoreError;

/// Why a file or folder could not be used.
#[derive(Debug)]
pub(super) struct Failure {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    /// What was to be done, and why it could not.
    Io(&'static str, io::Error),
    /// What is done already may not outlive a power loss.
    NotSynced(io::Error),
    Unreadable(Unreadable),
    NotAFolder,
    WritableForOthers,
}

impl Failure {
    /// For `map_err`: `doing` completes "cannot …".
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self { path, cause: Cause::Io(doing, error) }
    }

    /// For `map_err`: the folder was changed, and could not be written to the disk.
    pub(super) fn not_synced(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |error| Self { path, cause: Cause::NotSynced(error) }
    }

    pub(super) fn unreadable(path: PathBuf) -> impl FnOnce(Unreadable) -> Self {
        move |why| Self { path, cause: Cause::Unreadable(why) }
    }

    pub(super) fn not_a_folder(path: &Path) -> Self {
        Self { path: path.to_path_buf(), cause: Cause::NotAFolder }
    }

    pub(super) fn writable_for_others(path: &Path) -> Self {
        Self { path: path.to_path_buf(), cause: Cause::WritableForOthers }
    }

    /// Whether the file was read and is no record.
    pub(super) fn is_corrupt(&self) -> bool {
        matches!(self.cause, Cause::Unreadable(Unreadable::Corrupt(_)))
    }

    /// Whether a newer version of this crate has written the file.
    pub(super) fn is_newer(&self) -> bool {
        matches!(self.cause, Cause::Unreadable(Unreadable::Newer(_)))
    }

    /// Whether the same may succeed a little later, or has taken effect and is not certain to last.
    fn is_passing(&self) -> bool {
        use io::ErrorKind::{Interrupted, OutOfMemory, ResourceBusy, TimedOut, WouldBlock};
        match &self.cause {
            Cause::Io(_, error) => {
                matches!(error.kind(), Interrupted | OutOfMemory | ResourceBusy | TimedOut | WouldBlock)
                    || out_of_descriptors(error)
            }
            // What is newer is somebody's good session, for processes that are up to date.
            Cause::NotSynced(_) | Cause::Unreadable(Unreadable::Newer(_)) => true,
            _ => false,
        }
    }
}

/// ENFILE or EMFILE: the standard library has no name for them.
fn out_of_descriptors(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Io(doing, error) => {
                write!(f, "cannot {doing} {path}: {error}")?;
                match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        f.write_str("; free some space on the disk: sessions stay as they were, and logout still works")
                    }
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("; the folder and all in it have to belong to the user of this process")
                    }
                    _ if out_of_descriptors(error) => f.write_str("; raise the limit of open files"),
                    _ => Ok(()),
                }
            }
            Cause::NotSynced(error) => {
                write!(f, "cannot write to the disk the folder {path}: {error}; a power loss may undo its last change")
            }
            Cause::Unreadable(Unreadable::Corrupt(why)) => {
                write!(f, "{path} is not a record: {why}; it was left as it is")
            }
            Cause::Unreadable(Unreadable::Newer(format)) => {
                write!(f, "{path} has the format {format} of a newer version of this crate; it was left as it is")
            }
            Cause::NotAFolder => write!(f, "{path} is not a folder: give the path of a folder of its own"),
            Cause::WritableForOthers => {
                write!(f, "others may write to {path}, so they could plant sessions: run 'chmod go-w' on it")
            }
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.cause {
            Cause::Io(_, error) | Cause::NotSynced(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        if failure.is_corrupt() {
            Self::corrupt(failure)
        } else if failure.is_passing() {
            Self::unavailable(failure)
        } else {
            Self::other(failure)
        }
    }
}
