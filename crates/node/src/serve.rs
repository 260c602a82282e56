//! `snaphook serve`: a node until a signal says stop.

use snaphook_wall::InForce;
use tracing_subscriber::EnvFilter;

use crate::cli::ServeArgs;
use crate::colour;
use crate::config::{Config, LogFormat};
use crate::node::{Node, start_error};
use crate::problem::CliError;
use crate::wall;

/// What a node needs to know to start, in a process that has given up what a node does not need.
pub(crate) struct Prepared {
    config: Config,
    wall: InForce,
}

/// Everything that is done before there is more than one thread.
///
/// # Errors
/// When the configuration does not fit, or the wall is required and the kernel has not all of it.
pub(crate) fn prepare(args: &ServeArgs) -> Result<Prepared, CliError> {
    let config = Config::load(args)?;
    start_log(config.log_format, "info");
    raise_open_files();
    let wall = wall::raise(&config)?;
    Ok(Prepared { config, wall })
}

pub(crate) async fn run(Prepared { config, wall }: Prepared) -> Result<(), CliError> {
    survive_full_files();
    let data_dir = config.data_dir.clone();
    let (response_bytes, memory) = (config.response_memory_bytes, config.memory);
    let node = Node::start(config).await?;
    let settings = node.settings();
    println!("data      {}", data_dir.display());
    println!("database  {}", node.database());
    println!("objects   {}", node.place_of_objects());
    println!(
        "sandbox   {} invocations at once, {} MiB for their memories and {} MiB for their stacks, {} MiB for loaded programs, page scan {}",
        settings.slots,
        settings.pool_bytes >> 20,
        settings.stack_bytes >> 20,
        settings.program_bytes >> 20,
        if settings.pagemap_scan { "on" } else { "not offered by this kernel" },
    );
    println!("responses {} MiB for upstreams' bodies together, half of it for one tenant", response_bytes >> 20);
    println!("requests  {} MiB for their bodies together, half of it for one tenant", memory.request_bodies >> 20);
    println!("compiling {} at once, {} MiB for each", memory.children, memory.child >> 20);
    println!("wall      {wall}");
    if let Some(token) = node.new_operator_token() {
        println!("operator  {token}  (made now and shown this once; it manages tenants)");
    }
    let stop = stop_signal()?;
    println!("listening on {}", node.url());
    stop.await;
    let again = stop_signal()?;
    tracing::info!("stopping: what is under way ends first; a second signal ends at once");
    tokio::select! {
        () = node.stop() => Ok(()),
        () = again => Err(CliError::Start("ended at once; what was under way is lost".to_owned())),
    }
}

/// Connections, upstreams and compiled code need more files at once than the usual soft limit of 1,024.
pub(crate) fn raise_open_files() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) if files < 16_384 => {
            tracing::warn!(files, "the system allows few open files; raise the hard limit `nofile` for more connections")
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

/// A write past the limit of a file's size ends a process that does not say otherwise. With a handler it fails as on a full disk, and the store
/// says so. The handler stays when what gives it is dropped.
pub(crate) fn survive_full_files() {
    use tokio::signal::unix::{SignalKind, signal};
    /// As Linux numbers it on all processors that the node is built for.
    const SIGXFSZ: i32 = 25;
    if let Err(error) = signal(SignalKind::from_raw(SIGXFSZ)) {
        tracing::warn!(%error, "a limit of files' sizes that is reached will end the node");
    }
}

/// The node's own log goes to standard error; RUST_LOG says what of it, and without that everything from `level` up.
pub(crate) fn start_log(format: LogFormat, level: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colour::on_stderr()).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// Resolves on an interrupt or a request to terminate. Either is noticed from the call on, not only while somebody waits.
///
/// # Errors
/// When the system lets us have no handler.
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(start_error)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(start_error)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
