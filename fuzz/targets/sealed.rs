//! Nothing opens but what was sealed, and that only where it belongs.
//!
//! The input is the payload of a record, or what is done to one that is genuine.
#![no_main]

use arbitrary::Arbitrary;
use cloakroom::store::{Payload, Record};
use cloakroom::{CompressedCodec, JsonCodec, SealedCodec, SealingKey, SessionId, SessionManager, SessionStatus};
use cloakroom_fuzz::{Shelf, be, block_on};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Input {
    /// Another payload.
    Forged(Vec<u8>),
    /// Changes of the genuine one.
    Changed(Vec<Change>),
    /// Another user: a column of the record.
    OtherUser(String),
    /// Another id: the record was moved.
    OtherId([u8; 16]),
}

#[derive(Arbitrary, Debug)]
enum Change {
    Flip(u16, u8),
    Insert(u16, u8),
    Remove(u16),
    CutOff(u16),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: u16, length: usize| usize::from(at) % length;
        match *self {
            Self::Insert(at, byte) => bytes.insert(place(at, bytes.len() + 1), byte),
            _ if bytes.is_empty() => {}
            Self::Flip(at, bits) => {
                let at = place(at, bytes.len());
                bytes[at] ^= bits;
            }
            Self::Remove(at) => drop(bytes.remove(place(at, bytes.len()))),
            Self::CutOff(at) => bytes.truncate(place(at, bytes.len())),
        }
    }
}

fuzz_target!(|input: Input| block_on(async {
    let shelf = Shelf::default();
    let codec = SealedCodec::new(SealingKey::new(b"0123456789ABCDEFghijklmnop\xff\xfe\xfd\xfc\xfb\xfa").unwrap());
    let manager = SessionManager::new(shelf.clone()).codec(codec.over(CompressedCodec::new(JsonCodec)));
    let token = be(&manager, "ada").await;

    let genuine = shelf.record().unwrap();
    let bytes = genuine.payload.to_bytes().unwrap();
    let stored = match &input {
        Input::Forged(payload) => Record { payload: Payload::from_bytes(payload.clone()), ..genuine },
        Input::Changed(changes) => {
            let mut changed = bytes.to_vec();
            changes.iter().for_each(|change| change.apply(&mut changed));
            Record { payload: Payload::from_bytes(changed), ..genuine }
        }
        Input::OtherUser(user) => Record { user: Some(user.as_str().into()), ..genuine },
        Input::OtherId(id) => Record { id: SessionId::from_bytes(*id), ..genuine },
    };
    let is_genuine =
        stored.user.is_none() && stored.payload.to_bytes().unwrap() == bytes && token_is_of(&token, stored.id);
    shelf.put(stored);

    let session = manager.open(token.as_bytes()).await.unwrap();
    assert_eq!(session.status() != SessionStatus::New, is_genuine);
    assert_eq!(session.get("name").unwrap(), is_genuine.then(|| "ada".to_owned()));
}));

fn token_is_of(token: &str, id: SessionId) -> bool {
    cloakroom::Token::parse(token.as_bytes()).is_some_and(|token| token.id() == id)
}
