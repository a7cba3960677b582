//! Any payload that a store might answer with: it is read, or refused without a panic, and what was read can be written in
//! every form and read again.
//!
//! The token whose record it is consists of the letter A, so that a document of the corpus can hold its digest.
#![no_main]

use cloakroom::store::{Payload, Record, Timestamp};
use cloakroom::testing::TestClock;
use cloakroom::{
    Codec, CompressedCodec, JsonCodec, Limits, MessagePackCodec, Session, SessionManager, SessionStatus, Token,
};
use cloakroom_fuzz::{Shelf, block_on};
use libfuzzer_sys::fuzz_target;

/// Within the life of the sessions in the corpus.
const NOW: Timestamp = Timestamp::from_millis(1_735_689_600_000);

const TOKEN: &[u8] = &[b'A'; 64];

fuzz_target!(|input: &[u8]| block_on(async {
    let shelf = Shelf::default();
    let json = manager(&shelf, JsonCodec);
    shelf.put(Record {
        id: Token::parse(TOKEN).unwrap().id(),
        version: 1,
        user: None,
        expires_at: Timestamp::MAX,
        payload: Payload::from_bytes(input.to_vec()),
    });
    let Some(session) = open(&json).await else { return };
    session.keys();
    let Ok(read) = session.all() else { return };

    let forms = [manager(&shelf, MessagePackCodec), manager(&shelf, CompressedCodec::new(MessagePackCodec)), json];
    for (mark, manager) in forms.iter().enumerate() {
        let session = open(manager).await.expect("it was there just now");
        // Something has to change, or nothing is written.
        session.insert("mark", mark).unwrap();
        let mut expected = session.all().unwrap();
        manager.commit(&session).await.unwrap();
        if !shelf.record().unwrap().is_live(NOW) {
            // It says itself that it ends with this use.
            return;
        }
        let again = open(&forms[0]).await.expect("what was written can be read").all().unwrap();
        assert_eq!(again, expected);
        expected.remove("mark");
        assert!(read.iter().filter(|(key, _)| *key != "mark").eq(&expected));
    }
}));

fn manager(shelf: &Shelf, codec: impl Codec) -> SessionManager {
    let limits = Limits::default().data_bytes(1 << 30).depth(127);
    SessionManager::new(shelf.clone()).codec(codec).clock(TestClock::at(NOW.into())).limits(limits).unwrap()
}

/// The session, if the record is taken for one.
async fn open(manager: &SessionManager) -> Option<Session> {
    let session = manager.open(TOKEN).await.ok()?;
    (session.status() != SessionStatus::New).then_some(session)
}
