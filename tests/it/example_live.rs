//! The examples for long-lived connections, `websocket` and `sse`, with clients as browsers are.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{COOKIE, ORIGIN};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::example::{Curl, Example, start};

/// Far more than any of it takes, and less than the interval at which the store is asked.
const SOON: Duration = Duration::from_secs(8);

type Socket = WebSocketStream<TcpStream>;

/// Connects as a page of this origin does.
async fn connect(server: SocketAddr, cookies: Option<String>, origin: &str) -> Result<Socket, StatusCode> {
    let mut request = format!("ws://{server}/live").into_client_request().unwrap();
    request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
    if let Some(cookies) = cookies {
        request.headers_mut().insert(COOKIE, cookies.parse().unwrap());
    }
    let stream = TcpStream::connect(server).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status()),
        Err(error) => panic!("{error:?}"),
    }
}

async fn next(socket: &mut Socket) -> Message {
    tokio::time::timeout(SOON, socket.next()).await.expect("a message in time").unwrap().unwrap()
}

/// A visitor who has the page open in two tabs.
async fn two_tabs(server: &Example) -> (Curl, [Socket; 2]) {
    let mut curl = server.visitor();
    curl.get("/").await;
    let origin = format!("http://{}", server.address);
    let mut tabs = [
        connect(server.address, curl.cookies(), &origin).await.unwrap(),
        connect(server.address, curl.cookies(), &origin).await.unwrap(),
    ];
    for tab in &mut tabs {
        assert_eq!(next(tab).await, Message::text("0"));
    }
    (curl, tabs)
}

#[tokio::test]
async fn websockets_see_what_other_tabs_do_and_end_with_the_session() {
    let server = start("websocket", &[]);
    let (mut curl, mut tabs) = two_tabs(&server).await;
    let (_, mut of_another) = two_tabs(&server).await;

    assert_eq!(curl.post_form("/add", "").await.0, StatusCode::OK);
    for tab in &mut tabs {
        assert_eq!(next(tab).await, Message::text("1"));
    }
    tabs[0].send(Message::text("add")).await.unwrap();
    for tab in &mut tabs {
        assert_eq!(next(tab).await, Message::text("2"));
    }

    assert_eq!(curl.post_form("/logout", "").await.0, StatusCode::OK);
    for tab in &mut tabs {
        let Message::Close(Some(close)) = next(tab).await else { panic!("not closed") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "the session has ended"));
    }
    // Whoever else is there stays.
    of_another[0].send(Message::text("add")).await.unwrap();
    assert_eq!(next(&mut of_another[1]).await, Message::text("1"));
}

#[tokio::test]
async fn websockets_are_refused_to_other_sites_and_without_a_session() {
    let server = start("websocket", &[]);
    let (curl, _tabs) = two_tabs(&server).await;
    let own = format!("http://{}", server.address);
    for origin in ["http://evil.example", "null", &format!("{own}.evil.example")] {
        let refused = connect(server.address, curl.cookies(), origin).await;
        assert_eq!(refused.unwrap_err(), StatusCode::FORBIDDEN, "{origin}");
    }
    assert_eq!(connect(server.address, None, &own).await.unwrap_err(), StatusCode::CONFLICT);
}

async fn more(stream: &mut Incoming) -> Option<String> {
    let frame = tokio::time::timeout(SOON, stream.frame()).await.expect("an event in time")?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().into()).unwrap())
}

#[tokio::test]
async fn streams_of_events_see_what_other_tabs_do_and_end_with_the_session() {
    let server = start("sse", &[]);
    let mut curl = server.visitor();
    curl.get("/").await;
    let mut stream = curl.clone().open(Method::GET, "/live", "", "").await.into_body();
    assert_eq!(more(&mut stream).await.unwrap(), "data: 0\n\n");
    assert_eq!(curl.post_form("/add", "").await.0, StatusCode::OK);
    assert_eq!(more(&mut stream).await.unwrap(), "data: 1\n\n");

    assert_eq!(curl.post_form("/logout", "").await.0, StatusCode::OK);
    assert_eq!(more(&mut stream).await.unwrap(), "event: ended\ndata: the session has ended\n\n");
    assert_eq!(more(&mut stream).await, None);
    // A browser that connects again all the same is told to give up.
    assert_eq!(curl.open(Method::GET, "/live", "", "").await.status(), StatusCode::CONFLICT);
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_ends_streams_and_sockets() {
    let server = start("sse", &[]);
    let mut curl = server.visitor();
    curl.get("/").await;
    let mut stream = curl.open(Method::GET, "/live", "", "").await.into_body();
    more(&mut stream).await.unwrap();
    let (status, _) = server.interrupt();
    assert!(status.success(), "{status}");

    let server = start("websocket", &[]);
    let (_, _tabs) = two_tabs(&server).await;
    let (status, _) = server.interrupt();
    assert!(status.success(), "{status}");
}
