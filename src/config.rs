//! Settings from a file or the environment ([`SessionConfig`]).

mod keys;
mod options;
mod quantity;
mod source;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::error::ConfigError;
use crate::http::SessionLayer;
use crate::manager::SessionManager;
use crate::store::{MemoryStore, SessionStore, StoreError};
use keys::in_settings;

/// Every setting. The environment has the same ones.
const KEYS: &[&str] = &[
    "store",
    "namespace",
    "name",
    "codec",
    "compression",
    "sealing.keys",
    "sealing.insecure_plain_records",
    "save_on_server_error",
    "transport",
    "cookie.name",
    "cookie.same_site",
    "cookie.domain",
    "cookie.path",
    "cookie.prefix",
    "cookie.partitioned",
    "cookie.insecure_http",
    "cookie.insecure_visible_to_scripts",
    "policy.preset",
    "policy.idle",
    "policy.absolute",
    "policy.touch_after",
    "policy.persistent",
    "policy.conflicts",
    "policy.best_effort",
    "policy.flash_lifetime",
    "policy.on_consent",
    "policy.max_sessions",
    "policy.rotate_every",
    "policy.on_replay",
    "limits.data_bytes",
    "limits.depth",
    "limits.operation_timeout",
    "limits.commit_timeout",
];

const SEALING_KEYS: &str = "sealing.keys";

/// Sessions as a configuration file and the environment describe them (feature `config`).
///
/// It deserializes from TOML, JSON, YAML and whatever else describes itself to `serde`, alone or as a part of the application's
/// own configuration. Every setting may be left out, and has its type's default then; a key that is not known is an
/// error.
///
/// | key | value | default |
/// |---|---|---|
/// | `store` | a [`StoreUrl`](crate::store::StoreUrl) | has to be given |
/// | `namespace` | see [`SessionManager::namespace`] | none |
/// | `name` | see [`SessionManager::name`] | `id` |
/// | `codec` | `json`, `message-pack`: see [`Codec`](crate::Codec) | `json` |
/// | `compression` | `true`: records are compressed | `false` |
/// | `sealing.keys` | one key or more: records are sealed, see [`SealedCodec`](crate::SealedCodec) and [`KeyRing`](crate::KeyRing) | not sealed |
/// | `sealing.insecure_plain_records` | `refused`, `accepted`, `written`: for the change from plain records to sealed ones. Means nothing without keys | `refused` |
/// | `save_on_server_error` | see [`SessionLayer::save_on_server_error`] | `false` |
/// | `transport` | `cookie`, `bearer`, the name of a header with a hyphen in it, or several in order: `"cookie, x-session-token"`: see [`Transport`](crate::Transport) | `cookie` |
/// | `cookie.name` | without the prefix | the session's name |
/// | `cookie.same_site` | `strict`, `lax`, `none` | `lax` |
/// | `cookie.domain` | share it with all hosts below | this host only |
/// | `cookie.path` | | `/` |
/// | `cookie.prefix` | `from-attributes`, `http-only`, `none`: see [`CookiePrefix`](crate::CookiePrefix) | `from-attributes` |
/// | `cookie.partitioned` | `true`: a cookie for each site that embeds this one | `false` |
/// | `cookie.insecure_http` | `true`: sent over plain HTTP as well, where others can read it. For development only | `false` |
/// | `cookie.insecure_visible_to_scripts` | `true`: scripts can read it | `false` |
/// | `policy.preset` | `aal1`, `aal2`, `aal3`: see [`SessionPolicy`](crate::SessionPolicy) | `aal2` |
/// | `policy.idle`, `.absolute`, `.touch_after` | durations, instead of the preset's | the preset's |
/// | `policy.flash_lifetime` | `until-read`, `next-request` | `until-read` |
/// | `policy.persistent`, `.best_effort`, `.on_consent` | `true` or `false`: see [`SessionPolicy`](crate::SessionPolicy) | `false` |
/// | `policy.conflicts` | `last-write-wins`, `refuse` | `last-write-wins` |
/// | `policy.max_sessions` | a number, and `end-oldest` or `refuse-newest`: `"3, end-oldest"` | any number |
/// | `policy.rotate_every` | the interval and the grace: `"15 minutes, 1 minute"` | never |
/// | `policy.on_replay` | `end-session` or `report` | `end-session` |
/// | `limits.data_bytes` | a size | 64 KiB |
/// | `limits.depth` | a number | 32 |
/// | `limits.operation_timeout`, `.commit_timeout` | durations | 5 and 15 seconds |
///
/// A **duration** is one or more numbers with their units: `"30 minutes"`, `"1h 30m"`, `"2 weeks"`. The units are `ms`, `s`, `m`,
/// `h`, `d`, `w`, and their names. A month is none: it has no certain length. A **size** is a number of bytes, or a number with
/// `B`, `KiB`, `MiB`, `GiB`, or `kB`, `MB`, `GB`, which are powers of ten.
///
/// Errors name the setting. `Debug` shows the store's URL without user, password and parameters, and nothing of the sealing keys;
/// errors show nothing of either. But the parser of a file may quote the line at which the file's own syntax is broken: a
/// password and keys are better off in the environment.
///
/// # The environment
///
/// A variable is the prefix, an underscore, and the key in capitals with underscores for dots: `SESSION_STORE`,
/// `SESSION_POLICY_IDLE`, `SESSION_COOKIE_SAME_SITE`. One that is empty counts as not given, except for the
/// sealing keys: to go on unsealed without a word would be worse than an error. One that begins with the prefix
/// and stands for no key is an error, so that a slip of the pen does not pass in silence; the exception is
/// `SESSION_MANAGER`, which Linux desktops set.
///
/// # Example: a file, and the environment on top
///
/// ```
/// use cloakroom::{SessionConfig, SessionLayer};
/// # use std::error::Error;
///
/// # async fn run() -> Result<(), Box<dyn Error>> {
/// let file: SessionConfig = toml::from_str(
///     r#"
///     store = "memory:"
///     cookie.same_site = "strict"
///
///     [policy]
///     preset = "aal1"
///     idle = "2 days"
///     "#,
/// )?;
/// let layer: SessionLayer = file.overridden_by(SessionConfig::from_env("SESSION")?).layer().await?;
/// # Ok(())
/// # }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
/// ```
#[derive(Clone, Default)]
pub struct SessionConfig(BTreeMap<&'static str, String>);

impl SessionConfig {
    /// The settings of environment variables that begin with this prefix and an underscore.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Setting`] for a variable that is not known, and for a value that cannot be.
    pub fn from_env(prefix: &str) -> Result<Self, ConfigError> {
        source::from_vars(prefix, std::env::vars_os())
    }

    /// These settings, and in their place those of `other` where it has any.
    #[must_use]
    pub fn overridden_by(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Connects to the store, and makes the layer.
    ///
    /// # Errors
    ///
    /// If the store is not given or cannot be reached, or if settings contradict each other.
    pub async fn layer(&self) -> Result<SessionLayer, SetupError> {
        let store = self.connect().await?;
        Ok(self.layer_with(store)?)
    }

    /// The layer with a store of the application's own. The setting `store` is not looked at.
    ///
    /// # Errors
    ///
    /// If settings contradict each other.
    pub fn layer_with(&self, store: impl SessionStore) -> Result<SessionLayer, ConfigError> {
        let layer = SessionLayer::with_manager(self.manager_with(store)?);
        let layer = layer.transport(self.transport()?).map_err(in_settings)?;
        Ok(layer.save_on_server_error(self.flag("save_on_server_error")?.unwrap_or(false)))
    }

    /// Connects to the store, and makes the manager.
    ///
    /// # Errors
    ///
    /// As [`layer`](Self::layer).
    pub async fn manager(&self) -> Result<SessionManager, SetupError> {
        let store = self.connect().await?;
        Ok(self.manager_with(store)?)
    }

    /// The manager with a store of the application's own. The setting `store` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`layer_with`](Self::layer_with).
    pub fn manager_with(&self, store: impl SessionStore) -> Result<SessionManager, ConfigError> {
        let manager = SessionManager::new(store).policy(self.policy()?).map_err(in_settings)?;
        let manager = manager.limits(self.limits()?).map_err(in_settings)?.codec(self.codec()?);
        let manager = match self.text("namespace") {
            Some(namespace) => manager.namespace(namespace),
            None => manager,
        };
        match self.text("name") {
            Some(name) => manager.name(name).map_err(in_settings),
            None => Ok(manager),
        }
    }

    async fn connect(&self) -> Result<Arc<dyn SessionStore>, SetupError> {
        // A contradiction is told before anything is created or asked. Whether the store can do what is asked for is known
        // when it is there.
        self.layer_with(MemoryStore::new())?;
        let Some(url) = self.store()? else {
            let problem = "say where sessions are kept, such as \"sqlite:sessions.db\"".to_owned();
            return Err(ConfigError::Setting { name: "store".to_owned(), problem }.into());
        };
        url.connect().await.map_err(|error| SetupError::Store { url: url.to_string(), error })
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = f.debug_map();
        for (key, value) in self.0.iter().filter(|(key, _)| !["store", SEALING_KEYS].contains(*key)) {
            map.entry(key, value);
        }
        if self.0.contains_key(SEALING_KEYS) {
            map.entry(&SEALING_KEYS, &format_args!("..."));
        }
        if let Ok(Some(url)) = self.store() {
            map.entry(&"store", &url.to_string());
        }
        map.finish()
    }
}

/// Why there are no sessions as configured.
#[derive(Debug)]
#[non_exhaustive]
pub enum SetupError {
    /// A setting is missing or wrong, or contradicts another.
    Config(ConfigError),
    /// The store cannot be opened or reached.
    #[non_exhaustive]
    Store {
        /// Its URL, without user, password and parameters.
        url: String,
        /// What it says.
        error: StoreError,
    },
}

impl From<ConfigError> for SetupError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Store { url, error } => write!(f, "store: {error}: {url}"),
        }
    }
}

impl StdError for SetupError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Config(_) => None,
            // What the store says is in the text already; why it says so is not.
            Self::Store { error, .. } => error.source(),
        }
    }
}

#[cfg(test)]
mod tests;
