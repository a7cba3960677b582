//! How long sessions live ([`SessionPolicy`]) and how large they may grow ([`Limits`]).

mod describe;

use std::time::{Duration, SystemTime};

use crate::clock::Timestamp;
use crate::error::ConfigError;

pub(crate) use describe::{Row, table};

/// Browsers keep no cookie for longer: RFC 6265bis section 5.5.
pub(crate) const COOKIE_LIFETIME_MAX: Duration = days(400);

/// Browsers give this much of a request's time to answer before they give up, and so does this crate to requests that
/// were under way when the secret was replaced: until then they are known as latecomers, and not as strangers.
pub(crate) const LATECOMERS: Duration = Duration::from_mins(1);

/// How long sessions live.
///
/// | preset | idle | absolute | reason |
/// |---|---|---|---|
/// | [`aal1`](Self::aal1) | 7 d | 30 d | NIST SP 800-63B-4 section 2.1.3: at most 30 days overall |
/// | [`aal2`](Self::aal2), the default | 1 h | 24 h | section 2.2.3: at most 24 hours, at most 1 hour of inactivity |
/// | [`aal3`](Self::aal3) | 15 min | 12 h | section 2.3.3: at most 12 hours, at most 15 minutes of inactivity |
///
/// A session dies when its idle timeout has passed since it was last used, and at its absolute deadline whatever is done
/// with it (ASVS 7.3.1, 7.3.2). Both are kept on the server; what the browser is told changes nothing.
///
/// # Example: half an hour of inactivity, eight hours overall
///
/// ```
/// use cloakroom::{MemoryStore, SessionLayer, SessionPolicy};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), cloakroom::ConfigError> {
/// let policy = SessionPolicy::aal2()
///     .idle(Duration::from_mins(30))
///     .absolute(Duration::from_hours(8));
/// let layer = SessionLayer::new(MemoryStore::new()).policy(policy)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct SessionPolicy {
    idle: Duration,
    absolute: Duration,
    touch_after: Option<Duration>,
    persistent: bool,
    conflicts: Conflicts,
    best_effort: bool,
    flash_lifetime: FlashLifetime,
    on_consent: bool,
    max_sessions: Option<(usize, WhenFull)>,
    not_before: Option<SystemTime>,
    rotation: Option<TimedRotation>,
    on_replay: OnReplay,
}

/// How often the secret of a session is replaced, and for how long the one before stays good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimedRotation {
    pub(crate) interval: Duration,
    pub(crate) grace: Duration,
}

/// When a flash value goes away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashLifetime {
    /// With the request that reads it. Requests that do not, such as a script that polls, leave it for the page that shows
    /// it.
    #[default]
    UntilRead,
    /// With the next request that opens the session, read or not.
    NextRequest,
}

/// What becomes of a write whose key another request changed since this one read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflicts {
    /// The later write stands, as in every other session system. [`Session::update`](crate::Session::update) loses
    /// nothing all the same: it is done again on what is there.
    #[default]
    LastWriteWins,
    /// The request fails with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict), answered as 409, and keeps nothing.
    /// Only keys that the request has read *and* then written count.
    Refuse,
}

/// What becomes of a login if the user has as many sessions as they may have already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It stands, and the session that has gone longest without a login ends.
    EndOldest,
    /// It fails with [`ErrorKind::TooManySessions`](crate::ErrorKind::TooManySessions), answered as 409. Nothing that the
    /// request has changed is kept; the session is as it was before. A login costs five calls to the store
    /// more.
    RefuseNewest,
}

/// What becomes of a session whose replaced secret is shown after its grace ([`SessionPolicy::rotate_every`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnReplay {
    /// It ends, for everybody. The thief and the owner cannot be told apart, and the owner can log in again.
    #[default]
    EndSession,
    /// It goes on for whoever holds the new secret. The one who has shown the old one is anonymous, and
    /// [`SessionEvent::Replayed`](crate::SessionEvent::Replayed) tells the operator.
    Report,
}

impl Default for SessionPolicy {
    fn default() -> Self {
        Self::aal2()
    }
}

impl SessionPolicy {
    /// For accounts of low risk: a week of inactivity, 30 days overall.
    pub const fn aal1() -> Self {
        Self::new(days(7), days(30))
    }

    /// For most applications, and the default: an hour of inactivity, 24 hours overall.
    pub const fn aal2() -> Self {
        Self::new(hours(1), hours(24))
    }

    /// For high risk: 15 minutes of inactivity, 12 hours overall.
    pub const fn aal3() -> Self {
        Self::new(Duration::from_mins(15), hours(12))
    }

    const fn new(idle: Duration, absolute: Duration) -> Self {
        Self {
            idle,
            absolute,
            touch_after: None,
            persistent: false,
            conflicts: Conflicts::LastWriteWins,
            best_effort: false,
            flash_lifetime: FlashLifetime::UntilRead,
            on_consent: false,
            max_sessions: None,
            not_before: None,
            rotation: None,
            on_replay: OnReplay::EndSession,
        }
    }

    /// How long a session lives without being used. Not longer than the absolute lifetime.
    pub const fn idle(mut self, timeout: Duration) -> Self {
        self.idle = timeout;
        self
    }

    /// How long a session lives from its creation, used or not.
    pub const fn absolute(mut self, lifetime: Duration) -> Self {
        self.absolute = lifetime;
        self
    }

    /// How much of the idle timeout has to be used up before a request that only reads moves the expiry. A tenth of the
    /// idle timeout if not given. Shorter than the idle timeout.
    ///
    /// So a session may die up to this much earlier than its last reading use plus the idle timeout; in return most
    /// requests cost no write.
    pub const fn touch_after(mut self, used: Duration) -> Self {
        self.touch_after = Some(used);
        self
    }

    /// Whether the browser keeps the cookie when it is closed: `Max-Age` says how long the session has left, and is sent
    /// anew whenever the expiry moves. Off by default (NIST SP 800-63B-4 section 5.1: session secrets should not be
    /// persistent); [`Session::remember`](crate::Session::remember) turns it on for one session.
    pub const fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// What becomes of a write whose key another request changed since this one read it.
    pub const fn conflicts(mut self, conflicts: Conflicts) -> Self {
        self.conflicts = conflicts;
        self
    }

    /// Whether a request whose data cannot be saved just now is answered as if nothing had happened: the store is down or slow, others
    /// have saved the session until [`Limits::commit_timeout`](crate::Limits::commit_timeout) was over, or its record is of a newer
    /// version of this crate. Off by default: it is answered as 503. Holds for data alone; a new secret, a longer life or an
    /// end that cannot be stored always fails the request.
    pub const fn best_effort(mut self, best_effort: bool) -> Self {
        self.best_effort = best_effort;
        self
    }

    /// When flash values go away that are set from now on. See [`Session::flash`](crate::Session::flash).
    pub const fn flash_lifetime(mut self, lifetime: FlashLifetime) -> Self {
        self.flash_lifetime = lifetime;
        self
    }

    /// Whether a visitor has to agree before there is a session. Off by default.
    ///
    /// Until [`Session::consent`](crate::Session::consent) is called, whatever is written to a new session is there for the
    /// rest of the request and then forgotten: nothing is stored, and no cookie is set. Afterwards the session itself is the
    /// agreement; [`destroy`](crate::Session::destroy) takes it back.
    pub const fn on_consent(mut self, wait: bool) -> Self {
        self.on_consent = wait;
        self
    }

    /// How many sessions a user may have at a time (ASVS 7.1.2): at least 1. Any number if not given. Counted are those of
    /// one namespace and one [name](crate::SessionManager::name), at each login. Needs a store with a user index.
    ///
    /// However many log in at the same instant, in however many processes, no more than this are left when the last of their
    /// requests is answered. Which login is the older one is told by the clocks of the servers. A request that cannot ask the
    /// store after its login is stored leaves one too many to the next login.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionLayer, SessionPolicy, WhenFull};
    ///
    /// # fn main() -> Result<(), cloakroom::ConfigError> {
    /// let policy = SessionPolicy::aal2().max_sessions(3, WhenFull::EndOldest);
    /// let layer = SessionLayer::new(MemoryStore::new()).policy(policy)?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn max_sessions(mut self, sessions: usize, when_full: WhenFull) -> Self {
        self.max_sessions = Some((sessions, when_full));
        self
    }

    /// Sessions from before this time are over, all of them, on any store: to begin anew after an incident (ASVS 7.4.5).
    ///
    /// They open nothing from the moment on when a process runs with this policy; all processes have to. Their records go
    /// when they expire. Takes no call to the store.
    pub const fn not_before(mut self, time: SystemTime) -> Self {
        self.not_before = Some(time);
        self
    }

    /// Replaces the secret of a session again and again, so that a stolen token is of use for a short time and its use
    /// is noticed. Off by default.
    ///
    /// The first request that comes `interval` or more after the last new secret gets the next one with its answer, in the
    /// save that it makes anyway or in one of its own. The one before stays good until the client has shown the new one, so
    /// that a lost answer logs nobody out, and then for `grace`, for requests that had left the browser before: whoever shows
    /// it meanwhile is told the same new one, by any process. So there is one good secret and at most one in grace.
    ///
    /// Whoever shows a replaced secret after its grace has it from somewhere else, or somebody else has taken the
    /// new one: the session ends, and [`SessionEvent::Replayed`](crate::SessionEvent::Replayed) says so;
    /// [`on_replay`](Self::on_replay) changes that. So a thief who goes on using a stolen token is found within
    /// one interval and one grace of the owner's own use. Not found is who follows the rotation together with the owner,
    /// showing each new secret before the grace of the last one is over. The last four secrets are known for that.
    ///
    /// `grace` has to be longer than a request takes to arrive and than the clocks of the servers differ, and `interval` longer
    /// than `grace`: 15 minutes and one minute are good values. A rotation costs two writes, one for the new secret and one when
    /// it is first shown; a request whose write is not possible just then goes on with what it has. A request that began with a
    /// good secret, and a [`DetachedSession`](crate::DetachedSession), go on as well.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionLayer, SessionPolicy};
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), cloakroom::ConfigError> {
    /// let policy = SessionPolicy::aal2().rotate_every(Duration::from_mins(15), Duration::from_mins(1));
    /// let layer = SessionLayer::new(MemoryStore::new()).policy(policy)?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn rotate_every(mut self, interval: Duration, grace: Duration) -> Self {
        self.rotation = Some(TimedRotation { interval, grace });
        self
    }

    /// What becomes of a session whose replaced secret is shown after its grace. It ends if not given.
    pub const fn on_replay(mut self, reaction: OnReplay) -> Self {
        self.on_replay = reaction;
        self
    }

    pub(crate) const fn timed_rotation(&self) -> Option<TimedRotation> {
        self.rotation
    }

    /// How long a secret that the timer has replaced stays good once the new one was shown.
    pub(crate) fn rotation_grace(&self) -> Duration {
        // It was replaced under another policy if there is none in this one.
        self.rotation.map_or(LATECOMERS, |rotation| rotation.grace)
    }

    pub(crate) const fn ends_at_replay(&self) -> bool {
        matches!(self.on_replay, OnReplay::EndSession)
    }

    pub(crate) const fn most_sessions(&self) -> Option<(usize, WhenFull)> {
        self.max_sessions
    }

    /// Whether a session of this age may still be used.
    pub(crate) fn admits(&self, created_at: Timestamp) -> bool {
        self.not_before.is_none_or(|first| created_at >= first.into())
    }

    pub(crate) const fn flash_is_for_next_request_only(&self) -> bool {
        matches!(self.flash_lifetime, FlashLifetime::NextRequest)
    }

    pub(crate) const fn waits_for_consent(&self) -> bool {
        self.on_consent
    }

    pub(crate) const fn is_best_effort(&self) -> bool {
        self.best_effort
    }

    /// What [`idle`](Self::idle) was given.
    pub const fn idle_timeout(&self) -> Duration {
        self.idle
    }

    /// What [`absolute`](Self::absolute) was given.
    pub const fn absolute_lifetime(&self) -> Duration {
        self.absolute
    }

    /// What [`persistent`](Self::persistent) was given.
    pub const fn is_persistent(&self) -> bool {
        self.persistent
    }

    pub(crate) const fn refuses_conflicts(&self) -> bool {
        matches!(self.conflicts, Conflicts::Refuse)
    }

    /// The touch threshold for a session whose idle timeout is `idle`, which may be its own.
    pub(crate) fn touch_threshold(&self, idle: Duration) -> Duration {
        match self.touch_after {
            Some(used) if idle == self.idle => used,
            _ => idle / 10,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (option, duration) in [("SessionPolicy::idle", self.idle), ("SessionPolicy::absolute", self.absolute)] {
            if duration.as_millis() == 0 {
                return Err(ConfigError::ZeroDuration { option });
            }
        }
        if self.idle > self.absolute {
            return Err(ConfigError::NotShorter { shorter: "SessionPolicy::idle", longer: "SessionPolicy::absolute" });
        }
        if self.touch_after.is_some_and(|used| used >= self.idle) {
            return Err(ConfigError::NotShorter {
                shorter: "SessionPolicy::touch_after",
                longer: "SessionPolicy::idle",
            });
        }
        if self.persistent && self.idle > COOKIE_LIFETIME_MAX {
            return Err(ConfigError::CookieLifetime { lifetime: self.idle });
        }
        if let Some(TimedRotation { interval, grace }) = self.rotation {
            if grace.as_millis() == 0 {
                return Err(ConfigError::Limit {
                    option: "SessionPolicy::rotate_every",
                    range: "with a grace of a millisecond at least",
                });
            }
            if grace >= interval {
                return Err(ConfigError::Limit {
                    option: "SessionPolicy::rotate_every",
                    range: "with a grace that is shorter than the interval",
                });
            }
            // Else there would be cookies on their way all the time, and no moment for a new secret.
            if self.persistent && grace >= self.touch_threshold(self.idle) {
                return Err(ConfigError::Limit {
                    option: "SessionPolicy::rotate_every",
                    range: "with a grace that is shorter than touch_after where cookies are persistent",
                });
            }
        }
        if matches!(self.max_sessions, Some((0, _))) {
            return Err(ConfigError::Limit { option: "SessionPolicy::max_sessions", range: "at least 1" });
        }
        Ok(())
    }
}

/// How large sessions may grow and how long the store may take.
///
/// | limit | default |
/// |---|---|
/// | [`data_bytes`](Self::data_bytes) | 64 KiB |
/// | [`depth`](Self::depth) | 32 |
/// | [`operation_timeout`](Self::operation_timeout) | 5 s |
/// | [`commit_timeout`](Self::commit_timeout) | 15 s |
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Limits {
    data_bytes: usize,
    depth: usize,
    operation_timeout: Duration,
    commit_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            data_bytes: 64 << 10,
            depth: 32,
            operation_timeout: Duration::from_secs(5),
            commit_timeout: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// Size of a session's data as JSON text, in bytes: from 2 to 1 GiB. The call that would go beyond it fails with
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) and changes nothing.
    pub const fn data_bytes(mut self, bytes: usize) -> Self {
        self.data_bytes = bytes;
        self
    }

    /// How deep values may be nested, the session itself being level 1: from 2 to 127. The call that would go beyond it
    /// fails with [`ErrorKind::TooDeep`](crate::ErrorKind::TooDeep) and changes nothing.
    pub const fn depth(mut self, levels: usize) -> Self {
        self.depth = levels;
        self
    }

    /// How long one call to the store may take, before it fails with
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut).
    pub const fn operation_timeout(mut self, timeout: Duration) -> Self {
        self.operation_timeout = timeout;
        self
    }

    /// How long a commit may take with all its retries.
    pub const fn commit_timeout(mut self, timeout: Duration) -> Self {
        self.commit_timeout = timeout;
        self
    }

    pub(crate) const fn max_data_bytes(&self) -> usize {
        self.data_bytes
    }

    pub(crate) const fn max_depth(&self) -> usize {
        self.depth
    }

    pub(crate) const fn max_operation_time(&self) -> Duration {
        self.operation_timeout
    }

    pub(crate) const fn max_commit_time(&self) -> Duration {
        self.commit_timeout
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        if !(2..=1 << 30).contains(&self.data_bytes) {
            return Err(ConfigError::Limit { option: "Limits::data_bytes", range: "between 2 bytes and 1 GiB" });
        }
        // serde_json reads nothing that is nested deeper.
        if !(2..=127).contains(&self.depth) {
            return Err(ConfigError::Limit { option: "Limits::depth", range: "between 2 and 127" });
        }
        for (option, timeout) in
            [("Limits::operation_timeout", self.operation_timeout), ("Limits::commit_timeout", self.commit_timeout)]
        {
            if timeout.is_zero() {
                return Err(ConfigError::ZeroDuration { option });
            }
        }
        Ok(())
    }
}

const fn hours(n: u64) -> Duration {
    Duration::from_hours(n)
}

const fn days(n: u64) -> Duration {
    hours(n * 24)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_and_defaults_are_valid() {
        for policy in [SessionPolicy::aal1(), SessionPolicy::aal2(), SessionPolicy::aal3()] {
            assert_eq!(policy.validate(), Ok(()));
        }
        assert_eq!(SessionPolicy::default(), SessionPolicy::aal2());
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn contradictions_are_refused() {
        let base = SessionPolicy::aal2;
        let refused = [
            ("idle is zero", base().idle(Duration::ZERO)),
            ("absolute is zero", base().absolute(Duration::ZERO)),
            ("idle beyond absolute", base().idle(days(2))),
            ("touch beyond idle", base().touch_after(hours(1))),
            ("no grace", base().rotate_every(hours(1), Duration::ZERO)),
            ("a grace as long as the interval", base().rotate_every(hours(1), hours(1))),
            ("cookies under way all the time", base().persistent(true).rotate_every(hours(1), hours(1) / 10)),
            ("no session at all", base().max_sessions(0, WhenFull::EndOldest)),
            ("SC-07: cookie beyond 400 days", base().persistent(true).idle(days(401)).absolute(days(500))),
        ];
        for (name, policy) in refused {
            assert!(policy.validate().is_err(), "{name}");
        }
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        for limits in [
            Limits::default().data_bytes(1),
            Limits::default().data_bytes(usize::MAX),
            Limits::default().depth(1),
            Limits::default().depth(128),
            Limits::default().operation_timeout(Duration::ZERO),
            Limits::default().commit_timeout(Duration::ZERO),
        ] {
            assert!(limits.validate().is_err(), "{limits:?}");
        }
    }

    #[test]
    fn endless_durations_do_not_overflow() {
        let endless = SessionPolicy::aal2().idle(Duration::MAX).absolute(Duration::MAX);
        assert_eq!(endless.validate(), Ok(()));
        assert!(endless.touch_threshold(Duration::MAX) > Duration::ZERO);
    }
}
