//! What one visitor does, and what every answer has to say.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use futures_util::future::try_join_all;
use rand::RngExt as _;

use super::client::{Answer, Connection};
use super::{ADD, LOGIN, LOGOUT, SHOW};

/// As many as browsers open to one host.
const CONNECTIONS: usize = 6;

pub(super) struct Browser {
    connections: Vec<Connection>,
    cookie: Option<String>,
    /// What the session's counter is.
    counter: u64,
    /// How long each request took, in microseconds.
    pub(super) took: Vec<u32>,
}

type Checked = Result<(), String>;

impl Browser {
    pub(super) async fn new(address: SocketAddr) -> io::Result<Self> {
        let connections = try_join_all((0..CONNECTIONS).map(|_| Connection::to(address))).await?;
        Ok(Self { connections, cookie: None, counter: 0, took: Vec::new() })
    }

    /// Until `end`. An error is one that a visitor would see, or an answer that is not what was stored.
    pub(super) async fn visit(&mut self, end: Instant) -> Checked {
        while Instant::now() < end {
            let dice = rand::rng().random_range(0..100);
            match dice {
                0..30 => self.look_around().await?,
                30..65 => self.read().await?,
                65..85 => self.add().await?,
                85..92 => self.add_at_once().await?,
                92..95 => self.log_in().await?,
                95..97 => self.log_out().await?,
                _ => (self.cookie, self.counter) = (None, 0),
            }
        }
        self.read().await
    }

    /// Without a cookie: no session is made by reading.
    async fn look_around(&mut self) -> Checked {
        let answer = self.get(SHOW, None).await?;
        check(answer.cookie.is_none() && answer.body == "0", "a stranger", &answer)
    }

    async fn read(&mut self) -> Checked {
        let answer = self.get(SHOW, self.cookie.clone()).await?;
        check(answer.body == self.counter.to_string(), &format!("reads {}", self.counter), &answer)
    }

    async fn add(&mut self) -> Checked {
        let answer = self.get(ADD, self.cookie.clone()).await?;
        self.counter += 1;
        check(answer.body == self.counter.to_string(), &format!("adds up to {}", self.counter), &answer)?;
        self.keep_cookie(&answer);
        check(self.cookie.is_some(), "has a session", &answer)
    }

    /// On all connections. Each addition counts, and each answer says another number.
    async fn add_at_once(&mut self) -> Checked {
        let Some(cookie) = self.cookie.as_deref() else { return Ok(()) };
        let all = self.connections.iter_mut().map(async |connection| {
            let started = Instant::now();
            let answer = connection.get(ADD, Some(cookie)).await;
            answer.map(|answer| (answer, started.elapsed()))
        });
        let answers = try_join_all(all).await.map_err(|error| error.to_string())?;
        let mut told = Vec::new();
        for (answer, took) in answers {
            self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
            check(answer.status == 200, "adds at once", &answer)?;
            told.push(answer.body.parse().unwrap_or(0));
        }
        told.sort_unstable();
        let all: Vec<u64> = (self.counter + 1..=self.counter + CONNECTIONS as u64).collect();
        self.counter += CONNECTIONS as u64;
        if told == all {
            Ok(())
        } else {
            Err(format!("{CONNECTIONS} additions at once were to give {all:?}: {told:?}"))
        }
    }

    async fn log_in(&mut self) -> Checked {
        let before = self.cookie.clone();
        let answer = self.get(LOGIN, before.clone()).await?;
        self.keep_cookie(&answer);
        check(self.cookie.is_some() && self.cookie != before, "has a new secret", &answer)
    }

    async fn log_out(&mut self) -> Checked {
        let answer = self.get(LOGOUT, self.cookie.clone()).await?;
        let left = self.cookie.take();
        self.counter = 0;
        let Some(left) = left else { return Ok(()) };
        let answer_after = self.get(SHOW, Some(left)).await?;
        check(answer_after.body == "0" && answer.status == 200, "is logged out", &answer_after)
    }

    async fn get(&mut self, path: &str, cookie: Option<String>) -> Result<Answer, String> {
        let started = Instant::now();
        let answer = self.connections[0].get(path, cookie.as_deref()).await.map_err(|error| error.to_string())?;
        self.took.push(u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX));
        check(answer.status == 200, path, &answer)?;
        Ok(answer)
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        if let Some(cookie) = &answer.cookie {
            self.cookie = Some(cookie.clone());
        }
    }
}

fn check(is_so: bool, what: &str, answer: &Answer) -> Checked {
    if is_so { Ok(()) } else { Err(format!("{what}: {answer:?}")) }
}
