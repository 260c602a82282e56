//! The command line: every command, flag and environment variable, with its default.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Serialize;

mod client;
mod examples;
mod records;
mod versions;

pub(crate) use client::{CallArgs, DeployArgs, ImportArgs, OperatorTarget, Overrides, TenantCommand, TestArgs, TokenCommand};
pub(crate) use examples::command;
#[cfg(test)]
pub(crate) use examples::{commands, of as examples_of};
pub(crate) use records::{AuditArgs, LogsArgs, ReplayArgs, RunArgs, RunsArgs};
pub(crate) use versions::{BindArgs, DiffArgs, PromoteArgs, ScriptAt};

use crate::colour::When;
use crate::exit;

/// Runs users' scripts around HTTP calls, each in a fresh WebAssembly sandbox.
#[derive(Debug, Parser)]
#[command(name = "snaphook", version, max_term_width = 110, after_help = exit::help())]
pub(crate) struct Cli {
    /// Whether to print in colours: always, never, or auto, which is on a terminal, unless NO_COLOR is set.
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = true)]
    pub(crate) color: When,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node.
    Serve(Box<ServeArgs>),
    /// Run everything on this machine for a folder of scripts, connectors and flows, and deploy it again when it changes.
    Dev(DevArgs),
    /// Upload a folder's scripts, connectors and flows to a node.
    Deploy(DeployArgs),
    /// Make a flow of a manifest of requests that was written for another product, and show what became of each of its keys.
    Import(ImportArgs),
    /// Call an endpoint or start a flow, and show what ran.
    Call(CallArgs),
    /// Run files of cases, or one hook of a script on sample input; nobody is called.
    Test(TestArgs),
    /// Run recorded invocations again, against the same or other versions of their scripts; nobody is called.
    Replay(ReplayArgs),
    /// List runs, the newest first.
    Runs(RunsArgs),
    /// Show what happened in a run: hooks and requests in order, with decision, fuel and time.
    Run(RunArgs),
    /// Show what scripts logged, and why they failed; with `-f` also what comes.
    Logs(LogsArgs),
    /// Compare two versions of a script, or a folder with what is deployed.
    Diff(DiffArgs),
    /// Put a version of a script to a hook of an endpoint, a connector, a step or a flow, or take a script off it.
    Bind(BindArgs),
    /// Replay recorded runs with a version of a script, and then bind it wherever an older one is bound.
    Promote(PromoteArgs),
    /// List the changes of the tenant, the newest first: who did what, and when (needs a token with the scope admin).
    Audit(AuditArgs),
    /// Manage tenants (needs the operator's token).
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Manage a tenant's tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Change the key under which secrets are sealed.
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Check a data directory, a database and this machine.
    Doctor(DoctorArgs),
    /// Ask a node whether it may be used, for what watches containers and services.
    Health(HealthArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(CompletionsArgs),
    /// Write the manual pages of all commands into a folder.
    Man(ManArgs),
    /// Compile one upload from standard input; the node starts this itself.
    #[command(hide = true)]
    CompileChild,
}

/// Flags of `serve`; each may stand in the environment or in the file of `--config` as well. Flags win over the environment, which wins over the file.
#[derive(Debug, Args, Serialize)]
pub(crate) struct ServeArgs {
    /// TOML file with the same keys, written with underscores.
    #[arg(long, env = "SNAPHOOK_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on [env: SNAPHOOK_LISTEN] [default: 127.0.0.1:7070].
    #[arg(long, value_name = "ADDRESS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listen: Option<String>,
    /// Where the outside world reaches this node, such as https://hooks.example.com [env: SNAPHOOK_PUBLIC_URL] [default: as each request says].
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// PEM file with this node's certificate and those that lead to its root; from then on it speaks HTTPS. The file is read again when it changes
    /// and on SIGHUP [env: SNAPHOOK_TLS_CERT] [default: HTTP without TLS].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key, without a password [env: SNAPHOOK_TLS_KEY].
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Whether the process gives up what it does not need, for good: files and ports that are not its own, system calls of administrators. `on` takes what
    /// the kernel has and says what it lacks, `require` does not start without all of it, `off` [env: SNAPHOOK_SECOND_WALL] [default: on].
    #[arg(long, value_name = "off|on|require")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) second_wall: Option<String>,
    /// Directory for the database, compiled code and keys [env: SNAPHOOK_DATA_DIR] [default: ./snaphook-data]. No two nodes share one.
    #[arg(long, value_name = "DIRECTORY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// PostgreSQL that several nodes share, such as postgres://USER:PASSWORD@HOST/DATABASE?sslmode=verify-full [env: SNAPHOOK_DATABASE_URL]
    /// [default: SQLite in the data directory]. In the environment, or in the file, the password is not among the machine's processes to see.
    #[arg(long = "database", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_url: Option<String>,
    /// Connections to PostgreSQL at most, from 2 on; those of all nodes together stay below its `max_connections`
    /// [env: SNAPHOOK_DATABASE_CONNECTIONS] [default: 16].
    #[arg(long, value_name = "NUMBER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_connections: Option<u32>,
    /// Where components of scripts and large payloads lie, the same place for all nodes on a database: file:///a/folder or s3://BUCKET/PREFIX, with what the
    /// storage asks for in AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_ALLOW_HTTP (`true` for
    /// http://) [env: SNAPHOOK_OBJECTS] [default: `objects` in the data directory; PostgreSQL itself with --database].
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) objects: Option<String>,
    /// Seconds after which other nodes go on with the runs of a node that does not answer any more, from 2 to 3600 [env: SNAPHOOK_LEASE_S] [default: 30].
    #[arg(long, value_name = "SECONDS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease_s: Option<u64>,
    /// File with the key of secrets, the same for all nodes on a database [env: SNAPHOOK_SECRETS_KEY_FILE] [default: `secrets.key` in the data directory,
    /// made at the first start]. SNAPHOOK_SECRETS_KEY may hold the key itself.
    #[arg(long, value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secrets_key_file: Option<PathBuf>,
    /// Token that manages tenants [env: SNAPHOOK_OPERATOR_TOKEN] [default: made and printed at the first start].
    #[arg(long, value_name = "TOKEN", hide_env_values = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator_token: Option<String>,
    /// Memory for sandboxes, in bytes [env: SNAPHOOK_SANDBOX_MEMORY_BYTES] [default: half of the machine's].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sandbox_memory_bytes: Option<u64>,
    /// Memory for the bodies of upstreams' responses, in bytes [env: SNAPHOOK_RESPONSE_MEMORY_BYTES] [default: an eighth of the machine's].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_memory_bytes: Option<u64>,
    /// Disk for the files of runs, in bytes; one tenant's runs get a quarter of it [env: SNAPHOOK_FILES_BYTES] [default: 4294967296].
    #[arg(long, value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files_bytes: Option<u64>,
    /// Format of the node's own log: `text` or `json` [env: SNAPHOOK_LOG_FORMAT] [default: text]. What is logged: RUST_LOG.
    #[arg(long, value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log_format: Option<String>,
    /// Collector that spans are brought to, by OTLP over HTTP, such as http://127.0.0.1:4318 [env: SNAPHOOK_OTLP_ENDPOINT] [default: no spans].
    /// OTEL_EXPORTER_OTLP_ENDPOINT is read as well, and OTEL_EXPORTER_OTLP_HEADERS may hold headers for it, such as a token.
    #[arg(long, value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_endpoint: Option<String>,
    /// How many of the traces that begin here are recorded, from 0 to 1; those of callers are as they say [env: SNAPHOOK_OTLP_RATIO] [default: 1.0].
    #[arg(long, value_name = "RATIO")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_ratio: Option<f64>,
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Folder with `scripts/`, `connectors/` and `flows/`.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:7070", value_name = "ADDRESS")]
    pub(crate) listen: String,
    /// Directory for the database, compiled code and keys [default: `.snaphook` in the folder].
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Seal everything anew under a new key: with SQLite while the node is stopped; with PostgreSQL beside the nodes that run. Broken off, it is given again.
    Rotate(RotateArgs),
}

/// Where nodes keep what is durable, for commands that look there themselves.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// Data directory of the node.
    #[arg(long, env = "SNAPHOOK_DATA_DIR", default_value = "./snaphook-data", value_name = "DIRECTORY")]
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL, where the nodes are on one.
    #[arg(long, env = "SNAPHOOK_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// The file with the key of secrets that is in force, where it is not `secrets.key` in the data directory.
    #[arg(long, env = "SNAPHOOK_SECRETS_KEY_FILE", value_name = "FILE")]
    pub(crate) secrets_key_file: Option<PathBuf>,
}

/// Flags of `secrets rotate`. The key that is in force is given as for `serve`, also as SNAPHOOK_SECRETS_KEY.
#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The file with the new key, made where there is none [default: the other's name with `.new` behind it].
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key_file: Option<PathBuf>,
    /// With the new key in force on every node: take the old one away for good.
    #[arg(long)]
    pub(crate) finish: bool,
}

/// How a command prints what it found.
#[derive(Debug, Args, Clone, Copy)]
pub(crate) struct Output {
    /// Print JSON in the place of text.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// Address of the node.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Where they go; made where it does not exist.
    #[arg(default_value = "man")]
    pub(crate) folder: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The place of objects to check as well, as for `serve`: whether one can be written, read and deleted there, and whether it is the database's.
    #[arg(long, env = "SNAPHOOK_OBJECTS", value_name = "URL")]
    pub(crate) objects: Option<String>,
    /// The certificate to check as well: whether it can be read, is the key's, and how long it is good.
    #[arg(long, env = "SNAPHOOK_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, env = "SNAPHOOK_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[cfg(test)]
mod tests {
    #[test]
    fn definitions_are_consistent() {
        super::command().debug_assert();
    }
}
