//! The pictures of the documentation: `CLOAKROOM_SCREENSHOTS=docs/images cargo test -p shop screenshots` takes them anew.

use std::path::PathBuf;

use super::chromium::{Browser, with_browsers};
use crate::support::{ADA, GRACE, start};

#[tokio::test]
async fn the_main_pages_can_be_taken_pictures_of() {
    let Some(folder) = std::env::var_os("CLOAKROOM_SCREENSHOTS") else { return };
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
    let shop = start().await;
    with_browsers(async |[browser, other]: [&Browser; 2]| {
        let url = format!("http://{}", shop.address);
        let take = async |name: &str| {
            let picture = browser.0.screenshot().await.unwrap();
            std::fs::write(folder.join(name).with_extension("png"), picture).unwrap();
        };
        browser.0.set_window_size(960, 760).await.unwrap();
        browser.open(&url).await;
        for product in ["Bowler", "Umbrella", "Bowler"] {
            browser.click(&format!("[aria-label='Add to the cart: {product}']")).await;
        }
        browser.shows("Cart 3").await;
        take("shop-catalogue").await;
        browser.open(&format!("{url}/cart")).await;
        take("shop-cart").await;
        browser.open(&format!("{url}/login")).await;
        take("shop-login").await;
        other.log_in(&url, ADA).await;
        browser.log_in(&url, ADA).await;
        browser.open(&format!("{url}/devices")).await;
        browser.shows("this one").await;
        take("shop-devices").await;
        browser.click("header button").await;
        browser.log_in(&url, GRACE).await;
        browser.open(&format!("{url}/admin")).await;
        browser.shows("Accounts").await;
        take("shop-admin").await;
    })
    .await;
}
