//! What visitors do, page by page.

use std::time::Duration;

use hyper::{Method, StatusCode};

use crate::support::{ADA, GRACE, Live, start};

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn who_only_looks_gets_no_cookie() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    for path in ["/", "/cart", "/static/shop.css", "/static/bowler.svg", "/nowhere", "/live"] {
        assert_eq!(visitor.get(path).await.cookie(), None, "{path}");
    }
    visitor.add("bowler").await;
    assert_eq!(visitor.jar.len(), 1);
}

#[tokio::test]
async fn a_cart_is_filled_changed_and_ordered() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    for product in ["bowler", "scarf", "bowler"] {
        visitor.add(product).await;
    }
    visitor.get("/").await.shows("Bowler: it is in your cart.").shows("Scarf: it is in your cart.");
    visitor.get("/cart").await.shows("€ 178.00").shows("€ 216.00").does_not_show("it is in your cart");

    visitor.submit("/cart", "/cart", &[("product", "bowler"), ("number", "3")]).await.leads_to("/cart");
    assert_eq!(visitor.in_cart().await, 4);
    visitor.submit("/cart", "/cart", &[("product", "scarf"), ("number", "0")]).await.leads_to("/cart");
    visitor.get("/cart").await.shows("€ 267.00").does_not_show("Scarf");

    visitor.submit("/cart", "/cart/order", &[]).await.leads_to("/");
    visitor.get("/").await.shows("Thank you for your order.");
    visitor.get("/cart").await.shows("There is nothing in it yet.");
    assert_eq!(visitor.post("/cart/add", &[("product", "moon")]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tabs_that_fill_the_cart_at_once_lose_nothing() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    visitor.add("cane").await;
    let tabs: Vec<_> = (0..18)
        .map(|number| {
            let mut tab = visitor.clone();
            tokio::spawn(async move { tab.add(["gloves", "beret"][number % 2]).await })
        })
        .collect();
    for tab in tabs {
        tab.await.unwrap();
    }
    assert_eq!(visitor.in_cart().await, 19);
}

#[tokio::test]
async fn what_was_put_in_while_another_tab_ordered_stays() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    visitor.add("cane").await;
    let form = visitor.get("/cart").await.form("/cart/order");
    visitor.add("beret").await;
    let (mut one, mut other) = (visitor.clone(), visitor.clone());
    let order = tokio::spawn(async move { one.post("/cart/order", &[("csrf", &form["csrf"])]).await });
    other.add("scarf").await;
    order.await.unwrap().leads_to("/");
    // Before or after: what was ordered is gone, and the scarf is there unless it was ordered as well.
    assert!(visitor.in_cart().await <= 1);
    let cart = visitor.get("/cart").await;
    cart.does_not_show("Cane").does_not_show("Beret");
}

#[tokio::test]
async fn a_login_keeps_the_cart_and_gives_a_new_secret() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    visitor.add("umbrella").await;
    visitor.get("/login").await;
    let mut before = visitor.clone();

    let answer = visitor.log_in(ADA).await;
    answer.leads_to("/");
    let cookie = answer.cookie().unwrap();
    assert!(cookie.starts_with("__Host-id="), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{cookie}");
    assert_ne!(visitor.jar, before.jar);
    visitor.get("/").await.shows("Welcome, ada.").shows("Log out");
    visitor.get("/").await.does_not_show("Welcome, ada.");
    assert_eq!(visitor.in_cart().await, 1);

    // Whoever knew the secret from before is nobody.
    before.get("/account").await.leads_to("/login?next=%2Faccount");
    assert_eq!(before.in_cart().await, 0);
}

#[tokio::test]
async fn a_login_leads_to_the_page_that_asked_for_it_and_nowhere_else() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    visitor.get("/devices").await.leads_to("/login?next=%2Fdevices");
    let (name, password) = ADA;
    let mut fields = vec![("name", name), ("password", "wrong")];
    let page = "/login?next=%2Fdevices";
    visitor.submit(page, "/login", &fields).await.leads_to(page);
    visitor.get(page).await.shows("do not go together").shows("value=\"ada\"").does_not_show("wrong");
    fields[1].1 = password;
    visitor.submit(page, "/login", &fields).await.leads_to("/devices");

    for elsewhere in ["//elsewhere.example", "https://elsewhere.example", "/\\elsewhere.example", ""] {
        fields.truncate(2);
        fields.push(("next", elsewhere));
        shop.visitor().submit("/login", "/login", &fields).await.leads_to("/");
    }
}

#[tokio::test]
async fn to_be_remembered_outlives_the_browser_and_the_day() {
    let shop = start().await;
    let (name, password) = ADA;
    let mut remembered = shop.visitor();
    let fields = [("name", name), ("password", password), ("remember", "on")];
    let answer = remembered.submit("/login", "/login", &fields).await;
    assert!(answer.cookie().unwrap().contains("; Max-Age=1209600"), "{:?}", answer.cookie());
    let mut other = shop.logged_in(ADA).await;
    remembered.get("/account").await.shows("it goes on");
    other.get("/account").await.shows("it is over");

    shop.clock.advance(Duration::from_hours(24 * 13));
    remembered.get("/account").await.shows("<h1>ada</h1>");
    other.get("/account").await.leads_to("/login?next=%2Faccount");
    shop.clock.advance(Duration::from_hours(25));
    remembered.get("/account").await.leads_to("/login?next=%2Faccount");
}

#[tokio::test]
async fn a_logout_is_final() {
    let shop = start().await;
    let mut ada = shop.logged_in(ADA).await;
    let mut copy = ada.clone();
    let answer = ada.submit("/", "/logout", &[]).await;
    answer.leads_to("/");
    assert!(answer.cookie().unwrap().starts_with("__Host-id=; "));
    assert!(ada.jar.is_empty());
    copy.get("/account").await.leads_to("/login?next=%2Faccount");
}

#[tokio::test]
async fn who_signs_up_is_logged_in_and_mistakes_come_back() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    for (name, password, mistake) in [
        ("ada lovelace", "long enough", "letters and digits"),
        ("eve", "short", "8 to 128 characters"),
        ("ada", "long enough", "This name is taken."),
    ] {
        visitor.submit("/sign-up", "/sign-up", &[("name", name), ("password", password)]).await.leads_to("/sign-up");
        let page = visitor.get("/sign-up").await;
        page.shows(mistake).shows(&format!("value=\"{name}\"")).does_not_show(password);
    }
    visitor.submit("/sign-up", "/sign-up", &[("name", "eve"), ("password", "long enough")]).await.leads_to("/");
    visitor.get("/account").await.shows("Welcome, eve.").shows("<h1>eve</h1>");
    shop.logged_in(("eve", "long enough")).await.get("/account").await.shows("<h1>eve</h1>");
}

#[tokio::test]
async fn a_new_password_asks_for_the_old_one_and_signs_out_the_other_devices() {
    let shop = start().await;
    let (mut laptop, mut phone) = (shop.logged_in(ADA).await, shop.logged_in(ADA).await);
    shop.clock.advance(11 * MINUTE);
    laptop.get("/password").await.leads_to("/confirm?next=%2Fpassword");
    laptop.post("/password", &[("password", "found it open")]).await.leads_to("/confirm?next=%2Fpassword");

    let page = "/confirm?next=%2Fpassword";
    laptop.submit(page, "/confirm", &[("password", "a guess")]).await.leads_to(page);
    laptop.get(page).await.shows("This is not your password.");
    let before = laptop.jar.clone();
    laptop.submit(page, "/confirm", &[("password", ADA.1)]).await.leads_to("/password");
    assert_ne!(laptop.jar, before);

    laptop.submit("/password", "/password", &[("password", "short")]).await.leads_to("/password");
    laptop.submit("/password", "/password", &[("password", "difference engine")]).await.leads_to("/account");
    laptop.get("/account").await.shows("Your password is changed. Other devices signed out: 1.");
    phone.get("/account").await.leads_to("/login?next=%2Faccount");
    phone.log_in(ADA).await.leads_to("/login");
    phone.log_in(("ada", "difference engine")).await.leads_to("/");
}

#[tokio::test]
async fn devices_are_listed_and_signed_out() {
    let shop = start().await;
    let mut laptop = shop.logged_in(ADA).await;
    shop.clock.advance(MINUTE);
    let mut phone = shop.visitor();
    phone.agent =
        "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Safari/604.1";
    phone.log_in(ADA).await;
    let mut of_grace = shop.logged_in(GRACE).await;

    let list = phone.get("/devices").await;
    list.shows("Safari on iPhone").shows("Firefox on Linux");
    assert_eq!(list.text.matches("name=\"device\"").count(), 2);
    // The newest login comes first, which is this one; the other is the laptop's.
    let ids: Vec<_> = list.text.split("name=\"device\" value=\"").skip(1).map(|rest| &rest[..36]).collect();

    // An id is of no use to anybody else.
    of_grace.submit("/devices", "/devices", &[("device", ids[1])]).await.leads_to("/devices");
    of_grace.get("/devices").await.shows("Devices signed out: 0.");
    laptop.get("/account").await.shows("<h1>ada</h1>");

    phone.submit("/devices", "/devices", &[("device", ids[1])]).await.leads_to("/devices");
    phone.get("/devices").await.shows("Devices signed out: 1.").does_not_show("Firefox");
    laptop.get("/account").await.leads_to("/login?next=%2Faccount");
    // Its cookie is taken away with that answer.
    assert!(laptop.jar.is_empty());

    laptop.log_in(ADA).await;
    let csrf = phone.get("/devices").await.form("/devices").remove("csrf").unwrap();
    phone.post("/devices", &[("csrf", &csrf)]).await.leads_to("/devices");
    phone.get("/devices").await.shows("Devices signed out: 1.");
    laptop.get("/account").await.leads_to("/login?next=%2Faccount");

    // Its own as well.
    phone.submit("/devices", "/devices", &[]).await.leads_to("/devices");
    phone.get("/account").await.leads_to("/login?next=%2Faccount");

    shop.clock.advance(11 * MINUTE);
    of_grace.submit("/devices", "/devices", &[]).await.leads_to("/confirm?next=%2Fdevices");
}

#[tokio::test]
async fn all_tabs_see_the_cart_until_the_session_ends() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    // To nothing a browser need not connect again.
    let answer = visitor.open(Method::GET, "/live", &[], String::new()).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);

    visitor.add("bowler").await;
    let mut tabs = [Live::open(&mut visitor).await, Live::open(&mut visitor).await];
    let mut of_grace = Live::open(&mut shop.logged_in(GRACE).await).await;
    for tab in &mut tabs {
        assert_eq!(tab.next().await.unwrap(), "1");
    }
    visitor.add("bowler").await;
    for tab in &mut tabs {
        assert_eq!(tab.next().await.unwrap(), "2");
    }
    visitor.log_in(ADA).await;
    for tab in &mut tabs {
        assert_eq!(tab.next().await, None);
    }
    // Grace's goes on.
    assert_eq!(of_grace.next().await.unwrap(), "0 grace");
}
