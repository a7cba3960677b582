//! A gRPC service that counts visits, three for everybody. The token travels as metadata.
//!
//! ```sh
//! cargo run --example grpc                                              # http://127.0.0.1:50051
//! cargo run --example grpc -- 0                                         # a port that is free
//! cargo run --example grpc -- visit http://127.0.0.1:50051              # a client: prints its token
//! cargo run --example grpc -- visit http://127.0.0.1:50051 "$TOKEN"     # the same client again
//! ```
//!
//! In the language of Protocol Buffers:
//!
//! ```proto
//! package example;
//! service Visits {
//!   rpc Visit(google.protobuf.Empty) returns (google.protobuf.UInt64Value);
//! }
//! ```
//!
//! # Errors
//!
//! An error of a gRPC method is, to HTTP, an answer of status 200 that has a `grpc-status`. For the layer the handler has
//! therefore succeeded, and what it had changed before the error **is stored**. A method that is to change nothing when it
//! fails changes the session last, as [`visit`] does.
//!
//! If the session cannot be stored, the layer's own answer takes the place of the method's. The default is a page with
//! status 503, of which gRPC clients make `UNAVAILABLE` without a text. `on_error` below makes a `grpc-status` of it.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cloakroom::{LazySession, MemoryStore, SessionError, SessionHeader, SessionLayer};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

const TOKEN: &str = "x-session-token";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => serve(50051).await,
        ["visit", address] => call(address, None).await,
        ["visit", address, token] => call(address, Some(token)).await,
        [port] => {
            serve(port.parse().map_err(|_| format!("{port:?} is not a port: give a number from 0 to 65535"))?).await
        }
        _ => Err("give a port, or: visit <address> [<token>]".into()),
    }
}

async fn serve(port: u16) -> Result<(), Box<dyn Error>> {
    let sessions = SessionLayer::new(MemoryStore::new())
        .transport(SessionHeader::new(TOKEN)?)?
        .on_error(|error: &SessionError| status(error).into_http::<Body>());

    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(|error| format!("port {port} cannot be used, give another one or 0: {error}"))?;
    println!("listening on http://{}", listener.local_addr()?);
    Server::builder()
        .layer(sessions.clone())
        .add_service(Visits)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), ctrl_c())
        .await?;

    // What clients that went away have left half stored is stored before the process ends.
    sessions.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// Counts. The check comes before the change: the error would not undo it.
async fn visit(request: Request<()>) -> Result<Response<u64>, Status> {
    let session = LazySession::of_extensions(request.extensions()).map_err(|error| status(&error))?;
    let session = session.load().await.map_err(|error| status(&error))?;
    let visits: Option<u64> = session.get("visits").map_err(|error| status(&error))?;
    if visits.is_some_and(|visits| visits >= 3) {
        return Err(Status::resource_exhausted("three visits are enough"));
    }
    let visits = session.update("visits", |visits: Option<u64>| visits.unwrap_or(0) + 1);
    visits.map(Response::new).map_err(|error| status(&error))
}

/// What gRPC says where HTTP says 503 or 500.
fn status(error: &SessionError) -> Status {
    let text = error.body_text().trim_end();
    if error.is_temporary() { Status::unavailable(text) } else { Status::internal(text) }
}

/// What `tonic-prost-build` makes from the definition above.
#[derive(Clone)]
struct Visits;

impl NamedService for Visits {
    const NAME: &'static str = "example.Visits";
}

impl Service<http::Request<Body>> for Visits {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                "/example.Visits/Visit" => grpc.unary(service_fn(visit), request).await,
                _ => Status::unimplemented("there is no such method").into_http(),
            })
        })
    }
}

/// The client: keeps the token that comes in the answer's metadata, and sends it in the request's.
async fn call(address: &str, token: Option<&str>) -> Result<(), Box<dyn Error>> {
    let mut client = tonic::client::Grpc::new(Channel::from_shared(address.to_owned())?.connect().await?);
    client.ready().await?;
    let mut request = Request::new(());
    if let Some(token) = token {
        request.metadata_mut().insert(TOKEN, token.parse()?);
    }
    let method = PathAndQuery::from_static("/example.Visits/Visit");
    let answer: Response<u64> = client.unary(request, method, ProstCodec::default()).await?;
    println!("visit {}", answer.get_ref());
    if let Some(token) = answer.metadata().get(TOKEN) {
        println!("token {}", token.to_str()?);
    }
    Ok(())
}

async fn ctrl_c() {
    // Where there is no such signal the server runs until it is killed.
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
