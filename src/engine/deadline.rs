//! A limit on how long something may take.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Waits for a future, but not for longer than `limit`: `None` if it is not ready by then.
///
/// A future that is ready at once, as those of a store in memory are, starts no timer.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let at_once = poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    });
    match at_once.await {
        Some(output) => Some(output),
        None => tokio::time::timeout(limit, future).await.ok(),
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
