//! Puts the parts together: from a configuration to a listening node, and back down in order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use snaphook_api::{Api, ApiConfig, ApiParts, Programs, ProgramsParts, serve};
use snaphook_compile::{Compiler, CompilerConfig, Interpreter, prepare_interpreter};
use snaphook_egress::{Egress, EgressConfig, Vault};
use snaphook_flow::{FileSpace, Runner, RunnerConfig, RunnerParts, SystemClock};
use snaphook_sandbox::{InterpreterCode, Sandbox, SandboxConfig, Settings};
use snaphook_store::{DataDir, Store};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::agree;
use crate::config::Config;
use crate::database::{self, Opened};
use crate::objects;
use crate::otlp::{self, Traces};
use crate::problem::CliError;
use crate::progress;
use crate::rotate;
use crate::tls::TlsFiles;

/// A node that listens.
pub(crate) struct Node {
    url: String,
    settings: Settings,
    new_operator_token: Option<String>,
    database: String,
    place_of_objects: String,
    store: Arc<dyn Store>,
    _data_dir: Option<DataDir>,
    stopping: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
    requeue: JoinHandle<()>,
    traces: Option<Traces>,
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// When the data directory or the database cannot be used, the address is taken, or the machine has no place for the sandboxes.
    pub(crate) async fn start(config: Config) -> Result<Self, CliError> {
        let stopping = CancellationToken::new();
        snaphook_telemetry::metrics().build_info.set([env!("CARGO_PKG_VERSION")], 1);
        let traces = otlp::start(&config)?;
        let tls = match TlsFiles::named(config.tls_cert.as_deref(), config.tls_key.as_deref())? {
            Some(files) => Some(files.show(stopping.clone()).await?),
            None => None,
        };
        let Opened { store, shown: database, objects: place_of_objects, data_dir } = database::open(&config).await?;
        agree::objects(store.as_ref()).await?;
        // Asked for before anything is read: what changes from here on is heard of.
        let changes = store.changes();
        let interpreter = interpreter(&config.data_dir).await?;
        let sandbox = sandbox(&config, &interpreter)?;
        let settings = sandbox.settings();
        let (operator, new_operator_token) = agree::operator_token(store.as_ref(), config.operator_token.as_deref()).await?;
        let compiler = compiler(&config);
        let programs = Arc::new(Programs::new(ProgramsParts {
            store: Arc::clone(&store),
            compiler: compiler.clone(),
            sandbox: sandbox.clone(),
            interpreter: interpreter.name.clone(),
        }));
        let plain_callbacks_until = agree::plain_callbacks(&config, store.as_ref()).await?;
        let vault = Arc::new(agree::vault(&config, store.as_ref()).await?);
        let parts = RunnerParts {
            sandbox,
            egress: egress(&config, Arc::clone(&vault))?,
            store: Arc::clone(&store),
            programs: programs.clone(),
            files: Arc::new(file_space(&config)?),
            clock: Arc::new(SystemClock),
        };
        let listener = TcpListener::bind(config.listen).await;
        let listener = listener.map_err(|error| CliError::Start(format!("cannot listen on {}: {error}", config.listen)))?;
        let address = listener.local_addr().map_err(start_error)?;
        let url = format!("{}://{address}", if config.tls_cert.is_some() { "https" } else { "http" });
        let base = config.public_url.clone().unwrap_or_else(|| url.clone());
        let callback_url = format!("{base}/v1/callbacks");
        let runner = Runner::new(parts, RunnerConfig { callback_url, plain_callbacks_until, ..RunnerConfig::default() });
        let api = Api::new(
            ApiConfig {
                public_url: config.public_url.clone(),
                base_url: base.clone(),
                tls,
                body_memory_bytes: config.memory.request_bodies,
                ..ApiConfig::new(operator)
            },
            ApiParts { store: Arc::clone(&store), programs: Arc::clone(&programs), runner: runner.clone() },
        );
        tokio::spawn(api.clone().follow(changes));
        let definitions = api.definitions();
        let serving = tokio::spawn(serve(listener, api, stopping.clone().cancelled_owned()));
        let requeue = tokio::spawn(runner.requeue(definitions, stopping.clone()));
        tokio::spawn(rotate::follow(Arc::clone(&store), vault, stopping.clone()));
        tokio::spawn(refresh(programs, stopping.clone()));
        tokio::spawn(objects::sweep_always(Arc::clone(&store), stopping.clone()));
        tokio::spawn(async move { compiler.warm().await });
        Ok(Self {
            url,
            settings,
            new_operator_token,
            database,
            place_of_objects,
            store,
            _data_dir: data_dir,
            stopping,
            serving,
            requeue,
            traces,
        })
    }

    /// Where it listens, as a URL.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Which database it is on, for people; no password.
    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// Where components of scripts and large payloads lie, for people.
    pub(crate) fn place_of_objects(&self) -> &str {
        &self.place_of_objects
    }

    /// How the sandboxes are laid out.
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// The operator's token, if it was made at this start.
    pub(crate) fn new_operator_token(&self) -> Option<&str> {
        self.new_operator_token.as_deref()
    }

    /// Stops in order: no new connections, what is under way ends, the store writes what is queued.
    pub(crate) async fn stop(self) {
        self.stopping.cancel();
        if let Ok(Err(error)) = self.serving.await {
            tracing::error!(%error, "the listener broke");
        }
        if tokio::time::timeout(DRAIN, self.requeue).await.is_err() {
            tracing::warn!("queued runs under way did not end in time; they begin again at the next start");
        }
        if let Err(error) = self.store.close().await {
            tracing::error!(%error, "the store did not close in order");
        }
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
    }
}

/// How long queued runs may go on after a stop was asked for.
const DRAIN: Duration = Duration::from_secs(30);

/// Snapshotting and compiling the interpreter takes seconds, once for each build of ours; later starts read what was kept.
async fn interpreter(data_dir: &Path) -> Result<Interpreter, CliError> {
    let data_dir = data_dir.to_owned();
    let preparing = tokio::task::spawn_blocking(move || prepare_interpreter(&data_dir));
    let prepared = progress::while_longer("compiling the interpreter (at the first start only)", preparing).await;
    prepared.map_err(start_error)?.map_err(start_error)
}

fn sandbox(config: &Config, interpreter: &Interpreter) -> Result<Sandbox, CliError> {
    let code = InterpreterCode { name: interpreter.name.clone(), code: Arc::clone(&interpreter.code) };
    let sandbox = SandboxConfig {
        memory_budget_bytes: config.sandbox_memory_bytes,
        code_dir: code_dir(&config.data_dir),
        interpreter: Some(code),
        max_concurrent: None,
    };
    Sandbox::new(sandbox).map_err(start_error)
}

/// The way out, with the key of the secrets that the store keeps.
fn egress(config: &Config, vault: Arc<Vault>) -> Result<Egress, CliError> {
    let response_memory_bytes = config.response_memory_bytes;
    Egress::new(EgressConfig { response_memory_bytes, vault: Some(vault), ..EgressConfig::default() }).map_err(start_error)
}

/// Children run what this process runs, also when the file of that name is another build by now: the kernel's link follows the process.
fn compiler(config: &Config) -> Compiler {
    let itself = CompilerConfig::new("/proc/self/exe".into(), vec!["compile-child".into()], config.data_dir.clone());
    Compiler::new(config.memory.compiler(CompilerConfig { second_wall: config.second_wall, ..itself }))
}

/// Files of runs; what a killed process left there is removed, since this one has the data directory to itself.
fn file_space(config: &Config) -> Result<FileSpace, CliError> {
    let directory = config.data_dir.join("files");
    let opened = FileSpace::open(&directory, config.files_bytes);
    opened.map_err(|source| CliError::File { what: format!("cannot use {}", directory.display()), source })
}

/// Compiled code of programs, which can be made again at any time.
pub(crate) fn code_dir(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join("code")
}

/// After an upgrade, components of the earlier interpreter are made again before somebody waits for them; then compiled code that nobody
/// needs any more is removed.
async fn refresh(programs: Arc<Programs>, stopping: CancellationToken) {
    match stopping.run_until_cancelled(programs.refresh()).await {
        Some(Ok(0)) | None => {}
        Some(Ok(count)) => tracing::info!(count, "scripts were compiled again for this build's interpreter"),
        Some(Err(error)) => tracing::error!(%error, "scripts could not all be compiled again; each is when it is called"),
    }
    match stopping.run_until_cancelled(programs.sweep()).await {
        Some(Ok(0)) | None => {}
        Some(Ok(count)) => tracing::info!(count, "compiled code that no script needs any more was removed"),
        Some(Err(error)) => tracing::error!(%error, "the code directory was not swept; it is at the next start"),
    }
}

/// The error with its causes: the outermost often says only that something failed.
pub(crate) fn start_error(error: impl std::error::Error) -> CliError {
    CliError::Start(crate::problem::chain(&error))
}
