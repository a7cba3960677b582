//! What stays on the screen, and what does not.

use super::chromium::{Browser, with_browsers};
use crate::support::{ADA, start};

#[tokio::test]
async fn after_a_logout_the_back_button_shows_nothing_private() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.log_in(&url, ADA).await;
        for path in ["/account", "/devices"] {
            browser.open(&format!("{url}{path}")).await;
        }
        browser.shows("this one").await;
        browser.click("header button").await;
        browser.shows("Log in").await;
        for _ in 0..3 {
            browser.0.back().await.unwrap();
            browser.shows("Log in").await;
            let text = browser.text().await;
            for private in ["ada\n", "this one", "Welcome, ada", "Log out"] {
                assert!(!text.contains(private), "{private:?} at {}:\n{text}", browser.path().await);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_is_shown_once() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        browser.open(&url).await;
        browser.click("[aria-label='Add to the cart: Cane']").await;
        browser.shows("Cane: it is in your cart.").await;
        browser.0.refresh().await.unwrap();
        browser.shows("Cart 1").await;
        assert!(!browser.text().await.contains("it is in your cart"));

        // A form with a mistake comes back filled in, and its message goes too.
        browser.open(&format!("{url}/sign-up")).await;
        browser.type_into("[name=name]", ADA.0).await;
        browser.type_into("[name=password]", "long enough").await;
        browser.click("main button").await;
        browser.shows("This name is taken.").await;
        let field = async |name: &str| {
            let field = browser.find(&format!("[name={name}]")).await;
            field.prop("value").await.unwrap().unwrap_or_default()
        };
        assert_eq!((field("name").await, field("password").await), (ADA.0.to_owned(), String::new()));
        browser.0.refresh().await.unwrap();
        browser.shows("Sign up").await;
        assert!(!browser.text().await.contains("This name is taken."));
        assert_eq!(field("name").await, "");
    })
    .await;
}

#[tokio::test]
async fn a_device_that_is_signed_out_from_another_one_shows_nothing_any_more() {
    let shop = start().await;
    with_browsers(async |[laptop, phone]: [&Browser; 2]| {
        let url = format!("http://{}", shop.address);
        phone.log_in(&url, ADA).await;
        phone.open(&format!("{url}/account")).await;
        phone.shows("Your devices").await;
        // The newest login is the first of the list.
        shop.clock.advance(std::time::Duration::from_secs(5));
        laptop.log_in(&url, ADA).await;
        laptop.open(&format!("{url}/devices")).await;
        laptop.click(".devices li:nth-child(2) button").await;
        laptop.shows("Devices signed out: 1.").await;

        // Nobody touches it: its stream tells the page that the session is over.
        phone.shows("Log in").await;
        assert_eq!(phone.path().await, "/login");
        assert!(!phone.text().await.contains("ada\n"));
        laptop.0.refresh().await.unwrap();
        laptop.shows("this one").await;
    })
    .await;
}
