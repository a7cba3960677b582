//! Keeps the thread where it is.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// From now on this thread stays on the last core that it may use.
pub(crate) fn to_one_core() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(core) = (0..CpuSet::MAX_CPU).rev().find(|core| allowed.is_set(*core)) {
        one.set(core);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}
