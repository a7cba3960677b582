//! `save().await` in the middle of a request, and what is written around it.

use std::sync::mpsc;

use super::*;
use crate::support::bytes_store::BytesStore;
use cloakroom::{ErrorKind, Token, TokenChange};

fn app_with<H, T>(layer: SessionLayer, handler: H) -> Router
where
    H: axum::handler::Handler<T, ()>,
    T: 'static,
{
    routes().route("/", get(handler)).layer(layer)
}

#[tokio::test]
async fn saved_in_the_middle_and_written_on_everything_is_kept() {
    let store = CountingStore::new(MemoryStore::new());
    let app = app_with(layer(store.clone(), &TestClock::default()), async |session: Session| {
        add(&session)?;
        session.save().await?;
        assert!(session.id().is_some());
        add(&session)?;
        session.save().await?;
        add(&session)
    });
    let answer = send(&app, "/", &[]).await;
    assert_eq!(answer.body, "3");
    assert_eq!(store.reset(), Calls { create: 1, save: 2, ..Calls::default() });
    assert_eq!(send_token(&app, "/n", answer.token().unwrap()).await.body, "3");
}

#[tokio::test]
async fn saving_twice_stores_once_and_the_token_is_issued_all_the_same() {
    let store = CountingStore::new(MemoryStore::new());
    let app = app_with(layer(store.clone(), &TestClock::default()), async |session: Session| {
        add(&session)?;
        session.save().await?;
        session.save().await
    });
    let answer = send(&app, "/", &[]).await;
    assert_eq!(store.calls(), Calls { create: 1, ..Calls::default() });
    assert_eq!(send_token(&app, "/n", answer.token().unwrap()).await.body, "1");
}

#[tokio::test]
async fn regenerated_and_saved_in_the_middle_the_token_is_issued_with_the_answer() {
    let app = app_with(layer(MemoryStore::new(), &TestClock::default()), async |session: Session| {
        session.regenerate()?;
        session.save().await?;
        add(&session)
    });
    let old = new_session(&app).await;
    let answer = send_token(&app, "/", &old).await;
    assert_eq!(send_token(&app, "/n", answer.token().unwrap()).await.body, "1");
    assert_eq!(send_token(&app, "/n", &old).await.body, "0");
}

#[tokio::test]
async fn who_saves_into_an_ended_session_is_told() {
    let manager = SessionManager::new(MemoryStore::new());
    let session = manager.create();
    session.insert("old", true).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let token = issued.token.expose();

    let [late, logout] = [open(&manager, &token).await, open(&manager, &token).await];
    logout.destroy().unwrap();
    manager.commit(&logout).await.unwrap();
    add(&late).unwrap();
    assert_eq!(late.save().await.unwrap_err().kind(), ErrorKind::Ended);
    assert_eq!(late.keys(), [""; 0]);
    assert!(matches!(manager.commit(&late).await.unwrap(), TokenChange::Keep));
    assert_eq!(open(&manager, &token).await.status(), SessionStatus::New);
}

#[tokio::test]
async fn a_task_that_saves_while_the_handler_returns_and_the_final_commit_take_turns() {
    let (store, gate) = (BytesStore::default(), Gate::default());
    let app = app_with(layer(store.clone(), &TestClock::default()), async |session: Session| {
        add(&session)?;
        let background = session.clone();
        let saving = tokio::spawn(async move { background.save().await.unwrap() });
        tokio::task::yield_now().await;
        assert!(!saving.is_finished());
        add(&session)
    });
    let token = new_session(&app).await;
    store.hold_saves_at(&gate);
    let request = spawn(&app, "/", &token);
    gate.arrived(1).await;
    assert!(!request.is_finished());
    gate.open(1);
    gate.arrived(1).await;
    gate.open(1);
    assert_eq!(request.await.unwrap().status, StatusCode::OK);
    assert_eq!(send_token(&app, "/n", &token).await.body, "2");
    let id = Token::parse(token.as_bytes()).unwrap().id();
    assert_eq!(store.row(id).unwrap().version, 3);
}

#[tokio::test]
async fn rel_14_a_write_after_the_answer_is_an_error_and_not_a_silent_loss() {
    let (gate, (told, hears)) = (Gate::default(), mpsc::channel());
    let wait = gate.clone();
    let app = app_with(layer(MemoryStore::new(), &TestClock::default()), move |session: Session| async move {
        let kept = session.clone();
        tokio::spawn(async move {
            wait.pass().await;
            let results = [
                kept.insert("late", 1),
                add(&kept).map(drop),
                kept.remove("n").map(drop),
                kept.take::<u64>("n").map(drop),
                kept.clear(),
                kept.regenerate(),
                kept.remember(Duration::from_hours(1)),
                kept.destroy(),
            ];
            told.send(results.map(|result| result.unwrap_err().kind())).unwrap();
        });
        add(&session)
    });
    let token = send(&app, "/", &[]).await.token().unwrap().to_owned();
    gate.arrived(1).await;
    gate.open(1);
    let kinds = tokio::task::spawn_blocking(move || hears.recv().unwrap()).await.unwrap();
    assert_eq!(kinds, [ErrorKind::Committed; 8]);
    assert_eq!(send_token(&app, "/keys", &token).await.body, "n");
}

#[tokio::test]
async fn reload_shows_what_others_have_stored_and_keeps_what_is_not_stored_yet() {
    let gate = Gate::default();
    let wait = gate.clone();
    let app = app_with(layer(MemoryStore::new(), &TestClock::default()), move |session: Session| async move {
        add(&session)?;
        wait.pass().await;
        session.reload().await?;
        n(&session)
    });
    let token = new_session(&app).await;
    let late = spawn(&app, "/", &token);
    gate.arrived(1).await;
    send_token(&app, "/add", &token).await;
    gate.open(1);
    assert_eq!(late.await.unwrap().body, "2");
    assert_eq!(send_token(&app, "/n", &token).await.body, "2");
}

#[tokio::test]
async fn reload_after_a_logout_elsewhere_says_that_the_session_has_ended() {
    let gate = Gate::default();
    let wait = gate.clone();
    let app = app_with(layer(MemoryStore::new(), &TestClock::default()), move |session: Session| async move {
        wait.pass().await;
        assert_eq!(session.reload().await.unwrap_err().kind(), ErrorKind::Ended);
        Ok::<_, SessionError>(session.keys().join(","))
    });
    let token = new_session(&app).await;
    let late = spawn(&app, "/", &token);
    gate.arrived(1).await;
    send_token(&app, "/logout", &token).await;
    gate.open(1);
    let answer = late.await.unwrap();
    assert_eq!((&*answer.body, answer.token()), ("", None));
}

/// What a new thread makes of `run` within 10 seconds. A deadlock keeps that thread, and not the test.
fn on_a_thread_of_its_own<T: Send + 'static>(run: impl Future<Output = T> + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        done.send(runtime.block_on(run)).unwrap();
    });
    result.recv_timeout(Duration::from_secs(10)).expect("neither a deadlock nor a panic")
}

/// A session whose update reads the session itself, and the token of that session, which others have saved since.
async fn update_that_reads_its_session(manager: &SessionManager) -> Session {
    let session = manager.create();
    session.insert("step", 10).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let token = issued.token.expose();
    let [session, other] = [open(manager, &token).await, open(manager, &token).await];
    let reads = session.clone();
    let step = move || reads.get::<u64>("step").unwrap().unwrap_or(0);
    session.update("n", move |n: Option<u64>| n.unwrap_or(0) + step()).unwrap();
    other.insert("other", true).unwrap();
    manager.commit(&other).await.unwrap();
    session
}

#[test]
fn an_update_may_read_its_session_when_it_is_done_again_by_a_commit() {
    on_a_thread_of_its_own(async {
        let manager = SessionManager::new(MemoryStore::new());
        let session = update_that_reads_its_session(&manager).await;
        manager.commit(&session).await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(10));
    });
}

#[test]
fn an_update_may_read_its_session_when_it_is_done_again_by_reload() {
    on_a_thread_of_its_own(async {
        let manager = SessionManager::new(MemoryStore::new());
        let session = update_that_reads_its_session(&manager).await;
        session.reload().await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(10));
    });
}
