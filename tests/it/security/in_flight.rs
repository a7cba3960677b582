//! Requests from before a login that end after it: whatever they are about, they change nothing.

use std::time::Duration;

use cloakroom::store::{Record, SessionId};
use cloakroom::testing::TestClock;
use cloakroom::{
    Clock as _, MemoryStore, Session, SessionError, SessionManager, SessionStatus, SessionStore, TokenChange,
};

use crate::support::manager;

type Attack = fn(&Session) -> Result<(), SessionError>;

const ATTACKS: &[(&str, Attack)] = &[
    ("insert", |session| session.insert("role", "admin")),
    ("update", |session| session.increment("n", 1).map(drop)),
    ("clear", Session::clear),
    ("flash", |session| session.flash("note", "paid")),
    ("destroy", Session::destroy),
    ("logout", Session::logout),
    ("destroy_keeping_cookie", Session::destroy_keeping_cookie),
    ("regenerate", Session::regenerate),
    ("regenerate_with_grace", |session| session.regenerate_with_grace(Duration::from_hours(1))),
    ("remember", |session| session.remember(Duration::from_hours(24))),
    ("label", |session| session.set_label("mine")),
    ("end_by", |session| session.end_by(std::time::SystemTime::UNIX_EPOCH)),
    ("consent", Session::consent),
    ("csrf_token", |session| session.csrf_token().map(drop)),
];

struct World {
    store: MemoryStore,
    clock: TestClock,
    manager: SessionManager,
    before: String,
}

fn token(change: &TokenChange) -> String {
    let TokenChange::Issue(issued) = change else { panic!("no token: {change:?}") };
    issued.token.expose().to_string()
}

impl World {
    /// A visitor who is nobody yet.
    async fn new() -> Self {
        let (store, clock) = (MemoryStore::new(), TestClock::default());
        let manager = manager(store.clone(), &clock);
        let session = manager.create();
        session.insert("n", 0).unwrap();
        let before = token(&manager.commit(&session).await.unwrap());
        Self { store, clock, manager, before }
    }

    async fn open(&self, token: &str) -> Session {
        self.manager.open(token.as_bytes()).await.unwrap()
    }

    async fn log_in(&self) -> String {
        let session = self.open(&self.before).await;
        session.login("ada").unwrap();
        token(&self.manager.commit(&session).await.unwrap())
    }

    async fn record(&self, id: SessionId) -> Option<Record> {
        self.store.load(id, self.clock.now().into()).await.unwrap()
    }

    async fn is_untouched(&self, before: &Record, what: &str) {
        let after = self.record(before.id).await.unwrap_or_else(|| panic!("{what} has ended the session"));
        assert_eq!((after.version, after.expires_at), (before.version, before.expires_at), "{what}");
        assert_eq!(after.payload.to_bytes().unwrap(), before.payload.to_bytes().unwrap(), "{what}");
    }
}

#[tokio::test]
async fn what_began_before_a_login_and_ends_after_it_changes_nothing() {
    for (what, attack) in ATTACKS {
        let world = World::new().await;
        let (at_the_end, saves, has_saved) =
            (world.open(&world.before).await, world.open(&world.before).await, world.open(&world.before).await);
        has_saved.insert("begun", true).unwrap();
        has_saved.save().await.unwrap();

        let ada = world.log_in().await;
        let id = has_saved.id().unwrap();
        let logged_in = world.record(id).await.unwrap();
        for session in [at_the_end, has_saved] {
            attack(&session).unwrap();
            let change = world.manager.commit(&session).await.unwrap();
            assert!(matches!(change, TokenChange::Keep), "{what} tells the client {change:?}");
            world.is_untouched(&logged_in, what).await;
        }
        attack(&saves).unwrap();
        let _ = saves.save().await;
        world.is_untouched(&logged_in, what).await;
        let session = world.open(&ada).await;
        assert_eq!((session.status(), session.user().as_deref()), (SessionStatus::Resumed, Some("ada")), "{what}");
    }
}

/// Whoever is logged in and logs out is obeyed, although the secret was replaced in the meantime.
#[tokio::test]
async fn a_logout_counts_although_the_user_has_logged_in_once_more_meanwhile() {
    let world = World::new().await;
    let ada = world.log_in().await;
    let logs_out = world.open(&ada).await;
    let again = world.open(&ada).await;
    again.reauthenticated().unwrap();
    let newer = token(&world.manager.commit(&again).await.unwrap());
    logs_out.logout().unwrap();
    assert!(matches!(world.manager.commit(&logs_out).await.unwrap(), TokenChange::Remove));
    assert_eq!(world.open(&newer).await.status(), SessionStatus::New);
}

/// The end of a session that is nobody's is none that a login at the same time could undo, and meets other requests' changes.
#[tokio::test]
async fn an_anonymous_session_ends_although_others_have_changed_it() {
    let world = World::new().await;
    let (ends, writes) = (world.open(&world.before).await, world.open(&world.before).await);
    writes.increment("n", 1).unwrap();
    world.manager.commit(&writes).await.unwrap();
    ends.destroy().unwrap();
    assert!(matches!(world.manager.commit(&ends).await.unwrap(), TokenChange::Remove));
    assert_eq!(world.open(&world.before).await.status(), SessionStatus::New);
    let late = world.open(&world.before).await;
    late.destroy().unwrap();
    assert!(matches!(world.manager.commit(&late).await.unwrap(), TokenChange::Remove), "nothing to end is an end too");
}

/// What is stored in the middle of a request is told at its end. By then a login may have told the client something else.
#[tokio::test]
async fn an_answer_that_comes_after_a_login_does_not_tell_what_was_saved_before_it() {
    let attacks: [Attack; 2] = [
        |session| session.remember(Duration::from_hours(24)),
        |session| session.regenerate_with_grace(Duration::from_hours(1)),
    ];
    for attack in attacks {
        let world = World::new().await;
        let late = world.open(&world.before).await;
        attack(&late).unwrap();
        late.save().await.unwrap();
        let ada = world.log_in().await;
        let change = world.manager.commit(&late).await.unwrap();
        assert!(matches!(change, TokenChange::Keep), "{change:?}");
        assert_eq!(world.open(&ada).await.user().as_deref(), Some("ada"));
    }
}

#[tokio::test]
async fn what_was_saved_in_the_middle_of_a_request_is_told_if_it_still_holds() {
    let world = World::new().await;
    let session = world.open(&world.before).await;
    session.regenerate_with_grace(Duration::from_hours(1)).unwrap();
    session.save().await.unwrap();
    let new = token(&world.manager.commit(&session).await.unwrap());
    assert_ne!(new, world.before);
    assert_eq!(world.open(&new).await.status(), SessionStatus::Resumed);
}
