//! A point where an answer waits until the test lets it go on: the handshake that stands in for a sleep.

use tokio::sync::watch;

/// Closed until [`Gate::open`]; open for ever afterwards. Clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything that waits here, now or later, go on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        let mut state = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail while this runs.
        let _ = state.wait_for(|open| *open).await;
    }
}
