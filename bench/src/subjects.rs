//! Who is measured.

/// The routes of the workloads, to the functions `read`, `change`, `begin`, `fill`, `slow` and `show` where it stands, and to the
/// one that is named: what loses nothing, or else `change` once more.
macro_rules! routes {
    ($update:ident $($type:tt)*) => {
        axum::Router::new()
            .route($crate::work::UNTOUCHED, axum::routing::get(async || $crate::work::DONE))
            .route($crate::work::READ, axum::routing::get(read $($type)*))
            .route($crate::work::CHANGE, axum::routing::get(change $($type)*))
            .route($crate::work::UPDATE, axum::routing::get($update $($type)*))
            .route($crate::work::BEGIN, axum::routing::get(begin $($type)*))
            .route($crate::work::FILL, axum::routing::get(fill $($type)*))
            .route($crate::work::SLOW, axum::routing::get(slow $($type)*))
            .route($crate::work::SHOW, axum::routing::get(show $($type)*))
    };
}

#[cfg(feature = "full")]
mod actix;
#[cfg(feature = "full")]
mod axum_session;
mod bare;
mod cloakroom;
mod floor;
mod forward;
mod lossless;
#[cfg(feature = "full")]
mod ruts;
#[cfg(feature = "full")]
mod tower_sessions;

use crate::floor::{Secured, Simple};
use crate::rig::Rig;
use crate::work::{BEGIN, CHANGE, COUNTER_AT_FIRST, FILL, READ, SHOW, UNTOUCHED, Work};

#[cfg(feature = "full")]
pub(crate) use cloakroom::routes as cloakroom_routes;
#[cfg(feature = "full")]
pub(crate) use lossless::routes as lossless_routes;

/// An application of one kind, with a session layer or without.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// What its overhead is counted over: the bare handler on the same framework.
    pub(crate) over: &'static str,
    /// Whether it has sessions at all.
    pub(crate) has_sessions: bool,
    /// Whether it has a call that adds to what is stored when it saves, not to what the request has read.
    has_update: bool,
    make: fn() -> Box<dyn Rig>,
}

pub(crate) const BARE: &str = "bare";
pub(crate) const FORWARD: &str = "forwarding layer";
pub(crate) const FLOOR: &str = "floor";
pub(crate) const SECURED: &str = "secured floor";
pub(crate) const LOSSLESS: &str = "lossless floor";
pub(crate) const CLOAKROOM: &str = "cloakroom";
#[cfg(feature = "full")]
pub(crate) const BARE_ACTIX: &str = "bare, actix-web 4";
#[cfg(feature = "full")]
const TOWER_SESSIONS: &str = "tower-sessions 0.15";

/// Everybody, references first.
pub(crate) const ALL: &[Subject] = &[
    Subject { name: BARE, over: BARE, has_sessions: false, has_update: false, make: bare::rig },
    Subject { name: FORWARD, over: BARE, has_sessions: false, has_update: false, make: forward::rig },
    Subject { name: FLOOR, over: BARE, has_sessions: true, has_update: false, make: floor::rig::<Simple> },
    Subject { name: SECURED, over: BARE, has_sessions: true, has_update: false, make: floor::rig::<Secured> },
    Subject { name: LOSSLESS, over: BARE, has_sessions: true, has_update: true, make: lossless::rig },
    Subject { name: CLOAKROOM, over: BARE, has_sessions: true, has_update: true, make: cloakroom::rig },
    #[cfg(feature = "full")]
    Subject { name: TOWER_SESSIONS, over: BARE, has_sessions: true, has_update: false, make: tower_sessions::rig },
    #[cfg(feature = "full")]
    Subject { name: "axum_session 0.22", over: BARE, has_sessions: true, has_update: false, make: axum_session::rig },
    #[cfg(feature = "full")]
    Subject { name: "ruts 0.13", over: BARE, has_sessions: true, has_update: false, make: ruts::rig },
    #[cfg(feature = "full")]
    Subject { name: BARE_ACTIX, over: BARE_ACTIX, has_sessions: false, has_update: false, make: actix::bare },
    #[cfg(feature = "full")]
    Subject {
        name: "actix-session 0.11",
        over: BARE_ACTIX,
        has_sessions: true,
        has_update: false,
        make: actix::with_sessions,
    },
];

pub(crate) fn named(name: &str) -> Option<Subject> {
    ALL.iter().copied().find(|subject| subject.name == name)
}

/// Those that are measured over HTTP, the bare handler first.
#[cfg(feature = "full")]
pub(crate) fn served() -> [(&'static str, axum::Router); 5] {
    use ::cloakroom::{MemoryStore, SessionLayer};

    use crate::floor::lossless::LosslessLayer;
    [
        (BARE, bare::routes()),
        (FLOOR, floor::routes::<Simple>()),
        (LOSSLESS, lossless::routes(LosslessLayer::new())),
        (CLOAKROOM, cloakroom::routes(SessionLayer::new(MemoryStore::new()))),
        (TOWER_SESSIONS, tower_sessions::routes()),
    ]
}

impl Subject {
    /// Whether this is a workload for it.
    pub(crate) fn does(self, work: Work) -> bool {
        work != Work::W4u || self.has_update || !self.has_sessions
    }

    /// A new application with a new store.
    pub(crate) fn rig(self) -> Box<dyn Rig> {
        (self.make)()
    }

    /// A new application, and the cookie of a session in it that has the ten keys.
    pub(crate) fn filled(self) -> (Box<dyn Rig>, String) {
        let mut rig = self.rig();
        let answer = rig.ask(FILL, None);
        assert!(answer.is_done(), "{}: {answer:?}", self.name);
        // Where there are no sessions, a cookie of the same length as ours is sent.
        (rig, answer.cookie.unwrap_or_else(|| format!("__Host-id={}", "k".repeat(64))))
    }

    /// Panics unless the application does what the workloads ask for.
    pub(crate) fn check(self) {
        let (mut rig, own) = self.filled();
        let works: Vec<_> = Work::ALL.into_iter().filter(|work| self.does(*work)).collect();
        for work in &works {
            let answer = rig.ask(work.path(), work.cookie(&own).as_deref());
            assert!(answer.is_done(), "{} {}: {answer:?}", self.name, work.name());
            let hands_out = self.has_sessions && *work == Work::W5;
            // Some hand it out again when they save, others with every answer to whoever has one.
            let has_one = work.cookie(&own).is_some();
            assert!(has_one || answer.cookie.is_some() == hands_out, "{} {}: {answer:?}", self.name, work.name());
        }
        if !self.has_sessions {
            return;
        }
        let show = |rig: &mut dyn Rig, cookie: &str| rig.ask(SHOW, Some(cookie)).body;
        let saved = COUNTER_AT_FIRST + works.iter().filter(|work| matches!(work, Work::W4 | Work::W4u)).count() as u64;
        assert_eq!(show(&mut *rig, &own), saved.to_string(), "{}: saved each time", self.name);
        assert!(rig.ask(CHANGE, Work::W1m.cookie(&own).as_deref()).is_done());
        assert_eq!(show(&mut *rig, &own), (saved + 1).to_string(), "{}: among others", self.name);
        let [first, second] = [rig.ask(BEGIN, None), rig.ask(BEGIN, None)].map(|answer| answer.cookie);
        assert_ne!(first, second, "{}: new sessions have secrets of their own", self.name);
        assert_eq!(show(&mut *rig, &first.expect("a cookie")), "1", "{}: a new session is kept", self.name);
        let stranger = rig.ask(READ, Some("id=AAAAAAAAAAAAAAAAAAAAAA"));
        assert_ne!(stranger.status, 200, "{}: a stranger reads nothing: {stranger:?}", self.name);
        assert!(rig.ask(UNTOUCHED, Some("id=nonsense")).is_done(), "{}: nonsense does no harm", self.name);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn everybody_does_what_the_workloads_ask_for() {
        for subject in super::ALL {
            subject.check();
        }
    }
}
