//! What an end gives to the next step, and what events and their mistakes are called.

use snaphook_model::{Fault, NewResponse, Payload};

use super::{End, Event, Failure, IllegalEvent, Repeat, answered};

impl End {
    /// The payload for the next step. An answer that a hook made itself is its step's payload, whatever its status.
    #[must_use]
    pub fn payload(&self) -> Option<Payload> {
        match self {
            Self::Succeeded(payload) | Self::Ignored(_, payload) => Some(payload.clone()),
            Self::Responded(NewResponse { headers, body, .. }) => Some(answered(headers, body)),
            Self::Rejected(_) | Self::Failed(_) => None,
        }
    }
}

impl Failure {
    /// A failure that no script decided.
    pub(crate) const fn of(fault: Fault) -> Self {
        Self { fault, reason: None, repeat: Repeat::AsPolicy, document: None }
    }
}

impl IllegalEvent {
    pub(in crate::machine) const fn new(awaited: String, happened: &'static str) -> Self {
        Self { awaited, happened }
    }
}

impl Event {
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Decided(_) => "a decision",
            Self::Faulted(_) => "a script's failure",
            Self::Filled(_) | Self::NotFilled(_) => "a request's templates",
            Self::Responded(_) | Self::Saved(..) => "a response",
            Self::NotAnswered(_) => "a request's failure",
            Self::Waited | Self::NoTime => "the end of a wait",
            Self::CalledBack(_) | Self::NotCalledBack => "the end of the wait for a callback",
            Self::Renewed | Self::NotRenewed(_) => "the end of a renewal",
        }
    }
}
