//! What a tenant may have of a node: at once, and on its disk.

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// The most requests at once: more than a node has connections for.
const MOST_AT_ONCE: u64 = 1_000_000;
/// The most requests a second: more than a node answers.
const MOST_PER_S: u64 = 1_000_000;
/// The bounds of what is kept, in bytes. A mebibyte holds a few runs or a script; a pebibyte is more than a node's disk has.
const LEAST_BYTES: u64 = 1 << 20;
const MOST_BYTES: u64 = 1 << 50;
/// The most documents: more than a database lists in good time.
const MOST_DOCUMENTS: u64 = 1_000_000_000;
/// The heaviest tenant gets a thousand times the processor time of the lightest, which is as far as shares mean something.
const HEAVIEST: u32 = 1_000;

/// How many requests of a tenant a node takes, and how much it keeps for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Requests in flight at once that call, run or write something.
    pub concurrency: u32,
    /// The same that may begin in a second; as many may begin at once after a second without any.
    pub rate_per_s: u32,
    /// Bytes that are kept of runs that have ended. Nothing is refused for it: what is beyond goes before its time.
    pub history_bytes: u64,
    /// Bytes of all versions of scripts, each with its source and its component.
    pub script_bytes: u64,
    /// Bytes that runs take which wait for their beginning, without their records.
    pub queue_bytes: u64,
    /// Documents that are kept: flows, of which each version is one, connectors, connections, secrets, subjects and tokens.
    pub documents: u64,
    /// Bytes of their values.
    pub document_bytes: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            concurrency: 16,
            rate_per_s: 100,
            history_bytes: 10 << 30,
            script_bytes: 1 << 30,
            queue_bytes: 1 << 30,
            documents: 1_000_000,
            document_bytes: 1 << 30,
        }
    }
}

/// The same as an operator writes it: what is absent stays at the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the one of `Quota` with the same name")]
pub struct QuotaChange {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_bytes: Option<u64>,
}

impl QuotaChange {
    /// Whether it says nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.concurrency.is_none()
            && self.rate_per_s.is_none()
            && self.history_bytes.is_none()
            && self.script_bytes.is_none()
            && self.queue_bytes.is_none()
            && self.documents.is_none()
            && self.document_bytes.is_none()
    }

    /// The default with these changes.
    #[must_use]
    pub fn applied(&self) -> Quota {
        let Quota { concurrency, rate_per_s, history_bytes, script_bytes, queue_bytes, documents, document_bytes } = Quota::default();
        Quota {
            concurrency: self.concurrency.unwrap_or(concurrency),
            rate_per_s: self.rate_per_s.unwrap_or(rate_per_s),
            history_bytes: self.history_bytes.unwrap_or(history_bytes),
            script_bytes: self.script_bytes.unwrap_or(script_bytes),
            queue_bytes: self.queue_bytes.unwrap_or(queue_bytes),
            documents: self.documents.unwrap_or(documents),
            document_bytes: self.document_bytes.unwrap_or(document_bytes),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Invalid> {
        // A tenant that may do nothing at all is deleted, or its tokens are.
        let numbers = [
            ("concurrency", self.concurrency.map(u64::from), MOST_AT_ONCE),
            ("rate_per_s", self.rate_per_s.map(u64::from), MOST_PER_S),
            ("documents", self.documents, MOST_DOCUMENTS),
        ];
        let numbers = numbers.map(|(field, value, most)| (field, value, 1..=most));
        let bytes = [
            ("history_bytes", self.history_bytes),
            ("script_bytes", self.script_bytes),
            ("queue_bytes", self.queue_bytes),
            ("document_bytes", self.document_bytes),
        ];
        let bytes = bytes.map(|(field, value)| (field, value, LEAST_BYTES..=MOST_BYTES));
        for (field, value, may_be) in numbers.into_iter().chain(bytes) {
            if let Some(value) = value.filter(|value| !may_be.contains(value)) {
                let detail = format!("{value} is not between {} and {}", may_be.start(), may_be.end());
                return Err(Invalid::new(format!("quota.{field}"), detail));
            }
        }
        Ok(())
    }
}

/// A tenant's part of the processor beside others who want it at the same time, in parts of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(pub u32);

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl Weight {
    pub(crate) fn check(self) -> Result<(), Invalid> {
        if (1..=HEAVIEST).contains(&self.0) {
            return Ok(());
        }
        Err(Invalid::new("weight", format!("{} is not between 1 and {HEAVIEST}", self.0)))
    }
}
