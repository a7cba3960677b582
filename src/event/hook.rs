//! The application's hook, on a thread of its own: whatever it does, no session waits for it for long.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use tokio::runtime::Handle;

use super::SessionEvent;

/// How long a request waits until its event was heard. It waits, so that who is answered knows that the hook has heard; not
/// longer, because a hook that is stuck must not keep anybody from logging out.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many events wait for a hook that does not keep up. What comes on top is dropped.
const WAITING_MAX: usize = 1024;

/// A hook, and how to reach it.
pub(super) struct Hook {
    letters: SyncSender<Letter>,
    /// An event took longer than [`PATIENCE`]: nobody waits until the hook has caught up.
    is_late: Arc<AtomicBool>,
    thread: ThreadId,
}

struct Letter {
    event: SessionEvent,
    /// Where it was written, so that the hook can spawn tasks.
    runtime: Option<Handle>,
    receipt: Arc<Receipt>,
}

/// Says that a letter was read.
#[derive(Default)]
struct Receipt(Mutex<bool>, Condvar);

impl Receipt {
    fn sign(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.1.notify_one();
    }

    /// Whether it was signed in time.
    fn wait(&self) -> bool {
        let signed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.1.wait_timeout_while(signed, PATIENCE, |signed| !*signed);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Hook {
    pub(super) fn new(hook: impl Fn(&SessionEvent) + Send + Sync + 'static) -> Self {
        let (letters, inbox) = mpsc::sync_channel(WAITING_MAX);
        let is_late = Arc::new(AtomicBool::new(false));
        let back = is_late.clone();
        // Ends with the last manager that has this hook.
        let read = move || read(&inbox, &hook, &back);
        let reader = thread::Builder::new().name("cloakroom-events".to_owned()).spawn(read);
        let reader = reader.expect("a process that is being set up can start a thread");
        Self { letters, is_late, thread: reader.thread().id() }
    }

    /// `false` if the event was dropped, because too many are waiting.
    pub(super) fn tell(&self, event: SessionEvent) -> bool {
        // Of each request: to wait for another thread would cost it more than its session does.
        let is_ordinary = matches!(event, SessionEvent::Resumed { .. });
        let receipt = Arc::<Receipt>::default();
        let letter = Letter { event, runtime: Handle::try_current().ok(), receipt: receipt.clone() };
        if self.letters.try_send(letter).is_err() {
            return false;
        }
        // What the hook itself causes cannot be heard before it returns.
        let is_own = thread::current().id() == self.thread;
        let may_wait = !is_ordinary && !is_own && !self.is_late.load(Ordering::Relaxed);
        if may_wait && !receipt.wait() {
            self.is_late.store(true, Ordering::Relaxed);
        }
        true
    }
}

fn read(inbox: &Receiver<Letter>, hook: &impl Fn(&SessionEvent), is_late: &AtomicBool) {
    // Who writes next is heard at once only if nothing else waits.
    let next = || {
        inbox.try_recv().ok().or_else(|| {
            is_late.store(false, Ordering::Relaxed);
            inbox.recv().ok()
        })
    };
    while let Some(letter) = next() {
        let _entered = letter.runtime.as_ref().map(Handle::enter);
        // The hook's own state is the hook's business; ours is not touched while it runs.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(&letter.event)));
        letter.receipt.sign();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::sync::atomic::AtomicUsize;

    #[test]
    fn a_hook_that_panics_hears_the_next_event_too() {
        let heard = Arc::<AtomicUsize>::default();
        let count = heard.clone();
        let hook = Hook::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("a bug in the hook");
        });
        assert!(hook.tell(SessionEvent::Abandoned) && hook.tell(SessionEvent::Abandoned));
        assert_eq!(heard.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn who_is_stuck_is_waited_for_once_and_misses_what_is_too_much() {
        let (go_on, gate) = mpsc::channel::<Infallible>();
        let gate = Mutex::new(gate);
        let hook = Hook::new(move |_| {
            let _ = gate.lock().unwrap().recv();
        });
        assert!(hook.tell(SessionEvent::Abandoned) && hook.is_late.load(Ordering::Relaxed));
        assert!((0..WAITING_MAX).all(|_| hook.tell(SessionEvent::Abandoned)));
        assert!(!hook.tell(SessionEvent::Abandoned));
        drop(go_on);
        while hook.is_late.load(Ordering::Relaxed) || !hook.tell(SessionEvent::Abandoned) {
            thread::yield_now();
        }
    }

    #[test]
    fn who_is_slow_is_waited_for_again_when_nothing_is_left_to_be_heard() {
        let (go_on, gate) = mpsc::channel();
        let (heard, events) = mpsc::channel();
        let gate = Mutex::new(gate);
        let hook = Hook::new(move |_| {
            let _ = gate.lock().unwrap().recv();
            let _ = heard.send(());
        });
        assert!((0..3).all(|_| hook.tell(SessionEvent::Abandoned)));
        for _ in 0..2 {
            go_on.send(()).unwrap();
            events.recv().unwrap();
            assert!(hook.is_late.load(Ordering::Relaxed), "there are others before the next one");
        }
        go_on.send(()).unwrap();
        while hook.is_late.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }

    #[tokio::test]
    async fn the_hook_can_spawn_tasks() {
        let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
        let hook = Hook::new(move |event| {
            let (sent, name) = (sent.clone(), event.name());
            tokio::spawn(async move { sent.send(name) });
        });
        hook.tell(SessionEvent::Abandoned);
        assert_eq!(received.recv().await, Some("abandoned"));
    }
}
