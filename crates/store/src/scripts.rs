//! Scripts, their versions and their bytes.

use bytes::Bytes;
use jiff::Timestamp;
use snaphook_model::{Dialect, HookSet, Import, Language, Name, ScriptKind, ScriptVersion, TenantName, Warning};

use crate::{Page, PageRequest, StoreFuture};

/// A version before it has a number.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "as in `ScriptVersion`")]
pub struct NewVersion {
    pub name: Name,
    pub hash: String,
    pub kind: ScriptKind,
    pub language: Language,
    pub dialect: Dialect,
    pub hooks: HookSet,
    /// A version among them that does not exist is [`crate::StoreError::UnknownVersion`], and nothing is stored.
    pub imports: Vec<Import>,
    pub deploy_ms: u64,
    pub warnings: Vec<Warning>,
    pub created_at: Timestamp,
    /// As uploaded.
    pub source: Bytes,
    /// As it will run.
    pub component: StoredComponent,
    /// Bytes that all versions of the tenant may take, this one among them. More is [`crate::StoreError::ScriptsSize`], and nothing is stored.
    pub most_bytes: u64,
}

/// A version's component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredComponent {
    /// WebAssembly.
    pub bytes: Bytes,
    /// Import name of the interpreter it belongs to; absent for an uploaded component.
    pub interpreter: Option<String>,
}

/// A component without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentMark {
    /// BLAKE3 of its bytes in hexadecimal, which is what compiled code is named by.
    pub hash: String,
    /// As in [`StoredComponent`].
    pub interpreter: Option<String>,
}

/// What became of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddedVersion {
    /// A new version with the next number.
    Created(ScriptVersion),
    /// The latest version has the same hash; nothing was written.
    Unchanged(ScriptVersion),
}

/// What became of the wish to delete a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletedVersion {
    /// It is gone, with its bytes. Its number is not used again.
    Deleted,
    /// There is no such version.
    Unknown,
    /// It is still needed at these places, such as `connector crm, endpoints.send.hooks.pre-hook[0]` or `script checkout, version 3`; at most
    /// twenty are named.
    Bound(Vec<String>),
}

/// A version whose component belongs to another interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields say it")]
pub struct StaleComponent {
    pub tenant: TenantName,
    pub script: Name,
    pub version: u32,
}

/// Scripts of a tenant. Versions are immutable; numbers begin at 1 and are never used again.
pub trait ScriptStore: Send + Sync {
    /// Adds a version under the next number unless the latest one has the same hash. Durable, against power loss too, when it returns. Versions of one
    /// tenant are added one after the other, so that no two of them pass the bound together.
    fn add_version<'a>(&'a self, tenant: &'a TenantName, version: NewVersion) -> StoreFuture<'a, AddedVersion>;

    /// Bytes that all versions of a tenant take: their sources and components, wherever those lie.
    fn script_bytes<'a>(&'a self, tenant: &'a TenantName) -> StoreFuture<'a, u64>;

    /// The version with the highest number.
    fn latest_version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name) -> StoreFuture<'a, Option<ScriptVersion>>;

    /// One version.
    fn version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<ScriptVersion>>;

    /// The latest version of each script, by name.
    fn scripts<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<ScriptVersion>>;

    /// The versions of a script, newest first. Empty for an unknown script.
    fn versions<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, page: &'a PageRequest) -> StoreFuture<'a, Page<ScriptVersion>>;

    /// What was uploaded.
    fn source<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<Bytes>>;

    /// What runs.
    fn component<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<StoredComponent>>;

    /// What tells it from others; read without its bytes, which may lie elsewhere than the database.
    fn component_mark<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, Option<ComponentMark>>;

    /// Puts a component made anew after an upgrade of the interpreter in the place of the old one. False: there is no such version.
    fn replace_component<'a>(
        &'a self,
        tenant: &'a TenantName,
        script: &'a Name,
        version: u32,
        component: StoredComponent,
    ) -> StoreFuture<'a, bool>;

    /// Versions of all tenants whose component belongs to another interpreter than this one. Uploaded components belong to none.
    fn stale_components<'a>(&'a self, interpreter: &'a str, page: &'a PageRequest) -> StoreFuture<'a, Page<StaleComponent>>;

    /// Deletes a version that no connector, no flow's latest version, and no flow's earlier version of which runs are queued binds, and that
    /// no other version imports.
    fn delete_version<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> StoreFuture<'a, DeletedVersion>;
    /// Hashes of the components of a tenant's versions, each once: BLAKE3 in hexadecimal, which is what compiled code is named by.
    fn component_hashes_of<'a>(&'a self, tenant: &'a TenantName, page: &'a PageRequest) -> StoreFuture<'a, Page<String>>;

    /// The same of all tenants, for the node itself.
    fn component_hashes<'a>(&'a self, page: &'a PageRequest) -> StoreFuture<'a, Page<String>>;

    /// Whether any version of any tenant has a component with this hash, for the node itself.
    fn component_is_used<'a>(&'a self, hash: &'a str) -> StoreFuture<'a, bool>;
}
