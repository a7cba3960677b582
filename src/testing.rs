//! For tests, of applications and of stores (feature `testing`).
//!
//! ```toml
//! [dev-dependencies]
//! cloakroom = { version = "0.1", features = ["testing"] }
//! ```
//!
//! | type | what for |
//! |---|---|
//! | [`TestClient`] | a browser in front of the application: keeps cookies, follows redirects, prepares sessions and looks into them |
//! | [`TestClock`] | the time, which stands still until the test moves it |
//! | [`CountingStore`] | counts the calls to the store inside |
//! | [`FaultStore`] | fails when the test says so |
//! | [`conformance`] | the contract for stores as a test suite |
//!
//! # Testing an application
//!
//! Let the application be built by a function of its session layer, so that tests can give it a store in memory and a
//! clock. The client takes the application and the layer:
//!
//! ```
//! use std::time::Duration;
//!
//! use axum::response::Redirect;
//! use axum::routing::{get, post};
//! use axum::{Form, Router};
//! use cloakroom::testing::{TestClient, TestClock};
//! use cloakroom::{MemoryStore, Session, SessionError, SessionLayer, SessionManager};
//! use serde::Deserialize;
//!
//! /// What `main` serves as well.
//! fn app(sessions: SessionLayer) -> Router {
//!     Router::new()
//!         .route("/", get(home))
//!         .route("/login", post(login))
//!         .route("/logout", post(async |session: Session| session.destroy()))
//!         .layer(sessions)
//! }
//!
//! async fn home(session: Session) -> Result<String, SessionError> {
//!     let name: Option<String> = session.get("name")?;
//!     Ok(format!("Hello, {}!", name.as_deref().unwrap_or("stranger")))
//! }
//!
//! #[derive(Deserialize)]
//! struct Login {
//!     name: String,
//! }
//!
//! async fn login(session: Session, Form(login): Form<Login>) -> Result<Redirect, SessionError> {
//!     session.regenerate()?;
//!     session.insert("name", login.name)?;
//!     Ok(Redirect::to("/"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let clock = TestClock::default();
//! let manager = SessionManager::new(MemoryStore::new()).clock(clock.clone());
//! let sessions = SessionLayer::with_manager(manager);
//! let client = TestClient::new(app(sessions.clone()), &sessions);
//!
//! // A visitor costs nothing.
//! client.get("/").await.assert_status(200).assert_no_session_cookie();
//! client.assert_no_session().await;
//!
//! // Logging in.
//! let response = client.post("/login").form([("name", "Ada")]).await;
//! response.assert_redirect("/").assert_sets_session_cookie();
//! client.assert_session_eq("name", "Ada").await;
//! assert_eq!(client.get("/").await.text(), "Hello, Ada!");
//!
//! // Logging out is final, also for somebody who has copied the cookie.
//! let thief = client.with_stolen_cookies();
//! client.post("/logout").await.assert_removes_session_cookie();
//! assert_eq!(thief.get("/").await.text(), "Hello, stranger!");
//!
//! // A session that is there from the start, and the end of it an hour later.
//! client.session(|session| session.insert("name", "Ben")).await;
//! assert_eq!(client.get("/").await.text(), "Hello, Ben!");
//! clock.advance(Duration::from_hours(1));
//! client.assert_no_session().await;
//! # }
//! ```
//!
//! In a test the last part stands in a `#[tokio::test]`.
//!
//! # One browser or several
//!
//! [`TestClient::another_browser`] is another visitor. A clone is another tab of the same browser: it has the same cookies.
//! Requests need no `&mut`, so tabs can be used at once:
//!
//! ```
//! # use axum::{Router, routing::get};
//! # use cloakroom::testing::TestClient;
//! # use cloakroom::{MemoryStore, Session, SessionError, SessionLayer};
//! # async fn visits(session: Session) -> Result<String, SessionError> {
//! #     session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1).map(|n| n.to_string())
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! # let sessions = SessionLayer::new(MemoryStore::new());
//! # let app = Router::new().route("/", get(visits)).layer(sessions.clone());
//! let client = TestClient::new(app, &sessions);
//! client.get("/").await;
//! tokio::join!(client.get("/").into_future(), client.get("/").into_future());
//! client.assert_session_eq("visits", 3).await;
//!
//! let other = client.another_browser();
//! assert_eq!(other.get("/").await.text(), "1");
//! # }
//! ```
//!
//! # When the store fails
//!
//! ```
//! # use axum::{Router, routing::get};
//! # use cloakroom::testing::{Fault, FaultStore, TestClient};
//! # use cloakroom::{MemoryStore, Session, SessionError, SessionLayer};
//! # async fn visits(session: Session) -> Result<String, SessionError> {
//! #     session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1).map(|n| n.to_string())
//! # }
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let store = FaultStore::new(MemoryStore::new());
//! let sessions = SessionLayer::new(store.clone());
//! # let app = Router::new().route("/", get(visits)).layer(sessions.clone());
//! let client = TestClient::new(app, &sessions);
//! client.get("/").await;
//!
//! store.everything(Fault::Down);
//! client.get("/").await.assert_status(503).assert_no_session_cookie(); // nobody is logged out
//!
//! store.heal();
//! client.assert_session_eq("visits", 1).await;
//! # }
//! ```

mod client;
mod clock;
pub mod conformance;
mod counting;
mod fault;

/// The type of cookies that a [`TestClient`] shows, so that versions fit.
#[doc(no_inline)]
pub use ::cookie::Cookie;
pub use client::{TestClient, TestRequest, TestResponse};
pub use clock::TestClock;
pub use counting::{Calls, CountingStore};
pub use fault::{Fault, FaultStore, Operation};
