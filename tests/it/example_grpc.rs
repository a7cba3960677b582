//! `cargo run --example grpc`: a session behind gRPC, and what errors mean there.

use cloakroom::testing::{Fault, FaultStore, Operation};
use cloakroom::{LazySession, MemoryStore, OnError, SessionError, SessionHeader, SessionLayer};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Layer as _, ServiceExt as _, service_fn};

use crate::support::example::{Example, program, start};

const TOKEN: &str = "x-session-token";

/// What the example's client prints, line by line.
async fn visit(server: &Example, token: &[&str]) -> Vec<String> {
    let mut client = std::process::Command::new(program("grpc"));
    client.args(["visit", &format!("http://{}", server.address)]).args(token);
    let done = tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap();
    String::from_utf8(done.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Calls the example's method without the example's client.
async fn call(server: &Example, token: Option<&str>) -> Result<Response<u64>, Status> {
    let channel = Channel::from_shared(format!("http://{}", server.address)).unwrap().connect().await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let mut request = Request::new(());
    if let Some(token) = token {
        request.metadata_mut().insert(TOKEN, token.parse().unwrap());
    }
    client.unary(request, PathAndQuery::from_static("/example.Visits/Visit"), ProstCodec::default()).await
}

#[tokio::test]
async fn the_token_travels_as_metadata() {
    let server = start("grpc", &[]);
    let first = visit(&server, &[]).await;
    assert_eq!(first[0], "visit 1");
    let token = first[1].strip_prefix("token ").unwrap();
    assert_eq!(visit(&server, &[token]).await, ["visit 2"]);
    assert_eq!(visit(&server, &[]).await[0], "visit 1");

    assert_eq!(*call(&server, Some(token)).await.unwrap().get_ref(), 3);
    for _ in 0..2 {
        let refused = call(&server, Some(token)).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "three visits are enough"));
    }
    // A token that opens nothing begins another session, in whose metadata is the new token.
    let stranger = call(&server, Some(&"A".repeat(64))).await.unwrap();
    assert_eq!((*stranger.get_ref(), stranger.metadata().get(TOKEN).unwrap().len()), (1, 64));
}

/// A method behind a layer with a store that can fail. It changes the session, and fails if it is asked to.
async fn answer(
    layer: SessionLayer<impl OnError<Body> + Clone>,
    fails: bool,
    token: Option<&str>,
) -> http::Response<Body> {
    let method = service_fn(move |request: http::Request<Body>| async move {
        let session = LazySession::of_extensions(request.extensions())?.load().await?;
        session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        let n = session.get::<u64>("n")?.unwrap_or_default();
        let answer = if fails { Status::aborted("").into_http() } else { http::Response::new(Body::empty()) };
        let (mut parts, body) = answer.into_parts();
        parts.headers.insert("n", n.into());
        Ok::<_, SessionError>(http::Response::from_parts(parts, body))
    });
    let mut request = http::Request::new(Body::empty());
    if let Some(token) = token {
        request.headers_mut().insert(TOKEN, token.parse().unwrap());
    }
    layer.layer(method).oneshot(request).await.unwrap()
}

fn layer(store: FaultStore<MemoryStore>) -> SessionLayer<impl OnError<Body> + Clone> {
    SessionLayer::new(store)
        .transport(SessionHeader::new(TOKEN).unwrap())
        .unwrap()
        .on_error(|error: &SessionError| Status::unavailable(error.body_text()).into_http())
}

/// The example says so: to HTTP a status of gRPC is a success.
#[tokio::test]
async fn what_a_method_changed_before_it_failed_is_stored() {
    let layer = layer(FaultStore::new(MemoryStore::new()));
    let failed = answer(layer.clone(), true, None).await;
    assert_eq!(failed.headers()["grpc-status"], (Code::Aborted as i32).to_string());
    let token = failed.headers()[TOKEN].to_str().unwrap().to_owned();
    assert_eq!(answer(layer, false, Some(&token)).await.headers()["n"], "2");
}

#[tokio::test]
async fn a_session_that_cannot_be_stored_is_a_status_of_grpc() {
    let store = FaultStore::new(MemoryStore::new());
    store.always(Operation::Create, Fault::Down);
    let failed = answer(layer(store), false, None).await;
    assert_eq!(failed.status(), http::StatusCode::OK);
    assert!(!failed.headers().contains_key(TOKEN));
    assert_eq!(Status::from_header_map(failed.headers()).unwrap().code(), Code::Unavailable);
}
