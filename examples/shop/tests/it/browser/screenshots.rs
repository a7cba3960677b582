//! The pictures of the documentation. Anew, in two minutes:
//! `CLOAKROOM_SCREENSHOTS=docs/images cargo test -p shop screenshots`.

use std::path::PathBuf;
use std::time::Duration;

use super::chromium::{Browser, with_browsers};
use crate::support::{ADA, GRACE, start};

#[tokio::test]
async fn the_main_pages_can_be_taken_pictures_of() {
    let Some(folder) = std::env::var_os("CLOAKROOM_SCREENSHOTS") else { return };
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(folder);
    let shop = start().await;
    with_browsers(async |[browser]: [&Browser; 1]| {
        let url = format!("http://{}", shop.address);
        let take = async |name: &str, height: u32| {
            browser.0.set_window_size(960, height).await.unwrap();
            let picture = browser.0.screenshot().await.unwrap();
            std::fs::write(folder.join(name).with_extension("png"), picture).unwrap();
        };
        browser.open(&url).await;
        for product in ["Bowler", "Umbrella", "Bowler"] {
            browser.click(&format!("[aria-label='Add to the cart: {product}']")).await;
        }
        browser.shows("Cart 3").await;
        take("shop-catalogue", 1240).await;
        browser.open(&format!("{url}/cart")).await;
        take("shop-cart", 680).await;
        browser.open(&format!("{url}/login")).await;
        take("shop-login", 760).await;

        let mut phone = shop.visitor();
        phone.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) Version/18.5 Safari/604.1";
        phone.log_in(ADA).await;
        shop.clock.advance(Duration::from_mins(25));
        browser.log_in(&url, ADA).await;
        shop.clock.advance(Duration::from_mins(3));
        browser.open(&format!("{url}/devices")).await;
        browser.shows("this one").await;
        take("shop-devices", 580).await;

        // Something to be seen in the plot.
        browser.click("header button").await;
        for step in 0_u32..12 {
            let mut visitor = shop.visitor();
            for _ in 0..step * 5 % 9 {
                if step % 3 == 0 {
                    visitor = shop.visitor();
                }
                visitor.add("scarf").await;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
        browser.log_in(&url, GRACE).await;
        browser.open(&format!("{url}/admin")).await;
        browser.shows("Accounts").await;
        take("shop-admin", 1100).await;
    })
    .await;
}
