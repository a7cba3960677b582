//! `cargo run --example visits`, the first command of the README, and what the README does with curl.

use http::StatusCode;

use crate::examples::use_it;
use crate::support::example::start;

#[tokio::test]
async fn the_readme_holds() {
    let example = start("visits", &[]);
    let mut curl = example.visitor();
    assert_eq!(curl.get("/").await, "visit 1 by a stranger\n");
    assert_eq!(curl.get("/").await, "visit 2 by a stranger\n");

    let mut before_login = curl.clone();
    assert_eq!(curl.post_form("/login", "name=Ada").await, (StatusCode::OK, "hello, Ada\n".into()));
    assert_ne!(curl.jar, before_login.jar);
    assert_eq!(curl.get("/").await, "visit 3 by Ada\n");
    // Whoever knew the token from before the login, or planted it, is not logged in, and counts for nobody.
    assert_eq!(before_login.get("/").await, "visit 1 by a stranger\n");
    assert_eq!(curl.get("/").await, "visit 4 by Ada\n");

    let before_logout = curl.clone();
    assert_eq!(curl.post_form("/logout", "").await, (StatusCode::OK, "goodbye\n".into()));
    assert_eq!(curl.jar, []);
    for mut visitor in [curl, before_logout] {
        assert_eq!(visitor.get("/").await, "visit 1 by a stranger\n");
    }
}

#[tokio::test]
async fn people_log_in_with_json_as_well_and_each_for_themselves() {
    let example = start("visits", &[]);
    let (mut ada, mut ben) = (example.visitor(), example.visitor());
    let json = ada.post_json("/login", r#"{"name":"Ada"}"#).await;
    assert_eq!(json, (StatusCode::OK, "hello, Ada\n".into()));
    assert_eq!(ben.post_form("/login", "name=Ben").await.0, StatusCode::OK);
    assert_eq!(ada.get("/").await, "visit 1 by Ada\n");
    assert_eq!(ben.get("/").await, "visit 1 by Ben\n");

    assert!(example.visitor().post_form("/login", "nobody=1").await.0.is_client_error());
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_ends_it_in_good_order() {
    let example = start("visits", &[]);
    example.visitor().get("/").await;
    let (status, rest) = example.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(rest, "");
}

#[tokio::test]
async fn a_restart_ends_all_sessions() {
    let example = start("visits", &[]);
    let mut ada = use_it(&example).await;
    drop(example);
    let example = start("visits", &[]);
    ada.server = example.address;
    assert_eq!(ada.get("/").await, "visit 1 by a stranger\n");
}
