//! Where events go: `tracing`, the metrics, the application's hook.

use std::fmt;
use std::sync::Arc;

use super::hook::Hook;
use super::throttle::Throttle;
use super::{SessionEvent, Stopwatch, metrics, trace};
use crate::clock::Timestamp;
use crate::error::{SessionError, StoreError};
use crate::token::SessionId;

/// Where the events of one kind of sessions go. A clone is one reference count.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Listeners>);

#[derive(Clone, Default)]
struct Listeners {
    /// What the sessions are called.
    session: Arc<str>,
    hook: Option<Arc<Hook>>,
    throttles: Arc<Throttles>,
}

/// Of tokens that strangers may have made or planted.
#[derive(Default)]
struct Throttles {
    unknown: Throttle,
    ambiguous: Throttle,
    /// Of these anybody can make as many as they like. They must not hide those that take two good tokens.
    crowds: Throttle,
}

impl Events {
    pub(crate) fn named(session: &str) -> Self {
        Self(Arc::new(Listeners { session: session.into(), ..Listeners::default() }))
    }

    /// The same for sessions of another name.
    pub(crate) fn rename(&mut self, session: &str) {
        Arc::make_mut(&mut self.0).session = session.into();
    }

    pub(crate) fn listen(&mut self, hook: impl Fn(&SessionEvent) + Send + Sync + 'static) {
        Arc::make_mut(&mut self.0).hook = Some(Arc::new(Hook::new(hook)));
    }

    /// Tells everybody.
    pub(crate) fn emit(&self, event: SessionEvent) {
        metrics::count(&self.0.session, event.name());
        self.tell(event);
    }

    fn tell(&self, event: SessionEvent) {
        trace::write(&self.0.session, &event);
        if let Some(hook) = &self.0.hook
            && !hook.tell(event)
        {
            metrics::count_missed(&self.0.session);
        }
    }

    pub(crate) fn unknown_token(&self, id: Option<SessionId>, now: Timestamp) {
        let event = |suppressed| SessionEvent::UnknownToken { id, suppressed };
        self.tell_some(event, &self.0.throttles.unknown, now);
    }

    pub(crate) fn ambiguous_token(&self, tokens: usize, is_crowd: bool, now: Timestamp) {
        let event = |suppressed| SessionEvent::AmbiguousToken { tokens, suppressed };
        let Throttles { ambiguous, crowds, .. } = &*self.0.throttles;
        self.tell_some(event, if is_crowd { crowds } else { ambiguous }, now);
    }

    pub(crate) fn has_hook(&self) -> bool {
        self.0.hook.is_some()
    }

    /// Counts each of what strangers can cause, and tells of as many as anybody wants to read.
    fn tell_some(&self, event: impl Fn(u64) -> SessionEvent, throttle: &Throttle, now: Timestamp) {
        metrics::count(&self.0.session, event(0).name());
        if let Some(suppressed) = throttle.admit(now) {
            self.tell(event(suppressed));
        }
    }

    pub(crate) fn store_failed(&self, operation: &'static str, error: &StoreError) {
        metrics::count_failure(&self.0.session, operation, error.kind());
        self.emit(SessionEvent::StoreFailed { operation, kind: error.kind(), cause: chain(error) });
    }

    pub(crate) fn commit_failed(&self, id: Option<SessionId>, error: &SessionError) {
        self.emit(SessionEvent::CommitFailed { id, kind: error.kind(), cause: chain(error) });
    }

    pub(crate) fn lost(&self, id: Option<SessionId>, error: &SessionError) {
        self.emit(SessionEvent::Lost { id, cause: chain(error) });
    }

    /// A call to the store has come to its end.
    pub(crate) fn store_called(&self, operation: &'static str, stopwatch: Stopwatch) {
        stopwatch.record_store(&self.0.session, operation);
    }

    /// A commit has come to its end.
    pub(crate) fn committed(&self, stopwatch: Stopwatch) {
        stopwatch.record_commit(&self.0.session);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.hook.is_some() { "Events(hook)" } else { "Events" })
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_down_to_the_last() {
        let error = SessionError::from(StoreError::unavailable("connection refused"));
        assert!(chain(&error).ends_with(": the session store is not reachable: connection refused"));
    }
}
