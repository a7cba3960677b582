//! The session in templates: flash values, messages, old input, and whatever else a page shows.
//!
//! | | minijinja, feature `minijinja` | Tera, feature `tera` | askama, no feature |
//! |---|---|---|---|
//! | is it there? | `session().has('success')` | `session(has='success')` | `session.contains("success")?` |
//! | a value, flash values too | `session().get('success')` | `session(get='success')` | `session.get::<String>("success")?` |
//! | what was typed into a field | `session().old('email')` | `session(old='email')` | `session.old("email")?` |
//! | the messages | `session().messages()` | `session(messages=true)` | `session.messages()?` |
//! | for a hidden field against forged requests | `session().csrf()` | `session(csrf=true)` | `session.csrf_token()?` |
//! | all data | `session().all()` | `session(all=true)` | `session.all()?` |
//! | id, status, user and times | `session().info()` | `session(info=true)` | `session.info()` |
//!
//! The names are [paths](crate::Path): `'account.name'` reaches into objects. Templates only read; but a visitor without a
//! session gets one with a [CSRF token](crate::Session::csrf_token), since that belongs to one. A
//! [flash value](crate::Session::flash), a message or old input that a template reads goes away with this request's
//! commit, as it does when a handler reads it. To ask with `has` is not to read, and what stands in a branch that is
//! not rendered is not read.
//!
//! Render within the handler: what is read after the answer has left is not taken away, and comes again.
//!
//! # What comes out
//!
//! Values have the types that they have in the session. A message has `level` and `text`;
//! [`SessionInfo`](crate::SessionInfo) says what `info` has. A value that is not there is undefined, as any name is
//! that a template does not know: minijinja prints nothing (with `UndefinedBehavior::Strict` it refuses), Tera refuses;
//! `default` and `or` work in both.
//!
//! Nothing is marked as safe: the engine escapes it like everything else. minijinja and Tera do so if the name of the
//! template ends in `.html`.
//!
//! # Errors
//!
//! Rendering fails, with the error of the engine, if there is no such method, if its argument is missing or is no text,
//! and where the session refuses: a path through something that is no object, or `old` for a field with several values.
//! The text is that of the [`SessionError`]; minijinja and askama keep the error itself as well. It is for logs: a
//! handler answers 500 and no more. An answer of 5xx takes no flash value away.
//!
//! # Example: minijinja
//!
//! Whoever has the session in the context has it in the template. `session()` and `session` are the same.
#![cfg_attr(feature = "minijinja", doc = "```")]
#![cfg_attr(not(feature = "minijinja"), doc = "```text")]
//! use cloakroom::{Session, SessionManager};
//! use minijinja::{Environment, context};
//!
//! fn page(templates: &Environment<'_>, session: Session) -> Result<String, minijinja::Error> {
//!     templates.get_template("page.html")?.render(context! { session, title => "Orders" })
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut templates = Environment::new();
//! templates.add_template("page.html", "\
//!     {% if session().has('success') %}<p>{{ session().get('success') }}</p>{% endif %}\
//!     {% for message in session().messages() %}<p class={{ message.level }}>{{ message.text }}</p>{% endfor %}\
//! ")?;
//!
//! # let session = SessionManager::new(cloakroom::MemoryStore::new()).create();
//! session.flash_now("success", "Tea & cake are on their way.")?;
//! assert_eq!(page(&templates, session)?, "<p>Tea &amp; cake are on their way.</p>");
//! # Ok(())
//! # }
//! ```
//!
//! # Example: askama
//!
//! A template calls the methods of a field. That the field is a [`ReadOnlySession`] keeps it to reading.
//!
//! ```
//! use askama::Template;
//! use cloakroom::{ReadOnlySession, Session};
//!
//! #[derive(Template)]
//! #[template(ext = "html", source = r#"
//!     {%- if let Some(success) = session.get::<String>("success")? %}<p>{{ success }}</p>{% endif %}
//!     {%- for message in session.messages()? %}<p class={{ message.level() }}>{{ message }}</p>{% endfor -%}
//! "#)]
//! struct Page {
//!     session: ReadOnlySession,
//! }
//!
//! fn page(session: Session) -> Result<String, askama::Error> {
//!     Page { session: session.into() }.render()
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let session = cloakroom::SessionManager::new(cloakroom::MemoryStore::new()).create();
//! session.flash_now("success", "Tea & cake are on their way.")?;
//! assert_eq!(page(session)?, "<p>Tea &#38; cake are on their way.</p>");
//! # Ok(())
//! # }
//! ```
//!
//! The examples `templates_minijinja`, `templates_tera` and `templates_askama` are whole servers.

#[cfg(feature = "minijinja")]
mod minijinja;
#[cfg(feature = "tera")]
pub mod tera;

use serde::Serialize;
use serde_json::Value;

use crate::error::SessionError;
use crate::session::ReadOnlySession;

/// What to write instead of a call that there is none of.
const METHODS: &str =
    "a session has `has`, `get` and `old`, each with a name, and `all`, `csrf`, `messages` and `info`, without";

/// Why a call gives nothing.
enum CallError {
    NoSuchMethod,
    Session(SessionError),
}

/// What a method gives, by the name that templates know. `None` if the value is not there.
fn call(session: &ReadOnlySession, method: &str, name: Option<&str>) -> Result<Option<Value>, CallError> {
    Ok(match (method, name) {
        ("has", Some(path)) => Some(session.contains(path)?.into()),
        ("get", Some(path)) => session.get(path)?,
        ("old", Some(field)) => session.old(field)?.map(Value::from),
        ("all", None) => Some(json(session.all()?)),
        ("csrf", None) => Some(session.csrf_token()?.into()),
        ("messages", None) => Some(json(session.messages()?)),
        ("info", None) => Some(json(session.info())),
        _ => return Err(CallError::NoSuchMethod),
    })
}

fn json(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("objects with names of text, of values that are JSON, are JSON")
}

impl From<SessionError> for CallError {
    fn from(error: SessionError) -> Self {
        Self::Session(error)
    }
}
