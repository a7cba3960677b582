//! A part of the data with a type of its own, which saves itself.

use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Session;
use super::places::encode;
use crate::data::{Data, OwnedPath, Path as _};
use crate::error::SessionError;
use crate::journal::{Change, Merge, with_fields};

/// The type of a part of the session, and the name under which it is stored.
///
/// The name is written down, and not the type's own: a type can be renamed and moved without losing what is stored. It is
/// a [`Path`](crate::Path): `"shop.cart"` lies within `"shop"`. With `#[serde(default)]` on the type, fields can be added
/// later.
pub trait BagContent: Serialize + DeserializeOwned + Default + 'static {
    /// Where it is stored.
    const NAME: &'static str;
}

/// A part of the session with a type of its own: an argument of handlers that reads like a `T`, and saves itself when it was
/// changed.
///
/// What has changed is found when the bag is dropped, which with an argument is when the handler returns, early with `?`
/// too; like all changes it reaches the store with the commit, and none after an answer of 5xx. A handler that panics
/// changes nothing. A visitor without one gets `T::default()`, and nothing is stored until that is changed.
///
/// Where a login or a [`clear`](Session::clear) takes the data away, what was changed in the bag before goes with the rest, and
/// who changes it afterwards begins with `T::default()`; unless [`login_keeping`](Session::login_keeping) keeps it. A `&mut T`
/// from before writes to what is gone.
///
/// # Requests at the same time
///
/// Only the fields that were changed are written: of two requests that change different fields, both keep theirs. A
/// field as a whole belongs to the later one. For what depends on the old value, such as a sum, use
/// [`update`](Self::update), which loses nothing at all. If somebody has taken the bag away meanwhile, what was in it stays
/// away: the changed fields are written to a `T::default()`. Where the fields of two requests do not make a `T` together,
/// as with variants of an enum, the later request's whole value stands.
///
/// # Errors
///
/// Extracting fails as loading does, and with [`ErrorKind::Decode`](crate::ErrorKind::Decode) if something else is stored
/// under the name. A value that cannot be written, because it would be too large or is no JSON, fails the commit: the
/// request is answered with that error, and none of its data is stored. To learn of it earlier, call
/// [`flush`](Self::flush). A bag that outlives its answer, as in a spawned task, can write no more:
/// [`SessionEvent::Lost`](crate::SessionEvent::Lost) tells.
///
/// # Example: a cart
///
/// ```
/// use std::collections::BTreeMap;
///
/// use axum::extract::Path;
/// use cloakroom::{Bag, BagContent, SessionError};
///
/// #[derive(Default, serde::Serialize, serde::Deserialize)]
/// #[serde(default)]
/// struct Cart {
///     items: BTreeMap<String, u32>,
///     coupon: Option<String>,
/// }
///
/// impl BagContent for Cart {
///     const NAME: &'static str = "cart";
/// }
///
/// async fn add(Path(item): Path<String>, mut cart: Bag<Cart>) -> Result<String, SessionError> {
///     cart.update(move |cart| *cart.items.entry(item.clone()).or_default() += 1)?;
///     Ok(format!("{} different things\n", cart.items.len()))
/// }
///
/// async fn redeem(Path(coupon): Path<String>, mut cart: Bag<Cart>) {
///     cart.coupon = Some(coupon);
/// }
/// ```
pub struct Bag<T: BagContent> {
    session: Session,
    place: OwnedPath,
    value: T,
    /// The value's text before the first change; `None` while there was none.
    before: Option<String>,
    /// How often the session's data had been taken away as a whole when the value was read.
    wipes: usize,
}

impl<T: BagContent> Bag<T> {
    /// The part of a session; `T::default()` if there is none. As an argument of a handler it comes by itself.
    ///
    /// It is a copy: it sees no changes that are made past it, until it is changed itself after a [`clear`](Session::clear) or a
    /// [`login`](Session::login) that has taken the data away.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) if what is stored is no `T`;
    /// [`ErrorKind::InvalidPath`](crate::ErrorKind::InvalidPath) if its name is not a path.
    pub fn of(session: &Session) -> Result<Self, SessionError> {
        let place = T::NAME.segments().to_owned()?;
        let wipes = session.unit().state().wipes();
        let value = session.read_fields(&place)?;
        Ok(Self { session: session.clone(), place, value, before: None, wipes })
    }

    /// Changes the value by a function, which is called again if another request stores the session first. As
    /// [`Session::update`].
    ///
    /// # Errors
    ///
    /// Those of [`flush`](Self::flush): what was changed before is written first.
    pub fn update(&mut self, update: impl Fn(&mut T) + Send + Sync + 'static) -> Result<(), SessionError> {
        self.flush()?;
        self.value = self.session.change_value(self.place.segments(), move |old: Option<T>| {
            let mut value = old.unwrap_or_default();
            update(&mut value);
            value
        })?;
        Ok(())
    }

    /// Writes to the session what has changed, and says whether that is possible. It reaches the store as all changes do.
    ///
    /// # Errors
    ///
    /// Those of every write, see [`Session`](Session#errors). What has changed since the last call is lost then.
    pub fn flush(&mut self) -> Result<(), SessionError> {
        self.forget_what_is_wiped();
        let Some(before) = self.before.take() else { return Ok(()) };
        let after = encode(&self.value)?;
        if before == after { Ok(()) } else { self.session.change(self.change(&before, after)) }
    }

    /// What the user before had is not for the next one to see. What was changed in it went with the rest, as if each change
    /// had been written when it was made.
    fn forget_what_is_wiped(&mut self) {
        let is_wiped = {
            let state = self.session.unit().state();
            let known = std::mem::replace(&mut self.wipes, state.wipes());
            state.is_wiped_since(known, &self.place)
        };
        if is_wiped {
            self.before = None;
            self.value = self.session.read_fields(&self.place).unwrap_or_default();
        }
    }

    /// The session that it is a part of.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn change(&self, before: &str, after: String) -> Change {
        let (Ok(old), Ok(new)) = (Data::parse(before), Data::parse(&after)) else {
            return Change::Set(self.place.clone(), after);
        };
        let mut gone: HashMap<_, _> = old.members().collect();
        let mut fields = Vec::new();
        for (name, value) in new.members() {
            if gone.remove(&name) != Some(value) {
                fields.push((name.into(), Some(value.into())));
            }
        }
        fields.extend(gone.into_keys().map(|name| (name.into(), None)));
        let fits = |text: &str| serde_json::from_str::<T>(text).is_ok();
        let of_default = encode(&T::default()).ok().and_then(|object| with_fields(&object, &fields));
        let afresh = of_default.as_ref().map(Data::as_str).filter(|text| fits(text)).unwrap_or(&after).into();
        Change::Merge(self.place.clone(), Arc::new(Merge { fields, whole: after, afresh, fits }))
    }
}

impl<T: BagContent> Deref for Bag<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: BagContent> DerefMut for Bag<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.forget_what_is_wiped();
        // What has no text yet may have one when it is written: then all of it has changed.
        self.before.get_or_insert_with(|| encode(&self.value).unwrap_or_default());
        &mut self.value
    }
}

impl<T: BagContent> Drop for Bag<T> {
    fn drop(&mut self) {
        // What a panic has left behind may be half of a change.
        if std::thread::panicking() {
            return;
        }
        if let Err(error) = self.flush() {
            self.session.fail(error);
        }
    }
}

impl<T: BagContent> fmt::Debug for Bag<T> {
    /// Shows the name and no data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bag").field("name", &T::NAME).finish_non_exhaustive()
    }
}
