//! The input of a form that has to be filled in again.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Session;
use super::places::{decode, encode};
use crate::data::{Data, Path, check_nesting, within};
use crate::error::{ErrorKind, SessionError};
use crate::state::FlashGroup;

/// Under which the input is kept: there is one form at a time.
const NAME: &str = "form";

/// Old input: what a visitor wrote into a form that came back with mistakes.
///
/// ```
/// use axum::response::Redirect;
/// use axum::Form;
/// use cloakroom::{Level, Session, SessionError};
///
/// #[derive(serde::Deserialize, serde::Serialize)]
/// struct Signup { email: String, password: String }
///
/// async fn sign_up(session: Session, Form(form): Form<Signup>) -> Result<Redirect, SessionError> {
///     if !form.email.contains('@') {
///         session.flash_input(&form)?; // not the password
///         session.message(Level::Error, "This is no address.")?;
///         return Ok(Redirect::to("/signup"));
///     }
///     Ok(Redirect::to("/welcome"))
/// }
///
/// async fn form(session: Session) -> Result<String, SessionError> {
///     let email = session.old("email")?.unwrap_or_default();
///     Ok(format!("Your address so far: {email}\n")) // plain text: in HTML a template escapes it
/// }
/// ```
impl Session {
    /// Keeps the input of a form for the page that shows it again. A [flash value](Self::flash): it goes away when that page
    /// has read any field of it.
    ///
    /// Fields whose name contains `password` are left out, however deep they are nested. Leave out other secrets yourself,
    /// with `#[serde(skip_serializing)]`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Encode`] if the form has no named fields. Those of every write, see [above](Self#errors).
    pub fn flash_input<T: Serialize + ?Sized>(&self, form: &T) -> Result<(), SessionError> {
        let fields = Data::parse(&encode(form)?).map_err(|_| {
            SessionError::new(
                ErrorKind::Encode,
                "the input of a form has named fields; this has none, and was not kept",
            )
        })?;
        check_nesting(fields.as_str(), self.limits())?;
        self.put_flash(FlashGroup::Input, NAME, &without_passwords(fields.as_str()))
    }

    /// What the visitor had written into a field. `None` if nothing was kept. Text from a stranger, to be escaped.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] if the field holds neither text nor a number nor a truth value.
    pub fn old(&self, field: impl Path) -> Result<Option<String>, SessionError> {
        let input = self.read_all(FlashGroup::Input);
        let Some((_, input)) = input.first() else { return Ok(None) };
        match within(input, field.segments())?.map(decode::<Value>).transpose()? {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(scalar @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(scalar.to_string())),
            Some(Value::Array(_) | Value::Object(_)) => Err(SessionError::new(
                ErrorKind::Decode,
                "the field holds several values; name one of them by its path, or keep the form as a flash value",
            )),
        }
    }
}

fn without_passwords(value: &str) -> Cow<'_, str> {
    if let Ok(fields) = Data::parse(value) {
        let mut kept = Data::default();
        for (name, value) in fields.members().filter(|(name, _)| !is_password(name)) {
            kept.set_member(&name, &without_passwords(value));
        }
        return kept.as_str().to_owned().into();
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(value) else { return value.into() };
    let items: Vec<_> = items.iter().map(|item| without_passwords(item.get())).collect();
    format!("[{}]", items.join(",")).into()
}

fn is_password(name: &str) -> bool {
    name.to_ascii_lowercase().contains("password")
}
