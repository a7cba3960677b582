//! The options that settings stand for.

use std::time::Duration;

use super::{SEALING_KEYS, SessionConfig, quantity};
use crate::codec::{Codec, JsonCodec};
#[cfg(feature = "sealed")]
use crate::codec::{KeyRing, SealedCodec};
use crate::error::ConfigError;
use crate::http::{CookiePrefix, SameSite, SessionCookie, SessionHeader, Transport};
use crate::policy::{Conflicts, FlashLifetime, Limits, OnReplay, SessionPolicy, WhenFull};
use crate::store::StoreUrl;

impl SessionConfig {
    /// Looks at every value by itself. What contradicts another one may yet be overridden.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        self.store()?;
        self.codec()?;
        self.flag("save_on_server_error")?;
        drop(self.transport()?);
        drop(self.policy()?);
        self.limits().map(drop)
    }

    pub(super) fn store(&self) -> Result<Option<StoreUrl>, ConfigError> {
        let parsed = self.text("store").map(str::parse).transpose();
        parsed.map_err(|error: ConfigError| match error {
            ConfigError::StoreUrl { problem } => wrong("store", problem),
            other => other,
        })
    }

    pub(super) fn codec(&self) -> Result<Box<dyn Codec>, ConfigError> {
        let codec: Box<dyn Codec> = match self.one_of("codec", &[("json", false), ("message-pack", true)])? {
            None | Some(false) => Box::new(JsonCodec),
            #[cfg(feature = "message-pack")]
            Some(true) => Box::new(crate::codec::MessagePackCodec),
            #[cfg(not(feature = "message-pack"))]
            Some(true) => return Err(wrong("codec", "needs the feature `message-pack` of cloakroom".to_owned())),
        };
        let codec = match self.flag("compression")? {
            None | Some(false) => codec,
            #[cfg(feature = "compression")]
            Some(true) => Box::new(crate::codec::CompressedCodec::new(codec)),
            #[cfg(not(feature = "compression"))]
            Some(true) => return Err(wrong("compression", "needs the feature `compression` of cloakroom".to_owned())),
        };
        self.sealing(codec)
    }

    #[cfg(feature = "sealed")]
    fn sealing(&self, codec: Box<dyn Codec>) -> Result<Box<dyn Codec>, ConfigError> {
        type Change = fn(SealedCodec<Box<dyn Codec>>) -> SealedCodec<Box<dyn Codec>>;
        let choices: [(&str, Change); 3] = [
            ("refused", |sealed| sealed),
            ("accepted", SealedCodec::insecure_accepting_plain_records),
            ("written", SealedCodec::insecure_writing_plain_records),
        ];
        let change = self.one_of("sealing.insecure_plain_records", &choices)?;
        let Some(keys) = self.text(SEALING_KEYS) else { return Ok(codec) };
        // Unlike other values it is not quoted.
        let keys = keys.parse::<KeyRing>().map_err(|error| wrong(SEALING_KEYS, error.to_string()))?;
        let sealed = SealedCodec::new(keys).over(codec);
        Ok(match change {
            Some(change) => Box::new(change(sealed)),
            None => Box::new(sealed),
        })
    }

    #[cfg(not(feature = "sealed"))]
    fn sealing(&self, codec: Box<dyn Codec>) -> Result<Box<dyn Codec>, ConfigError> {
        let given = [SEALING_KEYS, "sealing.insecure_plain_records"].into_iter().find(|key| self.text(key).is_some());
        match given {
            None => Ok(codec),
            Some(key) => Err(wrong(key, "needs the feature `sealed` of cloakroom".to_owned())),
        }
    }

    pub(super) fn transport(&self) -> Result<Transport, ConfigError> {
        let mut names = self.text("transport").unwrap_or("cookie").split(',').map(str::trim);
        let first = self.carrier(names.next().unwrap_or_default())?;
        names.try_fold(first, |before, name| Ok(before.or(self.carrier(name)?)))
    }

    fn carrier(&self, name: &str) -> Result<Transport, ConfigError> {
        match name {
            "cookie" => self.cookie().map(Transport::from),
            "bearer" => Ok(SessionHeader::bearer().into()),
            header => match SessionHeader::new(header) {
                // A word alone is rather something that is no transport, such as `query`.
                Ok(name) if header.contains('-') => Ok(name.into()),
                _ => Err(wrong(
                    "transport",
                    format!(
                        "{header:?} is none of cookie, bearer, and the name of a header of its own, as x-session-token"
                    ),
                )),
            },
        }
    }

    fn cookie(&self) -> Result<SessionCookie, ConfigError> {
        let name = self.text("cookie.name").or(self.text("name")).unwrap_or("id").to_owned();
        let mut cookie = match self.flag("cookie.insecure_http")? {
            Some(true) => SessionCookie::new_for_http(name),
            _ => SessionCookie::new(name),
        };
        let same_site = [("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)];
        if let Some(same_site) = self.one_of("cookie.same_site", &same_site)? {
            cookie = cookie.same_site(same_site);
        }
        if let Some(domain) = self.text("cookie.domain") {
            cookie = cookie.domain(domain);
        }
        if let Some(path) = self.text("cookie.path") {
            cookie = cookie.path(path.to_owned());
        }
        let prefixes = [
            ("from-attributes", CookiePrefix::FromAttributes),
            ("http-only", CookiePrefix::HttpOnly),
            ("none", CookiePrefix::None),
        ];
        if let Some(prefix) = self.one_of("cookie.prefix", &prefixes)? {
            cookie = cookie.prefix(prefix);
        }
        if let Some(partitioned) = self.flag("cookie.partitioned")? {
            cookie = cookie.partitioned(partitioned);
        }
        if let Some(true) = self.flag("cookie.insecure_visible_to_scripts")? {
            cookie = cookie.insecure_visible_to_scripts();
        }
        Ok(cookie)
    }

    pub(super) fn policy(&self) -> Result<SessionPolicy, ConfigError> {
        let presets =
            [("aal1", SessionPolicy::aal1()), ("aal2", SessionPolicy::aal2()), ("aal3", SessionPolicy::aal3())];
        let mut policy = self.one_of("policy.preset", &presets)?.unwrap_or_default();
        if let Some(timeout) = self.duration("policy.idle")? {
            policy = policy.idle(timeout);
        }
        if let Some(lifetime) = self.duration("policy.absolute")? {
            policy = policy.absolute(lifetime);
        }
        if let Some(used) = self.duration("policy.touch_after")? {
            policy = policy.touch_after(used);
        }
        if let Some(persistent) = self.flag("policy.persistent")? {
            policy = policy.persistent(persistent);
        }
        let conflicts = [("last-write-wins", Conflicts::LastWriteWins), ("refuse", Conflicts::Refuse)];
        if let Some(conflicts) = self.one_of("policy.conflicts", &conflicts)? {
            policy = policy.conflicts(conflicts);
        }
        if let Some(best_effort) = self.flag("policy.best_effort")? {
            policy = policy.best_effort(best_effort);
        }
        let lifetimes = [("until-read", FlashLifetime::UntilRead), ("next-request", FlashLifetime::NextRequest)];
        if let Some(lifetime) = self.one_of("policy.flash_lifetime", &lifetimes)? {
            policy = policy.flash_lifetime(lifetime);
        }
        if let Some(wait) = self.flag("policy.on_consent")? {
            policy = policy.on_consent(wait);
        }
        let complaint = r#"is not a number of sessions; write it as "3, end-oldest" or "3, refuse-newest""#;
        if let Some((sessions, when_full)) = self.parsed("policy.max_sessions", max_sessions, complaint)? {
            policy = policy.max_sessions(sessions, when_full);
        }
        let complaint = r#"is not an interval and a grace; write them as "15 minutes, 1 minute""#;
        if let Some((interval, grace)) = self.parsed("policy.rotate_every", rotation, complaint)? {
            policy = policy.rotate_every(interval, grace);
        }
        let reactions = [("end-session", OnReplay::EndSession), ("report", OnReplay::Report)];
        if let Some(reaction) = self.one_of("policy.on_replay", &reactions)? {
            policy = policy.on_replay(reaction);
        }
        Ok(policy)
    }

    pub(super) fn limits(&self) -> Result<Limits, ConfigError> {
        let mut limits = Limits::default();
        let size = r#"is not a size; write it as "64 KiB" or as a number of bytes"#;
        if let Some(bytes) = self.parsed("limits.data_bytes", quantity::size, size)? {
            limits = limits.data_bytes(bytes);
        }
        if let Some(levels) = self.parsed("limits.depth", |text| text.parse().ok(), "is not a number of levels")? {
            limits = limits.depth(levels);
        }
        if let Some(timeout) = self.duration("limits.operation_timeout")? {
            limits = limits.operation_timeout(timeout);
        }
        if let Some(timeout) = self.duration("limits.commit_timeout")? {
            limits = limits.commit_timeout(timeout);
        }
        Ok(limits)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<Option<bool>, ConfigError> {
        self.one_of(key, &[("true", true), ("false", false)])
    }

    fn duration(&self, key: &'static str) -> Result<Option<Duration>, ConfigError> {
        self.parsed(key, quantity::duration, r#"is not a duration; write it as "30 minutes" or "1h 30m""#)
    }

    fn one_of<T: Clone>(&self, key: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let found = choices.iter().find(|(name, _)| *name == text).map(|(_, value)| value.clone());
        found.map(Some).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
            wrong(key, format!("{text:?} is none of {}", names.join(", ")))
        })
    }

    fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
        complaint: &str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| wrong(key, format!("{text:?} {complaint}")))
    }
}

fn max_sessions(text: &str) -> Option<(usize, WhenFull)> {
    let (sessions, when_full) = text.split_once(',')?;
    let when_full = match when_full.trim() {
        "end-oldest" => WhenFull::EndOldest,
        "refuse-newest" => WhenFull::RefuseNewest,
        _ => return None,
    };
    Some((sessions.trim().parse().ok()?, when_full))
}

fn rotation(text: &str) -> Option<(Duration, Duration)> {
    let (interval, grace) = text.split_once(',')?;
    Some((quantity::duration(interval.trim())?, quantity::duration(grace.trim())?))
}

fn wrong(key: &str, problem: String) -> ConfigError {
    ConfigError::Setting { name: key.to_owned(), problem }
}
