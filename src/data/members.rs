//! Where the members of the top level stand in a text.

use std::ops::{Deref, DerefMut, Range};

/// Where a member's value stands: behind `"key":`, and in front of a comma or the end. Its key follows from the end of the
/// member before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) value: u32,
    pub(super) end: u32,
}

impl Member {
    pub(super) fn value(self) -> Range<usize> {
        self.value as usize..self.end as usize
    }
}

/// The members in their order. One or two are kept in place: an allocation of their own would be larger than they are, and a
/// store in memory may have a million.
#[derive(Clone, Default)]
pub(super) enum Members {
    #[default]
    None,
    One([Member; 1]),
    Two([Member; 2]),
    Many(Vec<Member>),
}

impl Members {
    /// With room for as many in one allocation, if they are not kept in place.
    pub(super) fn with_capacity(members: usize) -> Self {
        if members > 2 { Self::Many(Vec::with_capacity(members)) } else { Self::None }
    }

    pub(super) fn push(&mut self, member: Member) {
        match self {
            Self::None => *self = Self::One([member]),
            Self::One([first]) => *self = Self::Two([*first, member]),
            Self::Two(first) => {
                let mut many = Vec::with_capacity(8);
                many.extend(*first);
                many.push(member);
                *self = Self::Many(many);
            }
            Self::Many(members) => members.push(member),
        }
    }

    pub(super) fn remove(&mut self, index: usize) -> Member {
        let removed = self[index];
        match self {
            Self::None | Self::One(_) => *self = Self::None,
            Self::Two(members) => *self = Self::One([members[1 - index]]),
            Self::Many(members) => drop(members.remove(index)),
        }
        removed
    }

    /// What stands between the quotes of each member's key.
    pub(super) fn keys(&self) -> impl Iterator<Item = Range<usize>> {
        let mut end_of_last = 0;
        self.iter().map(move |member| {
            // `{"` or `,"` in front of it, `":` behind it.
            let key = end_of_last + 2..member.value as usize - 2;
            end_of_last = member.end as usize;
            key
        })
    }
}

impl Deref for Members {
    type Target = [Member];

    fn deref(&self) -> &[Member] {
        match self {
            Self::None => &[],
            Self::One(members) => members,
            Self::Two(members) => members,
            Self::Many(members) => members,
        }
    }
}

impl DerefMut for Members {
    fn deref_mut(&mut self) -> &mut [Member] {
        match self {
            Self::None => &mut [],
            Self::One(members) => members,
            Self::Two(members) => members,
            Self::Many(members) => members,
        }
    }
}
