//! How calls and runs end, for whoever asked for them.

use serde::{Deserialize, Serialize};
use snaphook_model::{Fault, NewResponse, Payload, ReasonCode, Rejection, RunId, TriggerResponse};

/// A call or run that has ended; its record is on its way into the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Names the run, also when it failed.
    pub run: RunId,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call or run ended. It is written as it is for who waits for it at another node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// It succeeded with this payload: the call's, or the last step's.
    Payload(Payload),
    /// The last step's payload, though a step failed: its `on_error` said to go on.
    Partial(Payload),
    /// A hook answered a direct call itself, with a status of its own. A flow's step takes such an answer's body as its payload.
    Responded(NewResponse),
    /// The run succeeded, and its trigger's script had said what to answer then.
    Triggered {
        /// Nothing when it said nothing.
        response: Option<TriggerResponse>,
        /// Whether a step failed and was ignored.
        partial: bool,
    },
    /// The run is durable and begins as soon as there is a place for it.
    Accepted,
    /// The run waits, for a time or a callback. It is durable, and goes on by itself.
    Waiting,
    /// A hook rejected the call or replaced its failure: code `rejected`, and the caller gets the status, reason code and message given here.
    Rejected(Rejection),
    /// It failed.
    Failed {
        /// Why.
        fault: Fault,
        /// What a script gave as the code of its `fail`.
        reason_code: Option<ReasonCode>,
        /// The queued run that repeats this one.
        retry_run: Option<RunId>,
    },
}
