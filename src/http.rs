//! Sessions over HTTP: the layer, and how tokens travel.

mod answer;
mod bind;
mod cache;
mod captured;
mod cookie;
mod future;
mod header;
mod layer;
mod lazy;
mod predecessor;
mod service;
mod shown;
mod site_data;
mod stateless;
mod transport;

pub use ::cookie::SameSite;
pub use answer::{DefaultOnError, OnError};
pub use cookie::{CookiePrefix, SessionCookie};
pub use future::ResponseFuture;
pub use header::SessionHeader;
pub use layer::{SessionLayer, SessionName};
pub use lazy::LazySession;
pub use service::SessionService;
pub use site_data::SiteData;
pub use stateless::{StatelessLayer, StatelessService};
pub use transport::Transport;
