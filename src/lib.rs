// Here the links of the README to other files lead to their chapters; the first definition of a name counts.
//! [COMPARE.md]: guide::compare
//! [SECURITY.md]: guide::threats
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod codec;
#[cfg(feature = "config")]
mod config;
mod data;
mod engine;
mod error;
mod event;
#[cfg(feature = "axum")]
mod extract;
#[cfg(any(doc, doctest))]
pub mod guide;
mod http;
mod journal;
mod manager;
mod policy;
mod record;
mod session;
mod state;
pub mod store;
#[cfg(any(feature = "minijinja", feature = "tera"))]
pub mod templates;
#[cfg(feature = "testing")]
pub mod testing;
mod token;

/// The client that [`RedisStore`] is made for, so that versions fit.
#[cfg(feature = "redis")]
#[doc(no_inline)]
pub use ::redis;

pub use clock::{Clock, SystemClock};
#[cfg(feature = "compression")]
pub use codec::CompressedCodec;
#[cfg(feature = "message-pack")]
pub use codec::MessagePackCodec;
pub use codec::{Binding, Codec, CodecError, JsonCodec};
#[cfg(feature = "sealed")]
pub use codec::{KeyRing, SealedCodec, SealingKey};
#[cfg(feature = "config")]
pub use config::{SessionConfig, SetupError};
pub use data::Path;
#[cfg(feature = "sealed")]
pub use engine::CookieStore;
pub use error::{ConfigError, ErrorKind, SessionError};
pub use event::{DropReason, SessionEvent};
#[cfg(feature = "axum")]
pub use extract::{Named, User};
pub use http::{
    CookiePrefix, DefaultOnError, LazySession, OnError, ResponseFuture, SameSite, SessionCookie, SessionHeader,
    SessionLayer, SessionName, SessionService, SiteData, StatelessLayer, StatelessService, Transport,
};
pub use manager::{SessionManager, Sweeper, SweeperReport, SweeperSettings};
pub use policy::{Conflicts, FlashLifetime, Limits, OnReplay, SessionPolicy, WhenFull};
pub use session::{
    Bag, BagContent, DetachedSession, Device, Key, Level, Message, ReadOnlySession, Session, SessionBag, SessionInfo,
};
pub use state::{IssuedToken, OnMismatch, SessionStatus, TokenChange};
#[cfg(feature = "file")]
pub use store::FileStore;
#[cfg(feature = "mysql")]
pub use store::MysqlStore;
#[cfg(feature = "postgres")]
pub use store::PostgresStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
#[cfg(feature = "sqlite")]
pub use store::SqliteStore;
#[cfg(feature = "tower-sessions")]
pub use store::TowerSessionsStore;
pub use store::{CachedStore, MemoryStore, MigratingStore, NoopStore, SessionStore, TimeoutStore};
#[cfg(feature = "memcached")]
pub use store::{MemcachedServer, MemcachedStore};
#[cfg(feature = "pepper")]
pub use token::Pepper;
pub use token::{SessionId, Token};
