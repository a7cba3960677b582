//! Mistakes around logins and new secrets.

use std::time::Duration;

use cloakroom::testing::TestClock;
use cloakroom::{MemoryStore, Session, SessionManager, TokenChange};

use super::{fresh, new_token, open};
use crate::support::{layer, send_token};

const GRACE: Duration = Duration::from_secs(30);

/// Commits, and returns the token that the client is told.
async fn told(manager: &SessionManager, session: &Session) -> Option<String> {
    match manager.commit(session).await.unwrap() {
        TokenChange::Issue(issued) => Some(issued.token.expose().to_string()),
        TokenChange::Keep => None,
        other => panic!("{other:?}"),
    }
}

/// Grace logged in where Ada was, and her first page failed. The login counted, as it should, but that Ada's data go first
/// was among the data of the request, and an answer of 5xx stores none: Grace had Ada's basket and address. The same
/// happened when a bag could not be written.
#[tokio::test]
async fn the_data_of_one_user_are_gone_even_if_the_next_ones_first_page_fails() {
    async fn fails(session: Session) -> http::StatusCode {
        session.login("grace").unwrap();
        session.insert("half", true).unwrap();
        http::StatusCode::INTERNAL_SERVER_ERROR
    }
    async fn does_not_fit(session: Session) {
        session.login("grace").unwrap();
        super::bags::Cart::overflow(&session);
    }
    for path in ["/fails", "/does-not-fit"] {
        let layer = layer(MemoryStore::new(), &TestClock::default());
        let manager = layer.manager().clone();
        let app = axum::Router::new()
            .route("/fails", axum::routing::get(fails))
            .route("/does-not-fit", axum::routing::get(does_not_fit))
            .layer(layer);
        let ada = manager.create();
        ada.login("ada").unwrap();
        ada.insert("address", "St James's Square 12").unwrap();
        let token = told(&manager, &ada).await.unwrap();
        let answer = send_token(&app, path, &token).await;
        assert!(!answer.status.is_success());
        let grace = open(&manager, answer.token().unwrap()).await;
        assert_eq!(grace.user().as_deref(), Some("grace"));
        assert_eq!(grace.keys(), [""; 0], "{path}");
    }
}

/// Who replaces secrets now and then does so in every request. One that was under way during a login did it too, and a
/// latecomer that asks for a new secret was taken for another login: it got a session of its own, whose cookie took the
/// place of the login's.
#[tokio::test]
async fn a_latecomer_that_renews_its_secret_with_grace_does_not_take_the_cookie_of_the_login() {
    let manager = fresh();
    let token = new_token(&manager).await;
    let login = open(&manager, &token).await;
    login.login("ada").unwrap();
    told(&manager, &login).await.unwrap();
    let late = open(&manager, &token).await;
    late.regenerate_with_grace(GRACE).unwrap();
    late.insert("n", 1).unwrap();
    assert_eq!(told(&manager, &late).await, None);
}

/// But another login is what may take its place.
#[tokio::test]
async fn a_latecomer_that_logs_in_gets_a_session_of_its_own() {
    let manager = fresh();
    let token = new_token(&manager).await;
    let renewal = open(&manager, &token).await;
    renewal.regenerate().unwrap();
    told(&manager, &renewal).await.unwrap();
    let late = open(&manager, &token).await;
    late.login("ada").unwrap();
    let new = told(&manager, &late).await.unwrap();
    assert_eq!(open(&manager, &new).await.user().as_deref(), Some("ada"));
}

/// A request that had shown a secret in grace was slow, and the client logged in meanwhile with the new one. The slow answer
/// told the new one again, as it had been when the request began: the login's cookie was overwritten by a dead one.
#[tokio::test]
async fn a_slow_answer_does_not_bring_back_a_secret_that_a_login_has_replaced() {
    for idle in [0, 600] {
        let clock = TestClock::default();
        let manager = crate::support::manager(MemoryStore::new(), &clock);
        let old = new_token(&manager).await;
        let renewal = open(&manager, &old).await;
        renewal.regenerate_with_grace(Duration::from_hours(1)).unwrap();
        let new = told(&manager, &renewal).await.unwrap();
        // With time to pass the slow request has an expiry to move as well.
        clock.advance(Duration::from_secs(idle));
        let slow = open(&manager, &old).await;
        let login = open(&manager, &new).await;
        login.login("ada").unwrap();
        told(&manager, &login).await.unwrap();
        assert_eq!(told(&manager, &slow).await, None, "{idle}");

        let quick = open(&manager, &old).await;
        assert_eq!(told(&manager, &quick).await, None, "{idle}");
    }
}

/// The new secret follows from the old one and something random that the record keeps. That was made anew whenever a commit
/// was tried again: if the first write landed late, the record had one and the client was told the other.
#[tokio::test]
async fn a_renewal_that_is_tried_again_tells_the_secret_that_is_stored() {
    let manager = crate::support::manager(super::LandsLate::default(), &TestClock::default());
    let token = new_token(&manager).await;
    let session = open(&manager, &token).await;
    session.regenerate_with_grace(GRACE).unwrap();
    let new = told(&manager, &session).await.unwrap();
    let session = open(&manager, &new).await;
    assert_eq!((session.get("n").unwrap(), told(&manager, &session).await), (Some(0), None));
}
