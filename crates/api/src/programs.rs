//! Scripts on their way to running: upload to stored version, stored version to loaded program.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use snaphook_compile::{CompileError, Compiled, Compiler, Turn, Upload};
use snaphook_flow::ProgramsFuture;
use snaphook_model::{Author, Code, Dialect, Fault, Import, Language, Name, ScriptVersion, Tenant, TenantName};
use snaphook_sandbox::{ComponentError, Program, ProgramKey, Sandbox};
use snaphook_store::{AddedVersion, DeletedVersion, NewVersion, PageRequest, Store, StoreError, StoredComponent};

use crate::ambient;
use crate::cache::Cache;
use crate::compiled::Making;
use crate::flights::{Flights, TooLong};
use crate::library::TenantLibrary;
use crate::problem::chain;
use crate::tenants::Tenants;

/// Keys of programs kept in memory: which compiled code a version runs as, about 150 bytes each.
const KEPT_KEYS: u64 = 100_000;

/// How long one waits for others who need the same program and are making it: as long as the compiler lets one of them wait for a place
/// and then work. Who is behind several that fail does not wait for each of them.
const PATIENCE: Duration = Duration::from_secs(60);

type VersionKey = (TenantName, Name, u32);

/// What the service works with.
pub struct ProgramsParts {
    /// Keeps versions with their source and component.
    pub store: Arc<dyn Store>,
    /// Makes components and compiled code, in child processes.
    pub compiler: Compiler,
    /// Runs programs and keeps their compiled code.
    pub sandbox: Sandbox,
    /// Import name of this node's interpreter; components of another one are made again from their source.
    pub interpreter: String,
}

/// Deploys uploads and loads programs.
pub struct Programs {
    pub(crate) parts: ProgramsParts,
    tenants: Tenants,
    keys: Cache<VersionKey, ProgramKey>,
    pub(crate) making: Making,
    flights: Flights<VersionKey>,
}

/// A script as a tenant sends it.
pub(crate) struct SentScript {
    pub(crate) name: Name,
    pub(crate) language: Language,
    pub(crate) dialect: Dialect,
    pub(crate) bytes: Bytes,
}

/// Why an upload or a program is not to be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramsError {
    /// The script's own fault, or the version does not exist.
    #[error("{0}")]
    Fault(Fault),
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// Ours.
    #[error("{0}")]
    Ours(String),
}

impl From<ProgramsError> for Fault {
    /// The public half; what only the log may hold is written there.
    fn from(error: ProgramsError) -> Self {
        match error {
            ProgramsError::Fault(fault) => fault,
            ProgramsError::Store(error) => {
                tracing::error!(error = chain(&error), "a program cannot be loaded");
                error.into()
            }
            ProgramsError::Ours(error) => {
                tracing::error!(error, "a program cannot be loaded");
                Self::new(Code::Internal, "the script's program cannot be loaded")
            }
        }
    }
}

impl From<CompileError> for ProgramsError {
    fn from(error: CompileError) -> Self {
        match error {
            CompileError::Rejected(fault) => Self::Fault(fault),
            failed => Self::Ours(chain(&failed)),
        }
    }
}

impl Programs {
    /// A service over these parts.
    #[must_use]
    pub fn new(parts: ProgramsParts) -> Self {
        let tenants = Tenants::new(Arc::clone(&parts.store));
        Self { parts, tenants, keys: Cache::new("program-keys", KEPT_KEYS), making: Making::default(), flights: Flights::default() }
    }

    /// Makes components that belong to an earlier interpreter again, before somebody waits for them. For one task of the node's, at its start.
    ///
    /// # Errors
    /// When the store does not answer. A version that cannot be made again is logged and left for its first call to report.
    pub async fn refresh(&self) -> Result<u64, StoreError> {
        let mut refreshed = 0;
        let mut page = PageRequest::first(snaphook_store::MAX_PAGE);
        loop {
            let stale = self.parts.store.stale_components(&self.parts.interpreter, &page).await?;
            for version in stale.items {
                // Not `ready`: a program of the old component may still be in memory.
                let key = (version.tenant, version.script, version.version);
                match self.in_turn(&key, async || self.make_ready(&key).await).await {
                    Ok(_) => refreshed += 1,
                    Err(error) => tracing::warn!(
                        tenant = key.0.as_str(),
                        script = key.1.as_str(),
                        version = key.2,
                        error = error.to_string(),
                        "a script cannot be made again for this interpreter"
                    ),
                }
            }
            let Some(next) = stale.next else { return Ok(refreshed) };
            page.after = Some(next);
        }
    }

    pub(crate) const fn tenants(&self) -> &Tenants {
        &self.tenants
    }

    pub(crate) const fn sandbox(&self) -> &Sandbox {
        &self.parts.sandbox
    }

    /// Checks, compiles and stores an upload. Its first call finds everything ready.
    pub(crate) async fn deploy(&self, author: &Author, tenant: &Tenant, sent: SentScript) -> Result<AddedVersion, ProgramsError> {
        let started = Instant::now();
        let store = &self.parts.store;
        let library = TenantLibrary { store: &**store, tenant: &tenant.name };
        if let Some(latest) = store.latest_version(&tenant.name, &sent.name).await?
            && latest.hash == upload_hash(sent.language, sent.dialect, &sent.bytes, &latest.imports)
            && library.are_latest(&latest.imports).await?
        {
            return Ok(AddedVersion::Unchanged(latest));
        }
        self.check_room(tenant, &sent).await?;
        let created_at = ambient::now();
        let compiled = self.compile(tenant, &sent, created_at).await?;
        let SentScript { name, language, dialect, bytes } = sent;
        let key = Sandbox::key(&compiled.component);
        let _making = self.making.begin(key);
        self.admit(&key, &compiled.code)?;
        // What cannot run is no version. Scripts are all of one form, which can.
        if compiled.interpreter.is_none() {
            self.load_new(&key)?;
        }
        let version = NewVersion {
            name,
            hash: upload_hash(language, dialect, &bytes, &compiled.imports),
            kind: compiled.kind,
            language,
            dialect,
            hooks: compiled.hooks,
            imports: compiled.imports,
            deploy_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            warnings: compiled.warnings,
            created_at,
            source: bytes,
            component: StoredComponent { bytes: compiled.component, interpreter: compiled.interpreter },
            most_bytes: tenant.quota.script_bytes,
        };
        let mark = self.keys.mark();
        let added = store.by(author).add_version(&tenant.name, version).await?;
        if let AddedVersion::Created(version) = &added {
            self.keys.put_since(mark, &(tenant.name.clone(), version.name.clone(), version.version), key);
        }
        Ok(added)
    }

    /// Refuses an upload for which there is no room before it costs anything. What it becomes is larger than its source; the store looks again.
    async fn check_room(&self, tenant: &Tenant, sent: &SentScript) -> Result<(), StoreError> {
        let (kept, limit) = (self.parts.store.script_bytes(&tenant.name).await?, tenant.quota.script_bytes);
        let used = kept.saturating_add(sent.bytes.len() as u64);
        if used > limit { Err(StoreError::ScriptsSize { limit, used }) } else { Ok(()) }
    }

    /// What an upload would become now. Nothing of it is kept.
    pub(crate) async fn check(&self, tenant: &Tenant, sent: &SentScript) -> Result<Compiled, ProgramsError> {
        self.compile(tenant, sent, ambient::now()).await
    }

    async fn compile(&self, tenant: &Tenant, sent: &SentScript, now: jiff::Timestamp) -> Result<Compiled, ProgramsError> {
        let library = TenantLibrary { store: &*self.parts.store, tenant: &tenant.name };
        let upload = Upload {
            name: sent.name.clone(),
            language: sent.language,
            dialect: sent.dialect,
            bytes: sent.bytes.clone(),
            limits: tenant.limits,
            imports: Vec::new(),
            now_ms: millis(now),
        };
        Ok(self.parts.compiler.compile(Turn::Upload(&tenant.name), upload, &library).await?)
    }

    /// Deletes a version that is bound nowhere, and its compiled code unless other versions have the same.
    pub(crate) async fn delete(
        &self,
        author: &Author,
        tenant: &TenantName,
        script: &Name,
        version: u32,
    ) -> Result<DeletedVersion, StoreError> {
        let component = self.parts.store.component_mark(tenant, script, version).await?;
        let deleted = self.parts.store.by(author).delete_version(tenant, script, version).await?;
        if deleted == DeletedVersion::Deleted {
            self.keys.forget(&(tenant.clone(), script.clone(), version));
            if let Some(key) = component.and_then(|component| ProgramKey::from_hex(&component.hash)) {
                self.discard_unused(&[key]).await;
            }
        }
        Ok(deleted)
    }

    /// After a tenant was deleted.
    pub(crate) fn forget_tenant(&self, tenant: &TenantName) {
        self.tenants.forget(tenant);
        self.keys.forget_where(|(owner, ..), _| owner == tenant);
    }

    /// After something of these tenants was changed.
    pub(crate) fn forget_of(&self, tenants: &dyn Fn(&TenantName) -> bool) {
        self.tenants.forget_of(tenants);
        self.keys.forget_where(|(owner, ..), _| tenants(owner));
    }

    /// A program that can be invoked now.
    pub(crate) async fn ready(&self, tenant: &TenantName, script: &Name, version: u32) -> Result<Program, ProgramsError> {
        let key = (tenant.clone(), script.clone(), version);
        if let Some(program) = self.loaded(&key) {
            return Ok(program);
        }
        self.in_turn(&key, async || match self.loaded(&key) {
            Some(program) => Ok(program),
            None => self.make_ready(&key).await,
        })
        .await
    }

    async fn in_turn(
        &self,
        key: &VersionKey,
        make: impl AsyncFnOnce() -> Result<Program, ProgramsError>,
    ) -> Result<Program, ProgramsError> {
        let made = self.flights.run(key, PATIENCE, make).await;
        made.unwrap_or_else(|TooLong| {
            let (_, script, version) = key;
            let detail = format!(
                "version {version} of script `{script}` is being compiled and was not ready within {} s; try again soon",
                PATIENCE.as_secs()
            );
            Err(ProgramsError::Fault(Fault::new(Code::Overloaded, detail)))
        })
    }

    fn loaded(&self, key: &VersionKey) -> Option<Program> {
        self.load_code(&self.keys.get(key)?)
    }

    /// Compiled code that is damaged, or of another build of the node, is made again like code that is gone.
    fn load_code(&self, key: &ProgramKey) -> Option<Program> {
        self.parts.sandbox.load(key).unwrap_or_else(|error| {
            tracing::warn!(error = chain(&error), "compiled code cannot be used and is made again");
            None
        })
    }

    async fn make_ready(&self, key: &VersionKey) -> Result<Program, ProgramsError> {
        let mark = self.keys.mark();
        let (tenant, script, version) = key;
        let unknown = || Fault::new(Code::NotFound, format!("there is no version {version} of script `{script}`"));
        // Where its code is kept, nobody needs the component itself, which may lie elsewhere than the database.
        let stored = self.parts.store.component_mark(tenant, script, *version).await?;
        let stored = stored.ok_or_else(|| ProgramsError::Fault(unknown()))?;
        let stored_key = ProgramKey::from_hex(&stored.hash);
        let is_current = stored.interpreter.as_ref().is_none_or(|name| *name == self.parts.interpreter);
        let code_key = if is_current {
            if let Some(code_key) = stored_key
                && let Some(program) = self.load_code(&code_key)
            {
                self.keys.put_since(mark, key, code_key);
                return Ok(program);
            }
            let component = self.parts.store.component(tenant, script, *version).await?;
            let component = component.ok_or_else(|| ProgramsError::Fault(unknown()))?;
            // It may have been made again meanwhile, on a node with another interpreter; who asks next finds that.
            if component.interpreter != stored.interpreter {
                return Err(ProgramsError::Fault(Fault::new(Code::Overloaded, "the script is being made again; try again soon")));
            }
            let code_key = Sandbox::key(&component.bytes);
            let code = self.parts.compiler.precompile(Turn::Call(tenant), component.bytes).await?;
            self.admit(&code_key, &code)?;
            code_key
        } else {
            let code_key = self.make_again(key).await?;
            self.discard_unused(stored_key.as_slice()).await;
            code_key
        };
        self.keys.put_since(mark, key, code_key);
        self.load_new(&code_key)
    }

    /// Makes a component from its source once more, for this node's interpreter, as it was made at its upload.
    async fn make_again(&self, key: &VersionKey) -> Result<ProgramKey, ProgramsError> {
        let (tenant_name, script, number) = key;
        let gone = || ProgramsError::Fault(Fault::new(Code::NotFound, format!("there is no version {number} of script `{script}`")));
        let version = self.parts.store.version(tenant_name, script, *number).await?.ok_or_else(gone)?;
        let source = self.parts.store.source(tenant_name, script, *number).await?.ok_or_else(gone)?;
        let tenant = self.tenants.get(tenant_name).await?.ok_or_else(gone)?;
        let ScriptVersion { name, language, dialect, imports, created_at, .. } = version;
        let upload = Upload { name, language, dialect, bytes: source, limits: tenant.limits, imports, now_ms: millis(created_at) };
        let library = TenantLibrary { store: &*self.parts.store, tenant: tenant_name };
        let compiled = self.parts.compiler.compile(Turn::Call(tenant_name), upload, &library).await?;
        let code_key = Sandbox::key(&compiled.component);
        let _making = self.making.begin(code_key);
        self.admit(&code_key, &compiled.code)?;
        let component = StoredComponent { bytes: compiled.component, interpreter: compiled.interpreter };
        if self.parts.store.replace_component(tenant_name, script, *number, component).await? { Ok(code_key) } else { Err(gone()) }
    }

    /// The program of code that was just admitted.
    fn load_new(&self, key: &ProgramKey) -> Result<Program, ProgramsError> {
        self.parts.sandbox.load_new(key).map_err(|error| match error {
            ComponentError::Stale(_) => ProgramsError::Ours(chain(&error)),
            of_component => ProgramsError::Fault(of_component.into()),
        })
    }

    fn admit(&self, key: &ProgramKey, code: &[u8]) -> Result<(), ProgramsError> {
        self.parts.sandbox.admit(key, code).map_err(|error| ProgramsError::Ours(chain(&error)))
    }
}

impl snaphook_flow::Programs for Programs {
    fn load<'a>(&'a self, tenant: &'a TenantName, script: &'a Name, version: u32) -> ProgramsFuture<'a> {
        Box::pin(async move { self.ready(tenant, script, version).await.map_err(Fault::from) })
    }
}

fn upload_hash(language: Language, dialect: Dialect, bytes: &[u8], imports: &[Import]) -> String {
    let mut hasher = blake3::Hasher::new();
    // Both are ends of enums that may grow; their names keep equal hashes equal then.
    hasher.update(format!("{language:?}/{dialect:?}").as_bytes());
    for import in imports {
        hasher.update(format!("+{import}").as_bytes());
    }
    hasher.update(b"/");
    hasher.update(bytes);
    hasher.finalize().to_hex().to_string()
}

fn millis(at: jiff::Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or_default()
}
