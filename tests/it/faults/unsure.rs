//! REL-05: a write fails, and nobody knows whether it took effect. Once, or not at all.

use axum::response::IntoResponse;
use cloakroom::{SessionStatus, TokenChange};

use super::*;

/// Done or not done, it looks the same from here.
const UNSURE: [Fault; 2] = [Fault::AnswerLost, Fault::Down];

#[tokio::test]
async fn rel_05_a_write_whose_answer_is_lost_and_one_that_was_not_done_both_count_once() {
    for fault in UNSURE {
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
    for fault in UNSURE {
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

/// Does something to the session and saves, without anybody learning how that ended. Then goes on, and the final commit
/// tries again.
async fn save_unsure_and_commit<R: IntoResponse + 'static>(
    house: &House,
    token: Option<&str>,
    fault: Fault,
    change: Change,
    go_on: fn(&Session) -> R,
) -> Answer {
    let faults = house.faults.clone();
    let handler = get(move |session: Session| async move {
        faults.once(Operation::Create, fault);
        faults.once(Operation::Save, fault);
        faults.once(Operation::Load, Fault::Down);
        change(&session).unwrap();
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Unavailable);
        go_on(&session)
    });
    let app = Router::new().route("/", handler).layer(layer(house.store.clone(), &house.clock));
    match token {
        Some(token) => send_token(&app, "/", token).await,
        None => send(&app, "/", &[]).await,
    }
}

#[tokio::test]
async fn rel_05_a_save_of_unknown_end_is_not_done_a_second_time_by_the_final_commit() {
    for fault in UNSURE {
        let house = House::new().await;
        let answer = save_unsure_and_commit(&house, Some(&house.token), fault, add_one, |_| ()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(house.n().await, Some(2), "{fault:?}");

        let answer = save_unsure_and_commit(&house, Some(&house.token), fault, add_one, add).await;
        assert_eq!(answer.body, "4");
        assert_eq!(house.n().await, Some(4), "{fault:?}");
    }
}

#[tokio::test]
async fn rel_05_a_save_of_unknown_end_is_not_done_a_second_time_when_the_handler_fails() {
    for fault in UNSURE {
        let house = House::new().await;
        let fail = |_: &Session| StatusCode::INTERNAL_SERVER_ERROR;
        let answer = save_unsure_and_commit(&house, Some(&house.token), fault, add_one, fail).await;
        assert!(answer.status.is_server_error());
        assert!(matches!(house.n().await, Some(1 | 2)));
        assert_eq!(house.n().await == Some(1), house.send("/add").await.body == "2");
    }
}

#[tokio::test]
async fn rel_05_a_regeneration_of_unknown_end_leaves_the_client_with_a_good_secret() {
    for fault in UNSURE {
        for go_on in [|_: &Session| StatusCode::OK, |_: &Session| StatusCode::INTERNAL_SERVER_ERROR] {
            let house = House::new().await;
            let answer = save_unsure_and_commit(&house, Some(&house.token), fault, Session::regenerate, go_on).await;
            assert_eq!(house.open(answer.token().unwrap()).await.get("n").unwrap(), Some(1), "{fault:?}");
            assert_eq!(house.n().await, None, "the old secret is dead");
        }
    }
}

#[tokio::test]
async fn rel_05_a_logout_after_a_write_of_unknown_end_leaves_nothing() {
    for fault in UNSURE {
        let house = House::new().await;
        let destroy = |session: &Session| session.destroy();
        let answer = save_unsure_and_commit(&house, Some(&house.token), fault, add_one, destroy).await;
        assert!(answer.removes_cookie());
        assert!(house.faults.inner().is_empty(), "{fault:?}");

        let answer = save_unsure_and_commit(&house, None, fault, add_one, destroy).await;
        assert_eq!(answer.token(), None);
        assert!(house.faults.inner().is_empty(), "{fault:?}");
    }
}

#[tokio::test]
async fn rel_05_a_logout_of_unknown_end_is_done() {
    for fault in UNSURE {
        for operation in [Operation::Touch, Operation::Delete] {
            let house = House::new().await;
            (0..2).for_each(|_| house.faults.once(operation, fault));
            let answer = save_unsure_and_commit(&house, Some(&house.token), fault, Session::destroy, |_| ()).await;
            assert_eq!(answer.status, StatusCode::OK);
            assert!(answer.removes_cookie());
            assert!(house.faults.inner().is_empty(), "{operation:?} {fault:?}");
        }
    }
}

#[tokio::test]
async fn rel_05_a_create_of_unknown_end_is_not_followed_by_a_second_record() {
    for fault in UNSURE {
        let house = House::new().await;
        let answer = save_unsure_and_commit(&house, None, fault, add_one, |_| ()).await;
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
    assert_unavailable(&overtaken_while_unsure(&house, add_one).await);
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

/// A commit whose end is unknown, and stays so because others have saved since, is not in the way of a logout.
#[tokio::test]
async fn rel_05_a_logout_counts_although_nobody_will_know_what_became_of_a_write_before() {
    for fault in UNSURE {
        let house = House::new().await;
        let session = house.open(&house.token).await;
        session.login("ada").unwrap();
        let change = house.healthy().commit(&session).await.unwrap();
        let TokenChange::Issue(issued) = change else { panic!("{change:?}") };
        let ada = issued.token.expose().to_string();
        let (faults, other, token) = (house.faults.clone(), house.healthy(), ada.clone());
        let handler = get(move |session: Session| async move {
            faults.once(Operation::Save, fault);
            faults.once(Operation::Load, Fault::Down);
            add(&session)?;
            assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::Unavailable);
            for _ in 0..2 {
                let other_request = other.open(token.as_bytes()).await?;
                add(&other_request)?;
                other.commit(&other_request).await?;
            }
            session.logout()
        });
        let app = Router::new().route("/", handler).layer(layer(house.store.clone(), &house.clock));
        let answer = send_token(&app, "/", &ada).await;
        assert!(answer.status == StatusCode::OK && answer.removes_cookie(), "{fault:?}");
        assert_eq!(house.open(&ada).await.status(), SessionStatus::New);
    }
}
