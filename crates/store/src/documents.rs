//! Connectors and flows as documents. The store does not read them; what they bind is handed in beside them.

use jiff::Timestamp;
use serde_json::Value;
use snaphook_model::{Name, TenantName};

use crate::{Page, PageRequest, StoreFuture};

/// What became of something that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It replaced what was there.
    Changed,
    /// The same was there already; only for flows.
    Unchanged,
}

/// A script version that a document binds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptPin {
    /// Where in the document, such as `endpoints.send.hooks.pre-hook[0]`; unique in the document.
    pub place: String,
    /// A script of the same tenant.
    pub script: Name,
    /// One of its versions.
    pub version: u32,
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words say it")]
pub enum DocumentKind {
    Connector,
    Flow,
}

impl DocumentKind {
    /// The word in the store and in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connector => "connector",
            Self::Flow => "flow",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Connector, Self::Flow].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A place at which a script is bound: in a connector, or in the latest version of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundScript {
    /// Which version of the script.
    pub version: u32,
    /// Of the document that binds it.
    pub kind: DocumentKind,
    /// Its name.
    pub document: Name,
    /// As in [`ScriptPin`].
    pub place: String,
}

/// A document to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewDocument<'a> {
    /// With every binding's version filled in.
    pub document: &'a Value,
    /// Everything the document binds. A version that does not exist is [`crate::StoreError::UnknownVersion`], and nothing is stored.
    pub pins: &'a [ScriptPin],
    /// Becomes `updated_at`.
    pub now: Timestamp,
}

/// A connector as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredConnector {
    pub name: Name,
    pub document: Value,
    pub updated_at: Timestamp,
}

/// One version of a flow as stored.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StoredFlow {
    pub name: Name,
    pub version: u32,
    pub document: Value,
    pub updated_at: Timestamp,
}

/// What became of a flow that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PutFlow {
    /// `Unchanged` when the document is the latest version's.
    pub change: Change,
    /// The number of the version that holds the document.
    pub version: u32,
    /// When that version was stored.
    pub updated_at: Timestamp,
}

/// Connectors and flows of a tenant. Durable, against power loss too, when a method that writes returns.
pub trait DocumentStore: Send + Sync {
    /// Creates or replaces a connector.
    fn put_connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, document: NewDocument<'a>) -> StoreFuture<'a, Change>;

    /// A connector by name.
    fn connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredConnector>>;

    /// Connectors by name.
    fn connectors<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredConnector>>;

    /// Deletes a connector. False: there was none.
    fn delete_connector<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool>;

    /// Stores a flow under the next version number, unless the latest version holds the same document. Earlier versions stay readable.
    fn put_flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, document: NewDocument<'a>) -> StoreFuture<'a, PutFlow>;

    /// The latest version of a flow.
    fn flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, Option<StoredFlow>>;

    /// One version of a flow.
    fn flow_version<'a>(&'a self, tenant: &'a TenantName, name: &'a Name, version: u32) -> StoreFuture<'a, Option<StoredFlow>>;

    /// The latest version of each flow, by name.
    fn flows<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<StoredFlow>>;

    /// Where versions of a script are bound, by kind, name and place. Empty for an unknown script.
    fn bindings<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, page: &'a PageRequest) -> StoreFuture<'a, Page<BoundScript>>;

    /// Deletes a flow with all its versions. False: there was none. Put again, it goes on counting.
    fn delete_flow<'a>(&'a self, tenant: &'a TenantName, name: &'a Name) -> StoreFuture<'a, bool>;
}
