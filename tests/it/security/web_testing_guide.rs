//! What a tester does by the OWASP Web Security Testing Guide, chapter "Session Management Testing", as far as no other test
//! has its number.

use std::collections::BTreeSet;
use std::time::Duration;

use cloakroom::testing::{Cookie, TestClock};
use cloakroom::{Key, MemoryStore, Session, SessionManager, TokenChange};

use super::app;
use crate::support::{Browser, N, send, send_token};

/// The bytes of tokens that were made as fast as possible.
async fn sample(count: usize) -> Vec<Vec<u8>> {
    let manager = SessionManager::new(cloakroom::NoopStore);
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let session = manager.create();
        session.insert("x", 1).unwrap();
        let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
        tokens.push(issued.token.expose().as_bytes().to_vec());
    }
    tokens
}

#[tokio::test]
async fn wstg_sess_01_tokens_have_no_structure_and_at_least_50_characters() {
    const COUNT: usize = 20_000;
    let tokens = sample(COUNT).await;
    assert!(tokens.iter().all(|token| token.len() == 64));
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), COUNT);
    // Those of the version and variant of a UUID v4 stand in the id, which is public. In the secret no character is preferred,
    // and none follows from the one in its place in the token before.
    for place in 22..64 {
        let (mut counts, mut repeats) = ([0_usize; 256], 0);
        for pair in tokens.windows(2) {
            counts[usize::from(pair[0][place])] += 1;
            repeats += usize::from(pair[0][place] == pair[1][place]);
        }
        let seen: Vec<_> = counts.into_iter().filter(|count| *count > 0).collect();
        let expected = COUNT / 64;
        // Eight standard deviations.
        assert_eq!(seen.len(), 64, "place {place}");
        assert!(seen.iter().all(|count| count.abs_diff(expected) < 142), "place {place}: {seen:?}");
        assert!(repeats.abs_diff(expected) < 142, "place {place}: {repeats}");
    }
}

#[tokio::test]
async fn wstg_sess_02_the_cookie_is_the_best_form_of_the_guide_but_for_same_site() {
    let (app, _) = app(&TestClock::default());
    let answer = send(&app, "/add", &[]).await;
    let cookie = Cookie::parse(answer.set_cookies()[0].to_owned()).unwrap();
    let guide = format!("__Host-id={}; path=/; Secure; HttpOnly; SameSite=Strict", cookie.value());
    let mut best = Cookie::parse(guide).unwrap();
    best.set_same_site(cookie::SameSite::Lax);
    assert_eq!(cookie, best);
}

/// The eleven steps of the forced-cookie test, with the accounts of a victim and of an attacker.
#[tokio::test]
async fn wstg_sess_03_nobody_can_choose_the_token_under_which_a_victim_logs_in() {
    let (app, _) = app(&TestClock::default());
    // A visitor gets a token before the login, and another one with it.
    let (mut victim, mut attacker) = (Browser::new(&app), Browser::new(&app));
    victim.get("/add").await;
    let before = victim.token.clone().unwrap();
    victim.get("/log-in").await;
    assert_ne!(victim.token.as_ref(), Some(&before));
    assert_eq!(send_token(&app, "/who", &before).await.body, "nobody");
    // The attacker plants a token: of a session before the login, of one that is logged in, one that was made up.
    attacker.get("/add").await;
    let anonymous = attacker.token.clone().unwrap();
    attacker.get("/log-in").await;
    let logged_in = attacker.token.clone().unwrap();
    let made_up = "A".repeat(64);
    for planted in [&anonymous, &logged_in, &made_up] {
        let mut victim = Browser::new(&app);
        victim.token = Some(planted.clone());
        victim.get("/log-in").await;
        assert_ne!(victim.token.as_ref(), Some(planted));
        assert_eq!(send_token(&app, "/who", planted).await.body, "nobody", "what was planted opens nothing");
        assert_eq!(victim.get("/who").await.body, "ada");
    }
    // Neither under another name that decodes to ours.
    for name in ["__Host%2Did", "__host-id", "%5F_Host-id", "id"] {
        let cookie = format!("{name}={}", victim.token.as_ref().unwrap());
        assert_eq!(send(&app, "/who", &[cookie.as_bytes()]).await.body, "nobody", "{name}");
    }
}

#[tokio::test]
async fn wstg_sess_04_an_answer_that_brings_a_token_may_not_be_cached() {
    let (app, _) = app(&TestClock::default());
    let mut browser = Browser::new(&app);
    for path in ["/add", "/log-in", "/log-out"] {
        let answer = browser.get(path).await;
        assert!(!answer.set_cookies().is_empty());
        assert_eq!(answer.headers["cache-control"], "no-store", "{path}");
    }
}

#[tokio::test]
async fn wstg_sess_06_an_old_cookie_opens_nothing_after_the_logout_on_whatever_device() {
    let (app, _) = app(&TestClock::default());
    let mut browser = Browser::new(&app);
    browser.get("/log-in").await;
    let copy = browser.token.clone().unwrap();
    let answer = browser.get("/log-out").await;
    assert!(answer.removes_cookie());
    for _ in 0..2 {
        let answer = send_token(&app, "/who", &copy).await;
        assert_eq!(answer.body, "nobody");
        assert!(answer.removes_cookie());
    }
    let elsewhere = send_token(&app, "/log-in", &copy).await;
    assert_ne!(elsewhere.token(), Some(&*copy), "and begins no session under it");
}

#[tokio::test]
async fn wstg_sess_07_a_session_ends_unused_and_in_any_case_whatever_the_client_does() {
    let clock = TestClock::default();
    let (app, _) = app(&clock);
    let mut browser = Browser::new(&app);
    browser.get("/log-in").await;
    let token = browser.token.clone().unwrap();
    for hours in 1..=24 {
        clock.advance(Duration::from_mins(59));
        assert_eq!(send_token(&app, "/who", &token).await.body, "ada", "after {hours} hours");
    }
    clock.advance(Duration::from_mins(59));
    assert_eq!(send_token(&app, "/who", &token).await.body, "nobody", "a day is over in less than two minutes");

    browser.get("/log-in").await;
    let token = browser.token.clone().unwrap();
    clock.advance(Duration::from_hours(1));
    assert_eq!(send_token(&app, "/who", &token).await.body, "nobody", "unused for an hour");
}

/// Session puzzling: a value that one page stores is taken by another for something else.
#[tokio::test]
async fn wstg_sess_08_no_key_of_the_application_says_who_is_logged_in_and_a_key_has_one_type() {
    const STEP: Key<u32> = Key::new("step");
    const OTHER: Key<String> = Key::new("step");
    let manager = SessionManager::new(MemoryStore::new());
    let session: Session = manager.create();
    for key in ["user", "", "_", "login", "logged_in_at", "v", "id", "digest", "$user", "__user"] {
        let _ = session.insert(key, "ada");
        let _ = session.insert([key].as_slice(), "ada");
        let _ = session.insert(["", key].as_slice(), "ada");
    }
    STEP.insert(&session, &1).unwrap();
    let TokenChange::Issue(issued) = manager.commit(&session).await.unwrap() else { panic!("no token") };
    let session = manager.open(issued.token.expose().as_bytes()).await.unwrap();
    assert_eq!((session.user(), session.auth_age()), (None, None));
    assert!(OTHER.get(&session).is_err(), "a name stands for one type");
}

/// A site beside ours cannot have the cookie: the browser sends it to this host alone, and encrypted.
#[tokio::test]
async fn wstg_sess_09_the_cookie_goes_to_one_host_and_never_in_clear_text() {
    let (app, _) = app(&TestClock::default());
    let answer = send(&app, "/add", &[]).await;
    let cookie = answer.set_cookies()[0];
    assert!(cookie.starts_with(&format!("{N}=")) && cookie.contains("; Secure"));
    assert!(!cookie.to_ascii_lowercase().contains("domain"));
}
