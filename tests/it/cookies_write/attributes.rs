//! Name, prefix and attributes: what is emitted, and what is refused (SC-01, SC-03 to SC-06, SC-13, SC-15, SC-16).

use cloakroom::{ConfigError, CookiePrefix, SameSite, SessionCookie};

use super::set_cookie::{issued_by, only_cookie, refusal};
use super::site::Site;
use crate::support::{N, send, send_token};
use crate::user_agent::{From, UserAgent, Visit};

#[tokio::test]
async fn sc_01_what_is_emitted_fits_the_grammar() {
    let site = Site::new();
    let answer = send(&site.app, "/add", &[]).await;
    let issued = only_cookie(&answer);
    assert_eq!(issued.to_text(), answer.set_cookies()[0]);
    assert_eq!((&*issued.name, issued.value.len()), (N, 64));
    only_cookie(&send_token(&site.app, "/destroy", &issued.value).await);
    only_cookie(&send(&site.app, "/remember-1", &[]).await);
}

#[tokio::test]
async fn sc_03_host_cookies_are_secure_for_the_root_and_without_a_domain() {
    for name in ["id", "__Host-id"] {
        let cookie = issued_by(SessionCookie::new(name)).await;
        assert_eq!(cookie.name, "__Host-id");
        assert!(cookie.has("Secure") && cookie.attribute("Path") == Some("/") && !cookie.has("Domain"), "{cookie:?}");
    }
    for wrong in [
        SessionCookie::new("__Host-id").domain("example.org"),
        SessionCookie::new("__Host-id").path("/app"),
        SessionCookie::new_for_http("__Host-id"),
    ] {
        assert!(matches!(refusal(wrong), ConfigError::CookiePrefix { .. }));
    }
}

#[tokio::test]
async fn sc_04_secure_cookies_are_secure() {
    for cookie in [
        SessionCookie::new("__Secure-id"),
        SessionCookie::new("id").domain("example.org"),
        SessionCookie::new("id").path("/app"),
    ] {
        let cookie = issued_by(cookie).await;
        assert!(cookie.name == "__Secure-id" && cookie.has("Secure"), "{cookie:?}");
    }
    assert!(matches!(refusal(SessionCookie::new_for_http("__Secure-id")), ConfigError::CookiePrefix { .. }));
}

#[tokio::test]
async fn sc_05_prefixes_are_checked_without_regard_to_case() {
    for name in ["__host-id", "__HOST-id", "__secure-id", "__http-id", "__host-HTTP-id"] {
        assert!(matches!(refusal(SessionCookie::new_for_http(name)), ConfigError::CookiePrefix { .. }), "{name}");
        assert_eq!(issued_by(SessionCookie::new(name)).await.name, name, "the name is taken as it is given");
    }
    for name in ["__host-id", "__HOST-id", "__host-http-id"] {
        let with_domain = SessionCookie::new(name).domain("example.org");
        assert!(matches!(refusal(with_domain), ConfigError::CookiePrefix { .. }), "{name}");
    }
}

#[tokio::test]
async fn sc_06_http_prefixes_are_an_option() {
    let http_only = || SessionCookie::new("id").prefix(CookiePrefix::HttpOnly);
    for (cookie, name) in [
        (http_only(), "__Host-Http-id"),
        (http_only().path("/app"), "__Http-id"),
        (http_only().domain("example.org"), "__Http-id"),
    ] {
        let cookie = issued_by(cookie).await;
        assert_eq!(cookie.name, name);
        assert!(cookie.has("Secure") && cookie.has("HttpOnly"), "{cookie:?}");
    }
    for wrong in [
        http_only().insecure_visible_to_scripts(),
        SessionCookie::new("__Http-id").insecure_visible_to_scripts(),
        SessionCookie::new("__Host-Http-id").path("/app"),
        SessionCookie::new_for_http("id").prefix(CookiePrefix::HttpOnly),
    ] {
        assert!(matches!(refusal(wrong), ConfigError::CookiePrefix { .. }));
    }
}

#[tokio::test]
async fn sc_13_the_longest_that_is_accepted_is_kept_by_browsers() {
    let name = "n".repeat(4096 - 64 - "__Secure-".len());
    let path = |length: usize| format!("/{}", "p".repeat(length - 1));
    let longest = || SessionCookie::new(name.clone()).path(path(1024));
    let site = Site::with(|layer| layer.transport(longest()).unwrap());
    let answer = send(&site.app, "/add", &[]).await;
    let cookie = only_cookie(&answer);
    assert_eq!(cookie.name.len() + cookie.value.len(), 4096);
    let visit = Visit { https: true, host: "example.org", path: &path(1024), from: From::SameSite };
    let mut browser = UserAgent::new(&site.clock);
    browser.receive(&visit, answer.set_cookies()[0].as_bytes()).unwrap();
    assert!(browser.cookie_header(&visit).is_some());
    assert!(browser.cookie_header(&Visit { path: "/", ..visit }).is_none(), "the Path was not ignored");

    assert!(matches!(refusal(SessionCookie::new(format!("{name}n")).path("/p")), ConfigError::CookieName { .. }));
    assert!(matches!(refusal(longest().path(path(1025))), ConfigError::CookieAttribute { attribute: "Path", .. }));
}

#[tokio::test]
async fn sc_15_same_site_none_needs_secure() {
    let wrong = refusal(SessionCookie::new_for_http("id").same_site(SameSite::None));
    assert_eq!(wrong, ConfigError::NeedsSecure { option: "SameSite=None" });
    assert!(wrong.to_string().contains("SessionCookie::new,"), "says what to do: {wrong}");
    let cookie = issued_by(SessionCookie::new("id").same_site(SameSite::None)).await;
    assert!(cookie.attribute("SameSite") == Some("None") && cookie.has("Secure"), "{cookie:?}");
}

#[tokio::test]
async fn sc_16_partitioned_needs_secure() {
    let wrong = refusal(SessionCookie::new_for_http("id").partitioned(true));
    assert_eq!(wrong, ConfigError::NeedsSecure { option: "Partitioned" });
    let cookie = issued_by(SessionCookie::new("id").partitioned(true).same_site(SameSite::None)).await;
    assert_eq!(cookie.name, "__Host-id");
    assert!(cookie.has("Partitioned") && cookie.has("Secure"), "{cookie:?}");
    assert!(!issued_by(SessionCookie::new("id")).await.has("Partitioned"));
}
