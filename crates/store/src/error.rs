//! Failures of the store, free of any database's own types.

use std::error::Error;

use snaphook_model::{Blame, Code, Fault, Name, TenantName};

use crate::ObjectsPlaceError;

/// Why a method failed. What does not exist is no failure.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or broke; the source says why and is for the log only.
    #[error("the database does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The place of objects refused or broke; the source says why and is for the log only.
    #[error("the place of scripts and large payloads does not answer")]
    ObjectsUnavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A row names an object that is not there.
    #[error("the stored object `{0}` is missing")]
    ObjectMissing(String),
    /// An object is not the one that was written.
    #[error("the stored object `{0}` is not what was written; it is not used")]
    ObjectAltered(String),
    /// Objects of the database are not where this node looks for them.
    #[error(transparent)]
    OtherObjects(ObjectsPlaceError),
    /// A wait for a connection or for room in the queue reached its deadline.
    #[error("the store is too busy")]
    Busy,
    /// As many runs wait already as may.
    #[error("{0} runs of the tenant wait already, as many as may")]
    Full(u32),
    /// Runs that wait would take more than they may; nothing was written.
    #[error("runs of the tenant that wait would take {used} bytes; at most {limit}")]
    QueueSize {
        /// The quota `queue_bytes`.
        limit: u64,
        /// What they would take.
        used: u64,
    },
    /// The store was closed, the node is about to end.
    #[error("the store is closed")]
    Closed,
    /// Something was written for a tenant who does not exist, or not any more.
    #[error("tenant `{0}` does not exist")]
    UnknownTenant(TenantName),
    /// A document binds a version that does not exist, or not any more.
    #[error("{place} binds version {version} of script `{script}`, which does not exist")]
    UnknownVersion {
        /// Where in the document.
        place: String,
        /// The script.
        script: Name,
        /// The version.
        version: u32,
    },
    /// A claimed run is not held by this lease any more: it ran out and another took the run over, or the run has ended. Nothing was written.
    #[error("the run is held by another node, or has ended")]
    LeaseLost,
    /// A row with this identity is there already.
    #[error("`{0}` exists already")]
    Exists(String),
    /// A subject's values would take more than they may; nothing was written.
    #[error("the values of one subject would take {used} bytes; at most {limit}")]
    SubjectSize {
        /// In bytes.
        limit: u64,
        /// What they would take.
        used: u64,
    },
    /// All state of a tenant would take more than it may; nothing was written.
    #[error("all state of the tenant would take {used} bytes; at most {limit}")]
    StateSize {
        /// The limit `state_bytes`.
        limit: u64,
        /// What it would take.
        used: u64,
    },
    /// All versions of a tenant's scripts would take more than they may; nothing was written.
    #[error("all versions of the tenant's scripts would take {used} bytes; at most {limit}")]
    ScriptsSize {
        /// The quota `script_bytes`.
        limit: u64,
        /// What they would take.
        used: u64,
    },
    /// The tenant would keep more documents than it may; nothing was written.
    #[error("the tenant would keep {used} documents, and its quota `documents` allows {limit}: delete some, or ask the operator for more")]
    TooManyDocuments {
        /// The quota `documents`.
        limit: u64,
        /// How many there would be.
        used: u64,
    },
    /// The documents of a tenant would take more than they may; nothing was written.
    #[error(
        "the tenant's documents would take {used} bytes, and its quota `document_bytes` allows {limit}: delete some, or ask the operator for more"
    )]
    DocumentsSize {
        /// The quota `document_bytes`.
        limit: u64,
        /// What they would take.
        used: u64,
    },
    /// A cursor that no page gave out.
    #[error("the cursor is not one of an earlier page")]
    Cursor,
    /// A value cannot be written as the store keeps it, or a stored one cannot be read.
    #[error("{what} does not fit its stored form")]
    Form {
        /// Which kind of value.
        what: &'static str,
        /// What is wrong with it; for the log only.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the same again may succeed once the database is back, or has less to do.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ObjectsUnavailable(_) | Self::Busy)
    }

    /// The code that a caller sees.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) | Self::ObjectsUnavailable(_) | Self::OtherObjects(_) | Self::Busy | Self::Closed => {
                Code::StoreUnavailable
            }
            Self::ObjectMissing(_) | Self::ObjectAltered(_) => Code::ObjectDamaged,
            Self::Full(_) | Self::QueueSize { .. } => Code::Overloaded,
            Self::UnknownTenant(_) => Code::NotFound,
            Self::UnknownVersion { .. } | Self::Exists(_) => Code::Conflict,
            Self::SubjectSize { .. } => Code::TooLarge,
            Self::StateSize { .. } => Code::StateSize,
            Self::ScriptsSize { .. } | Self::TooManyDocuments { .. } | Self::DocumentsSize { .. } => Code::QuotaStorage,
            Self::Cursor => Code::Invalid,
            Self::Form { .. } | Self::LeaseLost => Code::Internal,
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        self.code().blame()
    }
}

impl From<StoreError> for Fault {
    /// The public half; log the error itself, with its sources, before.
    fn from(error: StoreError) -> Self {
        let fault = Self::new(error.code(), error.to_string());
        match error {
            StoreError::UnknownVersion { place, .. } => fault.in_field(place),
            StoreError::SubjectSize { limit, used }
            | StoreError::StateSize { limit, used }
            | StoreError::ScriptsSize { limit, used }
            | StoreError::TooManyDocuments { limit, used }
            | StoreError::DocumentsSize { limit, used }
            | StoreError::QueueSize { limit, used } => fault.of_limit(limit, Some(used)),
            StoreError::Cursor => fault.in_field("cursor"),
            _ => fault,
        }
    }
}
