//! The sandbox of a node: one engine, one pool, one linker, and the programs that are loaded.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use snaphook_model::{TenantName, Weight};
use snaphook_shares::{Part, Places};
use snaphook_telemetry::{Lookups, metrics};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

use crate::artifact;
use crate::background::Background;
use crate::code::{self, CodeStore, Kind, Loaded};
use crate::data::Data;
use crate::engine::{self, Settings};
use crate::error::chain;
use crate::inspect::{self, InterpreterCode};
use crate::meter::MemoryPool;
use crate::parts::Parts;
use crate::post_mortem::PostMortem;
use crate::program::Program;
use crate::ticker::Ticker;
use crate::{ComponentError, ProgramKey, SandboxError, host};

/// What a sandbox is made of.
pub struct SandboxConfig {
    /// Memory for running guests and loaded programs together, in bytes.
    pub memory_budget_bytes: u64,
    /// Where compiled code is kept. Made when it is missing.
    pub code_dir: PathBuf,
    /// Without it only uploaded components run.
    pub interpreter: Option<InterpreterCode>,
    /// Invocations at the same time, 8 to 4096. Absent: as many as the budget allows.
    pub max_concurrent: Option<u32>,
}

/// Runs programs. Cheap to clone.
#[derive(Clone)]
pub struct Sandbox {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    /// Shared by all programs: linking a program looks its imports up here.
    linker: Linker<Data>,
    interpreter: Option<Interpreter>,
    codes: CodeStore,
    /// Loaded programs, those used last. Loading one is done once, however many ask for it.
    programs: Cache<ProgramKey, Program>,
    lookups: Lookups,
    pool: Arc<MemoryPool>,
    /// One for each invocation, so that the pool is never asked for more than it has. A tenant alone has half of them.
    places: Arc<Places>,
    /// What each tenant has of the pool.
    parts: Parts,
    /// Where long invocations go on.
    background: Background,
    settings: Settings,
    build: String,
    /// Dropped with the rest.
    _ticker: Ticker,
}

struct Interpreter {
    name: String,
    post_mortem: PostMortem,
}

/// Why a program is not there.
enum Absent {
    /// No code, or code that another build made.
    Code,
    /// Code that the engine refuses: another build made it, or the component is too large.
    Refused(ComponentError),
    /// Code that cannot be a program.
    Component(ComponentError),
}

/// What a loaded program takes besides its code: tables of types, names and functions. Measured as resident memory over 600 scripts
/// with 36 KB of code each, which took 82 KB.
const PROGRAM_OVERHEAD: usize = 46 << 10;

impl Sandbox {
    /// Starts the engine, its pool and its ticker.
    ///
    /// # Errors
    /// When the machine has no place for the pool, the interpreter's code does not load, or the directory cannot be used.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let mut settings = Settings::new(config.memory_budget_bytes, config.max_concurrent);
        let engine = engine::pooling_engine(&mut settings)?;
        let mut linker = host::linker(&engine).map_err(SandboxError::engine)?;
        let pool = Arc::new(MemoryPool::new(settings.pool_bytes));
        let interpreter = config.interpreter.map(|code| supply(&engine, &mut linker, code, &pool)).transpose()?;
        let codes = CodeStore::open(&config.code_dir)?;
        let programs = Cache::builder()
            .max_capacity(settings.program_bytes)
            .weigher(|_, program: &Program| u32::try_from(program.memory_bytes()).unwrap_or(u32::MAX))
            // A program that is asked for is about to run, however seldom it was before.
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let build = build(&engine, interpreter.as_ref());
        let ticker = Ticker::start(&engine).map_err(|error| SandboxError::Engine(error.to_string()))?;
        let background = Background::start().map_err(|error| SandboxError::Engine(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                engine,
                linker,
                interpreter,
                codes,
                programs,
                lookups: Lookups::of("programs"),
                pool,
                places: Places::new(settings.slots.into(), Part::HALF),
                parts: Parts::default(),
                background,
                settings,
                build,
                _ticker: ticker,
            }),
        })
    }

    /// How the pool is laid out.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.inner.settings
    }

    /// Names the interpreter and the engine. The same program uses the same fuel on the same input as long as this stays.
    #[must_use]
    pub fn build(&self) -> &str {
        &self.inner.build
    }

    /// The key under which a component's code is kept.
    #[must_use]
    pub fn key(component: &[u8]) -> ProgramKey {
        ProgramKey::of(component)
    }

    /// Keeps a component's code, as [`crate::check_component`] or [`crate::precompile_component`] gave it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn admit(&self, key: &ProgramKey, code: &[u8]) -> Result<(), SandboxError> {
        self.inner.codes.put(key, code)
    }

    /// Keys of the code that is kept.
    ///
    /// # Errors
    /// When the code directory cannot be read.
    pub fn kept(&self) -> Result<Vec<ProgramKey>, SandboxError> {
        self.inner.codes.keys()
    }

    /// Lets go of the code under a key, in memory and in the code directory. Invocations under way go on.
    pub fn discard(&self, key: &ProgramKey) {
        self.inner.codes.remove(key);
        self.inner.programs.invalidate(key);
    }

    /// The program under a key, from memory or from the code directory. `None` when its code is not there, or was made by another
    /// build of the sandbox or the interpreter: the component is to be compiled again.
    ///
    /// # Errors
    /// When the code is whole, but no component that a sandbox can run.
    pub fn load(&self, key: &ProgramKey) -> Result<Option<Program>, ComponentError> {
        if let Some(program) = self.inner.programs.get(key) {
            self.inner.lookups.count(true);
            return Ok(Some(program));
        }
        self.inner.lookups.count(false);
        match self.inner.programs.try_get_with(*key, || self.read(key)) {
            Ok(program) => Ok(Some(program)),
            Err(absent) => match &*absent {
                Absent::Code | Absent::Refused(_) => Ok(None),
                Absent::Component(error) => Err(error.clone()),
            },
        }
    }

    /// The program of code that this build has just made and admitted: what is refused of it is the component's fault. Then it is not kept.
    ///
    /// # Errors
    /// When no sandbox can run it, or, as [`ComponentError::Stale`], when the code has gone meanwhile.
    pub fn load_new(&self, key: &ProgramKey) -> Result<Program, ComponentError> {
        self.inner.programs.try_get_with(*key, || self.read(key)).map_err(|absent| {
            self.inner.codes.remove(key);
            match &*absent {
                Absent::Code => ComponentError::Stale("it is not there any more".to_owned()),
                Absent::Refused(error) | Absent::Component(error) => error.clone(),
            }
        })
    }

    /// Does something of a tenant's on the thread of whoever calls. The time counts as that of its short invocations does.
    pub fn counted<T>(&self, tenant: &TenantName, weight: Weight, work: impl FnOnce() -> T) -> T {
        self.inner.background.counted(tenant, weight, work)
    }

    /// Programs in memory, and the bytes they are counted with.
    #[must_use]
    pub fn loaded(&self) -> (u64, u64) {
        self.inner.programs.run_pending_tasks();
        (self.inner.programs.entry_count(), self.inner.programs.weighted_size())
    }

    /// Linear memory of all running invocations, and of looking where stopped ones stood, in bytes.
    #[must_use]
    pub fn pool_used_bytes(&self) -> u64 {
        self.inner.pool.used()
    }

    /// Writes down what is in use now, for who reads the metrics.
    pub fn observe(&self) {
        let (metrics, settings) = (metrics(), self.inner.settings);
        let (free, (programs, bytes)) = (self.inner.places.free(), self.loaded());
        metrics.sandbox_places.set([], settings.slots.into());
        metrics.sandbox_places_in_use.set([], u64::from(settings.slots).saturating_sub(free));
        metrics.sandbox_memory.set([], self.pool_used_bytes());
        metrics.sandbox_memory_limit.set([], settings.pool_bytes);
        metrics.programs.set([], programs);
        metrics.programs_memory.set([], bytes);
    }

    fn read(&self, key: &ProgramKey) -> Result<Program, Absent> {
        let file = self.inner.codes.get(key).ok_or(Absent::Code)?;
        let absent = || {
            self.inner.codes.remove(key);
            Absent::Code
        };
        let parts = artifact::split(&file).ok_or_else(absent)?;
        let component = match code::deserialize(&self.inner.engine, parts.code, Kind::Component) {
            Ok(Loaded::Component(component)) => component,
            Ok(Loaded::Module(_)) => return Err(absent()),
            // Not damaged, since it verified: wasmtime or its settings changed, unless it is new.
            Err(error) => {
                self.inner.codes.remove(key);
                return Err(Absent::Refused(inspect::does_not_fit(&error)));
            }
        };
        let name = self.inner.interpreter.as_ref().map(|interpreter| interpreter.name.as_str());
        let linked = match inspect::link(&self.inner.linker, &component, name) {
            Ok(linked) => linked,
            Err(ComponentError::Imports(names)) if names.iter().any(|name| name.starts_with("interpreter-h")) => return Err(absent()),
            Err(error) => return Err(Absent::Component(error)),
        };
        let is_script = name.is_some_and(|name| imports(&component, name));
        Ok(Program::new(linked, parts.map, is_script, parts.code.len() + PROGRAM_OVERHEAD))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    pub(crate) fn pool(&self) -> &Arc<MemoryPool> {
        &self.inner.pool
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    pub(crate) fn background(&self) -> &Background {
        &self.inner.background
    }

    pub(crate) fn places(&self) -> &Arc<Places> {
        &self.inner.places
    }

    pub(crate) fn post_mortem(&self) -> Option<&PostMortem> {
        self.inner.interpreter.as_ref().map(|interpreter| &interpreter.post_mortem)
    }
}

fn build(engine: &Engine, interpreter: Option<&Interpreter>) -> String {
    // With keys that never change, unlike a map's: the text is compared with that of another process.
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{} on {:016x}", interpreter.map_or("no interpreter", |interpreter| &interpreter.name), hasher.finish())
}

fn imports(component: &Component, name: &str) -> bool {
    component.component_type().get_import(component.engine(), name).is_some()
}

/// Gives the interpreter to every script that imports it.
fn supply(engine: &Engine, linker: &mut Linker<Data>, code: InterpreterCode, pool: &Arc<MemoryPool>) -> Result<Interpreter, SandboxError> {
    let module = code.module(engine)?;
    let failed = |error: wasmtime::Error| SandboxError::Interpreter(chain(&error));
    linker.root().module(&code.name, &module).map_err(failed)?;
    let post_mortem = PostMortem::new(engine, &module, Arc::clone(pool)).map_err(failed)?;
    Ok(Interpreter { name: code.name, post_mortem })
}
