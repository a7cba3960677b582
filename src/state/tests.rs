//! What is decided at a commit, without a store.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::codec::JsonCodec;
use crate::data::Path as _;
use crate::event::DropReason;
use crate::policy::{Conflicts, SessionPolicy};
use crate::record::{Name, Origin, Record};
use crate::token::TokenDigester;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn terms(policy: SessionPolicy) -> Terms {
    Terms {
        origin: Arc::new(Origin { namespace: "".into(), name: Name::default(), codec: Arc::new(JsonCodec) }),
        policy,
        limits: Limits::default(),
        digester: TokenDigester::default(),
        on_mismatch: OnMismatch::default(),
        client_holds: ClientHolds::Nothing,
    }
}

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn work(state: &mut State, terms: &Terms) -> Box<Work> {
    match state.begin(Mode::Final, terms, NOW).unwrap() {
        Next::Work(work) => work,
        Next::Done => panic!("nothing to do"),
        Next::Failed(error) => panic!("{error}"),
    }
}

fn set(state: &mut State, key: &str, value: &str, terms: &Terms) {
    let path = (&key).segments().to_owned().unwrap();
    state.change(Change::Set(path, value.into()), &terms.limits).unwrap();
}

fn count(state: &mut State, key: &str, terms: &Terms) {
    let again = |old: Option<&str>| {
        let old: u64 = old.map_or(0, |text| text.parse().unwrap());
        Ok((old + 1).to_string())
    };
    let now = again(state.view().get((&key).segments()).unwrap()).unwrap();
    let path = (&key).segments().to_owned().unwrap();
    state.change(Change::Update(path, now, Arc::new(again)), &terms.limits).unwrap();
}

fn created(terms: &Terms) -> (Record, Token) {
    let mut state = State::new(Err(Absence::NothingShown), None, NOW);
    set(&mut state, "a", "1", terms);
    let mut work = work(&mut state, terms);
    let Step::Create(record) = work.first_step(1, terms, NOW).unwrap() else { panic!("not a create") };
    let token = work.token().unwrap().clone();
    (record, token)
}

fn resumed(record: &Record, token: &Token, terms: &Terms) -> State {
    match terms.recognize(token, Some(record.clone()), Bearer::Newcomer, NOW) {
        Recognition::Valid(present) => State::new(Ok(present), None, NOW),
        _ => panic!("the token does not open the record"),
    }
}

/// What a whole commit of other changes makes of a record.
fn saved(
    record: &Record,
    token: &Token,
    write: u64,
    terms: &Terms,
    change: impl FnOnce(&mut State),
) -> (Record, Token) {
    let mut state = resumed(record, token, terms);
    change(&mut state);
    let mut work = work(&mut state, terms);
    let Step::Save { record: newer, expected } = work.first_step(write, terms, NOW).unwrap() else {
        panic!("not a save")
    };
    assert_eq!((expected, newer.version), (record.version, record.version + 1));
    let Stored::Saved { present, .. } = work.take_outcome() else { panic!("not saved") };
    (newer, present.token.clone())
}

fn again(work: &mut Work, found: Option<Record>, terms: &Terms) -> Result<Rebased, SessionError> {
    if found.as_ref().is_some_and(|record| work.is_own(record, terms, NOW)) {
        return Ok(Rebased::Done);
    }
    let found = terms.recognize(&work.token().unwrap().clone(), found, Bearer::Admitted, NOW);
    work.rebase(found, terms, NOW)
}

fn data_of(record: &Record, terms: &Terms) -> String {
    record.decode(&terms.origin).unwrap().data.as_str().to_owned()
}

#[test]
fn a_conflict_is_solved_on_what_is_there_now() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (theirs, _) = saved(&record, &token, 2, &terms, |state| {
        count(state, "n", &terms);
        set(state, "b", "2", &terms);
    });

    let mut ours = resumed(&record, &token, &terms);
    count(&mut ours, "n", &terms);
    let mut work = work(&mut ours, &terms);
    work.first_step(3, &terms, NOW).unwrap();
    let Rebased::Again(Step::Save { record, expected }) = again(&mut work, Some(theirs), &terms).unwrap() else {
        panic!("not tried again")
    };
    assert_eq!((expected, record.version), (2, 3));
    assert_eq!(data_of(&record, &terms), r#"{"a":1,"n":2,"b":2}"#);
}

#[test]
fn changes_have_nowhere_to_go_when_the_session_is_gone_or_its_secret_is_dead() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (rotated, _) = saved(&record, &token, 2, &terms, |state| state.rotate(Rotation::AtOnce).unwrap());
    let expired = Record { expires_at: NOW, ..record.clone() };
    for (found, reason) in
        [(None, DropReason::Ended), (Some(expired), DropReason::Ended), (Some(rotated), DropReason::SecretReplaced)]
    {
        let mut state = resumed(&record, &token, &terms);
        set(&mut state, "a", "2", &terms);
        let mut work = work(&mut state, &terms);
        work.first_step(3, &terms, NOW).unwrap();
        assert!(matches!(again(&mut work, found, &terms), Ok(Rebased::Done)));
        assert!(matches!(work.outcome(), Stored::Dropped(why) if *why == reason));
        state.finish(&mut work);
        assert!(matches!(state.token_change(|| NOW), TokenChange::Keep));
        assert!(state.present().is_none() && state.view().data().is_none());
        assert_eq!(state.rotate(Rotation::AtOnce).unwrap_err().kind(), ErrorKind::Ended);
    }
}

#[test]
fn an_own_write_whose_answer_got_lost_is_recognized() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let mut state = resumed(&record, &token, &terms);
    count(&mut state, "n", &terms);
    let mut work = work(&mut state, &terms);
    let Step::Save { record: own, .. } = work.first_step(3, &terms, NOW).unwrap() else { panic!("not a save") };
    work.be_unsure();
    assert!(matches!(again(&mut work, Some(own), &terms).unwrap(), Rebased::Done));
    assert!(matches!(work.outcome(), Stored::Saved { .. }));
}

#[test]
fn an_own_new_secret_is_recognized_under_what_others_have_saved_since() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let mut state = resumed(&record, &token, &terms);
    count(&mut state, "n", &terms);
    state.rotate(Rotation::AtOnce).unwrap();
    let mut work = work(&mut state, &terms);
    let Step::Save { record: own, .. } = work.first_step(3, &terms, NOW).unwrap() else { panic!("not a save") };
    let own_token = work.token.clone().unwrap();
    work.be_unsure();
    let (theirs, _) = saved(&own, &own_token, 4, &terms, |state| set(state, "b", "2", &terms));
    assert!(matches!(again(&mut work, Some(theirs), &terms).unwrap(), Rebased::Done), "done twice");
    assert!(state.finish(&mut work).is_none(), "nothing is to be done again");
    let TokenChange::Issue(issued) = state.token_change(|| NOW) else { panic!("no token") };
    assert_eq!(issued.token.expose(), own_token.expose());
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (v2, _) = saved(&record, &token, 8, &terms, |state| set(state, "b", "2", &terms));
    let (v3, _) = saved(&v2, &token, 9, &terms, |state| set(state, "b", "3", &terms));
    let unsure = |change: &dyn Fn(&mut State), found: &Record| {
        let mut state = resumed(&record, &token, &terms);
        change(&mut state);
        let mut work = work(&mut state, &terms);
        work.first_step(3, &terms, NOW).unwrap();
        work.be_unsure();
        again(&mut work, Some(found.clone()), &terms)
    };
    // Version 3 may have grown out of our version 2: to count once more could be to count twice.
    let outcome = unsure(&|state| count(state, "n", &terms), &v3);
    assert_eq!(outcome.err().map(|error| error.kind()), Some(ErrorKind::Unavailable));
    // To set a value twice does no harm.
    assert!(matches!(unsure(&|state| set(state, "n", "1", &terms), &v3), Ok(Rebased::Again(_))));
    // Version 2 is somebody else's, so ours was not stored.
    assert!(matches!(unsure(&|state| count(state, "n", &terms), &v2), Ok(Rebased::Again(_))));
    assert!(matches!(unsure(&|state| count(state, "n", &terms), &record), Ok(Rebased::Again(_))));
}

#[test]
fn only_what_was_read_and_then_written_is_refused() {
    let terms = terms(SessionPolicy::default().conflicts(Conflicts::Refuse));
    let (record, token) = created(&terms);
    let (theirs, _) = saved(&record, &token, 2, &terms, |state| set(state, "a", "2", &terms));
    let conflict = |read: Option<&str>, written: &str| {
        let mut state = resumed(&record, &token, &terms);
        if let Some(path) = read {
            state.note_read(Some((&path).segments()), &terms).unwrap();
        }
        set(&mut state, written, "7", &terms);
        let mut work = work(&mut state, &terms);
        work.first_step(3, &terms, NOW).unwrap();
        again(&mut work, Some(theirs.clone()), &terms).err().map(|error| error.kind())
    };
    assert_eq!(conflict(Some("a"), "a"), Some(ErrorKind::Conflict));
    assert_eq!(conflict(None, "a"), None);
    assert_eq!(conflict(Some("b"), "b"), None);
    assert_eq!(conflict(Some("a"), "b"), None);
}

#[test]
fn a_failed_commit_gives_its_changes_back() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let mut state = resumed(&record, &token, &terms);
    set(&mut state, "b", "1", &terms);
    state.rotate(Rotation::AtOnce).unwrap();
    let Next::Work(failed) = state.begin(Mode::Save, &terms, NOW).unwrap() else { panic!("nothing to do") };
    set(&mut state, "b", "2", &terms);
    state.restore(failed);
    let mut work = work(&mut state, &terms);
    let Step::Save { record, .. } = work.first_step(4, &terms, NOW).unwrap() else { panic!("not a save") };
    assert_eq!(data_of(&record, &terms), r#"{"a":1,"b":2}"#);
    assert!(matches!(work.outcome(), Stored::Saved { tell: Tell::Issue, .. }));
}

#[test]
fn what_is_written_during_a_save_goes_on_top() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let mut state = resumed(&record, &token, &terms);
    count(&mut state, "n", &terms);
    let Next::Work(mut under_way) = state.begin(Mode::Save, &terms, NOW).unwrap() else { panic!("nothing to do") };
    count(&mut state, "n", &terms);
    under_way.first_step(3, &terms, NOW).unwrap();
    assert!(state.finish(&mut under_way).is_some(), "to be put on what was stored");
    assert_eq!(state.view().data().unwrap().as_str(), r#"{"a":1,"n":2}"#);
    let mut work = work(&mut state, &terms);
    let Step::Save { record, expected } = work.first_step(4, &terms, NOW).unwrap() else { panic!("not a save") };
    assert_eq!((expected, data_of(&record, &terms).as_str()), (2, r#"{"a":1,"n":2}"#));
}

#[test]
fn a_latecomer_is_known_for_a_minute() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (rotated, fresh) = saved(&record, &token, 2, &terms, |state| state.rotate(Rotation::AtOnce).unwrap());
    assert!(matches!(terms.recognize(&fresh, Some(rotated.clone()), Bearer::Newcomer, NOW), Recognition::Valid(_)));
    for (token, after, late) in [(&token, 59, true), (&token, 60, false), (&token.with_new_secret().unwrap(), 0, false)]
    {
        let recognition = terms.recognize(token, Some(rotated.clone()), Bearer::Newcomer, later(after));
        assert_eq!(matches!(recognition, Recognition::Refused(Refusal::Latecomer)), late);
        assert_eq!(matches!(recognition, Recognition::Refused(Refusal::Stranger)), !late);
    }
}

/// As a reload does it that is overtaken by the request's own changes.
#[test]
fn what_was_computed_before_another_change_is_thrown_away() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let newer = || resumed(&record, &token, &terms).to_detach().unwrap();

    let mut state = resumed(&record, &token, &terms);
    set(&mut state, "b", "1", &terms);
    set(&mut state, "c", "1", &terms);
    let (_, revision) = state.pending();
    assert!(state.rebase(newer(), None, revision));
    assert!(!state.rebase(newer(), None, revision), "by another one");
    set(&mut state, "b", "2", &terms);
    assert!(!state.rebase(newer(), None, revision), "by a change after another one");

    let (_, revision) = state.pending();
    set(&mut state, "b", "3", &terms);
    assert!(!state.rebase(newer(), None, revision), "by a change");

    let (_, revision) = state.pending();
    state.destroy(false).unwrap();
    assert!(!state.rebase(newer(), None, revision), "by the end of the session");
}

#[test]
fn a_save_that_keeps_the_secret_leaves_the_key_of_the_forms_as_it_is() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let mask = |record: &Record| record.decode(&terms.origin).unwrap().extras.csrf;
    assert!(mask(&record).is_none());
    let (saved, _) = saved(&record, &token, 2, &terms, |state| set(state, "b", "1", &terms));
    assert!(mask(&saved).is_none(), "what follows from the secret alone is not stored");
}

#[test]
fn an_issued_token_can_be_printed_without_its_secret() {
    let terms = terms(SessionPolicy::default());
    let mut state = State::new(Err(Absence::NothingShown), None, NOW);
    set(&mut state, "a", "1", &terms);
    let mut work = work(&mut state, &terms);
    work.first_step(1, &terms, NOW).unwrap();
    state.finish(&mut work);
    let TokenChange::Issue(issued) = state.token_change(|| NOW) else { panic!("no token") };
    let text = format!("{issued:?}");
    assert!(text.starts_with("IssuedToken { token: ") && text.contains("lifetime: None"), "{text}");
    let (id, secret) = (issued.token.id().to_string(), issued.token.expose().to_string());
    assert!(!text.contains(secret.trim_start_matches(&id)), "{text}");
}

/// Whoever ends a session that is nobody's must not end that of a user who has logged in meanwhile.
#[test]
fn a_logout_asks_for_no_version_and_the_end_of_a_session_without_a_user_does() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (with_user, new_token) =
        saved(&record, &token, 2, &terms, |state| state.login("ada".into(), None, &terms.limits).unwrap());
    let end = |record: &Record, token: &Token| {
        let mut state = resumed(record, token, &terms);
        state.destroy(false).unwrap();
        work(&mut state, &terms).first_step(3, &terms, NOW).unwrap()
    };
    assert!(matches!(end(&record, &token), Step::DeleteUnchanged { expected: 1, .. }));
    assert!(matches!(end(&with_user, &new_token), Step::Delete(_)));
}

#[test]
fn a_failed_commit_gives_back_each_change_of_the_sessions_life() {
    let first = || Lifecycle { reauthenticated: true, consent: true, ..Lifecycle::default() };
    for both in [first().and_then(Lifecycle::default()), Lifecycle::default().and_then(first())] {
        assert!(both.reauthenticated && both.consent && !both.destroy);
    }
    let end = || Lifecycle { destroy: true, ..Lifecycle::default() };
    assert!(end().and_then(Lifecycle::default()).destroy && Lifecycle::default().and_then(end()).destroy);
}

#[test]
fn a_commit_knows_whether_there_was_a_session() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    for (mut state, there) in
        [(State::new(Err(Absence::NothingShown), None, NOW), false), (resumed(&record, &token, &terms), true)]
    {
        set(&mut state, "b", "1", &terms);
        assert_eq!(work(&mut state, &terms).has_base(), there);
    }
}

#[test]
fn what_an_older_version_was_expected_for_is_in_doubt_no_more_once_there_is_a_newer_one() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let (theirs, _) = saved(&record, &token, 2, &terms, |state| set(state, "b", "2", &terms));
    for (found, unsure) in [(&record, true), (&theirs, false)] {
        let mut state = resumed(&record, &token, &terms);
        count(&mut state, "n", &terms);
        let mut work = work(&mut state, &terms);
        work.first_step(3, &terms, NOW).unwrap();
        work.be_unsure();
        assert!(matches!(again(&mut work, Some(found.clone()), &terms), Ok(Rebased::Again(_))));
        assert_eq!(work.is_unsure(), unsure);
    }
}

#[test]
fn a_record_of_another_session_is_never_an_own_one() {
    let terms = terms(SessionPolicy::default());
    let ((record, token), (other, _)) = (created(&terms), created(&terms));
    let mut state = resumed(&record, &token, &terms);
    set(&mut state, "b", "1", &terms);
    let mut work = work(&mut state, &terms);
    let write = other.decode(&terms.origin).unwrap().write;
    work.first_step(write, &terms, NOW).unwrap();
    assert!(!work.is_own(&other, &terms, NOW));
}

#[test]
fn an_expiry_moves_only_forwards_unless_it_is_more_than_a_minute_ahead() {
    let terms = terms(SessionPolicy::default().touch_after(Duration::ZERO));
    let (record, token) = created(&terms);
    let state = resumed(&record, &token, &terms);
    let mut present = state.present().unwrap().clone();
    let target = present.expires_at;
    for (ahead, due) in [(0, None), (1, None), (60_000, None), (60_001, Some(target))] {
        present.expires_at = target.saturating_add(Duration::from_millis(ahead));
        assert_eq!(present.due_expiry(NOW, &terms.policy), due, "{ahead}");
    }
    present.expires_at = NOW;
    assert_eq!(present.due_expiry(NOW, &terms.policy), Some(target));
}

/// A form that was made for the visitor is not good for the user.
#[test]
fn the_key_of_forms_that_was_drawn_before_a_login_dies_with_the_old_secret_and_not_with_one_in_grace() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    for (rotation, stays) in [(Rotation::AtOnce, false), (Rotation::WithGrace(Duration::from_secs(30)), true)] {
        let mut state = State::new(Err(Absence::NothingShown), None, NOW);
        state.csrf_key(&terms).unwrap();
        state.rotate(rotation).unwrap();
        assert_eq!(state.known_csrf_key().is_some(), stays, "{rotation:?}");
        assert!(resumed(&record, &token, &terms).known_csrf_key().is_some());
    }
}

#[test]
fn of_two_flash_values_the_one_that_was_read_goes() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let group = FlashGroup::Value;
    let (flashed, token) = saved(&record, &token, 2, &terms, |state| {
        for name in ["read", "unread"] {
            state.change(Change::Set(group.place(name), flash_entry("1", 7, false)), &terms.limits).unwrap();
        }
    });
    let (after, token) = saved(&flashed, &token, 3, &terms, |state| state.spend_flash(group, "read"));
    let left = resumed(&after, &token, &terms).flash(group);
    assert_eq!(left.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["unread"]);
}

/// What led to a secret that the timer has replaced was in grace by itself: nobody has to have stolen it.
#[test]
fn only_who_shows_the_very_secret_that_the_timer_has_replaced_is_taken_for_a_thief() {
    let terms = terms(SessionPolicy::default().rotate_every(Duration::from_hours(1), Duration::from_secs(30)));
    let hour = Duration::from_hours(1);
    let (record, first) = created(&terms);
    let (record, second) = saved(&record, &first, 2, &terms, |state| state.rotate(Rotation::WithGrace(hour)).unwrap());
    let (record, third) = saved(&record, &second, 3, &terms, |state| state.rotate(Rotation::OnTimer).unwrap());
    let (record, _) = saved(&record, &third, 4, &terms, |state| set(state, "b", "1", &terms));
    let shown = |token: &Token| terms.recognize(token, Some(record.clone()), Bearer::Newcomer, later(120));
    assert!(matches!(shown(&third), Recognition::Valid(_)));
    assert!(matches!(shown(&second), Recognition::Refused(Refusal::Replayed(_))));
    assert!(matches!(shown(&first), Recognition::Refused(Refusal::Latecomer)));
}

#[test]
fn what_a_session_is_bound_to_is_not_printed() {
    assert_eq!(format!("{:?}", Bond::new(Some("a certificate".into()))), "Bond(..)");
}

#[test]
fn a_request_that_changes_nothing_ends_without_the_store() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    for mode in [Mode::Save, Mode::Final, Mode::FinalWithoutData] {
        assert!(!resumed(&record, &token, &terms).needs_store(mode, &terms, NOW), "{mode:?}");
        assert!(!State::new(Err(Absence::NothingShown), None, NOW).needs_store(mode, &terms, NOW), "{mode:?}");
    }
}
