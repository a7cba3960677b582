//! Two instances with one store are one shop.

use std::time::Duration;

use cloakroom::{SessionLayer, SessionStore};
use shop::{Accounts, Shop, policy};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::server;
use crate::support::{ADA, Live, Visitor, connect};

/// Each with connections of its own, on one file of accounts.
async fn two(url: &str) -> ([Visitor; 2], TempDir) {
    let folder = TempDir::new().unwrap();
    let mut visitors = Vec::new();
    for _ in 0..2 {
        visitors.push(Visitor::new(instance(connect(url).await, &folder).await));
    }
    (visitors.try_into().unwrap(), folder)
}

async fn instance(store: impl SessionStore, folder: &TempDir) -> std::net::SocketAddr {
    let sessions = SessionLayer::new(store).policy(policy()).unwrap();
    let accounts = Accounts::open(folder.path().join("accounts.db")).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Shop::new(sessions, accounts).serve(listener, std::future::pending()));
    address
}

async fn are_one_shop(url: &str) {
    let ([mut one, mut other], _folder) = two(url).await;

    // A visitor whose requests go now here, now there.
    one.add("bowler").await;
    other.jar = one.jar.clone();
    assert_eq!(other.in_cart().await, 1);
    let mut live = Live::open(&mut other).await;
    assert_eq!(live.next().await.unwrap(), "1");

    let both = [one.clone(), other.clone()];
    let tabs: Vec<_> = (0..10)
        .map(|number| {
            let mut tab = both[number % 2].clone();
            tokio::spawn(async move { tab.add("scarf").await })
        })
        .collect();
    for tab in tabs {
        tab.await.unwrap();
    }
    assert_eq!((one.in_cart().await, other.in_cart().await), (11, 11));
    // The other instance's stream hears of it when it looks.
    while live.next().await.unwrap() != "11" {}

    // Logged in here is logged in there, and out.
    one.log_in(ADA).await.leads_to("/");
    assert_eq!(live.next().await, None);
    other.jar = one.jar.clone();
    other.get("/").await.shows("Welcome, ada.").shows(">11</span>");
    one.get("/").await.does_not_show("Welcome, ada.");

    let mut phone = Visitor::new(other.server);
    phone.log_in(ADA).await.leads_to("/");
    let csrf = one.get("/devices").await.form("/devices").remove("csrf").unwrap();
    one.post("/devices", &[("csrf", &csrf)]).await.leads_to("/devices");
    one.get("/devices").await.shows("Devices signed out: 1.");
    phone.get("/account").await.leads_to("/login?next=%2Faccount");

    other.jar = one.jar.clone();
    let mut copy = one.clone();
    other.submit("/", "/logout", &[]).await.leads_to("/");
    copy.get("/account").await.leads_to("/login?next=%2Faccount");
}

#[tokio::test]
async fn two_instances_on_one_redis_are_one_shop() {
    let Some(redis) = server::redis() else { return };
    are_one_shop(&format!("redis://{}", redis.address())).await;
}

#[tokio::test]
async fn two_instances_on_one_postgres_are_one_shop() {
    let Some(postgres) = server::postgres() else { return };
    are_one_shop(&format!("postgres://postgres@{}/postgres?create_schema=true", postgres.address())).await;
}

#[tokio::test]
async fn two_instances_on_one_file_are_one_shop() {
    let folder = TempDir::new().unwrap();
    are_one_shop(&format!("sqlite:{}", folder.path().join("sessions.db").display())).await;
}

/// The streams hear what their own process does, and look for the rest.
#[test]
fn the_tests_wait_longer_than_streams_look() {
    assert!(crate::support::SOON > 5 * Duration::from_secs(2));
}
