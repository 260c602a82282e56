//! Runs of flows that this process is at, so that they can be told to end, and whoever waits for an end hears of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use snaphook_model::{RunId, TenantName};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::outcome::Outcome;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Driven {
    /// Held to enter, to leave, and to look.
    runs: Arc<Mutex<HashMap<RunId, (TenantName, CancellationToken)>>>,
    /// Held for as short.
    ends: Arc<Mutex<HashMap<RunId, oneshot::Sender<Outcome>>>>,
}

/// Waits for the end of a run that may be let go of and taken up again meanwhile.
#[derive(Debug)]
pub(crate) struct Awaited {
    all: Driven,
    run: RunId,
    end: oneshot::Receiver<Outcome>,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    all: Driven,
    run: RunId,
    token: CancellationToken,
}

impl Driven {
    /// A run begins, or goes on.
    pub(crate) fn enter(&self, tenant: &TenantName, run: RunId) -> Entry {
        let token = CancellationToken::new();
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).insert(run, (tenant.clone(), token.clone()));
        Entry { all: self.clone(), run, token }
    }

    /// Tells a tenant's run to end; false when this process is not at it.
    pub(crate) fn cancel(&self, tenant: &TenantName, run: RunId) -> bool {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, token)) = runs.get(&run).filter(|(owner, _)| owner == tenant) else { return false };
        token.cancel();
        true
    }
}

impl Driven {
    /// To be told of a run's end, where this process brings it there.
    pub(crate) fn awaits(&self, run: RunId) -> Awaited {
        let (told, end) = oneshot::channel();
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(run, told);
        Awaited { all: self.clone(), run, end }
    }

    /// A run has ended. Gives its outcome back where nobody waits for it.
    pub(crate) fn ended(&self, run: RunId, outcome: &Outcome) {
        let waiting = self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        if let Some(told) = waiting {
            // Whoever waited may have gone a moment ago.
            drop(told.send(outcome.clone()));
        }
    }
}

impl Awaited {
    /// How the run ended; none when this process will not hear of it.
    pub(crate) async fn end(&mut self) -> Option<Outcome> {
        (&mut self.end).await.ok()
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.all.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

impl Entry {
    /// Told when the run is to end.
    pub(crate) fn cancelled(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.all.runs.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}
