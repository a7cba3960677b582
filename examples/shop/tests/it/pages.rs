//! What holds for all pages: forms of our own, headers, errors, who may see what.

use std::time::Duration;

use cloakroom::MemoryStore;
use cloakroom::testing::{Fault, FaultStore};
use hyper::StatusCode;

use crate::support::{ADA, GRACE, between, start, start_on};

/// Every form, with its fields.
const FORMS: [(&str, &[(&str, &str)]); 9] = [
    ("/cart", &[("product", "bowler"), ("number", "0")]),
    ("/cart/order", &[]),
    ("/login", &[("name", "ada"), ("password", "analytical engine"), ("next", "/")]),
    ("/logout", &[]),
    ("/sign-up", &[("name", "mallory"), ("password", "long enough")]),
    ("/confirm", &[("password", "nanoseconds of wire"), ("next", "/")]),
    ("/password", &[("password", "long enough")]),
    ("/devices", &[]),
    ("/admin", &[("user", "1")]),
];

#[tokio::test]
async fn no_other_page_can_send_our_forms() {
    let shop = start().await;
    let mut grace = shop.logged_in(GRACE).await;
    grace.add("bowler").await;
    let jar = grace.jar.clone();
    let of_mallory = shop.logged_in(ADA).await.get("/account").await.form("/logout").remove("csrf").unwrap();
    let own = grace.get("/cart").await.form("/cart").remove("csrf").unwrap();
    for (path, fields) in FORMS {
        for csrf in [None, Some(""), Some(&*of_mallory)] {
            let form: Vec<_> = fields.iter().copied().chain(csrf.map(|csrf| ("csrf", csrf))).collect();
            let page = grace.post(path, &form).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {csrf:?}: {}", page.text);
            page.shows("This page is out of date. Please load it again.");
        }
        // What the browser says comes from elsewhere is refused whatever it shows.
        let form: Vec<_> = fields.iter().copied().chain([("csrf", &*own)]).collect();
        for header in [("sec-fetch-site", "cross-site"), ("origin", "http://elsewhere.example")] {
            let page = grace.post_with(path, &form, &[header]).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} {header:?}");
        }
    }
    let page = grace.post_with("/cart/add", &[("product", "bowler")], &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(grace.jar, jar);
    assert_eq!(grace.in_cart().await, 1);
}

/// A new form in a page has to be added above.
#[test]
fn the_list_of_forms_is_complete() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/pages");
    let sources = std::fs::read_dir(folder).unwrap().map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let posts: usize = sources.map(|source| source.matches("post(").count()).sum();
    // And `/cart/add`, which has no text of its own.
    assert_eq!(posts, FORMS.len() + 1);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_protect_it() {
    let shop = start().await;
    let mut ada = shop.logged_in(ADA).await;
    for path in ["/", "/cart", "/login", "/account", "/devices", "/password", "/nowhere", "/admin"] {
        let page = ada.get(path).await;
        assert_eq!(page.headers["cache-control"], "no-store", "{path}");
        assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none';"), "{path}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8", "{path}");
        page.does_not_show(" style=").does_not_show("<script>").does_not_show(" onclick=");
    }
    let style = ada.get("/static/shop.css").await;
    assert_eq!(style.headers["cache-control"], "public, max-age=3600");
    assert!(!style.headers.contains_key("vary"));
}

#[tokio::test]
async fn errors_are_pages() {
    let shop = start().await;
    let mut visitor = shop.visitor();
    let page = visitor.get("/nowhere").await;
    page.shows("<h1>Not Found</h1>").shows("There is nothing here.");
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert_eq!(visitor.get("/static/nothing.css").await.status, StatusCode::NOT_FOUND);
    let page = visitor.post("/", &[]).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    page.shows("<h1>Method Not Allowed</h1>");
    let page = visitor.submit("/sign-up", "/sign-up", &[]).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    page.shows("not filled in");
}

#[tokio::test]
async fn while_the_store_is_down_nobody_is_logged_out() {
    let store = FaultStore::new(MemoryStore::new());
    let shop = start_on(store.clone(), |sessions| sessions).await;
    let mut ada = shop.logged_in(ADA).await;
    store.everything(Fault::Down);
    let page = ada.get("/account").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.shows("<h1>Service Unavailable</h1>").shows("Sessions are not available at the moment.");
    assert_eq!((&page.headers["retry-after"], page.cookie()), (&"1".parse().unwrap(), None));
    assert_eq!(ada.get("/static/shop.css").await.status, StatusCode::OK);
    store.heal();
    ada.get("/account").await.shows("<h1>ada</h1>");
}

#[tokio::test]
async fn the_administrator_sees_what_happens_and_ends_sessions() {
    let shop = start().await;
    shop.visitor().get("/admin").await.leads_to("/login?next=%2Fadmin");
    let mut ada = shop.logged_in(ADA).await;
    assert_eq!(ada.get("/admin").await.status, StatusCode::FORBIDDEN);
    ada.get("/").await.does_not_show("/admin");

    let mut grace = shop.logged_in(GRACE).await;
    let page = grace.get("/admin").await;
    page.shows("<dt>logged in</dt><dd>2</dd>").shows("<dt>created</dt><dd>2</dd>");
    assert_eq!(page.text.matches("<rect class=\"requests\"").count(), 60);
    let newest = between(&page.text, "<g><title>0 s ago: ", "</g>");
    assert!(newest.contains("2 new sessions"), "{newest}");

    let csrf = page.form("/admin").remove("csrf").unwrap();
    let id = page.form("/admin").remove("user").unwrap();
    grace.post("/admin", &[("csrf", &csrf), ("user", &id)]).await.leads_to("/admin");
    grace.get("/admin").await.shows("Sessions ended: 1.").shows("<dt>revoked</dt><dd>1</dd>");
    ada.get("/account").await.leads_to("/login?next=%2Faccount");
}

/// The timer of the policy: nobody notices, and the old secret is good for a minute after the new one was shown.
#[tokio::test]
async fn secrets_are_renewed_in_passing() {
    let shop = start().await;
    let mut ada = shop.logged_in(ADA).await;
    let mut copy = ada.clone();
    shop.clock.advance(Duration::from_mins(16));
    assert!(ada.get("/account").await.cookie().is_some());
    ada.get("/account").await.shows("<h1>ada</h1>");
    shop.clock.advance(Duration::from_mins(2));
    // Stolen, say. The session is over for both: nobody can tell who is who.
    copy.get("/account").await.leads_to("/login?next=%2Faccount");
    ada.get("/account").await.leads_to("/login?next=%2Faccount");
}
