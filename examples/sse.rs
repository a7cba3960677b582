//! A counter that is the same in all tabs of a visitor, over streams of events (SSE) that end with the session.
//!
//! ```sh
//! cargo run --example sse          # http://127.0.0.1:3000
//! cargo run --example sse -- 8080  # another port; 0 takes one that is free
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use cloakroom::{DetachedSession, ErrorKind, MemoryStore, Session, SessionError, SessionId, SessionLayer};
use futures_util::stream::{Stream, poll_fn};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, mpsc};

/// What the streams of this process are told. Those of other processes would need a channel between processes.
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

/// Begins the session: a stream needs one to belong to.
async fn page(session: Session) -> Result<Html<&'static str>, SessionError> {
    if !session.contains("count")? {
        session.insert("count", 0)?;
    }
    Ok(Html(PAGE))
}

const PAGE: &str = r#"<!doctype html><title>Live</title>
<p>Open this page twice. Count: <b id="count"></b></p>
<button onclick="fetch('/add', { method: 'POST' })">Add one</button>
<button onclick="fetch('/logout', { method: 'POST' })">Log out</button>
<script>
    const show = text => document.getElementById("count").textContent = text;
    const events = new EventSource("/live");
    events.onmessage = event => show(event.data);
    // Without the close the browser would connect again.
    events.addEventListener("ended", () => { events.close(); show("logged out"); });
</script>
"#;

/// Counts, and lets the streams know.
async fn add(session: Session, State(news): State<broadcast::Sender<News>>) -> Result<(), SessionError> {
    session.update("count", |count: Option<u64>| count.unwrap_or(0) + 1)?;
    // Stored first: who hears the news looks at once. An error only says that nobody listens.
    session.save().await?;
    let _ = news.send(News::Changed(session.id()));
    Ok(())
}

async fn logout(session: Session) -> Result<(), SessionError> {
    session.destroy()
}

/// Opens the stream. Other sites may ask for it, with our cookie, but cannot read it unless CORS lets them.
async fn live(
    session: Session,
    State(news): State<broadcast::Sender<News>>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, SessionError> {
    // In this order: what changes from here on is either in the session already, or will be heard.
    let listener = news.subscribe();
    let session = session.detach().await?;
    let (events, mut stream) = mpsc::channel(8);
    tokio::spawn(async move {
        // Whatever else ends the stream, the browser connects again by itself.
        if let Err(error) = tell(&events, &session, listener).await
            && error.kind() == ErrorKind::Ended
        {
            // The client may be gone already.
            let _ = events.send(Ok(Event::default().event("ended").data("the session has ended"))).await;
        }
    });
    Ok(Sse::new(poll_fn(move |context| stream.poll_recv(context))).keep_alive(KeepAlive::default()))
}

/// Until the client leaves, the server stops, or the session ends, which is an error.
async fn tell(
    events: &mpsc::Sender<Result<Event, Infallible>>,
    session: &DetachedSession,
    mut listener: broadcast::Receiver<News>,
) -> Result<(), SessionError> {
    let id = session.id();
    loop {
        let count = session.get::<u64>("count")?.unwrap_or(0);
        if events.send(Ok(Event::default().data(count.to_string()))).await.is_err() {
            return Ok(());
        }
        // Until there is something new to be shown.
        loop {
            tokio::select! {
                // An error from now on, as every call.
                () = session.ended() => return session.reload().await,
                () = events.closed() => return Ok(()),
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
    // The server waits for its streams. An error only says that there are none.
    let _ = news.send(News::Shutdown);
}
