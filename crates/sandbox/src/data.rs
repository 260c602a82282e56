//! What the host knows about one invocation: the data of its store. Lives and dies with it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use snaphook_model::{Fault, Hook};

use crate::chance::Chance;
use crate::host::http::Requests;
use crate::host::keys::Keys;
use crate::host::state::State;
use crate::host::variables::Overlay;
use crate::host::wasi::Wasi;
use crate::log::Log;
use crate::meter::Meter;

/// The data of a store.
pub(crate) struct Data {
    /// What `input.body` gives.
    pub(crate) body: Bytes,
    /// What `input.payload-type` gives.
    pub(crate) payload_type: Option<String>,
    /// What `input.arguments` gives.
    pub(crate) arguments: Bytes,
    /// What `input.endpoint` gives: connector and endpoint.
    pub(crate) endpoint: (Arc<str>, Arc<str>),
    pub(crate) log: Log,
    pub(crate) variables: Overlay,
    pub(crate) state: State,
    pub(crate) requests: Requests,
    pub(crate) keys: Keys,
    pub(crate) chance: Chance,
    pub(crate) meter: Meter,
    /// When the invocation ends, whatever it does.
    pub(crate) deadline: Instant,
    /// The frozen clock, in milliseconds since the Unix epoch.
    pub(crate) now_ms: u64,
    /// Made when a guest first asks for anything of WASI; scripts never do.
    pub(crate) wasi: Option<Box<Wasi>>,
}

/// Why the host ends an invocation. Travels through the engine as an error and is found again by its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The deadline has passed, while running or while waiting.
    #[error("the deadline has passed")]
    Deadline,
    /// The node has no memory left that the guest could grow into.
    #[error("the node has no memory left")]
    NoMemoryLeft,
    /// The tenant's other invocations have all that a node gives to one.
    #[error("the tenant has no memory left")]
    NoMemoryForTenant,
    /// More requests than the limit allows.
    #[error("too many host calls")]
    HostCalls,
    /// More in the guest's own requests than may leave it.
    #[error("too much output")]
    Output {
        /// Bytes of all of them.
        sent: u64,
    },
    /// More written into state than can be kept.
    #[error("too much state")]
    StateSize {
        /// Bytes that the run would have written.
        used: u64,
    },
    /// What the guest asked for failed on our own side.
    #[error("{0}")]
    Ours(Fault),
    /// The program does not have the hook that is asked for.
    #[error("there is no hook `{0}`")]
    NoHook(Hook),
    /// A replay asked for something that the recorded invocation did not ask for there.
    #[error("{0}")]
    Diverged(String),
    /// A host function was given something that it does not take.
    #[error("{0}")]
    Contract(String),
}
