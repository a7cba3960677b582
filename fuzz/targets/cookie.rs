//! Any `Cookie` headers, through the layer: other cookies cannot influence ours, and nothing but our token is ours.
//!
//! In the input the byte 0 begins a new header, 1 stands for our pair and 2 for our token.
#![no_main]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cloakroom::{LazySession, MemoryStore, SessionError, SessionLayer, SessionManager};
use cloakroom_fuzz::{be, block_on};
use http::{HeaderValue, Request, Response, header};
use libfuzzer_sys::fuzz_target;
use tower::{Layer as _, ServiceExt as _, service_fn};

const NAME: &[u8] = b"__Host-id";
const ADA: &str = "ada";

/// Ada's session.
struct Room {
    manager: SessionManager,
    token: String,
}

fn room() -> &'static Room {
    static ROOM: OnceLock<Room> = OnceLock::new();
    ROOM.get_or_init(|| {
        let manager = SessionManager::new(MemoryStore::new());
        let token = block_on(be(&manager, ADA));
        Room { manager, token }
    })
}

impl Room {
    /// The name of whom a request with these headers comes from.
    fn sees(&self, headers: Vec<HeaderValue>) -> String {
        let service = service_fn(async |request: Request<()>| {
            let session = LazySession::of(&request)?.load().await?;
            let name: Option<String> = session.get("name")?;
            Ok::<_, SessionError>(Response::new(name.unwrap_or_default()))
        });
        let layer = SessionLayer::with_manager(self.manager.clone());
        let layer = layer.on_error(|error: &SessionError| -> Response<String> { panic!("{error:?}") });
        let mut request = Request::new(());
        for header in headers {
            request.headers_mut().append(header::COOKIE, header);
        }
        block_on(layer.layer(service).oneshot(request)).unwrap().into_body()
    }

    /// What the same headers say by RFC 6265, told in another way.
    fn should_see(&self, lines: &[Vec<u8>]) -> &'static str {
        let mut tokens = BTreeSet::new();
        for pair in lines.iter().flat_map(|line| line.split(|byte| *byte == b';')) {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            let is_of_a_token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            let value = trim(value);
            if trim(name) == NAME && value.len() == 64 && value.iter().all(is_of_a_token) {
                tokens.insert(value);
            }
        }
        // More than four different ones are not looked up.
        if tokens.len() <= 4 && tokens.contains(self.token.as_bytes()) { ADA } else { "" }
    }

    fn expand(&self, line: &[u8]) -> Vec<u8> {
        let token = self.token.as_bytes();
        let parts = line.iter().map(|byte| match byte {
            1 => [NAME, b"=", token].concat(),
            2 => token.to_vec(),
            byte => vec![*byte],
        });
        parts.flatten().collect()
    }
}

/// Takes away spaces and tabs at both ends.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fuzz_target!(|input: &[u8]| {
    let room = room();
    let lines: Vec<_> = input.split(|byte| *byte == 0).map(|line| room.expand(line)).collect();
    let headers: Result<_, _> = lines.iter().map(|line| HeaderValue::from_bytes(line)).collect();
    if let Ok(headers) = headers {
        assert_eq!(room.sees(headers), room.should_see(&lines));
    }
});
