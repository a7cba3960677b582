//! Sessions that end no later than somebody else allows (ASVS 7.1.3, 7.6.1), and at their word.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use cloakroom::testing::TestClock;
use cloakroom::{
    Clock as _, ErrorKind, MemoryStore, Session, SessionError, SessionId, SessionManager, SessionStatus, Token,
    TokenChange,
};

use crate::support::manager;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A user's session, the clock that it lives by, and the token that the client has.
struct Login {
    manager: SessionManager,
    clock: TestClock,
    token: Token,
}

impl Login {
    /// Logs in, and does more in the same request.
    async fn with(act: impl FnOnce(&Session, SystemTime) -> Result<(), SessionError>) -> Self {
        let clock = TestClock::default();
        let manager = manager(MemoryStore::new(), &clock);
        let session = manager.create();
        session.login("ada").unwrap();
        act(&session, clock.now()).unwrap();
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
        Self { manager, clock, token: issued.token }
    }

    async fn until(end: Duration) -> Self {
        Self::with(|session, now| session.end_by(now + end)).await
    }

    async fn open(&self) -> Session {
        self.manager.open(self.token.expose().as_bytes()).await.unwrap()
    }

    async fn act(&mut self, act: impl FnOnce(&Session) -> Result<(), SessionError>) {
        let session = self.open().await;
        assert_eq!(session.status(), SessionStatus::Resumed);
        act(&session).unwrap();
        match self.manager.commit(&session).await.unwrap() {
            TokenChange::Issue(issued) | TokenChange::Refresh(issued) => self.token = issued.token,
            TokenChange::Keep | TokenChange::Remove => {}
        }
    }

    async fn left(&self) -> Option<Duration> {
        self.open().await.absolute_remaining()
    }
}

#[tokio::test]
async fn asvs_7_6_1_a_session_ends_when_the_identity_provider_says_however_it_is_used() {
    let mut ada = Login::until(2 * HOUR).await;
    assert_eq!(ada.left().await, Some(2 * HOUR));
    for _ in 0..3 {
        ada.clock.advance(30 * MINUTE);
        ada.act(|session| session.insert("seen", true)).await;
    }
    ada.act(Session::regenerate).await;
    ada.act(|session| session.regenerate_with_grace(MINUTE)).await;
    ada.clock.advance(15 * MINUTE);
    ada.act(|_| Ok(())).await;
    let session = ada.open().await;
    assert_eq!(session.idle_remaining(), Some(15 * MINUTE), "a use moves the expiry no further either");
    ada.clock.advance(15 * MINUTE - Duration::from_millis(1));
    assert_eq!(ada.open().await.status(), SessionStatus::Resumed);
    ada.clock.advance(Duration::from_millis(1));
    assert_eq!(ada.open().await.status(), SessionStatus::New);
}

#[tokio::test]
async fn asvs_7_6_1_a_later_time_changes_nothing_and_the_earliest_counts() {
    let mut ada = Login::until(48 * HOUR).await;
    assert_eq!(ada.left().await, Some(24 * HOUR));
    let now = ada.clock.now();
    ada.act(|session| {
        session.end_by(now + 6 * HOUR)?;
        session.end_by(now + 3 * HOUR)?;
        session.end_by(now + 4 * HOUR)
    })
    .await;
    assert_eq!(ada.left().await, Some(3 * HOUR));
    ada.act(|session| session.end_by(now + 5 * HOUR)).await;
    assert_eq!(ada.left().await, Some(3 * HOUR));
}

#[tokio::test]
async fn neither_a_password_typed_again_nor_remember_leads_beyond_it() {
    let mut ada = Login::until(2 * HOUR).await;
    ada.act(Session::reauthenticated).await;
    assert_eq!(ada.left().await, Some(2 * HOUR));
    ada.act(|session| session.remember(14 * 24 * HOUR)).await;
    assert_eq!(ada.left().await, Some(2 * HOUR));
    // What is remembered, and then made shorter, has a cookie that is.
    let now = ada.clock.now();
    let session = ada.open().await;
    session.end_by(now + HOUR).unwrap();
    let TokenChange::Refresh(issued) = ada.manager.commit(&session).await.unwrap() else { panic!("a cookie") };
    assert_eq!(issued.lifetime, Some(HOUR));

    let remembered = Login::with(|session, now| {
        session.remember(14 * 24 * HOUR)?;
        session.end_by(now + HOUR)
    });
    assert_eq!(remembered.await.left().await, Some(HOUR));
}

#[tokio::test]
async fn a_login_begins_anew_and_what_is_said_after_it_holds() {
    let mut ada = Login::until(2 * HOUR).await;
    ada.act(|session| session.login("ada")).await;
    assert_eq!(ada.left().await, Some(24 * HOUR));
    let now = ada.clock.now();
    ada.act(|session| {
        session.end_by(now + HOUR)?;
        session.login("ada")?;
        session.end_by(now + 8 * HOUR)
    })
    .await;
    assert_eq!(ada.left().await, Some(8 * HOUR));
}

#[tokio::test]
async fn a_time_that_has_passed_ends_the_session_with_the_commit() {
    let mut ada = Login::until(2 * HOUR).await;
    let now = ada.clock.now();
    ada.act(|session| session.end_by(now - HOUR)).await;
    ada.clock.advance(Duration::from_millis(1));
    assert_eq!(ada.open().await.status(), SessionStatus::New);
}

#[tokio::test]
async fn it_is_no_write_to_a_visitor_without_a_session_and_refused_where_writes_are() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create();
    session.end_by(SystemTime::now() + HOUR).unwrap();
    assert!(matches!(manager.commit(&session).await.unwrap(), TokenChange::Keep));
    assert_eq!(session.end_by(SystemTime::now()).unwrap_err().kind(), ErrorKind::Committed);
    let session = manager.create();
    session.destroy().unwrap();
    assert_eq!(session.end_by(SystemTime::now()).unwrap_err().kind(), ErrorKind::Destroyed);
}

/// As the guide has it: what the application keeps is which of its sessions the provider's `sid` stands for.
#[tokio::test]
async fn asvs_7_1_3_a_back_channel_logout_ends_the_session_of_the_providers_sid() {
    let mut sids: HashMap<&str, (&str, SessionId)> = HashMap::new();
    let clock = TestClock::default();
    let manager = manager(MemoryStore::new(), &clock);
    let mut tokens = Vec::new();
    for sid in ["sid-1", "sid-2"] {
        let session = manager.create();
        session.login("ada").unwrap();
        session.end_by(clock.now() + 8 * HOUR).unwrap();
        session.save().await.unwrap();
        sids.insert(sid, ("ada", session.id().unwrap()));
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("a token") };
        tokens.push(issued.token);
    }
    let open = async |token: &Token| manager.open(token.expose().as_bytes()).await.unwrap();
    let connection = open(&tokens[0]).await.detach().await.unwrap();

    let (user, id) = sids.remove("sid-1").unwrap();
    assert!(manager.revoke(user, id).await.unwrap());
    assert_eq!(open(&tokens[0]).await.user(), None);
    connection.ended().await;
    assert_eq!(open(&tokens[1]).await.user().as_deref(), Some("ada"));
    assert!(!manager.revoke(user, id).await.unwrap(), "a provider may send it twice");
}
