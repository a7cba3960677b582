//! Everything that might be a token, made from everything that a store holds.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use cloakroom::Token;
use http::HeaderValue;

use super::Contents;

const TOKEN_CHARS: usize = 64;
const TOKEN_BYTES: usize = 48;

/// All values and words in every form, what has the length of an id with what has the length of a secret, and whatever has
/// the length of a token.
pub fn candidates(contents: &Contents) -> BTreeSet<Vec<u8>> {
    let pieces: BTreeSet<_> = contents.iter().flat_map(|value| pieces(value)).collect();
    let of_length = |length| pieces.iter().filter(move |piece| piece.len() == length);
    let pairs = of_length(16).flat_map(|id| of_length(32).flat_map(move |secret| [[&**id, secret], [secret, id]]));
    let windows = pieces.iter().flat_map(|piece| windows(piece));
    let texts = pieces.iter().flat_map(|piece| forms(piece));
    let texts = texts.chain(pairs.map(|pair| URL_SAFE_NO_PAD.encode(pair.concat()).into_bytes())).chain(windows);
    // Longer ones than a browser would send are no cookies.
    texts.filter(|text| text.len() <= 4096 && HeaderValue::from_bytes(text).is_ok()).collect()
}

/// Text as it stands there, bytes as the text that they would be.
fn windows(piece: &[u8]) -> Vec<Vec<u8>> {
    if piece.is_ascii() {
        let windows = piece.windows(TOKEN_CHARS).filter(|part| Token::parse(part).is_some());
        windows.map(<[u8]>::to_vec).collect()
    } else {
        piece.windows(TOKEN_BYTES).map(|part| URL_SAFE_NO_PAD.encode(part).into_bytes()).collect()
    }
}

fn forms(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![bytes.to_vec(), hex.concat().to_uppercase().into_bytes(), hex.concat().into_bytes()];
    forms
        .extend([STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD].map(|engine| engine.encode(bytes).into_bytes()));
    if let Ok(id) = bytes.try_into().map(uuid) {
        forms.push(id.into_bytes());
    }
    forms
}

fn uuid(bytes: [u8; 16]) -> String {
    cloakroom::SessionId::from_bytes(bytes).to_string()
}

/// A value, the words in it, and the bytes that these may stand for.
fn pieces(value: &[u8]) -> Vec<Vec<u8>> {
    let is_of_a_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte);
    let words = value.split(|byte| !is_of_a_word(byte)).filter(|word| word.len() > 8);
    let mut pieces = vec![value.to_vec()];
    for word in words {
        pieces.push(word.to_vec());
        let dashless: String = word.iter().filter(|byte| **byte != b'-').map(|byte| char::from(*byte)).collect();
        let decoded = [
            URL_SAFE_NO_PAD.decode(word).ok(),
            STANDARD_NO_PAD.decode(word).ok(),
            // The digest in a document has a zero byte behind it.
            URL_SAFE_NO_PAD.decode(word).ok().filter(|bytes| bytes.len() == 33).map(|bytes| bytes[..32].to_vec()),
            hex(&dashless),
        ];
        pieces.extend(decoded.into_iter().flatten());
    }
    pieces
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok());
    pairs.collect()
}

#[test]
fn a_token_that_is_kept_in_any_form_would_be_tried() {
    let token = "Uu0fEwL2Tm-9mXfPn0PqR7sVbC3dYzKaHjGtQ4iOeW8xN1lM5cB6_ZrDvSyTpAoJ";
    let bytes = URL_SAFE_NO_PAD.decode(token).unwrap();
    let (id, secret) = bytes.split_at(16);
    let text_of = |bytes: &[u8]| String::from_utf8(forms(bytes)[2].clone()).unwrap();
    for kept in [
        vec![token.as_bytes().to_vec()],
        vec![format!(r#"{{"token":"{token}","n":1}}"#).into_bytes()],
        vec![[b"\xff\0\x07 ", token.as_bytes(), b" \xfe"].concat()],
        vec![[b"\xff\0\x07 ", &*bytes, b" \xfe"].concat()],
        vec![bytes.clone()],
        vec![text_of(&bytes).into_bytes()],
        vec![STANDARD.encode(&bytes).into_bytes()],
        vec![id.to_vec(), secret.to_vec()],
        vec![format!("session:{}", uuid(id.try_into().unwrap())).into_bytes(), text_of(secret).into_bytes()],
    ] {
        let tried = candidates(&kept.iter().cloned().collect());
        assert!(tried.contains(token.as_bytes()), "{kept:?}");
    }
}
