//! Requests that are overtaken by a new secret or by the end of their session (SC-19).

use std::time::Duration;

use cloakroom::DropReason;
use cloakroom::testing::Calls;
use http::StatusCode;

use super::set_cookie::{assert_no_cookie, only_cookie};
use super::site::{Site, persistent};
use super::{DAY, HOUR, MINUTE, TICK};
use crate::support::{Answer, N, send, send_token};

impl Site {
    /// A request loads its session with `token`, stands still while the same token asks for `meanwhile`, and then does
    /// what `path` says. The answers: its own, and the other one's.
    async fn overtaken(&self, token: &str, path: &str, meanwhile: &str) -> (Answer, Answer) {
        let held = tokio::spawn({
            let (app, path, token) = (self.app.clone(), format!("{path}/held"), token.to_owned());
            async move { send_token(&app, &path, &token).await }
        });
        self.gate.arrived(1).await;
        let other = send_token(&self.app, meanwhile, token).await;
        self.gate.open(1);
        (held.await.unwrap(), other)
    }
}

#[tokio::test]
async fn sc_19_a_write_that_is_overtaken_by_a_new_secret_says_nothing_of_cookies() {
    for path in ["/look", "/add", "/remember-1", "/regenerate"] {
        let site = Site::new();
        let old = site.guest().await.token.unwrap();
        let (late, other) = site.overtaken(&old, path, "/regenerate").await;
        assert_eq!(late.status, StatusCode::OK);
        assert_no_cookie(&late);
        assert_eq!(site.has_dropped(DropReason::SecretReplaced), path != "/look", "{path}");
        let new = only_cookie(&other).value;
        let look = send_token(&site.app, "/look", &new).await;
        assert_eq!(look.body, "1", "{path}: the new secret is good, and the latecomer has changed nothing");
        assert_no_cookie(&look);
    }
}

#[tokio::test]
async fn sc_19_a_refresh_that_is_overtaken_by_a_new_secret_is_not_sent() {
    for path in ["/look", "/add"] {
        let site = Site::with_policy(persistent(HOUR, DAY));
        let old = site.guest().await.token.unwrap();
        site.clock.advance(MINUTE * 10);
        let (late, other) = site.overtaken(&old, path, "/regenerate").await;
        assert_no_cookie(&late);
        assert_ne!(only_cookie(&other).value, old);
    }
}

#[tokio::test]
async fn sc_19_a_write_that_is_overtaken_by_the_end_says_nothing_of_cookies() {
    for path in ["/look", "/add", "/remember-1", "/regenerate"] {
        let site = Site::with_policy(persistent(HOUR, DAY));
        let token = site.guest().await.token.unwrap();
        site.clock.advance(MINUTE * 10);
        let (late, other) = site.overtaken(&token, path, "/destroy").await;
        assert!(other.removes_cookie());
        assert_no_cookie(&late);
        let after = send_token(&site.app, "/look", &token).await;
        assert_eq!(after.body, "0", "{path}: the session does not come back");
        assert_eq!(site.store.calls().create, 0, "{path}");
    }
}

#[tokio::test]
async fn sc_19_two_writes_of_one_session_keep_their_cookie_and_their_changes() {
    let site = Site::new();
    let token = site.guest().await.token.unwrap();
    let (late, other) = site.overtaken(&token, "/add", "/add").await;
    assert_no_cookie(&late);
    assert_no_cookie(&other);
    assert_eq!(send_token(&site.app, "/look", &token).await.body, "3");
}

#[tokio::test]
async fn sc_19_a_latecomer_is_anonymous_for_a_minute_and_keeps_its_hands_off_the_cookie() {
    let site = Site::new();
    let old = site.guest().await.token.unwrap();
    let new = only_cookie(&send_token(&site.app, "/regenerate", &old).await).value;
    for wait in [Duration::ZERO, MINUTE.saturating_sub(TICK)] {
        site.clock.advance(wait);
        site.store.reset();
        for (path, body) in [("/look", "0"), ("/add", "1"), ("/destroy", "0"), ("/remember-1", "1")] {
            let late = send_token(&site.app, path, &old).await;
            assert_eq!(late.body, body, "{path}: it sees an empty session");
            assert_no_cookie(&late);
        }
        assert_eq!(site.store.reset(), Calls { load: 4, ..Calls::default() }, "what it writes is dropped");
    }
    let both = format!("{N}={old}; {N}={new}");
    assert_eq!(send(&site.app, "/look", &[both.as_bytes()]).await.body, "1", "a latecomer's token beside the new one");
    site.clock.advance(TICK);
    assert!(send_token(&site.app, "/look", &old).await.removes_cookie(), "it is a stranger now");
    assert_eq!(only_cookie(&send_token(&site.app, "/add", &old).await).value.len(), 64);
    assert_eq!(send_token(&site.app, "/look", &new).await.body, "1", "the session lives on");
}
