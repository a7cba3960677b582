//! The contract, operation by operation.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Settings;
use crate::clock::Timestamp;
use crate::record::{Payload, Record};
use crate::store::{CreateOutcome, ExpiredRecord, Inventory, SaveOutcome, SessionStore, StoreErrorKind};
use crate::token::{SessionId, Token};

type Store = Arc<dyn SessionStore>;

/// Far from the real time, which must not matter. 2001-09-09.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_000_000_000_123);

const MINUTE: Duration = Duration::from_mins(1);

fn later(by: Duration) -> Timestamp {
    NOW.saturating_add(by)
}

fn new_id() -> SessionId {
    Token::generate().expect("random bytes").id()
}

/// A user that no other case has.
pub(super) fn new_user() -> Arc<str> {
    format!("user-{}", new_id()).into()
}

pub(super) fn new_record(user: Option<&Arc<str>>) -> Record {
    Record {
        id: new_id(),
        version: 1,
        user: user.cloned(),
        expires_at: later(MINUTE),
        payload: Payload::from_bytes(Bytes::from_static(b"{\"first\":1}")),
    }
}

fn next(record: &Record, payload: &'static [u8]) -> Record {
    Record { version: record.version + 1, payload: Payload::from_bytes(payload), ..record.clone() }
}

async fn created(store: &Store, record: Record) -> Record {
    assert_eq!(store.create(&record, NOW).await.unwrap(), CreateOutcome::Created);
    record
}

async fn load(store: &Store, id: SessionId, now: Timestamp) -> Option<Record> {
    store.load(id, now).await.unwrap()
}

async fn assert_stored(store: &Store, expected: &Record) {
    let found = load(store, expected.id, NOW).await.expect("the record is there");
    assert_eq!((found.id, found.version), (expected.id, expected.version));
    assert_eq!((&found.user, found.expires_at), (&expected.user, expected.expires_at));
    assert_eq!(found.payload.to_bytes().unwrap(), expected.payload.to_bytes().unwrap());
}

pub(super) async fn a_created_record_comes_back_as_it_was(store: Store, _: Settings) {
    assert_stored(&store, &created(&store, new_record(None)).await).await;
    assert_stored(&store, &created(&store, new_record(Some(&new_user()))).await).await;
}

pub(super) async fn create_never_overwrites(store: Store, _: Settings) {
    let record = created(&store, new_record(None)).await;
    let other = Record { id: record.id, ..new_record(Some(&new_user())) };
    assert_eq!(store.create(&other, NOW).await.unwrap(), CreateOutcome::Exists);
    assert_stored(&store, &record).await;
}

pub(super) async fn create_takes_the_place_of_what_has_expired(store: Store, _: Settings) {
    let user = new_user();
    let old = created(&store, Record { version: 7, ..new_record(Some(&user)) }).await;
    let over = old.expires_at;
    let other = Record { id: old.id, expires_at: later(9 * MINUTE), ..new_record(Some(&new_user())) };
    assert_eq!(store.create(&other, over).await.unwrap(), CreateOutcome::Created);
    assert_stored(&store, &other).await;
    assert_eq!(store.save(&next(&old, b"late"), 7, NOW).await.unwrap(), SaveOutcome::Conflict);
    if let Some(index) = store.user_index() {
        assert!(index.records_of(&user, NOW).await.unwrap().is_empty());
        assert_eq!(index.records_of(other.user.as_deref().unwrap(), over).await.unwrap().len(), 1);
    }
    assert_eq!(store.create(&old, over).await.unwrap(), CreateOutcome::Exists);
    assert_stored(&store, &other).await;
}

pub(super) async fn create_does_not_mind_a_sweep(store: Store, _: Settings) {
    let over = later(MINUTE);
    for _ in 0..20 {
        let old = created(&store, new_record(None)).await;
        let other = Record { expires_at: later(9 * MINUTE), ..old.clone() };
        let (ids, sweeper) = ([old.id], store.clone());
        let sweep = tokio::spawn(async move { sweeper.delete_expired(&ids, over).await });
        assert_eq!(store.create(&other, over).await.unwrap(), CreateOutcome::Created);
        sweep.await.unwrap().unwrap();
        assert_stored(&store, &other).await;
    }
}

pub(super) async fn save_replaces_the_expected_version(store: Store, _: Settings) {
    let mut record = created(&store, new_record(None)).await;
    for (version, user) in [(2, Some(new_user())), (3, Some(new_user())), (4, None)] {
        record = Record { user, expires_at: later(Duration::from_mins(version)), ..next(&record, b"{\"next\":true}") };
        assert_eq!(store.save(&record, version - 1, NOW).await.unwrap(), SaveOutcome::Saved);
        assert_stored(&store, &record).await;
    }
    // An expiry may move to an earlier time too, and a version by more than one.
    let record = Record { version: 9, expires_at: later(Duration::from_millis(1)), ..next(&record, b"x") };
    assert_eq!(store.save(&record, 4, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_stored(&store, &record).await;
    assert!(load(&store, record.id, record.expires_at).await.is_none());
}

pub(super) async fn save_of_another_version_is_a_conflict(store: Store, _: Settings) {
    let first = created(&store, new_record(None)).await;
    let second = next(&first, b"second");
    assert_eq!(store.save(&second, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.save(&next(&first, b"late"), 1, NOW).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!(store.save(&Record { version: 4, ..second.clone() }, 3, NOW).await.unwrap(), SaveOutcome::Conflict);
    assert_stored(&store, &second).await;
}

pub(super) async fn nothing_is_written_after_delete(store: Store, _: Settings) {
    let record = created(&store, new_record(Some(&new_user()))).await;
    store.delete(record.id).await.unwrap();
    assert_eq!(store.save(&next(&record, b"late"), 1, NOW).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(store.touch(record.id, 1, later(2 * MINUTE), NOW).await.unwrap(), SaveOutcome::Gone);
    assert!(load(&store, record.id, NOW).await.is_none());
    store.delete(record.id).await.unwrap();
}

pub(super) async fn an_unknown_id_is_gone(store: Store, _: Settings) {
    let record = new_record(None);
    assert!(load(&store, record.id, NOW).await.is_none());
    assert_eq!(store.save(&next(&record, b"x"), 1, NOW).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(store.touch(record.id, 1, later(MINUTE), NOW).await.unwrap(), SaveOutcome::Gone);
    store.delete(record.id).await.unwrap();
    assert!(load(&store, record.id, NOW).await.is_none());
}

pub(super) async fn touch_moves_the_expiry_and_nothing_else(store: Store, _: Settings) {
    let record = created(&store, new_record(Some(&new_user()))).await;
    for expires_at in [later(10 * MINUTE), later(Duration::from_millis(7))] {
        assert_eq!(store.touch(record.id, 1, expires_at, NOW).await.unwrap(), SaveOutcome::Saved);
        assert_stored(&store, &Record { expires_at, ..record.clone() }).await;
    }
    assert!(load(&store, record.id, later(Duration::from_millis(7))).await.is_none());
}

pub(super) async fn touch_of_another_version_is_a_conflict(store: Store, _: Settings) {
    let record = created(&store, new_record(None)).await;
    assert_eq!(store.touch(record.id, 2, later(2 * MINUTE), NOW).await.unwrap(), SaveOutcome::Conflict);
    assert_stored(&store, &record).await;
}

pub(super) async fn expiry_is_exact(store: Store, _: Settings) {
    let record = created(&store, new_record(None)).await;
    assert!(load(&store, record.id, later(Duration::from_millis(59_999))).await.is_some());
    assert!(load(&store, record.id, later(MINUTE)).await.is_none());
    assert!(load(&store, record.id, later(1_000 * MINUTE)).await.is_none());
    // Who asks with an earlier time finds it again: the clock is the caller's.
    assert!(load(&store, record.id, NOW).await.is_some());
}

pub(super) async fn an_expired_record_stays_dead(store: Store, _: Settings) {
    let user = new_user();
    let record = created(&store, new_record(Some(&user))).await;
    let over = later(MINUTE);
    let saved = Record { expires_at: later(9 * MINUTE), ..next(&record, b"late") };
    assert_eq!(store.save(&saved, 1, over).await.unwrap(), SaveOutcome::Gone);
    assert_eq!(store.touch(record.id, 1, later(9 * MINUTE), over).await.unwrap(), SaveOutcome::Gone);
    assert!(load(&store, record.id, over).await.is_none());
    if let Some(index) = store.user_index() {
        assert!(index.records_of(&user, over).await.unwrap().is_empty());
    }
}

pub(super) async fn ids_are_compared_exactly(store: Store, _: Settings) {
    // Bytes that are letters of either case, blanks, a NUL: what text columns and protocols like to confuse.
    let base = *b"aAzZ \0\n\r%_'\"\\\xe9\xff0";
    let marked = |bytes: [u8; 16]| {
        let mut bytes = bytes;
        // A part that no other run has.
        bytes[..4].copy_from_slice(&new_id().as_bytes()[..4]);
        bytes
    };
    let base = marked(base);
    let record = created(&store, Record { id: SessionId::from_bytes(base), ..new_record(None) }).await;
    for (place, byte) in [(4, 0), (5, b' '), (6, b'\r'), (8, b'_'), (15, b'1'), (13, 0xc9), (14, 0xfe)] {
        let mut other = base;
        other[place] = byte;
        let other = SessionId::from_bytes(other);
        assert!(load(&store, other, NOW).await.is_none(), "{other:?} is not {:?}", record.id);
        store.delete(other).await.unwrap();
    }
    assert_stored(&store, &record).await;
}

pub(super) async fn payloads_come_back_byte_for_byte(store: Store, settings: Settings) {
    let every_byte: Vec<u8> = (0..=255).cycle().take(1_024).collect();
    let largest: Vec<u8> = (0..=255).rev().cycle().take(settings.max_payload).collect();
    for bytes in [vec![], vec![0], b"\r\nEND\r\n\0\"'\\;--".to_vec(), every_byte, largest] {
        let record = Record { payload: Payload::from_bytes(bytes), ..new_record(None) };
        let record = created(&store, record).await;
        assert_stored(&store, &record).await;
        let again = Record { version: 2, ..record };
        assert_eq!(store.save(&again, 1, NOW).await.unwrap(), SaveOutcome::Saved);
        assert_stored(&store, &again).await;
        store.delete(again.id).await.unwrap();
    }
}

pub(super) async fn a_payload_beyond_the_limit_is_refused(store: Store, settings: Settings) {
    if settings.max_payload >= 1_000_000 {
        return;
    }
    let too_large = || Payload::from_bytes(vec![b'x'; 2 * settings.max_payload]);
    let record = created(&store, new_record(None)).await;
    let saved = Record { payload: too_large(), ..next(&record, b"") };
    let error = store.save(&saved, 1, NOW).await.unwrap_err();
    assert!(matches!(error.kind(), StoreErrorKind::TooLarge { .. }), "{error:?}");
    assert_stored(&store, &record).await;
    let fresh = Record { payload: too_large(), ..new_record(None) };
    let error = store.create(&fresh, NOW).await.unwrap_err();
    assert!(matches!(error.kind(), StoreErrorKind::TooLarge { .. }), "{error:?}");
    assert!(load(&store, fresh.id, NOW).await.is_none());
}

/// Lists and deletes until nothing is left that has expired by then. How many there were in each step.
async fn swept(store: &Store, now: Timestamp, limit: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    loop {
        let ids: Vec<_> = store.expired(now, limit).await.unwrap().iter().map(|record| record.id).collect();
        if ids.is_empty() {
            return steps;
        }
        assert_eq!(store.delete_expired(&ids, now).await.unwrap(), ids.len(), "what was listed is deleted");
        steps.push(ids.len());
    }
}

pub(super) async fn expired_records_are_listed_until_they_are_deleted(store: Store, settings: Settings) {
    // Records that other cases or tests have left must not be counted.
    swept(&store, later(1_000 * MINUTE), 10_000).await;
    let (short, user) = (later(Duration::from_millis(10)), new_user());
    let live = created(&store, new_record(None)).await;
    let dead = created(&store, Record { expires_at: short, ..new_record(Some(&user)) }).await;
    let saved = Record { expires_at: short, ..next(&live, b"2") };
    assert_eq!(store.save(&saved, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let survivor = created(&store, new_record(None)).await;
    assert_eq!(store.expired(NOW, 1_000).await.unwrap(), [], "nothing has expired yet");
    let mut expected = vec![
        ExpiredRecord { id: dead.id, version: 1, user: Some(user) },
        ExpiredRecord { id: live.id, version: 2, user: None },
    ];
    expected.sort_unstable_by_key(|record| record.id);
    if !settings.deletes_expired {
        expected.clear();
    }
    for _ in 0..2 {
        let mut found = store.expired(short, 1_000).await.unwrap();
        found.sort_unstable_by_key(|record| record.id);
        assert_eq!(found, expected, "they stay until they are deleted");
    }
    assert_eq!(store.delete_expired(&[], short).await.unwrap(), 0);
    assert_eq!(
        store.delete_expired(&[dead.id, survivor.id, new_id()], NOW).await.unwrap(),
        0,
        "nothing has expired yet"
    );
    let one = usize::from(settings.deletes_expired);
    assert_eq!(store.delete_expired(&[dead.id, survivor.id, new_id()], short).await.unwrap(), one);
    assert_eq!(store.expired(short, 1_000).await.unwrap().len(), one, "what was not named stays");
    assert_stored(&store, &survivor).await;
    swept(&store, short, 10).await;
}

pub(super) async fn expired_records_are_deleted_in_batches(store: Store, settings: Settings) {
    swept(&store, later(1_000 * MINUTE), 10_000).await;
    let short = later(Duration::from_millis(10));
    for _ in 0..25 {
        created(&store, Record { expires_at: short, ..new_record(None) }).await;
    }
    let survivor = created(&store, new_record(None)).await;
    let expected: &[usize] = if settings.deletes_expired { &[10, 10, 5] } else { &[] };
    assert_eq!(swept(&store, short, 10).await, expected);
    assert_stored(&store, &survivor).await;
}

pub(super) async fn of_many_savers_one_wins(store: Store, _: Settings) {
    let record = created(&store, new_record(None)).await;
    let mut savers = tokio::task::JoinSet::new();
    for saver in 0..50_u8 {
        let (store, record) = (store.clone(), record.clone());
        savers.spawn(async move {
            let record = Record { version: 2, payload: Payload::from_bytes(vec![saver]), ..record };
            (saver, store.save(&record, 1, NOW).await.unwrap())
        });
    }
    let outcomes = savers.join_all().await;
    let winners: Vec<u8> = outcomes.iter().filter(|it| it.1 == SaveOutcome::Saved).map(|it| it.0).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|it| it.1 != SaveOutcome::Gone), "{outcomes:?}");
    let stored = load(&store, record.id, NOW).await.unwrap();
    assert_eq!((stored.version, stored.payload.to_bytes().unwrap().as_ref()), (2, winners.as_slice()));
}

pub(super) async fn of_many_creators_one_wins(store: Store, _: Settings) {
    let record = new_record(None);
    // The second time in the place of the record that has expired.
    for (now, expires_at) in [(NOW, later(MINUTE)), (later(MINUTE), later(2 * MINUTE))] {
        let mut creators = tokio::task::JoinSet::new();
        for creator in 0..20_u8 {
            let (store, payload) = (store.clone(), Payload::from_bytes(vec![creator]));
            let record = Record { expires_at, payload, ..record.clone() };
            creators.spawn(async move { (creator, store.create(&record, now).await.unwrap()) });
        }
        let outcomes = creators.join_all().await;
        let winners: Vec<u8> = outcomes.iter().filter(|it| it.1 == CreateOutcome::Created).map(|it| it.0).collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        let stored = load(&store, record.id, now).await.unwrap();
        assert_eq!(stored.payload.to_bytes().unwrap().as_ref(), winners.as_slice());
    }
}

pub(super) async fn the_user_index_follows(store: Store, _: Settings) {
    let Some(index) = store.user_index() else { return };
    let (ada, bob) = (new_user(), new_user());
    let ids = async |user: &str, now| {
        let records = index.records_of(user, now).await.unwrap();
        assert!(records.iter().all(|record| record.user.as_deref() == Some(user)));
        let mut ids: Vec<_> = records.iter().map(|record| record.id).collect();
        ids.sort_unstable();
        ids
    };
    assert!(ids(&ada, NOW).await.is_empty());

    // Right after login.
    let anonymous = created(&store, new_record(None)).await;
    let first = Record { user: Some(ada.clone()), ..next(&anonymous, b"logged in") };
    assert_eq!(store.save(&first, 1, NOW).await.unwrap(), SaveOutcome::Saved);
    let second = created(&store, new_record(Some(&ada))).await;
    let mut both = vec![first.id, second.id];
    both.sort_unstable();
    assert_eq!(ids(&ada, NOW).await, both);

    // A save that loses the race changes nothing.
    let stale = Record { user: Some(bob.clone()), ..next(&anonymous, b"late") };
    assert_eq!(store.save(&stale, 1, NOW).await.unwrap(), SaveOutcome::Conflict);
    assert_eq!((ids(&ada, NOW).await, ids(&bob, NOW).await), (both, vec![]));

    // A new payload under the same user, a longer life, another user.
    let first = next(&first, b"rotated");
    assert_eq!(store.save(&first, 2, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(store.touch(first.id, 3, later(10 * MINUTE), NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(ids(&ada, later(5 * MINUTE)).await, [first.id], "the second has expired by then");
    let moved = Record { user: Some(bob.clone()), expires_at: later(10 * MINUTE), ..next(&first, b"bob's now") };
    assert_eq!(store.save(&moved, 3, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!((ids(&ada, NOW).await, ids(&bob, NOW).await), (vec![second.id], vec![moved.id]));

    // Logout, expiry.
    store.delete(second.id).await.unwrap();
    assert!(ids(&ada, NOW).await.is_empty());
    let anonymous = Record { user: None, ..next(&moved, b"nobody's") };
    assert_eq!(store.save(&anonymous, 4, NOW).await.unwrap(), SaveOutcome::Saved);
    assert!(ids(&bob, NOW).await.is_empty());
}

pub(super) async fn users_are_compared_exactly(store: Store, _: Settings) {
    let Some(index) = store.user_index() else { return };
    let base = new_id();
    let names = ["ada", "Ada", "ada ", "\u{e4}da", "a\u{308}da", "", "%", "a:da", "a'da;--"];
    let users: Vec<Arc<str>> = names.iter().map(|name| format!("{base}{name}").into()).collect();
    let mut records = Vec::new();
    for user in &users {
        records.push(created(&store, new_record(Some(user))).await);
    }
    for (user, record) in users.iter().zip(&records) {
        let found: Vec<_> = index.records_of(user, NOW).await.unwrap().iter().map(|record| record.id).collect();
        assert_eq!(found, [record.id], "{user:?}");
    }
}

/// What the pages of an inventory have, and how many unreadable ones there are.
async fn listed(inventory: &dyn Inventory, limit: usize) -> Vec<Record> {
    let (mut records, mut bookmark) = (Vec::new(), None);
    loop {
        let page = inventory.page(bookmark.as_ref(), limit).await.unwrap();
        records.extend(page.records);
        bookmark = page.next;
        if bookmark.is_none() {
            return records;
        }
    }
}

pub(super) async fn an_inventory_has_everything(store: Store, _: Settings) {
    let Some(inventory) = store.inventory() else { return };
    let mut expected = Vec::new();
    for number in 0..25 {
        let user = (number % 2 == 0).then(new_user);
        expected.push(created(&store, new_record(user.as_ref())).await);
    }
    let gone = created(&store, new_record(None)).await;
    store.delete(gone.id).await.unwrap();
    for limit in [1, 10, 10_000] {
        let found = listed(inventory, limit).await;
        for expected in &expected {
            let found = found.iter().find(|found| found.id == expected.id).expect("what is stored is listed");
            assert_eq!((found.version, &found.user), (expected.version, &expected.user));
            assert_eq!(found.expires_at, expected.expires_at);
            assert_eq!(found.payload.to_bytes().unwrap(), expected.payload.to_bytes().unwrap());
        }
        assert!(found.iter().all(|found| found.id != gone.id), "what was deleted is not listed");
    }
}

pub(super) async fn an_inventory_misses_nothing_while_others_come_and_go(store: Store, _: Settings) {
    let Some(inventory) = store.inventory() else { return };
    let (mut stays, mut goes) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        stays.push(created(&store, new_record(None)).await.id);
        goes.push(created(&store, new_record(None)).await.id);
    }
    let (mut found, mut bookmark) = (Vec::new(), None);
    loop {
        let page = inventory.page(bookmark.as_ref(), 3).await.unwrap();
        found.extend(page.records.iter().map(|record| record.id));
        if let Some(id) = goes.pop() {
            store.delete(id).await.unwrap();
            created(&store, new_record(None)).await;
        }
        bookmark = page.next;
        if bookmark.is_none() {
            break;
        }
    }
    assert!(stays.iter().all(|id| found.contains(id)), "what was there all the time is listed");
}

pub(super) async fn fresh_reads_see_everything(store: Store, _: Settings) {
    let Some(fresh) = store.fresh_reads() else { return };
    let version = async |id, now| fresh.load_fresh(id, now).await.unwrap().map(|record| record.version);
    let first = created(&store, new_record(None)).await;
    assert_eq!(version(first.id, NOW).await, Some(1));
    assert_eq!(store.save(&next(&first, b"2"), 1, NOW).await.unwrap(), SaveOutcome::Saved);
    assert_eq!(version(first.id, NOW).await, Some(2));
    assert_eq!(version(first.id, first.expires_at).await, None);
    store.delete(first.id).await.unwrap();
    assert_eq!(version(first.id, NOW).await, None);
    assert!(load(&store, first.id, NOW).await.is_none());
}
