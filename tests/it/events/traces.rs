//! What the feature `tracing` writes.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex};

use cloakroom::MemoryStore;
use cloakroom::testing::TestClock;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::routes;
use crate::support::{Browser, layer, send_token};

/// Keeps what has the target `cloakroom`, as text.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "cloakroom"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn events_are_written_with_their_levels_and_without_users_and_secrets() {
    let lines = Lines::default();
    let app = routes().layer(layer(MemoryStore::new(), &TestClock::default()));
    let mut browser = Browser::new(&app);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut tokens = Vec::new();
    // With one subscriber in all, `tracing` asks that of the thread which comes first to a place that writes: in a test that
    // runs beside this one there is none, and the place would be taken for silent.
    let _another = tracing::Dispatch::new(Lines::default());
    tracing::subscriber::with_default(lines.clone(), || {
        runtime.block_on(async {
            for path in ["/write", "/login", "/grace", "/logout"] {
                browser.get(path).await;
                tokens.extend(browser.token.clone());
            }
            send_token(&app, "/read", &tokens[0]).await;
        });
    });
    let lines = lines.0.lock().unwrap().clone();
    let heads: Vec<_> = lines.iter().map(|line| line.split(" id=").next().unwrap().replace('"', "")).collect();
    assert_eq!(
        heads,
        [
            "DEBUG message=the session was stored for the first time session=id event=created",
            "TRACE message=a request came with the session session=id event=resumed",
            "INFO message=somebody has logged in session=id event=logged_in",
            "TRACE message=a request came with the session session=id event=resumed",
            "DEBUG message=the session has a new secret session=id event=rotated",
            "TRACE message=a request came with the session session=id event=resumed",
            "INFO message=a request has ended its session session=id event=logged_out",
            "INFO message=a request showed a token that opens no session session=id event=unknown_token",
        ]
    );
    let text = lines.join("\n");
    assert!(!text.contains("ada") && !text.contains("grace=Some(0ns)"));
    assert!(tokens.iter().all(|token| !text.contains(&token[22..])));
}
