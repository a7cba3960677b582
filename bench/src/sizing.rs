//! What a session takes in each store, what a request takes of the server, and what a sweep takes.

mod place;
mod sweep;

use std::error::Error;
use std::time::Duration;

use cloakroom::{SessionManager, SessionPolicy, TokenChange};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Outcome;
use crate::args::Args;
use crate::figure::Figure;
use place::Place;

/// Clients at once, as many as keep a server busy.
const CLIENTS: usize = 16;

/// What a session holds.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    /// Bytes of text under the one key.
    text: usize,
    is_logged_in: bool,
}

const KINDS: [Kind; 3] = [
    Kind { name: "100 B", text: 92, is_logged_in: false },
    Kind { name: "1 KB", text: 1_016, is_logged_in: false },
    Kind { name: "1 KB, logged in", text: 1_016, is_logged_in: true },
];

pub(crate) fn run(args: &Args) -> Outcome {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    let sessions = args.value("--sessions", 100_000)?;
    let mut figures = Vec::new();
    for open in place::ALL {
        for kind in KINDS {
            let Some(place) = runtime.block_on(open())? else { continue };
            let found = of(&runtime, &place, kind, sessions);
            figures.extend(found.map_err(|error| format!("{}, {}: {error:?}", place.name, kind.name))?);
            runtime.block_on(place.close());
        }
        let Some(place) = runtime.block_on(open())? else { continue };
        if place.is_swept {
            figures.extend(runtime.block_on(sweep::figures(&place, sessions))?);
        }
        runtime.block_on(place.close());
    }
    Ok(figures)
}

fn of(runtime: &Runtime, place: &Place, kind: Kind, sessions: usize) -> Outcome {
    let manager = SessionManager::new(place.store.clone());
    runtime.block_on(async {
        // Connections and scripts are no part of a session.
        fill(&manager, kind, CLIENTS * 10).await?;
        let empty = place.bytes().await?;
        let before = place.cpu_time();
        let tokens = fill(&manager, kind, sessions).await?;
        let created = place.cpu_time().saturating_sub(before);
        let each = (place.bytes().await? - empty) as f64 / sessions as f64;
        let before = place.cpu_time();
        request(&manager, &tokens, |_| Ok(())).await?;
        let read = place.cpu_time().saturating_sub(before);
        let before = place.cpu_time();
        request(&manager, &tokens, |session| session.insert("n", 1)).await?;
        let written = place.cpu_time().saturating_sub(before);
        let grown = (place.bytes().await? - empty) as f64 / sessions as f64;

        let (name, workload) = (place.name, format!("sizing {}", kind.name));
        let bytes = |what, bytes| Figure::exact(&workload, name, what, "B", bytes);
        let cpu =
            |what, time: Duration| Figure::exact(&workload, name, what, "ns", time.as_nanos() as f64 / sessions as f64);
        let mut figures = vec![bytes("a session", each), bytes("after a write to each", grown)];
        if !created.is_zero() {
            figures.extend([
                cpu("server CPU, new session", created),
                cpu("server CPU, request that reads", read),
                cpu("server CPU, request that writes", written),
            ]);
        }
        Ok(figures)
    })
}

type Tokens = Vec<String>;

/// New sessions, and their tokens.
async fn fill(manager: &SessionManager, kind: Kind, sessions: usize) -> Result<Tokens, Box<dyn Error>> {
    fill_with(manager, SessionPolicy::default(), kind, sessions).await
}

async fn fill_with(
    manager: &SessionManager,
    policy: SessionPolicy,
    kind: Kind,
    sessions: usize,
) -> Result<Tokens, Box<dyn Error>> {
    let manager = manager.clone().policy(policy)?;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let manager = manager.clone();
        clients.spawn(async move {
            let mut tokens = Vec::new();
            for number in (client..sessions).step_by(CLIENTS) {
                let session = manager.create();
                session.insert("k", "x".repeat(kind.text))?;
                if kind.is_logged_in {
                    session.login_keeping(format!("user-{number}"), ["k"])?;
                }
                if let TokenChange::Issue(issued) = manager.commit(&session).await? {
                    tokens.push(issued.token.expose().to_string());
                }
            }
            Ok::<_, cloakroom::SessionError>(tokens)
        });
    }
    let mut tokens = Vec::new();
    while let Some(client) = clients.join_next().await {
        tokens.extend(client??);
    }
    Ok(tokens)
}

/// A request to each session.
async fn request(
    manager: &SessionManager,
    tokens: &Tokens,
    act: fn(&cloakroom::Session) -> Result<(), cloakroom::SessionError>,
) -> Result<(), Box<dyn Error>> {
    let mut clients = JoinSet::new();
    for tokens in tokens.chunks(tokens.len().div_ceil(CLIENTS)) {
        let (manager, tokens) = (manager.clone(), tokens.to_vec());
        clients.spawn(async move {
            for token in tokens {
                let session = manager.open(token.as_bytes()).await?;
                act(&session)?;
                manager.commit(&session).await?;
            }
            Ok::<_, cloakroom::SessionError>(())
        });
    }
    while let Some(client) = clients.join_next().await {
        client??;
    }
    Ok(())
}
