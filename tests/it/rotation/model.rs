//! One browser with many requests at once, slow handlers, late and lost answers, over two processes: by chance.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use cloakroom::testing::TestClock;
use cloakroom::{
    Clock as _, MemoryStore, OnReplay, Session, SessionManager, SessionPolicy, SessionStatus, TokenChange,
};
use proptest::prelude::*;

use super::policy;
use crate::support::manager;

/// An answer is under way for this long at most.
const LATE: Duration = Duration::from_secs(30);
/// A handler is at work for this long at most: three new secrets.
const SLOW: Duration = Duration::from_mins(45);

#[derive(Clone, Debug)]
enum Step {
    Send { server: bool, writes: bool },
    Answer(usize),
    Arrive(usize),
    Lose(usize),
    Wait(Duration),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (any::<bool>(), any::<bool>()).prop_map(|(server, writes)| Step::Send { server, writes }),
        8 => any::<usize>().prop_map(Step::Answer),
        6 => any::<usize>().prop_map(Step::Arrive),
        1 => any::<usize>().prop_map(Step::Lose),
        4 => (0_u64..30).prop_map(|seconds| Step::Wait(Duration::from_secs(seconds))),
        2 => (0_u64..20).prop_map(|minutes| Step::Wait(Duration::from_mins(minutes))),
    ]
}

struct World {
    clock: TestClock,
    servers: [SessionManager; 2],
    /// Looks at tokens and raises no alarm.
    judge: SessionManager,
    jar: String,
    handlers: Vec<(Session, bool, SystemTime)>,
    answers: Vec<(String, SystemTime)>,
    issued: BTreeSet<String>,
    written: u64,
}

impl World {
    async fn new(policy: SessionPolicy) -> Self {
        let (store, clock) = (MemoryStore::new(), TestClock::default());
        let server = || manager(store.clone(), &clock).policy(policy.clone()).unwrap();
        let judge = manager(store.clone(), &clock).policy(policy.clone().on_replay(OnReplay::Report)).unwrap();
        let servers = [server(), server()];
        let session = servers[0].create();
        session.insert("n", 0).unwrap();
        let jar = token(&servers[0].commit(&session).await.unwrap()).unwrap();
        let issued = [jar.clone()].into();
        Self { clock, servers, judge, jar, handlers: Vec::new(), answers: Vec::new(), issued, written: 0 }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Send { server, writes } => {
                let session = self.servers[usize::from(server)].open(self.jar.as_bytes()).await.unwrap();
                assert_eq!(session.status(), SessionStatus::Resumed, "the browser was logged out");
                self.handlers.push((session, writes, self.clock.now()));
            }
            Step::Answer(which) if !self.handlers.is_empty() => self.answer(which % self.handlers.len()).await,
            Step::Arrive(which) if !self.answers.is_empty() => {
                self.jar = self.answers.swap_remove(which % self.answers.len()).0;
            }
            Step::Lose(which) if !self.answers.is_empty() => {
                self.answers.swap_remove(which % self.answers.len());
            }
            Step::Wait(time) => self.wait(time).await,
            Step::Answer(_) | Step::Arrive(_) | Step::Lose(_) => {}
        }
    }

    async fn answer(&mut self, which: usize) {
        let (session, writes, _) = self.handlers.swap_remove(which);
        if writes {
            session.increment("n", 1).unwrap();
            self.written += 1;
        }
        // Either process may answer for the other's session: they share all but memory.
        if let Some(token) = token(&self.servers[0].commit(&session).await.unwrap()) {
            self.issued.insert(token.clone());
            self.answers.push((token, self.clock.now()));
        }
    }

    /// Nothing is under way for longer than it may be.
    async fn wait(&mut self, time: Duration) {
        let then = self.clock.now() + time;
        while let Some(which) = self.handlers.iter().position(|(_, _, since)| *since + SLOW < then) {
            self.answer(which).await;
        }
        while let Some(which) = self.answers.iter().position(|(_, since)| *since + LATE < then) {
            self.jar = self.answers.swap_remove(which).0;
        }
        self.clock.advance(time);
    }

    async fn check(&self) {
        let mut good = 0;
        for token in &self.issued {
            let session = self.judge.open(token.as_bytes()).await.unwrap();
            good += usize::from(session.status() == SessionStatus::Resumed);
        }
        assert!((1..=2).contains(&good), "{good} secrets are good: one should be live, and one in grace at most");
    }
}

fn token(change: &TokenChange) -> Option<String> {
    match change {
        TokenChange::Issue(issued) | TokenChange::Refresh(issued) => Some(issued.token.expose().to_string()),
        TokenChange::Keep => None,
        TokenChange::Remove => panic!("the browser was logged out"),
    }
}

fn run(policy: SessionPolicy, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(policy).await;
        for step in steps {
            world.take(step).await;
            world.check().await;
        }
        world.wait(SLOW * 2).await;
        let session = world.judge.open(world.jar.as_bytes()).await.unwrap();
        assert_eq!(session.get("n").unwrap(), Some(world.written));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_is_logged_out_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..300)) {
        run(policy(), steps);
    }

    #[test]
    fn nor_with_cookies_that_are_renewed(steps in prop::collection::vec(step(), 1..300)) {
        run(policy().persistent(true).touch_after(Duration::from_mins(2)), steps);
    }
}
