//! The cookie as a browser sees it.

use std::time::Duration;

use cloakroom::{MemoryStore, SessionCookie};
use serde_json::json;

use super::chromium::{Browser, COOKIE, with_browsers};
use crate::support::{ADA, start, start_on};

#[tokio::test]
async fn the_cookie_is_for_this_host_alone_and_no_script_sees_it() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.open(&url).await;
        assert!(browser.cookies().await.is_empty());

        browser.click("[aria-label='Add to the cart: Bowler']").await;
        browser.shows("Bowler: it is in your cart.").await;
        let cookies = browser.cookies().await;
        let [cookie] = &*cookies else { panic!("{cookies:?}") };
        assert_eq!((cookie.name(), cookie.path(), cookie.domain()), (COOKIE, Some("/"), Some("127.0.0.1")));
        assert_eq!((cookie.http_only(), cookie.secure()), (Some(true), Some(true)));
        assert_eq!(cookie.same_site().unwrap().to_string(), "Lax");
        // Gone when the browser is closed.
        assert_eq!(cookie.expires(), None);
        assert_eq!(browser.run("return document.cookie").await, "");
        // Nor can a script put one in its place.
        browser.run(&format!("document.cookie = '{COOKIE}=planted; Secure; Path=/'")).await;
        assert_eq!(browser.cookies().await, cookies);
    })
    .await;
}

#[tokio::test]
async fn a_logout_takes_the_cookie_away() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.log_in(&url, ADA).await;
        assert_eq!(browser.cookies().await.len(), 1);
        browser.click("header button").await;
        browser.shows("Log in").await;
        assert!(browser.cookies().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn to_be_remembered_gives_the_cookie_two_weeks() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}/login", shop.address);
        browser.open(&url).await;
        browser.type_into("[name=name]", ADA.0).await;
        browser.type_into("[name=password]", ADA.1).await;
        browser.click("[name=remember]").await;
        browser.click("main button").await;
        browser.shows("Welcome, ada.").await;
        let cookies = browser.cookies().await;
        let expires = cookies[0].expires().unwrap().datetime().unwrap().unix_timestamp();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let days = (expires - i64::try_from(now).unwrap()) / 86_400;
        assert!((13..=14).contains(&days), "{days}");
        browser.click("header button").await;
        browser.shows("Log in").await;
        assert!(browser.cookies().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_login_replaces_the_cookie_and_the_old_one_is_dead() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.open(&url).await;
        browser.click("[aria-label='Add to the cart: Scarf']").await;
        browser.shows("Scarf: it is in your cart.").await;
        let planted = browser.token().await.unwrap();
        browser.log_in(&url, ADA).await;
        let token = browser.token().await.unwrap();
        assert_ne!(planted, token);
        assert_eq!(browser.find("#in-cart").await.text().await.unwrap(), "1");

        let mut thief = shop.visitor();
        thief.jar.insert(COOKIE.into(), planted);
        thief.get("/account").await.leads_to("/login?next=%2Faccount");
        assert_eq!(thief.in_cart().await, 0);
        browser.open(&format!("{url}/account")).await;
        browser.shows("Your devices").await;
        assert_eq!(browser.token().await.unwrap(), token);
    })
    .await;
}

#[tokio::test]
async fn over_plain_http_the_secure_cookie_works_on_this_machine_and_the_other_one_elsewhere() {
    let secure = start().await;
    let plain = |sessions: cloakroom::SessionLayer| sessions.transport(SessionCookie::new_for_http("id")).unwrap();
    let insecure = start_on(MemoryStore::new(), plain).await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let logged_in = async |host: &str, port: u16| {
            let url = format!("http://{host}:{port}");
            browser.open(&format!("{url}/login")).await;
            browser.type_into("[name=name]", ADA.0).await;
            browser.type_into("[name=password]", ADA.1).await;
            browser.click("main button").await;
            browser.shows("").await;
            browser.open(&format!("{url}/account")).await;
            browser.path().await == "/account"
        };
        for host in ["localhost", "127.0.0.1"] {
            assert!(logged_in(host, secure.address.port()).await, "{host}");
        }
        // A browser does not even take it.
        assert!(!logged_in("shop.example", secure.address.port()).await);
        assert!(browser.cookies().await.is_empty());
        assert!(logged_in("shop.example", insecure.address.port()).await);
        let cookies = browser.cookies().await;
        assert_eq!((cookies[0].name(), cookies[0].secure()), ("id", Some(false)));
    })
    .await;
}

/// The timer of the policy, with all the requests of a page at once.
#[tokio::test]
async fn secrets_that_are_renewed_under_parallel_requests_log_nobody_out() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.log_in(&url, ADA).await;
        let mut seen = vec![browser.token().await.unwrap()];
        for round in 1..=5 {
            shop.clock.advance(Duration::from_mins(16));
            let answers = browser
                .run(
                    "const paths = ['/account', '/', '/cart', '/devices'];
                     const all = Array.from({ length: 24 }, (_, number) => fetch(paths[number % 4]));
                     return (await Promise.all(all)).map(answer => answer.redirected ? 'sent to log in' : answer.status);",
                )
                .await;
            assert_eq!(answers, json!(vec![200; 24]), "round {round}");
            // All of them may have had the old one. No other follows before a request has shown this one.
            assert_eq!(browser.run("return (await fetch('/account')).url").await, format!("{url}/account"));
            let token = browser.token().await.unwrap();
            assert!(!seen.contains(&token), "round {round}: the secret is a new one: {token} of {seen:#?}");
            seen.push(token);
        }
        // The old one is good for a minute after the new one was shown, and then it is an alarm.
        browser.open(&format!("{url}/account")).await;
        shop.clock.advance(Duration::from_mins(2));
        browser.open(&format!("{url}/account")).await;
        browser.shows("Your devices").await;
        let mut thief = shop.visitor();
        thief.jar.insert(COOKIE.into(), seen[4].clone());
        thief.get("/account").await.leads_to("/login?next=%2Faccount");
        browser.open(&format!("{url}/account")).await;
        assert_eq!(browser.path().await, "/login");
    })
    .await;
}
