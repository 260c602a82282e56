//! Deciding whether to take work now: bounded requests in flight and bounded memory for their bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;
use crate::room::{BodyMemory, BodyRoom, Sender};

/// What the node has room for. Nothing queues here: who finds no room is told when to come again.
#[derive(Debug)]
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    bodies: Arc<BodyMemory>,
}

/// Room for one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _request: OwnedSemaphorePermit,
}

impl Admission {
    pub(crate) fn new(max_requests: usize, body_bytes: u64) -> Self {
        let requests = Arc::new(Semaphore::new(max_requests.clamp(1, Semaphore::MAX_PERMITS)));
        Self { requests, bodies: Arc::new(BodyMemory::new(body_bytes)) }
    }

    /// A permit for one request, before its body is read.
    pub(crate) fn admit(&self) -> Result<Permit, Problem> {
        match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(request) => Ok(Permit { _request: request }),
            Err(_) => Err(Problem::overloaded("this node has as many requests in flight as it takes")),
        }
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
