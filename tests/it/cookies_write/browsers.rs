//! Whether browsers do what is meant with all that can be emitted (SC-20).

use axum::Router;
use cloakroom::testing::TestClock;
use cloakroom::{CookiePrefix, MemoryStore, SameSite, SessionCookie, SessionPolicy};

use super::set_cookie::{Cookie, only_cookie};
use super::site::{Site, persistent, routes};
use super::{DAY, HOUR, TICK};
use crate::support::{layer, send};
use crate::user_agent::{From, UserAgent, Visit};

/// All combinations of options, those that contradict each other among them.
fn all_cookies() -> impl Iterator<Item = SessionCookie> {
    let names = ["id", "__Host-id", "__host-id", "__Secure-id", "__Http-id", "__Host-Http-id", "__HOST-HTTP-id"];
    let prefixes = [CookiePrefix::FromAttributes, CookiePrefix::HttpOnly, CookiePrefix::None];
    let sites = [SameSite::Strict, SameSite::Lax, SameSite::None];
    let domains = [None, Some("example.org"), Some(".example.org"), Some("EXAMPLE.org"), Some("www.example.org")];
    let paths = ["/", "/app", "/app/"];
    let constructors: [fn(&'static str) -> SessionCookie; 2] = [SessionCookie::new, SessionCookie::new_for_http];
    let switches = [(false, false), (false, true), (true, false), (true, true)];
    product(names, constructors)
        .map(|(name, constructor)| constructor(name))
        .flat_map(move |cookie| prefixes.map(|prefix| cookie.clone().prefix(prefix)))
        .flat_map(move |cookie| sites.map(|site| cookie.clone().same_site(site)))
        .flat_map(move |cookie| {
            domains.map(|domain| match domain {
                Some(domain) => cookie.clone().domain(domain),
                None => cookie.clone(),
            })
        })
        .flat_map(move |cookie| paths.map(|path| cookie.clone().path(path)))
        .flat_map(move |cookie| {
            switches.map(|(partitioned, visible)| {
                let cookie = cookie.clone().partitioned(partitioned);
                if visible { cookie.insecure_visible_to_scripts() } else { cookie }
            })
        })
}

fn product<A: Copy, B: Copy, const M: usize, const K: usize>(a: [A; M], b: [B; K]) -> impl Iterator<Item = (A, B)> {
    a.into_iter().flat_map(move |a| b.map(|b| (a, b)))
}

#[tokio::test]
async fn sc_20_browsers_keep_return_and_forget_every_cookie_that_we_can_emit() {
    let (clock, store) = (TestClock::default(), MemoryStore::new());
    let (mut accepted, mut refused) = (0, 0);
    for cookie in all_cookies() {
        let Ok(sessions) = layer(store.clone(), &clock).transport(cookie.clone()) else {
            refused += 1;
            continue;
        };
        accepted += 1;
        for policy in [SessionPolicy::aal2(), persistent(HOUR, DAY)] {
            let app = routes().layer(sessions.clone().policy(policy).unwrap());
            round_trip(&app, &clock, &format!("{cookie:?}")).await;
        }
    }
    assert_eq!(accepted + refused, 7 * 2 * 3 * 3 * 5 * 3 * 4);
    assert!(accepted > 1000 && refused > 1000, "{accepted} accepted, {refused} refused");
}

/// Gets a session, uses it, ends it; over HTTPS, and over plain HTTP if the cookie is for that.
async fn round_trip(app: &Router, clock: &TestClock, options: &str) {
    let secure = Cookie::parse(send(app, "/app/add", &[]).await.set_cookies()[0]).has("Secure");
    for https in [true, false].into_iter().filter(|https| *https || !secure) {
        let home = Visit { https, host: "www.example.org", path: "/app/look", from: From::SameSite };
        let mut browser = UserAgent::new(clock);
        let answer = send(app, "/app/add", &[]).await;
        let issued = only_cookie(&answer);
        assert_eq!(browser.receive(&home, answer.set_cookies()[0].as_bytes()), Ok(()), "{options}");

        let shown = browser.cookie_header(&home).expect(options);
        assert_eq!(shown, format!("{}={}", issued.name, issued.value).into_bytes(), "{options}");
        let plain = browser.cookie_header(&Visit { https: false, ..home });
        assert_eq!(plain.is_some(), !secure, "{options}");
        assert_eq!(browser.seen_by_scripts(&home).is_none(), issued.has("HttpOnly"), "{options}");
        assert_eq!(browser.cookie_header(&Visit { from: From::Link, ..home }).is_none(), is_strict(&issued));
        assert_eq!(browser.cookie_header(&Visit { host: "evil.org", ..home }), None, "{options}");
        assert_eq!(send(app, "/app/look", &[&shown]).await.body, "1", "{options}");

        let removal = send(app, "/app/destroy", &[&shown]).await;
        assert_eq!(only_cookie(&removal).without_its_end(), issued.without_its_end(), "{options}");
        assert_eq!(browser.receive(&home, removal.set_cookies()[0].as_bytes()), Ok(()), "{options}");
        assert_eq!(browser.count(), 0, "{options}");
    }
}

fn is_strict(cookie: &Cookie) -> bool {
    cookie.attribute("SameSite") == Some("Strict")
}

#[tokio::test]
async fn sc_20_browsers_forget_a_session_cookie_when_they_quit_and_keep_a_persistent_one_to_its_end() {
    const HOME: Visit<'_> = Visit { https: true, host: "example.org", path: "/look", from: From::SameSite };
    let site = Site::new();
    let mut browser = UserAgent::new(&site.clock);
    browser.receive(&HOME, send(&site.app, "/add", &[]).await.set_cookies()[0].as_bytes()).unwrap();
    browser.quit();
    assert_eq!(browser.count(), 0);
    browser.receive(&HOME, send(&site.app, "/remember-400", &[]).await.set_cookies()[0].as_bytes()).unwrap();
    browser.quit();
    site.clock.advance((DAY * 400).saturating_sub(TICK));
    let shown = browser.cookie_header(&HOME).unwrap();
    assert_eq!(send(&site.app, "/look", &[&shown]).await.body, "1");
    site.clock.advance(TICK);
    assert_eq!(browser.count(), 0);
}
