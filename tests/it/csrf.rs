//! Forms that only a session's own pages can send (ASVS 3.5.1, NIST SP 800-63B-4 section 5.1).

use std::time::Duration;

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;
use cloakroom::testing::{Calls, CountingStore, Fault, FaultStore, Operation, TestClock};
use cloakroom::{
    ErrorKind, MemoryStore, ReadOnlySession, Session, SessionError, SessionLayer, SessionManager, SessionPolicy,
    SessionStore, TokenChange,
};
use http::StatusCode;

use crate::support::{Browser, layer, manager};

async fn form(session: Session) -> Result<String, SessionError> {
    session.csrf_token()
}

async fn send(session: Session, RawQuery(shown): RawQuery) -> Result<&'static str, SessionError> {
    session.verify_csrf(shown.unwrap_or_default())?;
    Ok("done")
}

async fn log_in(session: Session) -> Result<String, SessionError> {
    let before = session.csrf_token()?;
    session.login("ada")?;
    assert_eq!(session.verify_csrf(&before).unwrap_err().kind(), ErrorKind::CsrfToken);
    let after = session.csrf_token()?;
    session.verify_csrf(&after)?;
    Ok(after)
}

async fn log_out(session: Session) -> Result<(), SessionError> {
    let before = session.csrf_token()?;
    session.logout()?;
    assert_eq!(session.csrf_token().unwrap_err().kind(), ErrorKind::Destroyed);
    assert_eq!(session.verify_csrf(&before).unwrap_err().kind(), ErrorKind::CsrfToken);
    Ok(())
}

fn app(layer: SessionLayer) -> Router {
    Router::new()
        .route("/form", get(form))
        .route("/read-only", get(async |session: ReadOnlySession| session.csrf_token()))
        .route("/send", get(send))
        .route("/login", get(log_in))
        .route("/logout", get(log_out))
        .route("/write", get(async |session: Session| session.insert("seen", true)))
        .route("/regenerate", get(async |session: Session| session.regenerate()))
        .route("/renew", get(async |session: Session| session.regenerate_with_grace(Duration::from_secs(30))))
        .route("/fails", get(async |session: Session| session.csrf_token().map(|_| StatusCode::BAD_GATEWAY)))
        .layer(layer)
}

fn site(store: impl SessionStore) -> Router {
    app(layer(store, &TestClock::default()))
}

async fn is_good(browser: &Browser, text: &str) -> bool {
    browser.clone().get(&format!("/send?{text}")).await.status == StatusCode::OK
}

#[tokio::test]
async fn asvs_3_5_1_a_form_of_one_session_is_refused_in_another() {
    let site = site(MemoryStore::new());
    let (mut ada, mut ben) = (Browser::new(&site), Browser::new(&site));
    let of_ada = ada.get("/form").await;
    assert!(ada.token.is_some(), "a visitor gets a session with the form");
    let of_ben = ben.get("/form").await.body;
    assert!(is_good(&ada, &of_ada.body).await && is_good(&ben, &of_ben).await);
    assert!(!is_good(&ben, &of_ada.body).await && !is_good(&ada, &of_ben).await);

    let refused = ada.get("/send?").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.body, "This page is out of date. Please load it again.\n");
    assert_eq!(Browser::new(&site).get(&format!("/send?{}", of_ada.body)).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_page_shows_another_text_and_all_stay_good() {
    let site = site(MemoryStore::new());
    let mut ada = Browser::new(&site);
    let mut texts = Vec::new();
    for path in ["/form", "/form", "/read-only", "/form"] {
        texts.push(ada.get(path).await.body);
    }
    for text in &texts {
        assert_eq!(text.len(), 80);
        assert!(is_good(&ada, text).await && is_good(&ada, text).await);
    }
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), 4);
}

#[tokio::test]
async fn for_a_session_that_exists_a_form_stores_nothing() {
    let store = CountingStore::new(MemoryStore::new());
    let mut ada = Browser::new(&site(store.clone()));
    ada.get("/write").await;
    store.reset();
    let answer = ada.get("/form").await;
    assert!(answer.set_cookies().is_empty());
    assert!(is_good(&ada, &answer.body).await);
    assert_eq!(store.reset(), Calls { load: 2, ..Calls::default() });
}

#[tokio::test]
async fn two_requests_that_make_the_first_forms_at_once_both_make_good_ones() {
    let manager = manager(MemoryStore::new(), &TestClock::default());
    let session = manager.create();
    session.insert("seen", true).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
    let token = issued.token.expose();
    let open = async || manager.open(token.as_bytes()).await.unwrap();

    let (one, other) = (open().await, open().await);
    let texts = [one.csrf_token().unwrap(), other.csrf_token().unwrap()];
    one.insert("one", 1).unwrap();
    other.insert("other", 2).unwrap();
    manager.commit(&one).await.unwrap();
    manager.commit(&other).await.unwrap();
    for text in texts {
        open().await.verify_csrf(text).unwrap();
    }
}

#[tokio::test]
async fn a_form_from_before_a_login_is_bad_and_one_from_the_login_itself_is_good() {
    let site = site(MemoryStore::new());
    let mut ada = Browser::new(&site);
    for _ in 0..2 {
        let before = ada.get("/form").await.body;
        let at_login = ada.get("/login").await.body;
        assert!(!is_good(&ada, &before).await);
        assert!(is_good(&ada, &at_login).await && is_good(&ada, &ada.clone().get("/form").await.body).await);
        // It stays so through later saves.
        ada.get("/write").await;
        assert!(is_good(&ada, &at_login).await);
    }
    let before = ada.get("/form").await.body;
    ada.get("/regenerate").await;
    assert!(!is_good(&ada, &before).await);
}

#[tokio::test]
async fn after_a_logout_a_form_is_bad() {
    let site = site(MemoryStore::new());
    let mut ada = Browser::new(&site);
    let text = ada.get("/form").await.body;
    let before = ada.clone();
    assert_eq!(ada.get("/logout").await.status, StatusCode::OK);
    assert!(!is_good(&ada, &text).await && !is_good(&before, &text).await);
    ada.get("/form").await;
    assert!(!is_good(&ada, &text).await);
}

#[tokio::test]
async fn forms_in_open_tabs_stay_good_when_the_secret_is_renewed_with_grace() {
    let site = site(MemoryStore::new());
    let mut ada = Browser::new(&site);
    let mut texts = vec![ada.get("/form").await.body];
    for _ in 0..3 {
        let before = ada.clone();
        ada.get("/renew").await;
        assert_ne!(ada.token, before.token);
        texts.push(ada.get("/form").await.body);
        // A tab that has not learnt of it yet.
        texts.push(before.clone().get("/form").await.body);
        for text in &texts {
            assert!(is_good(&ada, text).await && is_good(&before, text).await);
        }
        ada.get("/write").await;
    }
    ada.get("/login").await;
    for text in &texts {
        assert!(!is_good(&ada, text).await);
    }
}

#[tokio::test]
async fn a_connection_goes_on_with_the_forms_of_a_renewed_session() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create();
    let text = session.csrf_token().unwrap();
    session.save().await.unwrap();
    session.verify_csrf(&text).unwrap();
    let detached = session.detach().await.unwrap().check_every(Duration::from_millis(10));
    session.regenerate_with_grace(Duration::from_mins(1)).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a new secret") };
    // The connection learns of the new secret by looking whether it is over.
    assert!(tokio::time::timeout(Duration::from_millis(50), detached.ended()).await.is_err());
    let of_connection = detached.csrf_token().unwrap();
    let next = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    next.verify_csrf(&text).unwrap();
    next.verify_csrf(&of_connection).unwrap();
    detached.verify_csrf(next.csrf_token().unwrap()).unwrap();
}

#[tokio::test]
async fn a_form_survives_a_save_that_fails_before_one_that_does_not() {
    let store = FaultStore::new(MemoryStore::new());
    let manager = manager(store.clone(), &TestClock::default());
    let session = manager.create();
    let text = session.csrf_token().unwrap();
    store.once(Operation::Create, Fault::Broken);
    session.save().await.unwrap_err();
    session.verify_csrf(&text).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
    let next = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    next.verify_csrf(&text).unwrap();
}

#[tokio::test]
async fn an_answer_that_failed_makes_no_session_for_its_form() {
    let mut ada = Browser::new(&site(MemoryStore::new()));
    assert_eq!(ada.get("/fails").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(ada.token, None);
}

#[tokio::test]
async fn a_visitor_who_has_not_agreed_to_a_session_has_no_form_of_it() {
    let policy = SessionPolicy::default().on_consent(true);
    let session = SessionManager::new(MemoryStore::new()).policy(policy).unwrap().create();
    assert_eq!(session.csrf_token().unwrap_err().kind(), ErrorKind::NotStored);
    session.consent().unwrap();
    let text = session.csrf_token().unwrap();
    session.save().await.unwrap();
    session.verify_csrf(text).unwrap();
}

#[tokio::test]
async fn after_the_answer_a_visitor_without_a_session_gets_none() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create();
    manager.commit(&session).await.unwrap();
    assert_eq!(session.csrf_token().unwrap_err().kind(), ErrorKind::Committed);
}

#[test]
fn templates_put_it_into_their_forms() {
    let session = SessionManager::new(MemoryStore::new()).create();
    let mut templates = minijinja::Environment::new();
    templates.add_template("page.html", "{{ session().csrf() }}").unwrap();
    let page = templates.get_template("page.html").unwrap();
    session.verify_csrf(page.render(minijinja::context! { session => session.clone() }).unwrap()).unwrap();

    let mut templates = tera::Tera::new();
    templates.register_function("session", cloakroom::templates::tera::session);
    templates.add_raw_template("page.html", "{{ session(csrf=true) }}").unwrap();
    let page = cloakroom::templates::tera::with_session(session.clone(), || {
        templates.render("page.html", &tera::Context::new())
    });
    session.verify_csrf(page.unwrap()).unwrap();
}

#[tokio::test]
async fn forms_in_open_tabs_stay_good_when_the_timer_renews_the_secret() {
    let clock = TestClock::default();
    let policy = SessionPolicy::aal2().rotate_every(Duration::from_mins(15), Duration::from_mins(1));
    let mut ada = Browser::new(&app(layer(MemoryStore::new(), &clock).policy(policy).unwrap()));
    let text = ada.get("/form").await.body;
    for _ in 0..3 {
        let before = ada.token.clone();
        clock.advance(Duration::from_mins(16));
        let at_renewal = ada.get("/form").await.body;
        assert_ne!(ada.token, before);
        ada.get("/write").await;
        clock.advance(Duration::from_mins(2));
        assert!(is_good(&ada, &text).await && is_good(&ada, &at_renewal).await);
    }
}

#[tokio::test]
async fn a_form_from_before_the_login_is_void_even_if_the_session_is_as_new_as_the_form() {
    let mut ada = Browser::new(&site(MemoryStore::new()));
    let answer = ada.get("/login").await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert!(is_good(&ada, &answer.body).await);
}
