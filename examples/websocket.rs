//! A counter that is the same in all tabs of a visitor, over `WebSocket`s that end with the session.
//!
//! ```sh
//! cargo run --example websocket          # http://127.0.0.1:3000
//! cargo run --example websocket -- 8080  # another port; 0 takes one that is free
//! ```

use std::error::Error;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Router, response};
use cloakroom::{DetachedSession, ErrorKind, MemoryStore, Session, SessionError, SessionId, SessionLayer};
use tokio::net::TcpListener;
use tokio::sync::broadcast;

/// Codes from 4000 on are the application's (RFC 6455 section 7.4.2). This one tells the page not to connect again.
const SESSION_ENDED: u16 = 4001;

/// What the connections of this process are told. Those of other processes would need a channel between processes.
#[derive(Clone)]
enum News {
    Changed(Option<SessionId>),
    Shutdown,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?,
        None => 3000,
    };

    let news = broadcast::Sender::new(64);
    let sessions = SessionLayer::new(MemoryStore::new());
    let app = Router::new()
        .route("/", get(page))
        .route("/add", post(add))
        .route("/logout", post(logout))
        .route("/live", get(live))
        .layer(sessions.clone())
        .with_state(news.clone());

    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port} cannot be used, give another one or 0: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).with_graceful_shutdown(ctrl_c(news)).await?;
    sessions.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// Begins the session: a connection needs one to belong to.
async fn page(session: Session) -> Result<Html<&'static str>, SessionError> {
    if !session.contains("count")? {
        session.insert("count", 0)?;
    }
    Ok(Html(PAGE))
}

const PAGE: &str = r#"<!doctype html><title>Live</title>
<p>Open this page twice. Count: <b id="count"></b></p>
<button onclick="socket.send('add')">Add one</button>
<button onclick="fetch('/logout', { method: 'POST' })">Log out</button>
<script>
    const show = text => document.getElementById("count").textContent = text;
    const socket = new WebSocket("/live");
    socket.onmessage = message => show(message.data);
    socket.onclose = close => show(close.code === 4001 ? "logged out" : "connection lost: reload the page");
</script>
"#;

/// Counts by an ordinary request, and lets the connections know.
async fn add(session: Session, State(news): State<broadcast::Sender<News>>) -> Result<(), SessionError> {
    count_one_more(&session, &news).await
}

async fn count_one_more(session: &Session, news: &broadcast::Sender<News>) -> Result<(), SessionError> {
    session.update("count", |count: Option<u64>| count.unwrap_or(0) + 1)?;
    // Stored first: who hears the news looks at once. An error only says that nobody listens.
    session.save().await?;
    let _ = news.send(News::Changed(session.id()));
    Ok(())
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy()
}

/// Opens the connection, for pages of this site only.
async fn live(
    upgrade: WebSocketUpgrade,
    headers: HeaderMap,
    session: Session,
    State(news): State<broadcast::Sender<News>>,
) -> response::Result<Response> {
    if !is_same_origin(&headers) {
        return Ok((StatusCode::FORBIDDEN, "this is for pages of this site only\n").into_response());
    }
    // In this order: what changes from here on is either in the session already, or will be heard.
    let listener = news.subscribe();
    let session = session.detach().await?;
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let (code, reason) = match talk(&mut socket, &session, &news, listener).await {
            Ok(()) => (close_code::AWAY, "the server is shutting down"),
            Err(error) if error.kind() == ErrorKind::Ended => (SESSION_ENDED, "the session has ended"),
            Err(_) => (close_code::AGAIN, "the session cannot be reached"),
        };
        // The client may be gone already.
        let _ = socket.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }))
}

/// Any site may open a WebSocket to this one, and the browser sends our cookie along: neither the same-origin policy nor a
/// preflight request is in the way (RFC 6455 section 10.2, ASVS 4.4.2). Browsers say which site it was.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(origin), Some(host)) = (text(ORIGIN), text(HOST)) else { return false };
    origin.split_once("://").is_some_and(|(_, site)| site.eq_ignore_ascii_case(host))
}

/// Until the client leaves, the server stops or the session ends.
async fn talk(
    socket: &mut WebSocket,
    session: &DetachedSession,
    news: &broadcast::Sender<News>,
    mut listener: broadcast::Receiver<News>,
) -> Result<(), SessionError> {
    let id = session.id();
    loop {
        let count = session.get::<u64>("count")?.unwrap_or(0);
        if socket.send(Message::text(count.to_string())).await.is_err() {
            return Ok(());
        }
        // Until there is something new to be shown.
        loop {
            tokio::select! {
                // An error from now on, as every call.
                () = session.ended() => return session.reload().await,
                message = socket.recv() => match message {
                    Some(Ok(Message::Text(text))) if text == "add" => count_one_more(session, news).await?,
                    // What else a client says counts as use of the session, which keeps it alive.
                    Some(Ok(_)) => session.save().await?,
                    Some(Err(_)) | None => return Ok(()),
                },
                heard = listener.recv() => match heard {
                    Ok(News::Changed(other)) if other != id => {}
                    Ok(News::Shutdown) => return Ok(()),
                    // Also if too much was new to be told one by one.
                    _ => {
                        session.reload().await?;
                        break;
                    }
                },
            }
        }
    }
}

async fn ctrl_c(news: broadcast::Sender<News>) {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
    // An error only says that nobody is connected.
    let _ = news.send(News::Shutdown);
}
