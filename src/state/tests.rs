//! What is decided at a commit, without a store.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::codec::JsonCodec;
use crate::data::Path as _;
use crate::event::DropReason;
use crate::policy::{Conflicts, SessionPolicy};
use crate::record::{Name, Record};
use crate::token::TokenDigester;

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn terms(policy: SessionPolicy) -> Terms {
    Terms {
        namespace: "".into(),
        name: Name::default(),
        policy,
        limits: Limits::default(),
        digester: TokenDigester::default(),
        on_mismatch: OnMismatch::default(),
        codec: Arc::new(JsonCodec),
        client_holds: ClientHolds::Nothing,
    }
}

fn later(seconds: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(seconds))
}

fn work(state: &mut State, terms: &Terms) -> Work {
    match state.begin(Mode::Final, terms, NOW).unwrap() {
        Next::Work(work) => *work,
        Next::Done(change) => panic!("nothing to do: {change:?}"),
    }
}

fn set(state: &mut State, key: &str, value: &str, terms: &Terms) {
    let path = (&key).segments().to_owned().unwrap();
    state.change(Change::Set(path, value.into()), &terms.limits).unwrap();
}

fn count(state: &mut State, key: &str, terms: &Terms) {
    let again = |old: Option<&str>| {
        let old: u64 = old.map_or(0, |text| text.parse().unwrap());
        Ok((old + 1).to_string().into_boxed_str())
    };
    let now = again(state.view().get((&key).segments()).unwrap()).unwrap();
    let path = (&key).segments().to_owned().unwrap();
    state.change(Change::Update(path, now, Arc::new(again)), &terms.limits).unwrap();
}

fn created(terms: &Terms) -> (Record, Token) {
    let mut state = State::new(Err(Absence::NothingShown), NOW);
    set(&mut state, "a", "1", terms);
    let mut work = work(&mut state, terms);
    let Step::Create(record) = work.first_step(1, terms, NOW).unwrap() else { panic!("not a create") };
    let token = work.token().unwrap().clone();
    (record, token)
}

fn resumed(record: &Record, token: &Token, terms: &Terms) -> State {
    match terms.recognize(token, Some(record.clone()), Bearer::Newcomer, NOW) {
        Recognition::Valid(present) => State::new(Ok(present), NOW),
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
    let Stored::Saved { present, .. } = work.done() else { panic!("not saved") };
    (newer, present.token)
}

fn again(work: &mut Work, found: Option<Record>, terms: &Terms) -> Result<Rebased, SessionError> {
    if found.as_ref().is_some_and(|record| work.is_own(record, terms, NOW)) {
        return Ok(Rebased::Done(work.done()));
    }
    let found = terms.recognize(&work.token().unwrap().clone(), found, Bearer::Admitted, NOW);
    work.rebase(found, terms, NOW)
}

fn data_of(record: &Record, terms: &Terms) -> String {
    record.decode(&terms.codec, "").unwrap().data.as_str().to_owned()
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
        let Rebased::Done(Stored::Dropped(why)) = again(&mut work, found, &terms).unwrap() else {
            panic!("not dropped")
        };
        assert_eq!(why, reason);
        state.finish(Stored::Dropped(why), &work);
        assert!(matches!(state.token_change(NOW), TokenChange::Keep));
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
    assert!(matches!(again(&mut work, Some(own), &terms).unwrap(), Rebased::Done(Stored::Saved { .. })));
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
    let Rebased::Done(stored) = again(&mut work, Some(theirs), &terms).unwrap() else { panic!("done twice") };
    assert!(state.finish(stored, &work).is_none(), "nothing is to be done again");
    let TokenChange::Issue(issued) = state.token_change(NOW) else { panic!("no token") };
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
    state.restore(*failed);
    let mut work = work(&mut state, &terms);
    let Step::Save { record, .. } = work.first_step(4, &terms, NOW).unwrap() else { panic!("not a save") };
    assert_eq!(data_of(&record, &terms), r#"{"a":1,"b":2}"#);
    assert!(matches!(work.done(), Stored::Saved { tell: Tell::Issue, .. }));
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
    assert!(state.finish(under_way.done(), &under_way).is_some(), "to be put on what was stored");
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
        assert_eq!(matches!(recognition, Recognition::Latecomer), late);
        assert_eq!(matches!(recognition, Recognition::Stranger), !late);
    }
}

/// As a reload does it that is overtaken by the request's own changes.
#[test]
fn what_was_computed_before_another_change_is_thrown_away() {
    let terms = terms(SessionPolicy::default());
    let (record, token) = created(&terms);
    let newer = || resumed(&record, &token, &terms).present().unwrap().clone();

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
    let mask = |record: &Record| record.decode(&terms.codec, "").unwrap().csrf;
    assert!(mask(&record).is_none());
    let (saved, _) = saved(&record, &token, 2, &terms, |state| set(state, "b", "1", &terms));
    assert!(mask(&saved).is_none(), "what follows from the secret alone is not stored");
}

#[test]
fn an_issued_token_can_be_printed_without_its_secret() {
    let terms = terms(SessionPolicy::default());
    let mut state = State::new(Err(Absence::NothingShown), NOW);
    set(&mut state, "a", "1", &terms);
    let mut work = work(&mut state, &terms);
    work.first_step(1, &terms, NOW).unwrap();
    state.finish(work.done(), &work);
    let TokenChange::Issue(issued) = state.token_change(NOW) else { panic!("no token") };
    let text = format!("{issued:?}");
    assert!(text.starts_with("IssuedToken { token: ") && text.contains("lifetime: None"), "{text}");
    let (id, secret) = (issued.token.id().to_string(), issued.token.expose().to_string());
    assert!(!text.contains(secret.trim_start_matches(&id)), "{text}");
}
