//! Where settings come from: a document that `serde` reads, or the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::{KEYS, SEALING_KEYS, SessionConfig};
use crate::error::ConfigError;

/// What desktops on Linux tell the programs that they start, in the prefix that suggests itself.
const OF_DESKTOPS: &str = "SESSION_MANAGER";

pub(super) fn from_vars(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<SessionConfig, ConfigError> {
    let names: Vec<_> = KEYS.iter().map(|key| variable(prefix, key)).collect();
    let mut settings = BTreeMap::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_ours(prefix, name)) else { continue };
        let error = |problem| ConfigError::Setting { name: name.to_owned(), problem };
        let Some(index) = names.iter().position(|known| known == name) else {
            return Err(error(format!("is no setting; the settings are {}", names.join(", "))));
        };
        let value = value.into_string().map_err(|_| error("is not Unicode".to_owned()))?;
        if !value.is_empty() || KEYS[index] == SEALING_KEYS {
            settings.insert(KEYS[index], value);
        }
    }
    let config = SessionConfig(settings);
    match config.check() {
        Err(ConfigError::Setting { name, problem }) => {
            Err(ConfigError::Setting { name: variable(prefix, &name), problem })
        }
        checked => checked.map(|()| config),
    }
}

fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}_{}", key.replace('.', "_").to_ascii_uppercase())
}

fn is_ours(prefix: &str, name: &str) -> bool {
    name != OF_DESKTOPS && name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
}

impl<'de> Deserialize<'de> for SessionConfig {
    /// Reads everything first and judges it afterwards: an error in the middle would have some formats quote the line
    /// where it stands, and with it the password in the store's URL.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut settings = BTreeMap::new();
        match Node::deserialize(deserializer)? {
            Node::Table(members) => flatten("", members, &mut settings).map_err(D::Error::custom)?,
            Node::Nothing => {}
            Node::Text(_) | Node::Other(_) => return Err(D::Error::custom("session settings have keys and values")),
        }
        let config = Self(settings);
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

fn flatten(
    table: &str,
    members: Vec<(String, Node)>,
    settings: &mut BTreeMap<&'static str, String>,
) -> Result<(), ConfigError> {
    for (name, value) in members {
        let name = format!("{table}{name}");
        let error = |problem| Err(ConfigError::Setting { name: name.clone(), problem });
        match (value, KEYS.iter().find(|key| **key == name)) {
            (Node::Table(members), None) => flatten(&format!("{name}."), members, settings)?,
            (_, None) => return error(format!("is no setting; the settings are {}", KEYS.join(", "))),
            (Node::Text(text), Some(key)) => drop(settings.insert(key, text)),
            (Node::Nothing, Some(_)) => {}
            (Node::Table(_), Some(_)) => return error("has one value, and no keys below it".to_owned()),
            (Node::Other(what), Some(_)) => return error(format!("cannot be {what}")),
        }
    }
    Ok(())
}

/// A value as a document has it.
enum Node {
    Table(Vec<(String, Node)>),
    /// Text, or what is its own text: a number, true and false.
    Text(String),
    Nothing,
    Other(&'static str),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Node;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("session settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Node::Table(members))
            }

            fn visit_str<E>(self, text: &str) -> Result<Node, E> {
                Ok(Node::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Text(value.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Node::Other("a list"))
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Nothing)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Nothing)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }
        }

        deserializer.deserialize_any(Collect)
    }
}
