//! `cargo run --example in_cookie`: visits that no store keeps, across a restart.

use cloakroom::SealingKey;
use http::StatusCode;

use crate::support::example::start;

#[tokio::test]
async fn a_session_survives_a_restart_because_the_browser_has_it() {
    let keys = SealingKey::generate().unwrap().expose();
    let example = start("in_cookie", &[("SESSION_KEYS", &keys)]);
    let mut ada = example.visitor();
    assert_eq!(ada.get("/").await, "visit 1 by a stranger\n");
    assert_eq!(ada.post_form("/login", "name=Ada").await, (StatusCode::OK, "hello, Ada\n".into()));
    assert_eq!(ada.get("/").await, "visit 2 by Ada\n");
    drop(example);

    let example = start("in_cookie", &[("SESSION_KEYS", &keys)]);
    ada.server = example.address;
    assert_eq!(ada.get("/").await, "visit 3 by Ada\n");
    let mut copied = ada.clone();
    assert_eq!(ada.post_form("/logout", "").await, (StatusCode::OK, "goodbye\n".into()));
    assert_eq!(ada.jar, []);
    assert_eq!(ada.get("/").await, "visit 1 by a stranger\n");
    // What is given up.
    assert_eq!(copied.get("/").await, "visit 4 by Ada\n");
    drop(example);

    // Another key: nobody's.
    let example = start("in_cookie", &[]);
    copied.server = example.address;
    assert_eq!(copied.get("/").await, "visit 1 by a stranger\n");
}
