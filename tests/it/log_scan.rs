//! No token in anything that is logged, whoever logs it and at whatever level (ASVS 16.2.5).
//!
//! `scripts/test` has the whole suite written down (`support::log`) and runs the search afterwards.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::support::log;

/// Of the characters of a token these are the id's. It is no secret.
const ID_CHARS: usize = 22;
const ID_BYTES: usize = 16;

#[test]
#[ignore = "scripts/test runs it, when everything else has been run and written down"]
fn the_whole_suite_has_logged_no_token() {
    let folder = log::folder().expect("CLOAKROOM_LOG_SCAN says what to search");
    let [logged, given] = ["log", "tokens"].map(|name| fs::read(folder.join(name)).unwrap());
    for crate_name in ["cloakroom", "h2", "sqlx"] {
        let target = format!(" {crate_name}::");
        assert!(logged.windows(target.len()).any(|part| part == target.as_bytes()), "{crate_name} has logged nothing");
    }
    let scan = Scan::of(given.split(|byte| *byte == b'\n'));
    assert!(scan.tokens > 1_000, "clients were given no more than {} tokens", scan.tokens);
    let found: Vec<_> = (1..).zip(logged.split(|byte| *byte == b'\n')).filter(|(_, line)| scan.finds(line)).collect();
    let places: Vec<_> = found.iter().map(|(number, line)| format!("{number}: {}…", head(line))).collect();
    assert!(places.is_empty(), "in {}/log\n{}", folder.display(), places.join("\n"));
}

/// Enough of a line to say who wrote it, and too little for a token.
fn head(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned()
}

#[test]
fn every_form_of_a_token_would_be_found() {
    let (known, unknown) = ("Uu0fEwL2Tm-9mXfPn0PqR7sVbC3dYzKaHjGtQ4iOeW8xN1lM5cB6_ZrDvSyTpAoJ", [b'x'; 64]);
    let scan = Scan::of([known.as_bytes(), b""].into_iter());
    assert_eq!(scan.tokens, 1);
    for form in forms(known.as_bytes()) {
        let part = &form[form.len() / 4..][..SEEN];
        for line in [form.clone(), [b"cookie=\"", part, b"\""].concat()] {
            assert!(scan.finds(&line), "{}", line.escape_ascii());
        }
    }
    assert!(!Scan::of([].into_iter()).finds(&unknown));
    let nobody_noted = [
        known.to_owned(),
        known[ID_CHARS - 1..].to_owned(),
        URL_SAFE_NO_PAD.encode(&known[ID_CHARS..]),
        "0f".repeat(32),
        format!("{:?}", [251; 32]),
    ];
    for text in nobody_noted {
        assert!(Scan::of([].into_iter()).finds(format!("cookie {text}.").as_bytes()), "{text}");
    }
}

#[test]
fn what_is_no_secret_is_not_found() {
    let token = "Uu0fEwL2Tm-9mXfPn0PqR7sVbC3dYzKaHjGtQ4iOeW8xN1lM5cB6_ZrDvSyTpAoJ";
    let scan = Scan::of([token.as_bytes()].into_iter());
    for line in [
        "",
        "DEBUG cloakroom::event event event=Revoked { id: SessionId(6f9619ff-8b86-4d01-b42d-00c04fc964ff) }",
        &token[..ID_CHARS],
        "a_test_whose_name_says_everything_that_there_is_to_say_about_the_behaviour_that_it_shows",
        "/home/Ann/Projects2/sessions/cloakroom/target/debug/deps/it-3bd5d1fb212dc1bd",
        "ports 1, 2, 3 and 10000, 10001, 10002",
    ] {
        assert!(!scan.finds(line.as_bytes()), "{line}");
    }
}

/// What clients were given, in every form that it might be logged in.
struct Scan {
    tokens: usize,
    windows: HashSet<[u8; WINDOW]>,
}

/// Forms are compared by windows of this many bytes,
const WINDOW: usize = 16;
/// of which one begins at every eighth byte,
const STEP: usize = 8;
/// so that this many bytes of a form are found wherever they are cut out.
const SEEN: usize = WINDOW + STEP - 1;

impl Scan {
    fn of<'a>(given: impl Iterator<Item = &'a [u8]>) -> Self {
        let given: HashSet<_> = given.filter(|line| !line.is_empty()).collect();
        let forms = given.iter().flat_map(|token| forms(token));
        let windows = forms.flat_map(|form| {
            let parts: Vec<_> = form.windows(WINDOW).step_by(STEP).map(|part| part.try_into().unwrap()).collect();
            parts
        });
        Self { windows: windows.collect(), tokens: given.len() }
    }

    fn finds(&self, line: &[u8]) -> bool {
        !is_of_the_clients_own(line)
            && (line.windows(WINDOW).any(|part| self.windows.contains(part)) || looks_like_a_secret(line))
    }
}

/// What tungstenite's client, which plays the browser in the tests of the WebSocket example, says of the request that
/// it sends. No server logs this.
fn is_of_the_clients_own(line: &[u8]) -> bool {
    line.starts_with(b"TRACE tungstenite::handshake::client Request: ")
}

/// The secret of a token, as bytes and as text, in whatever a log might show it.
fn forms(token: &[u8]) -> Vec<Vec<u8>> {
    let text = &token[ID_CHARS..];
    let secret = &URL_SAFE_NO_PAD.decode(token).unwrap()[ID_BYTES..];
    let mut forms = vec![text.to_vec()];
    for bytes in [secret, text] {
        // Wherever it stands in what is encoded as a whole. The first and the last characters depend on what is beside it.
        for before in 0..3 {
            let bytes = [&[0; 2][..before], bytes].concat();
            for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
                let encoded = engine.encode(&bytes).into_bytes();
                forms.push(encoded[4..encoded.len() - 3].to_vec());
            }
        }
        let each = |form: fn(&u8) -> String| bytes.iter().map(form).collect::<Vec<_>>().concat().into_bytes();
        forms.extend([
            each(|byte| format!("{byte:02x}")),
            each(|byte| format!("{byte:02X}")),
            each(|byte| format!("{byte:02x}, ")),
            each(|byte| format!("{byte}, ")),
            each(|byte| format!("{byte},")),
            each(|byte| percent(*byte).to_lowercase()),
            each(|byte| percent(*byte)),
            bytes.escape_ascii().to_string().into_bytes(),
        ]);
    }
    forms
}

/// RFC 3986 section 2.1.
fn percent(byte: u8) -> String {
    let mut text = String::new();
    match byte {
        b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => text.push(byte.into()),
        _ => write!(text, "%{byte:02X}").unwrap(),
    }
    text
}

/// Whether there is anything of the shape of a secret, or of more: for tokens that no test has noted.
fn looks_like_a_secret(line: &[u8]) -> bool {
    let runs_of = |belongs: fn(&u8) -> bool| line.split(move |byte| !belongs(byte));
    // 32 bytes are 43 characters of base64, of which one is a digit for all but one secret in a thousand.
    let is_mixed = |run: &[u8]| {
        [u8::is_ascii_lowercase, u8::is_ascii_uppercase, u8::is_ascii_digit].iter().all(|kind| run.iter().any(kind))
    };
    runs_of(|byte| byte.is_ascii_alphanumeric() || b"-_+".contains(byte)).any(|run| run.len() >= 43 && is_mixed(run))
        || runs_of(u8::is_ascii_hexdigit).any(|run| run.len() >= 64)
        || runs_of(|byte| byte.is_ascii_digit() || b", ".contains(byte))
            .any(|run| run.split(|byte| *byte == b',').filter(|number| !number.is_empty()).count() >= 32)
}
