//! minijinja: the session as an object with methods.

use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Serde, from_args};
use minijinja::{Error, ErrorKind, State, Value};

use super::{CallError, METHODS, call};
use crate::session::{ReadOnlySession, Session};

/// For templates, which can only read it: see [`templates`](crate::templates).
impl From<Session> for Value {
    fn from(session: Session) -> Self {
        ReadOnlySession::from(session).into()
    }
}

/// For templates: see [`templates`](crate::templates).
impl From<ReadOnlySession> for Value {
    fn from(session: ReadOnlySession) -> Self {
        Self::from_object(Helper(session))
    }
}

#[derive(Debug)]
struct Helper(ReadOnlySession);

impl Object for Helper {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    /// `session()` is the session.
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        Ok(Value::from_dyn_object(self.clone()))
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let (name,) = from_args(args)?;
        match call(&self.0, method, name) {
            Ok(Some(value)) => Ok(Serde(value).into()),
            Ok(None) => Ok(Value::UNDEFINED),
            Err(CallError::NoSuchMethod) => Err(Error::new(ErrorKind::UnknownMethod, METHODS)),
            Err(CallError::Session(error)) => {
                Err(Error::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error))
            }
        }
    }
}
