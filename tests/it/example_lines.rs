//! `cargo run --example lines`: a session over bare TCP, whose client keeps the token.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::example::{Example, start};

/// What `nc` does.
struct Connection(BufReader<TcpStream>);

impl Connection {
    async fn open(server: &Example) -> Self {
        Self(BufReader::new(TcpStream::connect(server.address).await.unwrap()))
    }

    /// Sends a line, and reads so many.
    async fn say<const ANSWERS: usize>(&mut self, line: &str) -> [String; ANSWERS] {
        self.0.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answers = [const { String::new() }; ANSWERS];
        for answer in &mut answers {
            self.0.read_line(answer).await.unwrap();
            answer.truncate(answer.trim_end().len());
        }
        answers
    }
}

#[tokio::test]
async fn a_client_goes_on_with_its_session_over_another_connection() {
    let server = start("lines", &[]);
    let mut first = Connection::open(&server).await;
    let [token, answer] = first.say("add milk").await;
    let token = token.strip_prefix("token ").unwrap().to_owned();
    assert_eq!((token.len(), &*answer), (64, "1 on the list"));
    assert_eq!(first.say("add bread").await, ["2 on the list"]);
    drop(first);

    let mut second = Connection::open(&server).await;
    assert_eq!(second.say("list").await, [""], "a connection alone is nobody's session");
    assert_eq!(second.say(&format!("resume {token}")).await, ["welcome back"]);
    assert_eq!(second.say("list").await, ["milk, bread"]);

    // Two connections, one session.
    let mut third = Connection::open(&server).await;
    third.say::<1>(&format!("resume {token}")).await;
    assert_eq!(third.say("add tea").await, ["3 on the list"]);
    assert_eq!(second.say("list").await, ["milk, bread, tea"]);

    assert_eq!(second.say("bye").await, ["forget", "goodbye"]);
    for shown in [&*token, "made up", &"A".repeat(64)] {
        let mut stranger = Connection::open(&server).await;
        assert_eq!(stranger.say(&format!("resume {shown}")).await, ["forget", "that session is over"]);
        assert_eq!(stranger.say("list").await, [""]);
    }
    assert_eq!(third.say("what?").await, ["forget", "say add, list, resume or bye"]);
}

#[tokio::test]
#[cfg(unix)]
async fn ctrl_c_ends_it_in_good_order() {
    let server = start("lines", &[]);
    Connection::open(&server).await.say::<2>("add milk").await;
    let (status, rest) = server.interrupt();
    assert!(status.success(), "{status}");
    assert_eq!(rest, "");
}
