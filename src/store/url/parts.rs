//! A URL in its parts. No error here shows more of it than its scheme and the names of parameters that are no secret.

use std::path::PathBuf;

use crate::error::ConfigError;

/// What the clients read by themselves. What they do not know they would pass over in silence.
pub(super) const OF_POSTGRES: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];
pub(super) const OF_MYSQL: &[&str] = &[
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];
pub(super) const OF_REDIS: &[&str] = &["protocol", "db", "user", "pass"];

pub(super) struct Parts<'a> {
    pub(super) scheme: &'a str,
    after_scheme: &'a str,
    /// Up to the parameters.
    address: &'a str,
    pub(super) parameters: Parameters<'a>,
}

/// `user:password@host,host/path`
pub(super) struct Network<'a> {
    /// Without what names the arrangement of several servers.
    pub(super) base_scheme: &'a str,
    /// With its `@`, or empty.
    pub(super) user_info: &'a str,
    pub(super) hosts: std::str::Split<'a, char>,
    pub(super) path: &'a str,
}

impl<'a> Parts<'a> {
    pub(super) fn of(url: &'a str) -> Result<Self, ConfigError> {
        let Some((scheme, after_scheme)) = url.split_once(':') else {
            return Err(refused("it begins with a scheme and a colon, such as sqlite:sessions.db".into()));
        };
        Ok(Self { scheme, after_scheme, ..Self::of_server(after_scheme) })
    }

    /// An address and its parameters.
    pub(super) fn of_server(text: &'a str) -> Self {
        let (address, parameters) = text.split_once('?').unwrap_or((text, ""));
        let parameters = parameters.split('&').filter(|parameter| !parameter.is_empty());
        Self { scheme: "", after_scheme: text, address, parameters: Parameters(parameters.collect()) }
    }

    /// The URL without user, password and parameters, each of which may hold a secret.
    pub(super) fn shown(&self) -> String {
        let Self { scheme, address, .. } = self;
        match address.strip_prefix("//").and_then(|address| address.rsplit_once('@')) {
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => format!("{scheme}:{address}"),
        }
    }

    pub(super) fn nothing_but_parameters(&self) -> Result<(), ConfigError> {
        if self.address.is_empty() {
            return Ok(());
        }
        Err(refused(format!("nothing comes after {}: but parameters", self.scheme)))
    }

    /// The path of a file or folder: `scheme:path`, `scheme:///path`.
    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        let scheme = self.scheme;
        let text = match self.address.strip_prefix("//") {
            Some(path) if path.starts_with('/') => path,
            Some(_) => {
                return Err(refused(format!(
                    "after {scheme}:// comes a host: write {scheme}:path or {scheme}:///path"
                )));
            }
            None => self.address,
        };
        let path = decode(text)?;
        if path.is_empty() || path == ":memory:" {
            return Err(refused(format!("after {scheme}: comes a path; for sessions in memory write memory:")));
        }
        if path.starts_with('~') {
            return Err(refused("~ means something to a shell only: write the whole path".into()));
        }
        Ok(path.into())
    }

    /// The URL as the client reads it: without the parameters that were taken. `ours` are their names.
    pub(super) fn for_client(self, of_client: &[&str], ours: &[&str]) -> Result<String, ConfigError> {
        self.network()?;
        let known: Vec<_> = ours.iter().chain(of_client).copied().collect();
        let Parameters(rest) = &self.parameters;
        let mut url = format!("{}:{}", self.scheme, self.address);
        for (index, parameter) in rest.iter().enumerate() {
            let name = parameter.split('=').next().unwrap_or_default();
            // PostgreSQL has options[name] too.
            if !of_client.contains(&name.split('[').next().unwrap_or_default()) {
                return Err(unknown(name, &known));
            }
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(parameter);
        }
        Ok(url)
    }

    /// The parts of an address in a network.
    pub(super) fn network(&self) -> Result<Network<'a>, ConfigError> {
        let address = self.after_slashes()?;
        let address = address.split('?').next().unwrap_or_default();
        let (authority, path) = address.split_once('/').unwrap_or((address, ""));
        let outside = self.after_scheme.trim_start_matches('/').get(authority.len()..).unwrap_or_default();
        if outside.contains('@') || self.after_scheme.contains('#') {
            return Err(refused(
                "in a user's name, a password and a parameter write %2F for /, %3F for ?, %23 for #, %40 for @".into(),
            ));
        }
        let host = authority.rfind('@').map_or(0, |at| at + 1);
        let base_scheme = self.scheme.split('-').next().unwrap_or_default();
        let (user_info, hosts) = authority.split_at(host);
        Ok(Network { base_scheme, user_info, hosts: hosts.split(','), path })
    }

    pub(super) fn after_slashes(&self) -> Result<&'a str, ConfigError> {
        let after = self.after_scheme.strip_prefix("//");
        after.ok_or_else(|| refused(format!("after {}: come two slashes and a host", self.scheme)))
    }

    pub(super) fn address_with_port(&self, default: u16) -> Result<String, ConfigError> {
        if self.address.is_empty() || self.address.contains(['@', '/', '#']) {
            return Err(refused("a server of Memcached is a host, with or without a port, and nothing else".into()));
        }
        // The colons of an IPv6 address stand in brackets.
        let has_port = self.address.rsplit(']').next().is_some_and(|end| end.contains(':'));
        Ok(if has_port { self.address.to_owned() } else { format!("{}:{default}", self.address) })
    }
}

/// What stands between `&` and `&`, undecoded.
pub(super) struct Parameters<'a>(Vec<&'a str>);

impl Parameters<'_> {
    /// The value of a parameter, which is then gone.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, ConfigError> {
        let of_that_name = |parameter: &&str| parameter.split('=').next() == Some(name);
        let Some(index) = self.0.iter().position(of_that_name) else { return Ok(None) };
        let parameter = self.0.remove(index);
        if self.0.iter().any(of_that_name) {
            return Err(refused(format!("the parameter {name} is given twice")));
        }
        decode(parameter.split_once('=').map_or("", |(_, value)| value)).map(Some)
    }

    pub(super) fn take_number<N: std::str::FromStr>(&mut self, name: &str) -> Result<Option<N>, ConfigError> {
        let number = |text: String| text.parse().map_err(|_| refused(format!("the parameter {name} is a number")));
        self.take(name)?.map(number).transpose()
    }

    pub(super) fn take_flag(&mut self, name: &str) -> Result<bool, ConfigError> {
        match self.take(name)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(refused(format!("the parameter {name} is true or false"))),
        }
    }

    /// Refuses what is left.
    pub(super) fn finish(&self, known: &[&str]) -> Result<(), ConfigError> {
        match self.0.first() {
            None => Ok(()),
            Some(parameter) => Err(unknown(parameter.split('=').next().unwrap_or_default(), known)),
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> ConfigError {
    // Of a password with a question mark in it the rest would stand here.
    let name = if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-') {
        name
    } else {
        "…"
    };
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    refused(format!("there is no parameter {name:?}: this store has {known}"))
}

/// Decodes `%` and two digits.
pub(super) fn decode(text: &str) -> Result<String, ConfigError> {
    let wrong = || {
        refused("after a % come two hexadecimal digits, and they stand for UTF-8: write %25 for the % itself".into())
    };
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(wrong()) };
        decoded.push(high << 4 | low);
    }
    String::from_utf8(decoded).map_err(|_| wrong())
}

pub(super) fn refused(problem: String) -> ConfigError {
    ConfigError::StoreUrl { problem }
}
