//! Two tabs of one browser.

use super::chromium::{Browser, with_browsers};
use crate::support::{ADA, start};

#[tokio::test]
async fn two_tabs_that_fill_the_cart_at_once_lose_nothing_and_show_the_same() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        let first = browser.0.window().await.unwrap();
        browser.open(&url).await;
        browser.click("[aria-label='Add to the cart: Gloves']").await;
        browser.shows("Cart 1").await;
        let second = browser.0.new_window(true).await.unwrap().handle;
        let tabs = [(first, "gloves"), (second, "beret")];
        // Each begins and does not wait for the other.
        for (tab, _) in &tabs {
            browser.0.switch_to_window(tab.clone()).await.unwrap();
            browser.open(&url).await;
        }
        for (tab, product) in &tabs {
            browser.0.switch_to_window(tab.clone()).await.unwrap();
            let begin = format!(
                "const add = () => fetch('/cart/add', {{ method: 'POST', body: new URLSearchParams({{ product: '{product}' }}) }});
                 window.added = Promise.all(Array.from({{ length: 9 }}, add));"
            );
            browser.run(&begin).await;
        }
        for (tab, _) in &tabs {
            browser.0.switch_to_window(tab.clone()).await.unwrap();
            assert_eq!(browser.run("return (await window.added).every(answer => answer.ok)").await, true);
        }
        // Neither was loaded anew.
        for (tab, _) in &tabs {
            browser.0.switch_to_window(tab.clone()).await.unwrap();
            browser.shows("Cart 19").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_login_or_logout_in_one_tab_reaches_the_other() {
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        let first = browser.0.window().await.unwrap();
        browser.open(&url).await;
        browser.click("[aria-label='Add to the cart: Umbrella']").await;
        browser.shows("Cart 1").await;
        let second = browser.0.new_window(true).await.unwrap().handle;
        browser.0.switch_to_window(second.clone()).await.unwrap();
        browser.log_in(&url, ADA).await;
        browser.shows("Cart 1").await;
        browser.0.switch_to_window(first.clone()).await.unwrap();
        browser.shows("Log out").await;
        browser.click("header button").await;
        browser.shows("Log in").await;
        browser.0.switch_to_window(second).await.unwrap();
        browser.shows("Log in").await;
        assert!(!browser.text().await.contains("Log out"));
    })
    .await;
}
