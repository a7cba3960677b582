//! What a session takes.

use cloakroom::SystemClock;
use tokio::runtime::Builder;

use super::sessions::{Token, begin, manager, resident, value};
use crate::Outcome;
use crate::alloc;
use crate::args::Args;
use crate::figure::Figure;

pub(super) fn run(args: &Args) -> Outcome {
    let sessions = args.value("--sessions", 1_000_000)?;
    let mut figures = of_each("a visitor", sessions, |_| None)?;
    let mut of_users = of_each("a user", sessions / 4, |n| Some(format!("user {n}")))?;
    // They live in what the visitors have left to the allocator.
    of_users.retain(|figure| !figure.metric.ends_with("resident"));
    figures.extend(of_users);
    Ok(figures)
}

fn of_each(who: &str, sessions: usize, user: impl Fn(usize) -> Option<String>) -> Outcome {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let (store, manager) = manager(SystemClock);
    let value = value();
    let mut tokens: Vec<Token> = vec![[1; 64]; sessions];
    let before = resident()?;
    alloc::start();
    runtime.block_on(async {
        for (n, token) in tokens.iter_mut().enumerate() {
            *token = begin(&manager, &value, user(n).as_deref()).await?;
        }
        Ok::<_, cloakroom::SessionError>(())
    })?;
    let (counted, resident) = (alloc::stop().live as f64, resident()? - before);
    assert_eq!(store.len(), sessions);
    let figure = |metric, bytes: f64| {
        Figure::exact("W6 size", "cloakroom", metric, "B", bytes / sessions as f64).at(sessions as f64)
    };
    Ok(vec![
        figure(&format!("{who}, allocated"), counted),
        figure(&format!("{who}, resident"), resident),
        figure(&format!("{who}, by MemoryStore::bytes"), store.bytes() as f64),
    ])
}
