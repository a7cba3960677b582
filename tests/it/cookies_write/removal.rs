//! When a cookie is taken away, and how (SC-10 to SC-12).

use cloakroom::testing::{Calls, Fault, Operation};
use cloakroom::{SameSite, SessionCookie};

use super::set_cookie::{assert_no_cookie, only_cookie};
use super::site::{Site, persistent};
use super::{DAY, HOUR};
use crate::support::{N, send, send_token};
use crate::user_agent::{From, UserAgent, Visit};

#[tokio::test]
async fn sc_10_the_removal_repeats_every_attribute() {
    for cookie in [
        SessionCookie::default(),
        SessionCookie::new_for_http("id"),
        SessionCookie::new("id").domain(".Example.org").path("/app").same_site(SameSite::Strict),
        SessionCookie::new("id").partitioned(true).same_site(SameSite::None).insecure_visible_to_scripts(),
    ] {
        let site = Site::with(|layer| layer.transport(cookie).unwrap());
        let issued = only_cookie(&send(&site.app, "/app/remember-1", &[]).await);
        let shown = format!("{}={}", issued.name, issued.value);
        let removal = only_cookie(&send(&site.app, "/app/destroy", &[shown.as_bytes()]).await);
        assert_eq!(removal.value, "");
        assert_eq!(removal.max_age(), Some(0));
        assert_eq!(removal.attribute("Expires"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(removal.without_its_end(), issued.without_its_end());
    }
}

#[tokio::test]
async fn sc_11_a_shown_cookie_without_a_session_is_removed() {
    let site = Site::new();
    let expired = site.guest().await.token.unwrap();
    site.clock.advance(HOUR);
    let destroyed = site.guest().await.token.unwrap();
    assert!(send_token(&site.app, "/destroy", &destroyed).await.removes_cookie());
    for (name, value) in [
        ("expired", &*expired),
        ("destroyed", &destroyed),
        ("malformed", "x"),
        ("empty", ""),
        ("unknown", &"A".repeat(64)),
    ] {
        for path in ["/look", "/destroy", "/look/status/500"] {
            assert!(send_token(&site.app, path, value).await.removes_cookie(), "{name} {path}");
        }
        assert_no_cookie(&send_token(&site.app, "/ignore", value).await);
        let new = send_token(&site.app, "/add", value).await;
        assert_eq!(only_cookie(&new).value.len(), 64, "{name}: replaced by a new one, not removed");
        assert_ne!(new.token(), Some(value));
    }
}

#[tokio::test]
async fn sc_11_nothing_is_removed_from_a_request_that_showed_nothing() {
    let site = Site::new();
    for path in ["/look", "/destroy", "/regenerate", "/look/status/500", "/destroy/status/500"] {
        assert_no_cookie(&send(&site.app, path, &[]).await);
        assert_no_cookie(&send(&site.app, path, &[b"a=1; __host-id=x"]).await);
    }
}

#[tokio::test]
async fn sc_11_nothing_is_removed_if_the_session_was_made_and_ended_by_one_request() {
    let site = Site::new();
    let answer = send(&site.app, "/add-save-destroy", &[]).await;
    assert_eq!(site.store.reset(), Calls { create: 1, touch: 1, delete: 1, ..Calls::default() });
    assert_no_cookie(&answer);
}

#[tokio::test]
async fn sc_11_a_store_failure_removes_nothing() {
    use Operation::{Load, Save, Touch};
    for fault in [Fault::Down, Fault::Broken] {
        for (path, operation) in [
            ("/look", Load),
            ("/add", Load),
            ("/destroy", Load),
            ("/add", Save),
            ("/regenerate", Save),
            ("/destroy", Touch),
            ("/destroy/status/500", Touch),
        ] {
            let site = Site::new();
            let mut browser = site.guest().await;
            site.faults.always(operation, fault);
            let answer = browser.get(path).await;
            assert!(answer.status.is_server_error());
            assert_no_cookie(&answer);
            site.faults.heal();
            assert_eq!(browser.get("/look").await.body, "1", "{path}: the session is as it was");
        }
    }
}

#[tokio::test]
async fn sc_11_several_good_cookies_remove_and_end_nothing() {
    let site = Site::new();
    let (one, two) = (site.guest().await.token.unwrap(), site.guest().await.token.unwrap());
    let both = format!("{N}={one}; {N}={two}");
    for path in ["/look", "/destroy", "/regenerate"] {
        assert_no_cookie(&send(&site.app, path, &[both.as_bytes()]).await);
    }
    for token in [&one, &two] {
        assert_eq!(send_token(&site.app, "/look", token).await.body, "1");
    }
}

#[tokio::test]
async fn sc_12_both_ends_of_a_removal_are_past_and_an_issue_has_one() {
    const HOME: Visit<'_> = Visit { https: true, host: "example.org", path: "/", from: From::SameSite };
    let site = Site::with_policy(persistent(HOUR, DAY));
    let issued = only_cookie(&send(&site.app, "/add", &[]).await);
    assert!(issued.has("Max-Age") && !issued.has("Expires"));
    let removal = only_cookie(&send_token(&site.app, "/destroy", &issued.value).await);
    for missing in ["Max-Age", "Expires"] {
        let mut half = removal.clone();
        half.attributes.retain(|(name, _)| name != missing);
        assert_eq!(half.attributes.len() + 1, removal.attributes.len());
        let mut browser = UserAgent::new(&site.clock);
        browser.receive(&HOME, issued.to_text().as_bytes()).unwrap();
        assert_eq!(browser.count(), 1);
        browser.receive(&HOME, half.to_text().as_bytes()).unwrap();
        assert_eq!(browser.count(), 0, "without {missing}");
    }
}
