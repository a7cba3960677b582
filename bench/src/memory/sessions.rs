//! Many sessions, made and used without HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use cloakroom::{Clock, MemoryStore, SessionError, SessionManager, TokenChange};

/// The text of a token: one allocation for all of them, made before anything is counted.
pub(crate) type Token = [u8; 64];

/// With one key, the data are 100 bytes of JSON.
pub(crate) const KEY: &str = "k";

pub(crate) fn value() -> String {
    "v".repeat(100 - r#"{"k":""}"#.len())
}

/// A store that has room for them all, and a manager of its sessions.
pub(crate) fn manager(clock: impl Clock) -> (MemoryStore, SessionManager) {
    let store = MemoryStore::new().max_entries(1 << 24).max_bytes(1 << 34);
    (store.clone(), SessionManager::new(store).clock(clock))
}

/// Makes a session, of a user if one is given.
pub(crate) async fn begin(manager: &SessionManager, value: &str, user: Option<&str>) -> Result<Token, SessionError> {
    let session = manager.create();
    session.insert(KEY, value)?;
    if let Some(user) = user {
        session.login(user)?;
    }
    match manager.commit(&session).await? {
        TokenChange::Issue(issued) => Ok(issued.text().as_bytes().try_into().expect("64 characters")),
        other => panic!("a new session has a new token: {other:?}"),
    }
}

pub(crate) async fn read(manager: &SessionManager, token: &Token) -> Result<(), SessionError> {
    let session = manager.open(token).await?;
    let value: Option<String> = session.get(KEY)?;
    assert!(value.is_some(), "the session is there");
    manager.commit(&session).await.map(drop)
}

/// As many bytes as before.
pub(crate) async fn write(manager: &SessionManager, token: &Token, value: &str) -> Result<(), SessionError> {
    let session = manager.open(token).await?;
    session.insert(KEY, value)?;
    manager.commit(&session).await.map(drop)
}

/// A clock that is set.
#[derive(Clone, Debug)]
pub(crate) struct SetClock(Arc<AtomicI64>);

impl SetClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_800_000_000)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_secs()).expect("hours"), Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.0.load(Relaxed).unsigned_abs())
    }
}

/// A walk over all of `len` places that looks random to caches.
pub(crate) fn scattered(len: usize, start: usize) -> impl Iterator<Item = usize> {
    // A prime, and no divisor of any length here.
    (0..).map(move |step: usize| (start + step).wrapping_mul(7_919) % len)
}

/// Bytes of this process that are in memory.
pub(crate) fn resident() -> Result<f64, std::io::Error> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().map_err(std::io::Error::other)?;
    Ok(kibibytes * 1024.0)
}
