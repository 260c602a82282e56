//! Deciding whether to take work now: bounded requests in flight and bounded memory for their bodies.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// What the node has room for. Nothing queues here: who finds no room is told when to come again.
#[derive(Debug)]
pub(crate) struct Admission {
    requests: Arc<Semaphore>,
    body_kib: Arc<Semaphore>,
}

/// Room for one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    _request: OwnedSemaphorePermit,
}

/// Room for a body in memory, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct BodyRoom {
    held: Option<OwnedSemaphorePermit>,
    room: u64,
}

impl Admission {
    pub(crate) fn new(max_requests: usize, body_bytes: u64) -> Self {
        let kib = usize::try_from(body_bytes.div_ceil(1024)).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS);
        Self { requests: Arc::new(Semaphore::new(max_requests.clamp(1, Semaphore::MAX_PERMITS))), body_kib: Arc::new(Semaphore::new(kib)) }
    }

    /// A permit for one request, before its body is read.
    pub(crate) fn admit(&self) -> Result<Permit, Problem> {
        match Arc::clone(&self.requests).try_acquire_owned() {
            Ok(request) => Ok(Permit { _request: request }),
            Err(_) => Err(Problem::overloaded("this node has as many requests in flight as it takes")),
        }
    }

    /// Enlarges the room of a body to `bytes`.
    pub(crate) fn make_room(&self, body: &mut BodyRoom, bytes: u64) -> Result<(), Problem> {
        if bytes <= body.room {
            return Ok(());
        }
        let full = || Problem::overloaded("the bodies of requests in flight take all the memory that this node has for them");
        // Whole steps, so that a body that arrives in many pieces does not ask for each.
        let wanted = bytes.next_multiple_of(64 << 10);
        let kib = u32::try_from((wanted - body.room) / 1024).map_err(|_| full())?;
        let more = Arc::clone(&self.body_kib).try_acquire_many_owned(kib).map_err(|_| full())?;
        match &mut body.held {
            Some(held) => held.merge(more),
            None => body.held = Some(more),
        }
        body.room = wanted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use snaphook_model::Code;

    use super::{Admission, BodyRoom};

    #[test]
    fn room_is_given_back() {
        let admission = Admission::new(1, 128 << 10);
        let permit = admission.admit().expect("the first fits");
        assert_eq!(admission.admit().expect_err("the second does not").code(), Code::Overloaded);
        drop(permit);
        assert!(admission.admit().is_ok());

        let mut body = BodyRoom::default();
        admission.make_room(&mut body, 100).expect("fits");
        admission.make_room(&mut body, 128 << 10).expect("fits exactly");
        assert!(admission.make_room(&mut BodyRoom::default(), 1).is_err());
        drop(body);
        assert!(admission.make_room(&mut BodyRoom::default(), 1).is_ok());
    }
}
