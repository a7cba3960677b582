//! The steps by which files change. A power loss may come after each of them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// What the store does to a disk. As a trait so that a test can write the steps down, and lose some of them.
pub(super) trait Disk: Send + Sync {
    /// Makes a folder for nobody but this process's user, if there is none.
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    /// Writes a new file.
    fn write(&self, path: &Path, parts: &[&[u8]]) -> io::Result<File> {
        let mut file = private(OpenOptions::new().write(true).create_new(true)).open(path)?;
        for part in parts {
            file.write_all(part)?;
        }
        Ok(file)
    }

    /// From here on a power loss leaves the contents of the file as they are.
    fn sync_file(&self, file: &File, path: &Path) -> io::Result<()> {
        let _ = path;
        file.sync_all()
    }

    /// Moves a file in the place of another one, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file. `false` if there is none.
    fn unlink(&self, path: &Path) -> io::Result<bool> {
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// From here on a power loss leaves the names in the folder as they are.
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        // Elsewhere a folder cannot be opened as a file, and file systems keep names in order by themselves.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }
}

/// The disk of the machine.
pub(super) struct RealDisk;

impl Disk for RealDisk {}

/// Files are for nobody but this process's user.
pub(super) fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}
