//! What browsers are told to clear at a logout (ASVS 14.3.1).

use axum::Router;
use axum::routing::get;
use cloakroom::testing::{Fault, FaultStore, Operation};
use cloakroom::{MemoryStore, Session, SessionError, SessionLayer, SessionStore, SiteData};
use http::StatusCode;

use crate::support::{Answer, Browser, send_token};

fn routes() -> Router {
    Router::new()
        .route("/add", get(async |session: Session| session.increment("n", 1).map(|n: i64| n.to_string())))
        .route("/n", get(async |session: Session| session.get::<i64>("n").map(|n| n.unwrap_or_default().to_string())))
        .route("/login", get(async |session: Session| session.login("ada")))
        .route("/logout", get(async |session: Session| session.logout()))
        .route("/keeping", get(async |session: Session| session.destroy_keeping_cookie()))
        .route(
            "/saved",
            get(async |session: Session| {
                session.logout()?;
                session.save().await
            }),
        )
        .route("/fails", get(async |session: Session| session.logout().map(|()| StatusCode::INTERNAL_SERVER_ERROR)))
        .route(
            "/own",
            get(async |session: Session| session.logout().map(|()| [("clear-site-data", "\"executionContexts\"")])),
        )
        .route("/ignores", get(async || "ignored"))
}

fn site(store: impl SessionStore, data: &[SiteData]) -> Router {
    routes().layer(SessionLayer::new(store).clear_site_data(data.iter().copied()))
}

fn cleared(answer: &Answer) -> Option<&str> {
    answer.headers.get("clear-site-data").map(|value| value.to_str().unwrap())
}

const ALL: &[SiteData] = &[SiteData::Cache, SiteData::Cookies, SiteData::Storage, SiteData::Cache];

#[tokio::test]
async fn asvs_14_3_1_the_answer_to_a_logout_clears_what_was_chosen_and_no_other_answer_does() {
    let site = site(MemoryStore::new(), ALL);
    for logout in ["/logout", "/keeping", "/saved", "/fails"] {
        let mut ada = Browser::new(&site);
        for path in ["/add", "/login", "/n", "/ignores"] {
            assert_eq!(cleared(&ada.get(path).await), None, "{path}");
        }
        let answer = ada.get(logout).await;
        assert_eq!(cleared(&answer), Some(r#""cache", "cookies", "storage""#), "{logout}");
        assert_eq!(answer.removes_cookie(), logout != "/keeping");
        assert_eq!(cleared(&ada.get("/n").await), None, "what opens nothing any more is no logout");
    }
    let mut ada = Browser::new(&site);
    ada.get("/add").await;
    assert_eq!(cleared(&ada.get("/own").await), Some("\"executionContexts\""));
}

#[tokio::test]
async fn each_choice_has_its_directive_and_none_is_no_header() {
    for (data, header) in [
        (vec![], None),
        (vec![SiteData::Storage], Some("\"storage\"")),
        (vec![SiteData::Cache], Some("\"cache\"")),
        (vec![SiteData::Cookies], Some("\"cookies\"")),
        (vec![SiteData::All], Some("\"*\"")),
    ] {
        let mut ada = Browser::new(&site(MemoryStore::new(), &data));
        ada.get("/add").await;
        assert_eq!(cleared(&ada.get("/logout").await), header, "{data:?}");
    }
}

#[tokio::test]
async fn a_logout_that_could_not_be_stored_clears_nothing() {
    let store = FaultStore::new(MemoryStore::new());
    let mut ada = Browser::new(&site(store.clone(), ALL));
    ada.get("/add").await;
    store.always(Operation::Touch, Fault::Down);
    let answer = ada.get("/logout").await;
    assert_eq!((answer.status, cleared(&answer)), (StatusCode::SERVICE_UNAVAILABLE, None));
    store.heal();
    assert_eq!(ada.get("/n").await.body, "1");
}

#[tokio::test]
async fn who_finds_the_session_ended_by_another_request_has_not_ended_it() {
    let store = MemoryStore::new();
    let layer = SessionLayer::new(store).clear_site_data([SiteData::All]);
    let other = layer.manager().clone();
    let page = get(async move |session: Session| {
        let user = session.require_user()?;
        other.revoke(user, session.id().unwrap()).await?;
        session.insert("late", true)?;
        assert!(session.save().await.is_err());
        Ok::<_, SessionError>(())
    });
    let site = routes().route("/late", page).layer(layer);
    let mut ada = Browser::new(&site);
    ada.get("/login").await;
    let token = ada.token.clone().unwrap();
    let answer = send_token(&site, "/late", &token).await;
    assert_eq!((answer.status, cleared(&answer)), (StatusCode::OK, None));
}

/// Who logs out late must not clear away the cookie of a login that was faster.
#[tokio::test]
async fn a_logout_that_ends_nothing_clears_nothing_unless_its_cookie_opens_nothing() {
    let site = site(MemoryStore::new(), &[SiteData::Cookies]);
    let mut ada = Browser::new(&site);
    ada.get("/add").await;
    let before = ada.token.clone().unwrap();
    ada.get("/login").await;
    assert_eq!(cleared(&send_token(&site, "/logout", &before).await), None, "a latecomer");
    assert_eq!(ada.get("/n").await.body, "1");
    assert_eq!(cleared(&Browser::new(&site).get("/logout").await), None, "nobody");
    let unknown = send_token(&site, "/logout", &"A".repeat(64)).await;
    assert!(unknown.removes_cookie() && cleared(&unknown).is_some(), "whose session is over");
}
