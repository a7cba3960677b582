//! A limit on how long something may take.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

/// Waits for a future, but not for longer than `limit`: `None` if it is not ready by then.
///
/// A future that is ready at once, as those of a store in memory are, starts no timer.
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> Within<F> {
    Within { future, limit, timer: None }
}

pin_project! {
    /// Written out, because an async function would hold the future twice: as what it was given, and as what it waits for.
    pub(crate) struct Within<F> {
        #[pin]
        future: F,
        limit: Duration,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Within<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(context) {
            return Poll::Ready(Some(output));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(*this.limit)));
        timer.as_mut().poll(context).map(|()| None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_kept() {
        let limit = Duration::from_secs(5);
        assert_eq!(within(limit, async { 1 }).await, Some(1));
        assert_eq!(within(limit, tokio::time::sleep(Duration::from_secs(4))).await, Some(()));
        assert_eq!(within(limit, tokio::time::sleep(Duration::from_secs(6))).await, None);
    }
}
