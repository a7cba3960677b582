//! What reads as a token is written as the very same text, and nothing else reads as one.
#![no_main]

use cloakroom::{SessionId, Token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    let is_canonical =
        text.len() == 64 && text.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match Token::parse(text) {
        None => assert!(!is_canonical),
        Some(token) => {
            assert!(is_canonical);
            assert_eq!(token.expose().as_bytes(), text);
            assert_eq!(token.id().to_string().parse::<SessionId>().unwrap(), token.id());
            assert!(!format!("{token:?}").as_bytes().windows(43).any(|shown| shown == &text[21..]));
        }
    }
});
