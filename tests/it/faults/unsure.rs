//! REL-05: a write fails, and nobody knows whether it took effect. Once, or not at all.

use super::*;
use cloakroom::SessionStatus;

#[tokio::test]
async fn rel_05_a_write_whose_answer_is_lost_and_one_that_was_not_done_both_count_once() {
    for fault in [Fault::AnswerLost, Fault::Down] {
        let house = House::new().await;
        for operation in [Operation::Create, Operation::Save, Operation::Delete] {
            house.faults.once(operation, fault);
        }
        let created = send(&house.app, "/add", &[]).await;
        assert_eq!(created.status, StatusCode::OK, "{fault:?}");
        assert_eq!(house.open(created.token().unwrap()).await.get("n").unwrap(), Some(1));
        assert_eq!(house.faults.inner().len(), 2);

        assert_eq!(house.send("/add").await.body, "2");
        assert_eq!(house.n().await, Some(2));

        assert!(house.send("/logout").await.removes_cookie());
        assert_eq!(house.n().await, None);
    }
}

#[tokio::test]
async fn rel_05_a_login_whose_answer_is_lost_is_done_once_and_its_token_is_good() {
    for fault in [Fault::AnswerLost, Fault::Down] {
        let house = House::new().await;
        house.faults.once(Operation::Save, fault);
        let answer = house.send("/login").await;
        let session = house.open(answer.token().unwrap()).await;
        assert_eq!((session.get("n").unwrap(), session.get("user").unwrap()), (Some(1), Some("ada".to_owned())));
        assert_eq!(house.n().await, None, "the old secret is dead");
    }
}

#[tokio::test]
async fn rel_05_a_lost_answer_costs_one_load_and_no_second_write() {
    let house = House::new().await;
    house.faults.once(Operation::Save, Fault::AnswerLost);
    house.send("/add").await;
    assert_eq!(house.store.reset(), Calls { load: 2, save: 1, ..Calls::default() });
}

#[tokio::test]
async fn rel_05_a_write_is_tried_at_most_twice() {
    let house = House::new().await;
    house.faults.always(Operation::Save, Fault::Down);
    assert_unavailable(&house.send("/add").await);
    assert_eq!(house.store.reset(), Calls { load: 2, save: 2, ..Calls::default() });
    house.faults.heal();
    assert_eq!(house.send("/add").await.body, "2");
}

#[tokio::test]
async fn rel_05_a_failure_that_a_second_try_will_not_mend_is_not_tried_again() {
    let house = House::new().await;
    house.faults.once(Operation::Save, Fault::Broken);
    assert_eq!(house.send("/add").await.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.store.reset(), Calls { load: 1, save: 1, ..Calls::default() });
}

#[tokio::test(start_paused = true)]
async fn rel_05_a_write_that_times_out_once_is_done_once() {
    let house = House::new().await;
    house.faults.once(Operation::Save, Fault::Never);
    assert_eq!(house.send("/add").await.body, "2");
    assert_eq!(house.n().await, Some(2));
}

#[tokio::test]
async fn rel_05_when_nobody_can_find_out_how_a_write_ended_the_request_fails_and_the_state_is_whole() {
    let handler = |faults: FaultStore<MemoryStore>| {
        get(move |session: Session| async move {
            faults.once(Operation::Load, Fault::Down);
            add(&session)
        })
    };
    for (fault, n) in [(Fault::AnswerLost, 2), (Fault::Down, 1)] {
        let house = House::new().await;
        let app = Router::new().route("/", handler(house.faults.clone()));
        let app = app.layer(layer(house.store.clone(), &house.clock));
        house.faults.once(Operation::Save, fault);
        assert_unavailable(&send_token(&app, "/", &house.token).await);
        assert_eq!(house.n().await, Some(n));
    }
}

/// Changes the session and saves. Nobody learns how that ended, and the final commit tries again.
async fn save_unsure_and_commit(token: Option<&str>, house: &House, fault: Fault) -> Answer {
    let faults = house.faults.clone();
    let handler = get(move |session: Session| async move {
        faults.once(Operation::Create, fault);
        faults.once(Operation::Save, fault);
        faults.once(Operation::Load, Fault::Down);
        add(&session)?;
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Unavailable);
        Ok::<_, SessionError>(())
    });
    let app = Router::new().route("/", handler).layer(layer(house.store.clone(), &house.clock));
    match token {
        Some(token) => send_token(&app, "/", token).await,
        None => send(&app, "/", &[]).await,
    }
}

#[tokio::test]
async fn rel_05_a_save_of_unknown_end_is_not_done_a_second_time_by_the_final_commit() {
    for fault in [Fault::AnswerLost, Fault::Down] {
        let house = House::new().await;
        assert_eq!(save_unsure_and_commit(Some(&house.token), &house, fault).await.status, StatusCode::OK);
        assert_eq!(house.n().await, Some(2), "{fault:?}");
    }
}

#[tokio::test]
async fn rel_05_a_create_of_unknown_end_is_not_followed_by_a_second_record() {
    for fault in [Fault::AnswerLost, Fault::Down] {
        let house = House::new().await;
        let answer = save_unsure_and_commit(None, &house, fault).await;
        assert_eq!(house.open(answer.token().unwrap()).await.get("n").unwrap(), Some(1));
        assert_eq!(house.faults.inner().len(), 2, "{fault:?}");
    }
}

/// A request whose save gets lost after it took effect, while another request saves before anybody can look.
async fn overtaken_while_unsure(house: &House, change: Change) -> Answer {
    let faults = house.faults.clone();
    let handler = get(move |session: Session| async move {
        faults.once(Operation::Save, Fault::AnswerLost);
        faults.once(Operation::Load, Fault::Slow(seconds(1)));
        change(&session)
    });
    let app = Router::new().route("/", handler).layer(layer(house.store.clone(), &house.clock));
    let token = house.token.clone();
    let unsure = tokio::spawn(async move { send_token(&app, "/", &token).await });
    tokio::time::sleep(Duration::from_millis(500)).await;
    let another = house.open(&house.token).await;
    add(&another).unwrap();
    house.healthy().commit(&another).await.unwrap();
    unsure.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn rel_05_an_update_that_may_have_taken_effect_under_anothers_is_not_done_again() {
    let house = House::new().await;
    assert_unavailable(&overtaken_while_unsure(&house, |session| add(session).map(drop)).await);
    assert_eq!(house.n().await, Some(3));
}

#[tokio::test(start_paused = true)]
async fn rel_05_what_can_be_done_twice_without_harm_is_and_the_request_succeeds() {
    let house = House::new().await;
    let answer = overtaken_while_unsure(&house, |session| session.insert("x", 1)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let session = house.open(&house.token).await;
    assert_eq!((session.get("n").unwrap(), session.get("x").unwrap()), (Some(2), Some(1)));
}

#[tokio::test(start_paused = true)]
async fn rel_05_a_login_whose_answers_are_all_lost_leaves_the_client_with_a_good_secret() {
    let house = House::new().await;
    house.faults.always(Operation::Save, Fault::AnswerLost);
    let answer = house.send("/login").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(house.open(answer.token().unwrap()).await.status(), SessionStatus::Resumed);
}
