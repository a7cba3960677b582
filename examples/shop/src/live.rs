//! Who is logged in, and the number of things in the cart, the same in all tabs of a visitor, over streams of events (SSE) that end
//! with the session.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cloakroom::{Bag, DetachedSession, Session, SessionError, SessionId};
use futures_util::stream::poll_fn;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval};

use crate::Shop;
use crate::accounts::ACCOUNT;
use crate::cart::Cart;
use crate::errors::Error;

/// What other processes have done is seen after this time. What this one does is seen at once.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// When a browser connects again. Later than at once: after a login the answer to another tab has to bring it the new cookie.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Tells the streams of this process what is new.
#[derive(Clone)]
pub struct News(broadcast::Sender<Item>);

#[derive(Clone)]
enum Item {
    Changed(Option<SessionId>),
    Shutdown,
}

impl Default for News {
    fn default() -> Self {
        Self(broadcast::Sender::new(64))
    }
}

impl News {
    /// Stores what was changed, and lets the visitor's other tabs know.
    pub async fn changed(&self, session: &Session) -> Result<(), SessionError> {
        // In this order: who hears the news looks at once.
        session.save().await?;
        self.tell(Item::Changed(session.id()));
        Ok(())
    }

    pub fn shut_down(&self) {
        self.tell(Item::Shutdown);
    }

    fn tell(&self, item: Item) {
        // An error only says that nobody listens.
        let _ = self.0.send(item);
    }
}

pub fn routes() -> Router<Shop> {
    Router::new().route("/live", get(live))
}

/// Other sites may ask for the stream, with our cookie, but cannot read it unless CORS lets them.
async fn live(session: Option<Session>, State(shop): State<Shop>) -> Result<Response, Error> {
    // Without a session there is no cart. To this answer a browser does not connect again.
    let Some(session) = session else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    // In this order: what changes from here on is either in the session already, or will be heard.
    let listener = shop.news.0.subscribe();
    let session = session.detach().await?.check_every(LOOK_EVERY);
    let (events, mut stream) = mpsc::channel(8);
    tokio::spawn(async move {
        // However it ends, the browser connects again, with the cookie that it has by then.
        let _ = tell(&events, &session, listener).await;
    });
    Ok(Sse::new(poll_fn(move |context| stream.poll_recv(context))).keep_alive(KeepAlive::default()).into_response())
}

/// Until the client leaves, the server stops, or the session ends, which is an error.
async fn tell(
    events: &mpsc::Sender<Result<Event, Infallible>>,
    session: &DetachedSession,
    mut listener: broadcast::Receiver<Item>,
) -> Result<(), SessionError> {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let user = ACCOUNT.get(session)?.map_or_else(String::new, |account| account.name);
    let mut told = None;
    loop {
        let count = Bag::<Cart>::of(session)?.count();
        if told.replace(count) != Some(count) {
            let event = Event::default().retry(RETRY_AFTER).data(format!("{count} {user}"));
            if events.send(Ok(event)).await.is_err() {
                return Ok(());
            }
        }
        tokio::select! {
            // An error from now on, as every call.
            () = session.ended() => return session.reload().await,
            () = events.closed() => return Ok(()),
            _ = look.tick() => {}
            heard = listener.recv() => match heard {
                Ok(Item::Changed(other)) if other != session.id() => continue,
                Ok(Item::Shutdown) => return Ok(()),
                // Also if too much was new to be told one by one.
                _ => {}
            },
        }
        session.reload().await?;
    }
}
