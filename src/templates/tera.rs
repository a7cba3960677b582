//! Tera: the session as a function.
//!
//! Templates of Tera have neither methods nor arguments without names, so `session().get('success')` is written
//! `session(get='success')`. Their contexts hold plain values, which a session is not: it is there while
//! [`with_session`] runs.
//!
//! ```
//! use cloakroom::{Session, SessionManager, templates};
//! use tera::{Context, Tera};
//!
//! fn page(templates: &Tera, session: Session) -> tera::TeraResult<String> {
//!     templates::tera::with_session(session, || templates.render("page.html", &Context::new()))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut templates = Tera::new();
//! templates.register_function("session", templates::tera::session);
//! templates.add_raw_template("page.html", "\
//!     {% if session(has='success') %}<p>{{ session(get='success') }}</p>{% endif %}\
//!     {% for message in session(messages=true) %}<p class={{ message.level }}>{{ message.text }}</p>{% endfor %}\
//! ")?;
//!
//! # let session = SessionManager::new(cloakroom::MemoryStore::new()).create();
//! session.flash_now("success", "Tea & cake are on their way.")?;
//! assert_eq!(page(&templates, session)?, "<p>Tea &amp; cake are on their way.</p>");
//! # Ok(())
//! # }
//! ```

use std::cell::RefCell;

use tera::{Error, Kwargs, State, TeraResult, Value};

use super::{CallError, METHODS, call};
use crate::session::ReadOnlySession;

thread_local! {
    /// Whose page this thread is rendering. A function of Tera is registered once for all pages, and is told nothing
    /// about the page but plain values; rendering stays on its thread.
    static RENDERED: RefCell<Option<ReadOnlySession>> = const { RefCell::new(None) };
}

/// Renders with this session: templates that are rendered within the function, on this thread, have it.
///
/// Calls may be nested; the inner session counts.
pub fn with_session<R>(session: impl Into<ReadOnlySession>, render: impl FnOnce() -> R) -> R {
    let _outer = Outer(RENDERED.replace(Some(session.into())));
    render()
}

/// The session around another one, which is there again when this is dropped, even by a panic.
struct Outer(Option<ReadOnlySession>);

impl Drop for Outer {
    fn drop(&mut self) {
        RENDERED.set(self.0.take());
    }
}

/// The function for templates, to be registered: `tera.register_function("session", session)`.
///
/// Its argument has the name of a method and is what the method is asked for, or `true` if that is nothing: see
/// [`templates`](crate::templates).
///
/// # Errors
///
/// If no [`with_session`] is around the rendering, if the argument is none of these, and if the session refuses.
#[allow(clippy::needless_pass_by_value, reason = "the engine calls it")]
pub fn session(arguments: Kwargs, _: &State<'_>) -> TeraResult<Value> {
    let session = RENDERED.with_borrow(Clone::clone).ok_or_else(|| {
        Error::message("there is no session here: render within cloakroom::templates::tera::with_session")
    })?;
    match ask(&session, &arguments) {
        Ok(Some(value)) => Value::try_from_serializable(&value),
        Ok(None) => Ok(Value::undefined()),
        Err(CallError::NoSuchMethod) => {
            Err(Error::message(format!("{METHODS}: write session(get='name'), or session(messages=true)")))
        }
        Err(CallError::Session(error)) => Err(Error::message(error)),
    }
}

fn ask(session: &ReadOnlySession, arguments: &Kwargs) -> Result<Option<serde_json::Value>, CallError> {
    let mut arguments = arguments.iter();
    let (Some((method, argument)), None) = (arguments.next(), arguments.next()) else {
        return Err(CallError::NoSuchMethod);
    };
    let name = argument.as_str();
    if name.is_none() && argument.as_bool() != Some(true) {
        return Err(CallError::NoSuchMethod);
    }
    call(session, method.as_str().unwrap_or_default(), name)
}
