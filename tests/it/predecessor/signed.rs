//! Cookies that the old application has signed.

use axum::Router;
use axum::routing::get;
use cloakroom::MemoryStore;
use tower_sessions::cookie::{Cookie, CookieJar, Key};
use tower_sessions::{MemoryStore as OldStore, SessionManagerLayer};

use super::{Browser, N, before, new_app, without_id};

#[tokio::test]
async fn a_signed_cookie_opens_the_session_and_a_forged_one_does_not() {
    let (old, key) = (OldStore::default(), Key::generate());
    let log_in = |session: tower_sessions::Session| async move { session.insert("user_id", 7).await.unwrap() };
    let layer = SessionManagerLayer::new(old.clone()).with_signed(key.clone());
    let old_app = Router::new().route("/login", get(log_in)).layer(layer);
    let app = new_app(
        MemoryStore::new(),
        before(&old).open_cookie(move |value| {
            let mut jar = CookieJar::new();
            jar.add_original(Cookie::parse_encoded(format!("id={value}")).ok()?.into_owned());
            Some(jar.signed(&key).get("id")?.value().to_owned())
        }),
    );

    let mut browser = Browser::default();
    browser.get(&old_app, "/login").await;
    let signed = browser.0[0].1.clone();
    // A character of the signature, which may be any.
    let changed = if signed[1..].starts_with('A') { 'B' } else { 'A' };
    let other = Browser(vec![("id".into(), format!("{}{changed}{}", &signed[..1], &signed[2..]))]);
    assert_eq!(other.send(&app, "/").await.body, "nobody  0 ");
    let unsigned = Browser(vec![("id".into(), signed[signed.len() - 22..].to_owned())]);
    assert_eq!(unsigned.send(&app, "/").await.body, "nobody  0 ", "the id alone is not enough");
    assert_eq!(without_id(&browser.get(&app, "/").await), "7  0");
    assert_eq!(browser.names(), [N]);
}
