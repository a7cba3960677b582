//! What opens a session: what was handed out, behind the token that it was handed out with, by a key of the ring.

use super::*;
use cloakroom::{KeyRing, SealedCodec, SessionStatus, TokenChange};
use proptest::prelude::*;

/// What the client is to show, and how the manager is made again.
async fn issued(manager: &SessionManager) -> String {
    let session = manager.create();
    session.insert("n", 1).unwrap();
    text_of(manager, &session).await
}

async fn text_of(manager: &SessionManager, session: &Session) -> String {
    let TokenChange::Issue(issued) = manager.commit(session).await.unwrap() else { panic!("no token") };
    issued.text().to_string()
}

async fn opens(manager: &SessionManager, text: impl AsRef<[u8]>) -> bool {
    manager.open(text.as_ref()).await.unwrap().status() == SessionStatus::Resumed
}

#[tokio::test]
async fn no_changed_character_goes_unnoticed() {
    for sessions in both() {
        let manager = SessionManager::in_cookie(sessions);
        let text = issued(&manager).await;
        assert!(opens(&manager, &text).await);
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            // All bits that a character has, and a character that is none.
            for replacement in [b'A', b'B', b'Q', b'g', b'-', b'_', b'9', b'=', b'.'] {
                if text.as_bytes()[at] != replacement {
                    changed[at] = replacement;
                    assert!(!opens(&manager, &changed).await, "{at}");
                }
            }
        }
    }
}

#[tokio::test]
async fn nothing_that_is_cut_off_or_prolonged_opens() {
    for sessions in both() {
        let manager = SessionManager::in_cookie(sessions);
        let text = issued(&manager).await;
        for end in 0..text.len() {
            assert!(!opens(&manager, &text[..end]).await, "{end}");
        }
        for more in ["A", "AAAA", "=", ".", " "] {
            assert!(!opens(&manager, format!("{text}{more}")).await, "{more}");
            assert!(!opens(&manager, format!("{more}{text}")).await, "{more}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_follows_a_token_it_opens_nothing_and_nothing_panics(rest in "[A-Za-z0-9_-]{0,400}", more in proptest::collection::vec(any::<u8>(), 0..9)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            for sessions in both() {
                let manager = SessionManager::in_cookie(sessions);
                let text = issued(&manager).await;
                let forged = [&text.as_bytes()[..64], rest.as_bytes(), &more].concat();
                assert!(!opens(&manager, forged).await);
            }
        });
    }
}

#[tokio::test]
async fn what_belongs_to_another_session_application_kind_or_secret_does_not_open() {
    let store = MemoryStore::new();
    let key = key();
    let kinds: [&dyn Fn() -> SessionManager; 2] =
        [&|| SessionManager::in_cookie(CookieStore::with_revocation(copy(&key), store.clone())), &|| {
            SessionManager::in_cookie(CookieStore::without_revocation(copy(&key)))
        }];
    for (index, kind) in kinds.iter().enumerate() {
        let manager = kind();
        let (mine, yours) = (issued(&manager).await, issued(&manager).await);
        assert!(!opens(&manager, format!("{}{}", &mine[..64], &yours[64..])).await, "another session");
        assert!(!opens(&kind().namespace("other"), &mine).await, "another application");
        assert!(!opens(&kind().name("admin").unwrap(), &mine).await, "another name");
        assert!(!opens(&kinds[1 - index](), &mine).await, "another kind");
        assert!(!opens(&SessionManager::new(store.clone()), &mine).await, "no CookieStore");
        assert!(opens(&kind(), &mine).await);

        let session = manager.open(mine.as_bytes()).await.unwrap();
        session.regenerate().unwrap();
        let renewed = text_of(&manager, &session).await;
        assert!(opens(&manager, &renewed).await);
        assert!(!opens(&manager, format!("{}{}", &renewed[..64], &mine[64..])).await, "another secret");
    }
}

#[tokio::test]
async fn a_record_that_was_sealed_for_a_store_is_none_that_a_client_holds() {
    let (store, key) = (crate::support::bytes_store::BytesStore::default(), key());
    let in_store = SessionManager::new(store.clone()).codec(SealedCodec::new(copy(&key)));
    let session = in_store.create();
    session.insert("n", 1).unwrap();
    let TokenChange::Issue(token) = in_store.commit(&session).await.unwrap() else { panic!("no token") };
    let stolen = store.row(token.token.id()).unwrap().bytes;
    let in_cookie = SessionManager::in_cookie(CookieStore::without_revocation(key));
    for cut in 0..3 {
        let whole_groups = &stolen[..(stolen.len() - cut) / 3 * 3];
        assert!(!opens(&in_cookie, format!("{}{}", *token.token.expose(), base64(whole_groups))).await);
    }
}

fn base64(bytes: &[u8]) -> String {
    let bits = bytes.chunks(3).map(|group| group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)));
    let characters = bits.flat_map(|bits| [18, 12, 6, 0].map(|shift| char::from(BASE64[bits >> shift & 63])));
    characters.collect()
}

#[tokio::test]
async fn keys_are_changed_and_nobody_is_logged_out() {
    let (old, new) = (key(), key());
    for revocation in [true, false] {
        let store = MemoryStore::new();
        let manager = |ring: KeyRing| {
            SessionManager::in_cookie(if revocation {
                CookieStore::with_revocation(ring, store.clone())
            } else {
                CookieStore::without_revocation(ring)
            })
        };
        let before = issued(&manager(copy(&old).into())).await;
        let changed = manager(KeyRing::from(copy(&new)).also_opening(copy(&old)));
        let session = changed.open(before.as_bytes()).await.unwrap();
        assert_eq!(session.get::<u64>("n").unwrap(), Some(1));
        session.insert("n", 2).unwrap();
        let after = text_of(&changed, &session).await;

        let done = manager(copy(&new).into());
        assert!(opens(&done, &after).await);
        assert!(!opens(&done, &before).await);
    }
}

#[tokio::test]
async fn other_cookies_of_the_name_do_not_hide_a_good_one_and_two_good_ones_are_ambiguous() {
    for sessions in both() {
        let ada = browser(sessions);
        ada.get("/add").await;
        let own = held(&ada);
        let forged = format!("{}{}", &own[..64], "A".repeat(own.len() - 64));
        for cookies in
            [format!("{N}=x; {N}={own}"), format!("{N}={own}; {N}={forged}"), format!("{N}={own}; {N}={own}")]
        {
            let other = ada.another_browser();
            assert_eq!(other.get("/n").header("cookie", &cookies).await.text(), "1", "{cookies}");
        }
        let ben = ada.another_browser();
        ben.get("/add").await;
        let both = format!("{N}={own}; {N}={}", held(&ben));
        ada.another_browser().get("/n").header("cookie", &both).await.assert_no_session_cookie();
        assert_eq!(ada.another_browser().get("/n").header("cookie", &both).await.text(), "0");

        let others: Vec<_> = (0..5).map(|n| format!("{N}={}{n}{}", &forged[..64], &forged[65..])).collect();
        let many = format!("{N}={own}; {}", others.join("; "));
        assert_eq!(ada.another_browser().get("/n").header("cookie", &many).await.text(), "0");
    }
}
