//! The purse: `cargo run --example csrf`, used and attacked over a socket.

use http::{Method, StatusCode};

use crate::support::example::{Curl, start};

/// The text in the form of a page.
fn text(page: &str) -> &str {
    page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap()
}

async fn spend(purse: &mut Curl, text: &str) -> StatusCode {
    purse.post_form("/", format!("coins=3&csrf={text}")).await.0
}

#[tokio::test]
async fn only_the_purses_own_pages_spend_its_coins() {
    let example = start("csrf", &[]);
    let (mut ada, mut mallory) = (example.visitor(), example.visitor());
    let (page, of_mallory) = (ada.get("/").await, mallory.get("/").await);
    assert!(page.contains("<p>10 coins</p>"), "{page}");
    assert_eq!(spend(&mut ada, text(&page)).await, StatusCode::SEE_OTHER);

    // Another session's form, sent by Ada's browser.
    assert_eq!(spend(&mut ada, text(&of_mallory)).await, StatusCode::FORBIDDEN);
    // Whatever it shows, what a browser says comes from another site is refused by the layer.
    let form = format!("coins=3&csrf={}", text(&page));
    let kind = "application/x-www-form-urlencoded";
    for (header, value, status) in [
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
        ("origin", "https://elsewhere.example", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-origin", StatusCode::SEE_OTHER),
    ] {
        let answer = ada.open_with(Method::POST, "/", &[("content-type", kind), (header, value)], form.clone()).await;
        assert_eq!(answer.status(), status, "{header}: {value}");
    }
    assert!(ada.get("/").await.contains("<p>4 coins</p>"));
}
