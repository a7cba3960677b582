//! Who in this process waits for the end of a session.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::token::SessionId;

/// Tells those who listen when a session of theirs may have ended. Nobody else pays for it: a request comes here only with
/// a logout or a new secret.
#[derive(Debug, Default)]
pub(crate) struct Endings(Mutex<HashMap<SessionId, watch::Sender<()>>>);

impl Endings {
    /// From now on no announcement about this session is missed.
    pub(super) fn listen(self: &Arc<Self>, id: SessionId) -> Listener {
        let news = self.sessions().entry(id).or_insert_with(|| watch::Sender::new(())).subscribe();
        Listener { endings: self.clone(), id, news: Some(news) }
    }

    /// The session has ended, or has a new secret: whoever listens should look.
    pub(super) fn announce(&self, id: SessionId) {
        if let Some(listeners) = self.sessions().get(&id) {
            listeners.send_replace(());
        }
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what is announced about one session.
#[derive(Debug)]
pub(super) struct Listener {
    endings: Arc<Endings>,
    id: SessionId,
    /// There until this is dropped.
    news: Option<watch::Receiver<()>>,
}

impl Listener {
    /// Waits for the next announcement; at once, if there was one since the last call.
    pub(super) async fn hear(&mut self) {
        let news = self.news.as_mut().expect("it is taken when this is dropped");
        news.changed().await.expect("the sender stays as long as there is a listener");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut sessions = self.endings.sessions();
        // Under the lock: of two that go at once, each would otherwise count the other.
        self.news = None;
        if sessions.get(&self.id).is_some_and(|listeners| listeners.receiver_count() == 0) {
            sessions.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn an_announcement_reaches_all_who_listen_and_waits_for_them() {
        let (endings, id) = (Arc::<Endings>::default(), SessionId::from_bytes([1; 16]));
        let (mut one, mut two) = (endings.listen(id), endings.listen(id));
        let mut other = endings.listen(SessionId::from_bytes([2; 16]));
        endings.announce(id);
        one.hear().await;
        two.hear().await;
        assert!(tokio::time::timeout(std::time::Duration::ZERO, one.hear()).await.is_err());
        assert!(tokio::time::timeout(std::time::Duration::ZERO, other.hear()).await.is_err());
    }

    #[test]
    fn nothing_is_left_of_those_who_go_at_once() {
        let (endings, id) = (Arc::<Endings>::default(), SessionId::from_bytes([1; 16]));
        let steps = AtomicUsize::new(0);
        // Threads that were put to sleep would not wake at once.
        let meet = || {
            let step = steps.fetch_add(1, Ordering::SeqCst) / 2;
            while steps.load(Ordering::SeqCst) / 2 == step {
                std::thread::yield_now();
            }
        };
        let come_and_go = || {
            for _ in 0..20_000 {
                let listener = endings.listen(id);
                meet();
                drop(listener);
                meet();
                assert!(endings.sessions().is_empty());
                meet();
            }
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(come_and_go);
            come_and_go();
            other.join().unwrap();
        });
    }

    #[test]
    fn nothing_is_left_of_those_who_have_gone() {
        let (endings, id) = (Arc::<Endings>::default(), SessionId::from_bytes([1; 16]));
        let (one, two) = (endings.listen(id), endings.listen(id));
        drop(one);
        assert_eq!(endings.sessions().len(), 1);
        drop(two);
        assert!(endings.sessions().is_empty());
        endings.announce(id);
        assert!(endings.sessions().is_empty());
    }
}
