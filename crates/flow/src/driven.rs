//! Runs of flows that this process is at, so that they can be told to end, and whoever waits for an end hears of it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use snaphook_model::{RunId, TenantName};
use snaphook_store::Lease;
use snaphook_telemetry::{Held, held, metrics};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::outcome::Outcome;

/// All of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Driven {
    /// Held to enter, to leave, and to look.
    runs: Arc<Mutex<HashMap<RunId, Run>>>,
    entered: Arc<AtomicU64>,
    /// Held for as short.
    ends: Arc<Mutex<HashMap<RunId, oneshot::Sender<Outcome>>>>,
}

#[derive(Debug)]
struct Run {
    /// Tells entries of the same run apart.
    number: u64,
    tenant: TenantName,
    /// Tells the run to end.
    cancelled: CancellationToken,
    /// Tells whoever drives it that another node has it: nothing is written about it here.
    abandoned: CancellationToken,
    lease: Option<Lease>,
    /// It is being ended. Its lease goes with its end, and whoever ends it finds out by itself whether another node has it.
    ends: bool,
}

/// One of them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Entry {
    all: Driven,
    run: RunId,
    number: u64,
    cancelled: CancellationToken,
    abandoned: CancellationToken,
    _counted: Held,
}

/// Waits for the end of a run that may be let go of and taken up again meanwhile.
#[derive(Debug)]
pub(crate) struct Awaited {
    all: Driven,
    run: RunId,
    end: oneshot::Receiver<Outcome>,
}

impl Driven {
    /// A run begins, or goes on. Whoever was at it before in this process has lost it.
    pub(crate) fn enter(&self, tenant: &TenantName, run: RunId, lease: Option<Lease>) -> Entry {
        let (cancelled, abandoned) = (CancellationToken::new(), CancellationToken::new());
        let number = self.entered.fetch_add(1, Ordering::Relaxed);
        let entered =
            Run { number, tenant: tenant.clone(), cancelled: cancelled.clone(), abandoned: abandoned.clone(), lease, ends: false };
        if let Some(before) = self.runs().insert(run, entered) {
            before.abandoned.cancel();
            // It was meant for the run, whoever drives it.
            if before.cancelled.is_cancelled() {
                cancelled.cancel();
            }
        }
        Entry { all: self.clone(), run, number, cancelled, abandoned, _counted: held(&metrics().runs_driven) }
    }

    /// Tells a tenant's run to end; false when this process is not at it.
    pub(crate) fn cancel(&self, tenant: &TenantName, run: RunId) -> bool {
        let runs = self.runs();
        let Some(found) = runs.get(&run).filter(|found| found.tenant == *tenant) else { return false };
        found.cancelled.cancel();
        true
    }

    /// Whether this process is at a run.
    pub(crate) fn is_at(&self, run: RunId) -> bool {
        self.runs().contains_key(&run)
    }

    /// Lets go of a run that is held by this lease, which another node has. One that is held by a newer lease by now stays, and so does one that is
    /// being ended.
    pub(crate) fn abandon(&self, lease: &Lease) -> bool {
        match self.runs().get(&lease.run).filter(|found| found.lease.as_ref() == Some(lease) && !found.ends) {
            Some(found) => {
                found.abandoned.cancel();
                true
            }
            None => false,
        }
    }

    /// By what a run is held from now on.
    pub(crate) fn hold(&self, run: RunId, lease: Option<Lease>) {
        if let Some(found) = self.runs().get_mut(&run) {
            found.lease = lease;
        }
    }

    /// All leases that this process holds.
    pub(crate) fn leases(&self) -> Vec<Lease> {
        self.runs().values().filter_map(|run| run.lease.clone()).collect()
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driven {
    /// To be told of a run's end, where this process brings it there.
    pub(crate) fn awaits(&self, run: RunId) -> Awaited {
        let (told, end) = oneshot::channel();
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(run, told);
        Awaited { all: self.clone(), run, end }
    }

    /// A run has ended. True where somebody in this process waits for that.
    pub(crate) fn ended(&self, run: RunId, outcome: &Outcome) -> bool {
        let waiting = self.ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
        // Whoever waited may have gone a moment ago.
        waiting.is_some_and(|told| told.send(outcome.clone()).is_ok())
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
    pub(crate) const fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// The run is being ended by whoever has this entry.
    pub(crate) fn ends(&self) {
        if let Some(found) = self.all.runs().get_mut(&self.run).filter(|found| found.number == self.number) {
            found.ends = true;
        }
    }

    /// Told when another node has the run.
    pub(crate) const fn abandoned(&self) -> &CancellationToken {
        &self.abandoned
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut runs = self.all.runs();
        // A run that waits for nothing may have been taken up again before this is dropped.
        if runs.get(&self.run).is_some_and(|run| run.number == self.number) {
            runs.remove(&self.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::{RunId, TenantName};
    use snaphook_store::Lease;
    use uuid::Uuid;

    use super::Driven;

    /// A lease that goes with its run's end looks lost to who renews it at that moment.
    #[test]
    fn a_run_that_is_being_ended_is_not_let_go_of() {
        let driven = Driven::default();
        let tenant = TenantName::new("acme").expect("it is a name");
        let lease = Lease { tenant: tenant.clone(), run: RunId(Uuid::now_v7()), token: Uuid::now_v7() };
        let entry = driven.enter(&tenant, lease.run, Some(lease.clone()));
        assert_eq!(driven.leases(), std::slice::from_ref(&lease));
        entry.ends();
        assert_eq!(driven.leases(), std::slice::from_ref(&lease), "it is renewed until it has ended");
        assert!(!driven.abandon(&lease));
        assert!(!entry.abandoned().is_cancelled());
        drop(entry);

        let entry = driven.enter(&tenant, lease.run, Some(lease.clone()));
        assert!(driven.abandon(&lease));
        assert!(entry.abandoned().is_cancelled());
    }

    /// A node that could not renew a lease in time may be the one that takes the run up again.
    #[test]
    fn who_has_lost_a_run_to_the_same_process_lets_go_of_it() {
        let driven = Driven::default();
        let tenant = TenantName::new("acme").expect("it is a name");
        let [first, second] = [(); 2].map(|()| Lease { tenant: tenant.clone(), run: RunId(Uuid::nil()), token: Uuid::now_v7() });
        let before = driven.enter(&tenant, first.run, Some(first.clone()));
        assert!(driven.cancel(&tenant, first.run));
        let after = driven.enter(&tenant, second.run, Some(second.clone()));
        assert!(before.abandoned().is_cancelled() && !after.abandoned().is_cancelled());
        assert!(after.cancelled().is_cancelled(), "it is the run that was cancelled");
        before.ends();
        drop(before);
        assert!(driven.abandon(&second), "what the first one does changes nothing for the second");
    }
}
