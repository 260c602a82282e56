//! What a run waits for: `polling` and `async` of flow-format, and what a callback brings.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Payload};

/// The same request again until its condition is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Polling {
    /// Seconds from an answer to the next request, 1 to 3,600.
    pub interval: u32,
    /// Requests in total, 1 to 100.
    pub amount: u32,
}

/// A step that goes on when its upstream calls back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AsyncStep {
    /// Whether the callback's body becomes the payload; else the run goes on with the one from before the step.
    #[serde(default = "yes")]
    pub use_body: bool,
    /// How long the callback may take, 1 second to 30 days.
    #[serde(default = "day")]
    pub timeout_s: u32,
}

/// What an upstream told when it called back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    /// `X-Link-Status`: `Ok`, else `Failed`.
    pub ok: bool,
    /// The callback's body.
    pub body: Payload,
    /// `X-Link-Document-Status`, `X-Link-Error-Code` and `X-Link-Error-Text`, which count with `Failed` alone.
    pub document_status: Option<String>,
    /// See `document_status`.
    pub error_code: Option<String>,
    /// See `document_status`.
    pub error_text: Option<String>,
}

/// Names a callback to come; whoever knows it, and has a token for callbacks, may send it. 22 letters of chance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CorrelationId(pub String);

const fn yes() -> bool {
    true
}

const fn day() -> u32 {
    24 * 60 * 60
}

/// A month: who answers later than that has forgotten.
const MAX_TIMEOUT_S: u32 = 30 * 24 * 60 * 60;

pub(crate) fn check_polling(path: &str, polling: Option<Polling>, has_condition: bool) -> Result<(), Invalid> {
    let Some(Polling { interval, amount }) = polling else { return Ok(()) };
    if !has_condition {
        return Err(Invalid::new(path, "needs `continue_if` beside it, which says when polling ends"));
    }
    if !(1..=3600).contains(&interval) {
        return Err(Invalid::new(format!("{path}.interval"), "must be 1 to 3600 seconds"));
    }
    if !(1..=100).contains(&amount) {
        return Err(Invalid::new(format!("{path}.amount"), "must be 1 to 100 requests"));
    }
    Ok(())
}

pub(crate) fn check_async(path: &str, waits: Option<AsyncStep>) -> Result<(), Invalid> {
    match waits {
        Some(AsyncStep { timeout_s, .. }) if !(1..=MAX_TIMEOUT_S).contains(&timeout_s) => {
            Err(Invalid::new(format!("{path}.timeout_s"), format!("must be 1 to {MAX_TIMEOUT_S} seconds")))
        }
        _ => Ok(()),
    }
}
