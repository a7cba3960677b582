//! Which setting an error of the options is about.

use super::KEYS;
use crate::error::ConfigError;

/// The error by the name of the setting, so that whoever wrote the file finds the place.
pub(super) fn in_settings(error: ConfigError) -> ConfigError {
    let key = match &error {
        ConfigError::SessionName { .. } => "name",
        ConfigError::CookieName { .. } | ConfigError::CookiePrefix { .. } => "cookie.name",
        ConfigError::CookieAttribute { attribute: "Domain", .. } => "cookie.domain",
        ConfigError::CookieAttribute { .. } => "cookie.path",
        ConfigError::NeedsSecure { .. } => "cookie.insecure_http",
        ConfigError::CookieLifetime { .. } => "policy.idle",
        ConfigError::ZeroDuration { option }
        | ConfigError::NotShorter { shorter: option, .. }
        | ConfigError::Limit { option, .. }
        | ConfigError::NeedsUserIndex { option } => match KEYS.iter().find(|key| **key == named(option)) {
            Some(key) => key,
            None => return error,
        },
        _ => return error,
    };
    ConfigError::Setting { name: key.to_owned(), problem: named(&error.to_string()) }
}

/// Options of types by the names of their settings.
fn named(text: &str) -> String {
    text.replace("SessionPolicy::", "policy.").replace("Limits::", "limits.")
}
