//! What copies of a part of the data have to know: whether it was taken away since they were made.

use crate::data::OwnedPath;
use crate::journal::Change;

/// The changes of a request that have taken data away as a whole.
#[derive(Debug, Default)]
pub(super) struct Wipes {
    count: usize,
    /// With their numbers. What was before one that leaves nothing says nothing more.
    last: Vec<(usize, Change)>,
}

impl Wipes {
    /// Takes note of a change, if it is one of these.
    pub(super) fn note(&mut self, change: &Change) {
        match change {
            Change::Clear => self.last.clear(),
            Change::Keep(_) => {}
            _ => return,
        }
        self.count += 1;
        self.last.push((self.count, change.clone()));
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether what stands at a place was taken away since there were so many.
    pub(super) fn have_hit(&self, place: &OwnedPath, since: usize) -> bool {
        self.last.iter().any(|(number, wipe)| *number > since && wipe.touches(place))
    }
}
