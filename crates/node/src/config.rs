//! Configuration of a node: defaults, then the file of `--config`, then the environment, then flags.

mod file;
mod memory;
pub(crate) mod settings;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::Figment;
use figment::providers::{Env, Serialized};
use serde::{Deserialize, Serialize};
use snaphook_wall::Mode;

use self::file::ConfigFile;
use self::memory::{Given, Rest};
use crate::cli::ServeArgs;
use crate::problem::CliError;
use crate::tls::TlsFiles;

/// What a node needs to know to start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Address to listen on; port 0 takes a free one, which is printed.
    pub(crate) listen: SocketAddr,
    /// Begins the addresses by which the outside world knows this node, without a slash at the end. Absent: they begin as a request says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// PEM with this node's certificate and those that lead to its root. Absent: HTTP without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM with its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Whether the process gives up what it does not need, and its children likewise.
    pub(crate) second_wall: Mode,
    /// Holds the database, compiled code and keys; made with mode 0700.
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL that several nodes share, with its password. Absent: SQLite in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_url: Option<String>,
    /// Where components of scripts and large payloads lie: `file:///a/folder` or `s3://bucket/prefix`. Absent: a folder of the data directory beside SQLite,
    /// and PostgreSQL itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<String>,
    /// Connections to it at most.
    pub(crate) database_connections: u32,
    /// How long a run stays this node's when it does not answer any more. The default is long enough for a pause of a virtual machine, and short
    /// enough that nobody is called for a run that stands still.
    pub(crate) lease_s: u64,
    /// The key of secrets as 64 hexadecimal digits, instead of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secrets_key: Option<String>,
    /// The file with it. Absent: `secrets.key` in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secrets_key_file: Option<PathBuf>,
    /// Absent: the one made at the first start stays good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator_token: Option<String>,
    /// Memory that sandboxes may take together.
    pub(crate) sandbox_memory_bytes: u64,
    /// Memory that the bodies of upstreams' responses may take together.
    pub(crate) response_memory_bytes: u64,
    /// What the two leave to others.
    #[serde(skip)]
    pub(crate) memory: Rest,
    /// Disk that the files of all runs may take together; one tenant's a quarter of it.
    pub(crate) files_bytes: u64,
    pub(crate) log_format: LogFormat,
    /// The collector that spans are brought to, such as http://127.0.0.1:4318. Absent: nobody is told of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_endpoint: Option<String>,
    /// Of the traces that begin here so many are recorded, from 0 to 1.
    pub(crate) otlp_ratio: f64,
}

/// How the node's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Text,
    Json,
}

impl Config {
    /// Puts the sources together.
    ///
    /// # Errors
    /// When a value does not fit or a key is unknown; the message names it and the source it came from, and the place in the file.
    pub(crate) fn load(args: &ServeArgs) -> Result<Self, CliError> {
        let keys = settings::keys();
        let mut figment = Figment::from(Serialized::defaults(Self::defaults(PathBuf::from("./snaphook-data"))));
        let file = args.config.as_deref().map(|file| ConfigFile::read(file, &keys)).transpose()?;
        if let Some(file) = &file {
            figment = figment.merge(file);
        }
        // Every program that sends spans knows this one; what is said to this program alone stands over it.
        figment = figment.merge(Env::prefixed("OTEL_EXPORTER_").only(&["otlp_endpoint"]));
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        figment = figment.merge(Env::prefixed("SNAPHOOK_").only(&names)).merge(Serialized::defaults(args));
        let mut config: Self = figment.extract().map_err(|error| refused(&error, file.as_ref()))?;
        // An environment variable that is set to nothing names no place.
        config.objects = config.objects.filter(|place| !place.trim().is_empty());
        config.otlp_endpoint = config.otlp_endpoint.filter(|endpoint| !endpoint.trim().is_empty());
        for file in [&mut config.tls_cert, &mut config.tls_key] {
            *file = file.take().filter(|file| !file.as_os_str().is_empty());
        }
        TlsFiles::named(config.tls_cert.as_deref(), config.tls_key.as_deref())?;
        config.public_url = config.public_url.as_deref().map(public_url).transpose()?;
        let within = |what: &str, value: u64, range: std::ops::RangeInclusive<u64>| match range.contains(&value) {
            true => Ok(()),
            false => Err(CliError::Usage(format!("configuration: {what} is {value}; it is {} to {}", range.start(), range.end()))),
        };
        if !(0.0..=1.0).contains(&config.otlp_ratio) {
            return Err(CliError::Usage(format!("configuration: otlp_ratio is {}; it is 0 to 1", config.otlp_ratio)));
        }
        within("lease_s", config.lease_s, 2..=3600)?;
        within("database_connections", config.database_connections.into(), 2..=10_000)?;
        config.memory = rest(config.sandbox_memory_bytes, config.response_memory_bytes, machine_memory_bytes());
        Ok(config)
    }

    /// What holds without a file, environment or flags.
    pub(crate) fn defaults(data_dir: PathBuf) -> Self {
        let machine = machine_memory_bytes();
        let given = Given::of(machine);
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7070)),
            public_url: None,
            tls_cert: None,
            tls_key: None,
            second_wall: Mode::On,
            data_dir,
            database_url: None,
            database_connections: 16,
            objects: None,
            lease_s: 30,
            secrets_key: None,
            secrets_key_file: None,
            operator_token: None,
            sandbox_memory_bytes: given.sandboxes,
            response_memory_bytes: given.responses,
            memory: rest(given.sandboxes, given.responses, machine),
            // Sixty-four runs that save as much as the default limits let them; few machines have less disk to spare.
            files_bytes: 4 << 30,
            log_format: LogFormat::Text,
            otlp_endpoint: None,
            otlp_ratio: 1.0,
        }
    }
}

/// A value that does not fit, at its place in the file where it came from there.
fn refused(error: &figment::Error, file: Option<&ConfigFile>) -> CliError {
    let key = error.path.join(".");
    if let Some(file) = file.filter(|file| error.metadata.as_ref().is_some_and(|metadata| file.is_source(metadata))) {
        return file.problem_with(&key, error.kind.to_string());
    }
    let is_of_environment = error.metadata.as_ref().is_some_and(|metadata| metadata.name.contains("environment"));
    let source = if is_of_environment { format!("SNAPHOOK_{}", key.to_ascii_uppercase()) } else { key };
    CliError::Usage(format!("configuration: {source}: {}", error.kind))
}

/// An address as it is put before paths.
fn public_url(text: &str) -> Result<String, CliError> {
    let url = text.parse::<http::Uri>().ok().filter(|url| matches!(url.scheme_str(), Some("http" | "https")) && url.query().is_none());
    if url.is_none() {
        return Err(CliError::Usage(format!("configuration: `{text}` is no public URL; write one such as https://hooks.example.com")));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// What is left to those for whom there is no setting.
fn rest(sandboxes: u64, responses: u64, machine: Option<u64>) -> Rest {
    let children = std::thread::available_parallelism().map_or(2, std::num::NonZeroUsize::get).max(2) + 1;
    Given { sandboxes, responses }.rest(machine, children)
}

/// Memory of the machine, or of the control group when that is less.
fn machine_memory_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total: u64 = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().trim_end_matches(" kB").parse().ok()?;
    let group = std::fs::read_to_string(Path::new("/sys/fs/cgroup/memory.max")).ok().and_then(|text| text.trim().parse::<u64>().ok());
    Some(group.map_or(total << 10, |group| group.min(total << 10)))
}
