//! Keys and codecs change while the application runs on several machines.

use std::slice;

use cloakroom::{JsonCodec, MemoryStore, MessagePackCodec, SessionEvent};

use super::*;
use crate::support::bytes_store::BytesStore;

/// The steps of the documentation of `SealedCodec`. At each of them some processes have the settings from before still.
#[tokio::test]
async fn a_key_is_changed_and_nobody_is_logged_out() {
    let (old, new, store) = (key(), key(), BytesStore::default());
    let steps = [vec![&old], vec![&old, &new], vec![&new, &old], vec![&new]];
    let apps = steps.map(|keys| sealed(store.clone(), ring(keys)));
    let mut browser = Browser::new(&apps[0]);
    browser.get("/login/ada").await;
    let mut count = 0;
    for both in apps.windows(2) {
        for app in [&both[0], &both[1], &both[0], &both[1]] {
            let mut next = moved(&browser, app);
            count += 1;
            assert_eq!(next.get("/add").await.body, count.to_string());
            assert_eq!(next.get("/who").await.body, "ada");
        }
    }
    assert_eq!(store.len(), 1);
}

#[tokio::test]
async fn a_record_gets_the_first_key_when_it_is_saved() {
    let (old, new, store) = (key(), key(), BytesStore::default());
    let mut browser = Browser::new(&sealed(store.clone(), copy(&old)));
    browser.get("/add").await;
    let name = || store.row(id_of(&browser)).unwrap().bytes[1..5].to_vec();
    let before = name();
    let mut now = moved(&browser, &sealed(store.clone(), ring([&new, &old])));
    now.get("/n").await;
    assert_eq!(name(), before, "reading seals nothing");
    now.get("/add").await;
    assert_ne!(name(), before);
    assert_eq!(moved(&browser, &sealed(store.clone(), new)).get("/n").await.body, "2");
}

#[tokio::test]
async fn a_key_that_is_left_out_ends_its_sessions_and_the_event_names_it() {
    let (old, new, store, events) = (key(), key(), BytesStore::default(), EventLog::default());
    let mut browser = Browser::new(&sealed(store.clone(), copy(&old)));
    browser.get("/login/ada").await;
    let before = store.row(id_of(&browser)).unwrap();
    let without = app(store.clone(), SealedCodec::new(new), "", &events);
    let answer = moved(&browser, &without).get("/who").await;
    assert!(answer.body == "-" && answer.removes_cookie());
    let name = format!("{old:?}").replace("SealingKey(", "").replace(')', "");
    let events = events.take();
    let [SessionEvent::Corrupt { cause, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(cause.contains(&format!("sealed with the key {name}, which is not in the key ring")), "{cause}");
    assert_eq!(store.row(before.id).unwrap(), before, "the key may be put back");
    assert_eq!(browser.get("/who").await.body, "ada");
}

/// The steps of the documentation of `SealedCodec`, there and back again.
#[tokio::test]
async fn plain_records_become_sealed_ones_and_nobody_is_logged_out() {
    let (keys, store) = (ring([&key()]), BytesStore::default());
    let with = |codec: SealedCodec| app(store.clone(), codec, "", &EventLog::default());
    let steps = [
        app(store.clone(), JsonCodec, "", &EventLog::default()),
        with(SealedCodec::new(keys.clone()).insecure_writing_plain_records()),
        with(SealedCodec::new(keys.clone()).insecure_accepting_plain_records()),
        with(SealedCodec::new(keys)),
    ];
    let mut browser = Browser::new(&steps[0]);
    browser.get("/login/ada").await;
    let is_sealed = || store.row(id_of(&browser)).unwrap().bytes[0] == 0x02;
    let mut count = 0;
    let there: Vec<_> = steps.windows(2).map(|two| (&two[0], &two[1])).collect();
    let back = there.iter().rev().map(|(before, after)| (*after, *before));
    for (before, after) in there.iter().copied().chain(back) {
        for app in [before, after, before, after] {
            let mut next = moved(&browser, app);
            count += 1;
            assert_eq!(next.get("/add").await.body, count.to_string());
            assert_eq!(next.get("/who").await.body, "ada");
        }
        if std::ptr::eq(after, &raw const steps[3]) {
            assert!(is_sealed());
        }
    }
    assert!(!is_sealed());
}

#[tokio::test]
async fn a_plain_record_is_a_strangers_unless_it_is_said_to_be_accepted() {
    let (store, keys, events) = (BytesStore::default(), ring([&key()]), EventLog::default());
    let mut browser = Browser::new(&app(store.clone(), MessagePackCodec, "", &events));
    browser.get("/add").await;
    let strict = app(store.clone(), SealedCodec::new(keys.clone()), "", &events);
    assert_eq!(moved(&browser, &strict).get("/n").await.body, "0");
    let refused = |event: &SessionEvent| matches!(event, SessionEvent::Corrupt { cause, .. } if cause.ends_with("the record is not sealed"));
    assert_eq!(events.count(refused), 1);
    let accepting = SealedCodec::new(keys).insecure_accepting_plain_records();
    assert_eq!(moved(&browser, &app(store.clone(), accepting, "", &events)).get("/n").await.body, "1");
}

#[tokio::test]
async fn requests_at_once_lose_no_update() {
    let app = sealed(BytesStore::default(), key());
    let mut browser = Browser::new(&app);
    browser.get("/add").await;
    let requests = (0..32).map(|_| {
        let mut browser = browser.clone();
        async move { browser.get("/add").await }
    });
    futures_util::future::join_all(requests).await;
    assert_eq!(browser.get("/n").await.body, "33");
}

#[tokio::test]
async fn a_store_in_this_process_has_nothing_to_seal() {
    let key = key();
    let store = MemoryStore::new();
    let mut browser = Browser::new(&sealed(store.clone(), copy(&key)));
    browser.get("/add").await;
    let keyless = sealed(store, ring(slice::from_ref(&SealingKey::generate().unwrap())));
    assert_eq!(moved(&browser, &keyless).get("/add").await.body, "2");
}

#[test]
fn nothing_of_a_key_is_in_debug_output() {
    let (one, other) = (key(), key());
    let codec = SealedCodec::new(ring([&one, &other])).insecure_accepting_plain_records();
    let layer = SessionLayer::with_manager(manager(MemoryStore::new(), &TestClock::default()).codec(codec));
    let shown = format!("{layer:?}");
    assert!(shown.contains(&format!("{one:?}")), "{shown}");
    for secret in [one.expose(), other.expose()] {
        let parts = secret.as_bytes().windows(10);
        assert!(parts.into_iter().all(|part| !shown.contains(str::from_utf8(part).unwrap())), "{shown}");
    }
}
