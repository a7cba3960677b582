//! Sessions without HTTP: a server that keeps a shopping list for every client, over a protocol of lines.
//!
//! ```sh
//! cargo run --example lines          # 127.0.0.1:4000
//! cargo run --example lines -- 8080  # another port; 0 takes one that is free
//! nc 127.0.0.1 4000                  # in another terminal
//! ```
//!
//! | line | what happens |
//! |---|---|
//! | `add milk` | puts milk on the list |
//! | `list` | says what is on it |
//! | `resume <token>` | goes on with the session of an earlier connection |
//! | `bye` | ends the session |
//!
//! Each line is answered by one. Before it there may be another: `token …` is for the client to keep, `forget` says that its
//! token is good for nothing any more. So add something, end `nc`, start it again, and resume.

use std::error::Error;
use std::time::Duration;

use cloakroom::{MemoryStore, SessionError, SessionManager, SessionStatus, TokenChange};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A longer line ends the connection, in bytes.
const LINE_MAX: u64 = 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?,
        None => 4000,
    };
    let sessions = SessionManager::new(MemoryStore::new());
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port} cannot be used, give another one or 0: {error}"))?;
    println!("listening on {}", listener.local_addr()?);
    tokio::select! {
        // The signal first: it is waited for before the first client is served. Where there is none the server runs on.
        biased;
        Ok(()) = tokio::signal::ctrl_c() => {}
        ended = accept(&listener, &sessions) => ended?,
    }
    // What clients that went away have left half stored is stored before the process ends.
    sessions.drain(Duration::from_secs(5)).await;
    Ok(())
}

async fn accept(listener: &TcpListener, sessions: &SessionManager) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that breaks is nobody's concern but its client's.
        tokio::spawn(serve(stream, sessions.clone()));
    }
}

async fn serve(stream: TcpStream, sessions: SessionManager) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut token = None;
    loop {
        let mut line = String::new();
        (&mut stream).take(LINE_MAX).read_line(&mut line).await?;
        let Some(line) = line.strip_suffix('\n') else { return Ok(()) };
        let answer = match answer(&sessions, &mut token, line.trim_end()).await {
            Ok(answer) => answer,
            Err(error) => error.body_text().to_owned(),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
}

/// A line is to this protocol what a request is to HTTP: it opens the session, and what it changes is stored before it is
/// answered. So a session may be used over several connections at once.
async fn answer(sessions: &SessionManager, token: &mut Option<String>, line: &str) -> Result<String, SessionError> {
    let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
    if command == "resume" {
        *token = Some(rest.to_owned());
    }
    let session = match token {
        Some(token) => sessions.open(token.as_bytes()).await?,
        None => sessions.create(),
    };
    let said = match command {
        "add" => {
            let item = rest.to_owned();
            let list = session.update("list", move |list: Option<Vec<String>>| {
                let mut list = list.unwrap_or_default();
                list.push(item.clone());
                list
            })?;
            format!("{} on the list", list.len())
        }
        "list" => session.get::<Vec<String>>("list")?.unwrap_or_default().join(", "),
        "resume" if session.status() == SessionStatus::Resumed => "welcome back".to_owned(),
        "resume" => "that session is over".to_owned(),
        "bye" => {
            session.destroy()?;
            "goodbye".to_owned()
        }
        _ => "say add, list, resume or bye".to_owned(),
    };
    Ok(match sessions.commit(&session).await? {
        TokenChange::Issue(issued) => {
            let new = token.insert(issued.token.expose().to_string());
            format!("token {new}\n{said}\n")
        }
        TokenChange::Remove => {
            *token = None;
            format!("forget\n{said}\n")
        }
        // `Refresh` is for clients that have to be told how long to keep the token.
        TokenChange::Keep | TokenChange::Refresh(_) => format!("{said}\n"),
    })
}
