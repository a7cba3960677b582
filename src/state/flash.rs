//! Values for the next request: what has arrived, what this request has seen of it, and what goes away with its commit.
//!
//! They stand in the data, each as an entry `[value, nonce]` under a name of its group, below a member that applications
//! cannot name. So they are stored, merged and replayed like everything else.

use serde_json::value::RawValue;

use super::State;
use crate::data::{Data, OwnedPath, RESERVED};
use crate::error::SessionError;
use crate::journal::Change;
use crate::policy::Limits;

/// What entries are for. Names of different groups do not meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlashGroup {
    /// Values that the application names.
    Value,
    /// Messages for people, named by their nonces.
    Message,
    /// The input of a form, under one name.
    Input,
}

impl FlashGroup {
    pub(crate) const ALL: [Self; 3] = [Self::Value, Self::Message, Self::Input];

    fn key(self) -> &'static str {
        match self {
            Self::Value => "flash",
            Self::Message => "messages",
            Self::Input => "input",
        }
    }

    pub(crate) fn place(self, name: &str) -> OwnedPath {
        OwnedPath::reserved(&[self.key(), name])
    }
}

/// The stored text of an entry. The nonce tells it from another one with the same value, so that whoever has seen the one
/// does not take away the other.
pub(crate) fn entry(value: &str, nonce: u64, only_next_request: bool) -> String {
    let once = if only_next_request { ",1" } else { "" };
    format!("[{value},\"{nonce:016x}\"{once}]")
}

impl State {
    /// The names and the raw JSON texts of a group's flash values that this request can see.
    pub(crate) fn flash(&self, group: FlashGroup) -> Vec<(Box<str>, Box<str>)> {
        self.flash.as_ref().map_or_else(Vec::new, |flash| flash.visible(group, self.data()))
    }

    /// Somebody has read a flash value: it goes away with this request's commit.
    pub(crate) fn spend_flash(&mut self, group: FlashGroup, name: &str) {
        self.of_arrived(group, name, |arrived| {
            if arrived.fate == Fate::Waits {
                arrived.fate = Fate::Goes;
            }
        });
    }

    /// A flash value stays for another request, read or not.
    pub(crate) fn keep_flash(&mut self, group: FlashGroup, name: &str) {
        self.of_arrived(group, name, |arrived| arrived.fate = Fate::Stays);
    }

    fn of_arrived(&mut self, group: FlashGroup, name: &str, act: impl FnMut(&mut Arrived)) {
        let arrived = self.flash.iter_mut().flat_map(|flash| &mut flash.arrived);
        arrived.filter(|arrived| arrived.group == group && *arrived.name == *name).for_each(act);
    }

    /// Shows a value to this request alone.
    pub(crate) fn show_now(&mut self, name: &str, value: &str) -> Result<(), SessionError> {
        self.check_writable()?;
        self.flash.get_or_insert_default().now.set_member(name, value);
        Ok(())
    }

    /// What is shown to this request alone.
    pub(crate) fn shown_now(&self) -> Vec<(Box<str>, Box<str>)> {
        let now = self.flash.iter().flat_map(|flash| flash.now.members());
        now.map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// Shows a value no more that was for this request alone; all of them if there is no name.
    pub(crate) fn hide_now(&mut self, name: Option<&str>) {
        match (&mut self.flash, name) {
            (Some(flash), Some(name)) => flash.now.remove_member(name),
            (Some(flash), None) => flash.now.clear(),
            (None, _) => {}
        }
    }

    pub(super) fn spent_flash(&self) -> impl Iterator<Item = (OwnedPath, Box<str>)> {
        self.flash.iter().flat_map(|flash| flash.spent(self.data()))
    }

    /// Takes away what was read, but nothing that came under the same name since.
    pub(super) fn remove_spent_flash(&mut self, limits: &Limits) -> Result<(), SessionError> {
        if self.closed.is_some() {
            return Ok(());
        }
        let mut gone: Vec<_> = self.spent_flash().collect();
        if !gone.is_empty() {
            // What is empty then goes too, so that sessions without flash values cost nothing for them.
            let groups = FlashGroup::ALL.map(|group| OwnedPath::reserved(&[group.key()]));
            gone.extend(groups.into_iter().chain([OwnedPath::reserved(&[])]).map(|place| (place, "{}".into())));
        }
        gone.into_iter().try_for_each(|(place, entry)| self.change(Change::RemoveExact(place, entry), limits))
    }
}

/// The flash values of one request.
#[derive(Debug, Default)]
pub(super) struct Flash {
    arrived: Vec<Arrived>,
    /// For this request only: never stored.
    now: Data,
}

#[derive(Debug)]
struct Arrived {
    group: FlashGroup,
    name: Box<str>,
    /// As it is stored.
    entry: Box<str>,
    value: Box<str>,
    fate: Fate,
}

/// What becomes of a flash value when this request has committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Nobody has read it yet.
    Waits,
    Goes,
    /// Somebody wants it to be there for another request, whoever reads it in this one.
    Stays,
}

impl Flash {
    /// What has arrived with a session. `None` if that is nothing, as with most.
    pub(super) fn of(stored: &Data) -> Option<Box<Self>> {
        let own = Data::parse(stored.member(RESERVED)?).ok()?;
        let mut flash = Self::default();
        for group in FlashGroup::ALL {
            let Some(Ok(entries)) = own.member(group.key()).map(Data::parse) else { continue };
            flash.arrived.extend(entries.members().filter_map(|(name, entry)| Arrived::read(group, &name, entry)));
        }
        Some(Box::new(flash))
    }

    /// The names and the raw JSON texts of a group's values that are visible in this request: they are for it alone, or
    /// have arrived and are still there.
    fn visible(&self, group: FlashGroup, data: Option<&Data>) -> Vec<(Box<str>, Box<str>)> {
        let mut visible = Vec::new();
        if group == FlashGroup::Value {
            visible.extend(self.now.members().map(|(name, value)| (name.into(), value.into())));
        }
        for arrived in &self.arrived {
            let is_new = visible.iter().all(|(name, _): &(Box<str>, _)| *name != arrived.name);
            if arrived.group == group && is_new && arrived.is_in(data) {
                visible.push((arrived.name.clone(), arrived.value.clone()));
            }
        }
        visible
    }

    /// What goes away with this request's commit: places and entries.
    fn spent(&self, data: Option<&Data>) -> impl Iterator<Item = (OwnedPath, Box<str>)> {
        let spent = self.arrived.iter().filter(move |arrived| arrived.fate == Fate::Goes && arrived.is_in(data));
        spent.map(|arrived| (arrived.group.place(&arrived.name), arrived.entry.clone()))
    }
}

impl Arrived {
    fn read(group: FlashGroup, name: &str, entry: &str) -> Option<Self> {
        let parts: Vec<&RawValue> = serde_json::from_str(entry).ok()?;
        let value = parts.first()?.get().into();
        let fate = if parts.len() > 2 { Fate::Goes } else { Fate::Waits };
        Some(Self { group, name: name.into(), entry: entry.into(), value, fate })
    }

    fn is_in(&self, data: Option<&Data>) -> bool {
        data.and_then(|data| data.at(&self.group.place(&self.name))) == Some(&self.entry)
    }
}
