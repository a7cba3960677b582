//! Stops requests at a place of the test's choice.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Whoever comes to the gate waits until the test opens it. Clones are one gate.
#[derive(Clone, Debug)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// Says that somebody is here, and waits to be let through.
    pub async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    /// Waits until this many more have arrived.
    pub async fn arrived(&self, count: u32) {
        self.arrived.acquire_many(count).await.unwrap().forget();
    }

    /// Lets this many through.
    pub fn open(&self, count: usize) {
        self.open.add_permits(count);
    }
}
