//! Deciding whether to take work now: bounded requests in flight, of the node and of each tenant, and bounded memory for their bodies.

use std::sync::{Arc, Mutex, PoisonError};

use http::Extensions;
use snaphook_model::Tenant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;
use crate::quotas::{Kind, Place, Quotas};
use crate::room::{BodyMemory, BodyRoom, Sender};

/// What the node has room for. Nothing queues here: who finds no room is told when to come again.
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    quotas: Quotas,
    bodies: Arc<BodyMemory>,
}

/// Room for one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _request: OwnedSemaphorePermit,
    /// Among the tenant's own, as soon as it is known whose the request is.
    of_tenant: Mutex<Option<Place>>,
}

impl Admission {
    pub(crate) fn new(max_requests: usize, body_bytes: u64) -> Self {
        let requests = Arc::new(Semaphore::new(max_requests.clamp(1, Semaphore::MAX_PERMITS)));
        Self { requests, quotas: Quotas::new(max_requests), bodies: Arc::new(BodyMemory::new(body_bytes)) }
    }

    /// A permit for one request, before its body is read.
    pub(crate) fn admit(&self) -> Result<Permit, Problem> {
        match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(request) => Ok(Permit { _request: request, of_tenant: Mutex::default() }),
            Err(_) => Err(Problem::overloaded("this node has as many requests in flight as it takes")),
        }
    }

    /// A place among a tenant's requests, held as long as the permit that is among the request's extensions.
    pub(crate) fn admit_for(&self, tenant: &Tenant, kind: Kind, extensions: &Extensions) -> Result<(), Problem> {
        let permit = extensions.get::<Arc<Permit>>().ok_or_else(|| Problem::internal("a request without a permit asks for a tenant's"))?;
        let place = self.quotas.admit(tenant, kind)?;
        // Who turns out to be somebody else gives the place among others back.
        *permit.of_tenant.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
        Ok(())
    }

    /// The tenants' quotas.
    pub(crate) const fn quotas(&self) -> &Quotas {
        &self.quotas
    }

    /// No room yet for a sender's body, to be enlarged while it comes in.
    pub(crate) fn room(&self, sender: Sender) -> BodyRoom {
        self.bodies.room(sender)
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::Code;

    use super::Admission;

    #[test]
    fn a_permit_is_given_back() {
        let admission = Admission::new(1, 128 << 10);
        let permit = admission.admit().expect("the first fits");
        assert_eq!(admission.admit().expect_err("the second does not").code(), Code::Overloaded);
        drop(permit);
        assert!(admission.admit().is_ok());
    }
}
