//! Commands that talk to a node: where it is, who asks, and what of it.

use std::path::PathBuf;

use super::Output;
use clap::{Args, Subcommand};

/// Where a node is, and who asks.
#[derive(Debug, Args, Clone)]
pub(crate) struct Target {
    /// Address of the node.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// Token of the tenant.
    #[arg(long, env = "SNAPHOOK_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: String,
}

/// Where a node is, for the operator.
#[derive(Debug, Args, Clone)]
pub(crate) struct OperatorTarget {
    /// Address of the node.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// The operator's token.
    #[arg(long, env = "SNAPHOOK_OPERATOR_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: String,
}

/// Values that differ from one place to the next.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct Overrides {
    /// Use another origin wherever a document names this one, such as https://api.example.com=http://127.0.0.1:9000; may be repeated.
    #[arg(long = "origin", value_name = "FROM=TO", value_parser = from_to)]
    pub(crate) origins: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// Folder with `scripts/`, `connectors/` and `flows/`, or one script file. A script `NAME.patchworks.js` is in that dialect.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// The exit code is 0 when every key was understood, 3 when some were left out.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The manifest: JSON or YAML, an object with `execute` or the list of requests itself.
    pub(crate) file: PathBuf,
    /// Name of the flow [default: the file's name without its ending].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Write the flow into `flows/` of this folder. A file that is there is not overwritten.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) write: Option<PathBuf>,
    /// Deploy the flow to a node.
    #[arg(long)]
    pub(crate) deploy: bool,
    /// Print everything as one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
    /// Address of the node, for `--deploy`.
    #[arg(long, env = "SNAPHOOK_URL", default_value = "http://127.0.0.1:7070", value_name = "URL")]
    pub(crate) url: String,
    /// Token of the tenant, for `--deploy`.
    #[arg(long, env = "SNAPHOOK_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// `connector/endpoint`, or a flow's name with `--flow`.
    pub(crate) name: String,
    /// JSON text, `@FILE`, or `-` for standard input.
    #[arg(default_value = "{}")]
    pub(crate) input: String,
    /// Start a flow; the input is its payload.
    #[arg(long)]
    pub(crate) flow: bool,
    /// Print the answer's body alone.
    #[arg(long, conflicts_with = "json")]
    pub(crate) quiet: bool,
    /// Print one JSON object with the answer's status and body, and the run's record.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Files of cases (.yaml, .yml, .json), or folders that have them in `tests/`. With --hook: a script, as `name` (its latest version) or
    /// `name@version`, and the sample input as JSON text, `@FILE`, or `-` for standard input: an object with `arguments`, `request`, `response`,
    /// `payload`, `parms` …
    #[arg(required = true, value_name = "FILE|FOLDER|SCRIPT INPUT")]
    pub(crate) what: Vec<String>,
    /// Run one hook, such as `pre-hook`, instead of files of cases.
    #[arg(long)]
    pub(crate) hook: Option<String>,
    /// Print what came of the cases as JSON; of one hook it is printed so in any case. The exit code is 0 when all are as expected, 3 when one is not.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) target: Target,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TenantCommand {
    /// Create a tenant or change its document.
    Put {
        name: String,
        /// The document as JSON text, `@FILE`, or `-` for standard input.
        #[arg(default_value = "{}")]
        document: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// List tenants.
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Show a tenant with the limits in force.
    Show {
        name: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: OperatorTarget,
    },
    /// Delete a tenant and everything it owns.
    Delete {
        name: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: OperatorTarget,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token; it is shown this once. With `--tenant` the operator's token is needed, else one of the tenant's with the scope `admin`.
    Create {
        /// For people, to tell tokens apart.
        name: String,
        /// deploy, invoke, read, callback or admin; separated by commas.
        #[arg(long, value_delimiter = ',', default_value = "admin")]
        scopes: Vec<String>,
        /// Seconds until it expires; without it, never.
        #[arg(long, value_name = "SECONDS")]
        expires_s: Option<u64>,
        /// The tenant, for the operator.
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: Target,
    },
    /// List the tenant's tokens.
    List {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: Target,
    },
    /// Delete a token; it is unknown from then on.
    Delete {
        id: String,
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        target: Target,
    },
}

fn from_to(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').ok_or("must be FROM=TO")?;
    Ok((from.trim_end_matches('/').to_owned(), to.trim_end_matches('/').to_owned()))
}
