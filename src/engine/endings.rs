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
        Listener { endings: self.clone(), id, news }
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
    news: watch::Receiver<()>,
}

impl Listener {
    /// Waits for the next announcement; at once, if there was one since the last call.
    pub(super) async fn hear(&mut self) {
        self.news.changed().await.expect("the sender stays as long as there is a listener");
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut sessions = self.endings.sessions();
        if sessions.get(&self.id).is_some_and(|listeners| listeners.receiver_count() == 1) {
            sessions.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
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
