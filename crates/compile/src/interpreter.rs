//! The interpreter, prepared once per installation: initialised, snapshotted, compiled, and kept in the data directory.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use snaphook_sandbox::wasm::{Engine, Linker, Store};
use snaphook_sandbox::{CodeStore, ProgramKey, SandboxError, engine_for_compile, precompile_module};
use wasmtime_wizer::Wizer;

/// The interpreter as this node runs it.
#[derive(Clone)]
pub struct Interpreter {
    /// Under this name scripts import it, `interpreter-h` and 16 hexadecimal digits of its hash. Another build has another name.
    pub name: String,
    /// The core module after its initialisation.
    pub wasm: Arc<[u8]>,
    /// The same, compiled by [`precompile_module`].
    pub code: Arc<[u8]>,
}

/// The interpreter cannot be prepared: an error of ours or of the machine.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The data directory cannot be used, or the engine does not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The interpreter's initialisation failed.
    #[error("the interpreter does not initialise: {0}")]
    Initialise(String),
    /// The initialised interpreter does not compile.
    #[error("the interpreter does not compile: {0}")]
    Compile(String),
}

/// Below the data directory: code that is sealed with the directory's own key.
const DIRECTORY: &str = "interpreter";
/// The interpreter's export that builds its runtime. It calls nobody and is gone afterwards.
const INITIALISE: &str = "wizer-initialize";

/// Takes the interpreter from the data directory, or makes it there. The first start takes about a second, later ones some milliseconds.
///
/// # Errors
/// When the data directory cannot be used, or this build's interpreter does not work.
pub fn prepare_interpreter(data_dir: &Path) -> Result<Interpreter, PrepareError> {
    let store = CodeStore::open(&data_dir.join(DIRECTORY))?;
    let engine = engine_for_compile()?;
    let wasm = kept(&store, &key(&engine, "initialised", snaphook_interpreter::WASM), || initialise(&engine))?;
    let code = kept(&store, &key(&engine, "compiled", &wasm), || {
        precompile_module(&wasm).map_err(|error| PrepareError::Compile(error.to_string()))
    })?;
    let hash = blake3::hash(&wasm).to_hex();
    Ok(Interpreter { name: format!("interpreter-h{}", &hash[..16]), wasm: wasm.into(), code: code.into() })
}

fn kept(store: &CodeStore, key: &ProgramKey, make: impl FnOnce() -> Result<Vec<u8>, PrepareError>) -> Result<Vec<u8>, PrepareError> {
    if let Some(kept) = store.get(key) {
        return Ok(kept);
    }
    let made = make()?;
    store.put(key, &made)?;
    Ok(made)
}

/// Names what is made of an input by the engine's release and settings.
fn key(engine: &Engine, what: &str, input: &[u8]) -> ProgramKey {
    let mut hasher = Blake3Hasher(blake3::Hasher::new());
    what.hash(&mut hasher);
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.0.update(input);
    ProgramKey::from_bytes(*hasher.0.finalize().as_bytes())
}

struct Blake3Hasher(blake3::Hasher);

impl Hasher for Blake3Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let mut first = [0; 8];
        self.0.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }
}

fn initialise(engine: &Engine) -> Result<Vec<u8>, PrepareError> {
    tracing::info!("the interpreter is prepared, which takes about a second and is done once");
    let mut store = Store::new(engine, ());
    let ready = |store: &mut Store<()>| {
        // Our own code, run once: it ends.
        store.set_fuel(u64::MAX)?;
        store.set_epoch_deadline(u64::MAX / 2);
        Ok::<_, snaphook_sandbox::wasm::Error>(())
    };
    ready(&mut store).map_err(|error| PrepareError::Initialise(error.to_string()))?;
    let mut wizer = Wizer::new();
    wizer.init_func(INITIALISE);
    let snapshot = wizer.run(&mut store, snaphook_interpreter::WASM, async |store: &mut Store<()>, module| {
        let mut linker = Linker::new(store.engine());
        linker.define_unknown_imports_as_traps(module)?;
        linker.instantiate_async(store, module).await
    });
    block_on(snapshot).map_err(|error| PrepareError::Initialise(format!("{error:#}")))
}

/// Runs a future that waits for nobody: initialising calls no host function. A runtime of its own could not start inside another.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
