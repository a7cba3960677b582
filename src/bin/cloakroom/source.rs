//! The stores that are named on the command line.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;

use cloakroom::SessionStore;
use cloakroom::store::StoreUrl;

use crate::failure::Failure;

/// A URL, or the environment variable that has it. Read later, by those who know what must not be shown of it.
#[derive(Clone)]
pub(crate) struct Source(String);

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source(..)")
    }
}

impl Source {
    pub(crate) fn url(&self) -> Result<StoreUrl, Failure> {
        let Some(name) = self.0.strip_prefix("env:") else { return Ok(self.0.parse()?) };
        let url = std::env::var(name).map_err(|_| {
            Failure::usage(format!("there is no environment variable {name:?} with the URL of a store"))
        })?;
        Ok(url.parse()?)
    }

    /// A store that exists.
    pub(crate) async fn open(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        let url = self.url()?;
        match url.path() {
            Some(path) if !path.exists() => Err(Failure::usage(format!("{url}: there is no {}", path.display()))),
            _ => connect(&url).await,
        }
    }

    /// A store that may have to be made.
    pub(crate) async fn open_or_create(&self) -> Result<Arc<dyn SessionStore>, Failure> {
        connect(&self.url()?).await
    }
}

async fn connect(url: &StoreUrl) -> Result<Arc<dyn SessionStore>, Failure> {
    if url.to_string().starts_with("memory:") {
        return Err(Failure::usage("memory: is the memory of this command, not of your application".into()));
    }
    url.connect().await.map_err(|error| Failure::from(error).at(url))
}
