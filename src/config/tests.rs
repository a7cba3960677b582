use std::ffi::OsString;

use super::*;
use crate::store::MemoryStore;

fn from(variables: &[(&str, &str)]) -> Result<SessionConfig, ConfigError> {
    source::from_vars("SESSION", variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn variable(key: &str) -> String {
    format!("SESSION_{}", key.replace('.', "_").to_uppercase())
}

/// A value for every setting that is not its default.
const OTHER_VALUES: &[(&str, &str)] = &[
    ("store", "memory:?max_entries=7"),
    ("namespace", "shop"),
    ("name", "admin"),
    ("codec", "json"),
    ("compression", "false"),
    ("sealing.keys", "3e1f7ac0954d28b6f0d3716a8e42b95c07e8dd31a6549f20cb7b1268f4390ae5"),
    ("sealing.insecure_plain_records", "accepted"),
    ("save_on_server_error", "true"),
    ("transport", "cookie, x-session-token"),
    ("cookie.name", "sid"),
    ("cookie.same_site", "strict"),
    ("cookie.domain", "example.org"),
    ("cookie.path", "/shop"),
    ("cookie.prefix", "none"),
    ("cookie.partitioned", "true"),
    ("cookie.insecure_http", "true"),
    ("cookie.insecure_visible_to_scripts", "true"),
    ("policy.preset", "aal3"),
    ("policy.idle", "7 minutes"),
    ("policy.absolute", "7 hours"),
    ("policy.touch_after", "7 seconds"),
    ("policy.persistent", "true"),
    ("policy.conflicts", "refuse"),
    ("policy.best_effort", "true"),
    ("policy.flash_lifetime", "next-request"),
    ("policy.on_consent", "true"),
    ("policy.max_sessions", "7, refuse-newest"),
    ("policy.rotate_every", "17 minutes, 19s"),
    ("policy.on_replay", "report"),
    ("limits.data_bytes", "7 KiB"),
    ("limits.depth", "7"),
    ("limits.operation_timeout", "7s"),
    ("limits.commit_timeout", "7s"),
];

fn shown(config: &SessionConfig) -> String {
    let layer = config.layer_with(MemoryStore::new()).unwrap();
    format!("{layer:?} {:?}", config.store().unwrap())
}

#[test]
fn every_setting_has_its_effect() {
    assert_eq!(OTHER_VALUES.iter().map(|(key, _)| *key).collect::<Vec<_>>(), KEYS);
    let default = shown(&SessionConfig::default());
    for (key, value) in OTHER_VALUES {
        let config = from(&[(&variable(key), value)]).unwrap();
        let has_effect = shown(&config) != default;
        assert_eq!(has_effect, !["codec", "compression", "sealing.insecure_plain_records"].contains(key), "{key}");
    }
}

#[test]
fn every_setting_says_its_own_name() {
    for key in
        KEYS.iter().filter(|key| !["namespace", "name", "cookie.name", "cookie.domain", "cookie.path"].contains(key))
    {
        let variable = variable(key);
        let error = from(&[(&variable, "30 parsecs")]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable}: ")), "{error}");
    }
}

#[test]
fn the_environment_knows_no_other_names() {
    let error = from(&[("SESSION_POLCIY_IDLE", "1h")]).unwrap_err().to_string();
    assert!(error.starts_with("SESSION_POLCIY_IDLE: is no setting; the settings are SESSION_STORE, "), "{error}");
    for others in ["SESSION_MANAGER", "SESSIONS", "SESSION", "MY_SESSION_STORE", "PATH"] {
        assert!(from(&[(others, "x")]).unwrap().0.is_empty(), "{others}");
    }
    assert!(from(&[("SESSION_STORE", "")]).unwrap().0.is_empty());
    // Sealed sessions would become plain ones without a word.
    let error = from(&[("SESSION_SEALING_KEYS", "")]).unwrap_err().to_string();
    assert!(error.starts_with("SESSION_SEALING_KEYS: a sealing key is missing"), "{error}");
    let prefixed = source::from_vars("APP_SESSION", [("APP_SESSION_COOKIE_NAME".into(), "sid".into())]).unwrap();
    assert_eq!(prefixed.text("cookie.name"), Some("sid"));
}

#[cfg(unix)]
#[test]
fn what_is_not_unicode_is_refused() {
    use std::os::unix::ffi::OsStringExt as _;

    let broken = || OsString::from_vec(vec![0xff]);
    let error = source::from_vars("SESSION", [("SESSION_STORE".into(), broken())]).unwrap_err();
    assert_eq!(error.to_string(), "SESSION_STORE: is not Unicode");
    assert!(source::from_vars("SESSION", [(broken(), broken())]).is_ok());
}
