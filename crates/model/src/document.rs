//! What became of the document that a run is about.

use serde::{Deserialize, Serialize};

use crate::RunStatus;

/// The state of the document that a run is about, in the words of those who send documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// One of [`DocumentRecord::STATUSES`], or one that the tenant has added.
    pub status: String,
    /// What a callback gave as status and nobody knows.
    pub technical_status: Option<String>,
    /// What a callback gave with its failure.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_text: Option<String>,
}

impl DocumentRecord {
    /// Statuses that every tenant has.
    pub const STATUSES: [&str; 10] = [
        "Inbox",
        "Initialize",
        "Processing",
        "Batching",
        "Awaiting Confirmation",
        "Failed",
        "Ignored",
        "Ready for test",
        "Outbox",
        "Completed",
    ];

    /// The document of a run in this state, where nobody has said more.
    #[must_use]
    pub fn of(status: RunStatus) -> Self {
        let status = match status {
            RunStatus::Queued => "Inbox",
            RunStatus::Running => "Processing",
            RunStatus::Waiting => "Awaiting Confirmation",
            RunStatus::Succeeded | RunStatus::Partial => "Completed",
            RunStatus::Failed => "Failed",
            RunStatus::Blocked | RunStatus::Cancelled => "Ignored",
        };
        Self { status: status.to_owned(), technical_status: None, error_code: None, error_text: None }
    }

    /// The document after a callback that said `Failed`. `known` are the statuses that the tenant has added.
    #[must_use]
    pub fn failed(status: Option<&str>, known: &[String]) -> Self {
        let mut document = Self::of(RunStatus::Failed);
        if let Some(status) = status {
            let all = Self::STATUSES.into_iter().chain(known.iter().map(String::as_str));
            match all.into_iter().find(|known| known.eq_ignore_ascii_case(status)) {
                Some(known) => document.status = known.to_owned(),
                None => document.technical_status = Some(status.to_owned()),
            }
        }
        document
    }
}
