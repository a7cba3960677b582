//! What a record says without its token: for tools.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::{DecodeError, Decoded, Form, Name, Origin, Record, TOMBSTONE};
use crate::clock::Timestamp;
use crate::codec::{JsonCodec, is_sealed};

/// What a record says about its session: for tools, and for pages of administrators.
///
/// Nothing of it opens a session. Its data may be secrets of the application all the same: `Debug` leaves them out.
#[derive(Clone)]
#[non_exhaustive]
pub struct RecordSummary {
    /// The application that it belongs to: see [`SessionManager::namespace`](crate::SessionManager::namespace).
    pub namespace: Arc<str>,
    /// The session's name, `id` if it has none of its own.
    pub name: String,
    /// When the session began.
    pub created_at: Timestamp,
    /// When the user has shown last who they are.
    pub logged_in_at: Option<Timestamp>,
    /// Beyond this it does not live, however much it is used.
    pub deadline: Timestamp,
    /// What the application calls the client: see [`Session::set_label`](crate::Session::set_label).
    pub label: Option<String>,
    /// Whether the browser keeps the cookie when it is closed.
    pub persistent: bool,
    contents: Decoded,
}

/// Why nothing can be said about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoSummary {
    /// Its payload is sealed, by a key that is not in the store.
    Sealed,
    /// A newer version of this crate has written it.
    NewerFormat,
    /// It is no session, but marks one that was logged out during a migration: see
    /// [`MigratingStore`](crate::MigratingStore).
    Tombstone,
    /// It is damaged, another's, or needs a feature of this crate that is not turned on.
    Corrupt,
}

impl Record {
    /// What the record says about its session, if its payload is plain: JSON, and `MessagePack` or compressed with these features.
    ///
    /// ```
    /// use cloakroom::{MemoryStore, SessionError, SessionManager, SessionStore};
    ///
    /// # async fn run() -> Result<(), SessionError> {
    /// let store = MemoryStore::new();
    /// let manager = SessionManager::new(store.clone());
    /// let session = manager.create();
    /// session.insert("cart", ["milk", "bread"])?;
    /// manager.commit(&session).await?;
    ///
    /// let page = store.inventory().unwrap().page(None, 100).await?;
    /// let summary = page.records[0].summary().unwrap();
    /// assert_eq!(summary.name, "id");
    /// assert_eq!(summary.members().map(|(key, json)| (key, json.len())).collect::<Vec<_>>(), [("cart".into(), 16)]);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    ///
    /// [`NoSummary`] says why there is nothing to say.
    pub fn summary(&self) -> Result<RecordSummary, NoSummary> {
        if let Form::Stored(bytes) = &self.payload.0 {
            match &***bytes {
                TOMBSTONE => return Err(NoSummary::Tombstone),
                sealed if is_sealed(sealed) => return Err(NoSummary::Sealed),
                _ => {}
            }
        }
        let plain = Origin { namespace: "".into(), name: Name::default(), codec: Arc::new(JsonCodec) };
        let contents = self.decode(&Arc::new(plain)).map_err(|error| match error {
            DecodeError::Newer => NoSummary::NewerFormat,
            _ => NoSummary::Corrupt,
        })?;
        if contents.id != self.id {
            return Err(NoSummary::Corrupt);
        }
        Ok(RecordSummary {
            namespace: contents.origin.namespace.clone(),
            name: contents.origin.name.as_str().to_owned(),
            created_at: contents.created_at,
            logged_in_at: contents.extras.logged_in_at,
            deadline: contents.deadline,
            label: contents.extras.label.as_deref().map(str::to_owned),
            persistent: contents.persistent,
            contents,
        })
    }
}

impl RecordSummary {
    /// The keys of the session's data, each with its value as JSON text. Flash values stand below the empty key.
    pub fn members(&self) -> impl Iterator<Item = (Cow<'_, str>, &str)> {
        self.contents.data.members()
    }
}

impl fmt::Debug for RecordSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSummary").field("contents", &*self.contents).finish_non_exhaustive()
    }
}

impl fmt::Display for NoSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sealed => "the record is sealed",
            Self::NewerFormat => "a newer version of cloakroom has written the record",
            Self::Tombstone => "the record marks a session that was logged out during a migration",
            Self::Corrupt => "the record cannot be read",
        })
    }
}

impl Error for NoSummary {}
