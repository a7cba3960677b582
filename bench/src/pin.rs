//! Keeps the thread where it is.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// While this lives the thread stays where it is. Afterwards it may go wherever it could before: what it starts then, a server or
/// a thread, is not tied to the same core.
#[must_use]
pub(crate) struct Pinned(CpuSet);

impl Drop for Pinned {
    fn drop(&mut self) {
        // As it was before: that was possible.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// The thread stays on the last core that it may use.
pub(crate) fn to_one_core() -> io::Result<Pinned> {
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)) {
        one.set(core);
        sched_setaffinity(None, &one)?;
    }
    Ok(Pinned(allowed))
}
