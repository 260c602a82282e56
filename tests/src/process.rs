//! Starting and ending the processes of nodes.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::node::OPERATOR;

/// The first start compiles the interpreter; on a loaded machine that takes a while.
const START: Duration = Duration::from_secs(120);

/// Below those that Linux gives to whoever asks for any (`ip_local_port_range`, from 32768), above those of well-known services.
const FIXED_PORTS: Range<u16> = 20_000..30_000;

/// What differs from one node to the next.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The URL of a database; without, SQLite in the data directory.
    pub database: Option<String>,
    /// An address to listen on; without, a free port.
    pub listen: Option<String>,
    /// The operator's token; without, the node makes one.
    pub operator: Option<String>,
    /// Further flags.
    pub arguments: Vec<String>,
    /// The environment beside what the test itself has.
    pub environment: Vec<(String, String)>,
    /// No file may grow past so many bytes, as on a full disk.
    pub file_limit: Option<u64>,
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            database: None,
            listen: None,
            operator: Some(OPERATOR.to_owned()),
            arguments: Vec::new(),
            environment: Vec::new(),
            file_limit: None,
        }
    }
}

impl NodeOptions {
    /// A node on a database, beside others. A lease is as short as a busy machine allows, so that a test need not wait long for one to end.
    #[must_use]
    pub fn on(database: impl Into<String>) -> Self {
        let arguments = ["--lease-s", "4", "--database-connections", "8"].map(str::to_owned).to_vec();
        Self { database: Some(database.into()), arguments, ..Self::default() }
    }

    /// The same on an address that stays the same when the node is started again.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn at_a_fixed_address(mut self) -> Self {
        self.listen = Some(fixed_address().to_string());
        self
    }

    /// Whether its database is not in its data directory.
    pub(crate) fn is_shared(&self) -> bool {
        self.database.is_some() || self.environment.iter().any(|(name, _)| name == "SNAPHOOK_DATABASE_URL")
    }

    /// The same with another flag, or another value of one.
    #[must_use]
    pub fn with(mut self, flag: &str, value: &str) -> Self {
        match self.arguments.iter().position(|argument| argument == flag) {
            Some(at) => value.clone_into(&mut self.arguments[at + 1]),
            None => self.arguments.extend([flag.to_owned(), value.to_owned()]),
        }
        self
    }

    /// The command that starts such a node. The process must not outlive the tests, also when they are killed: `setpriv` has the kernel end it
    /// together with the thread that started it.
    #[must_use]
    pub fn command(&self, binary: &Path, data_dir: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(bytes) = self.file_limit {
            command.args(["prlimit".to_owned(), format!("--fsize={bytes}:unlimited")]);
        }
        command.arg(binary);
        command.args(["serve", "--listen", self.listen.as_deref().unwrap_or("127.0.0.1:0")]);
        if let Some(token) = &self.operator {
            command.args(["--operator-token", token]);
        }
        command.args(["--sandbox-memory-bytes", "2147483648", "--data-dir"]).arg(data_dir);
        if let Some(database) = &self.database {
            command.args(["--database", database]);
        }
        // What goes wrong is of interest to a test, what goes right is not.
        command.args(&self.arguments).env("RUST_LOG", "warn").envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// An address on loopback for who listens later. Its port is none of those that the kernel gives away by itself: until somebody listens, whoever
/// connects somewhere, to this very port even, may else be given it as his own.
///
/// # Panics
/// When there is no free port.
pub(crate) fn fixed_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(FIXED_PORTS.end - FIXED_PORTS.start);
    // Processes of tests that run side by side begin at different ones.
    let first = std::process::id();
    let next = || first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % count;
    let tries = std::iter::repeat_with(|| FIXED_PORTS.start + u16::try_from(next()).expect("it is below the count"));
    let mut tries = tries.take(FIXED_PORTS.len()).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    tries.find(|address| TcpListener::bind(address).is_ok()).expect("loopback has a free port")
}

/// A process that listens.
pub(crate) struct Started {
    pub(crate) child: Child,
    pub(crate) url: String,
    /// What it said by then.
    pub(crate) printed: String,
}

/// Starts the process and waits for the line that says where it listens. The thread that started it lives as long as we do.
pub(crate) fn spawn(mut command: Command) -> Started {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let stdout = child.stdout.take().expect("it was piped");
        let mut child = Some(child);
        let mut printed = String::new();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            printed += &line;
            printed.push('\n');
            if let Some(url) = line.split("listening on ").nth(1)
                && let Some(child) = child.take()
            {
                drop(send.send(Ok(Started { child, url: url.trim().to_owned(), printed: printed.clone() })));
            }
        }
        if child.is_some() {
            drop(send.send(Err(printed)));
        }
        loop {
            std::thread::park();
        }
    });
    match receive.recv_timeout(START) {
        Ok(Ok(started)) => started,
        Ok(Err(printed)) => panic!("the node ended before it listened:\n{printed}"),
        Err(_) => panic!("the node did not listen within {} s", START.as_secs()),
    }
}

/// Asks a process to end in order, as an operator's `kill` does.
pub(crate) fn terminate(child: &Child) {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "the process is ours");
}

/// Copies the files of a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("our own directory");
    for entry in std::fs::read_dir(from).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if path.is_file() {
            std::fs::copy(&path, to.join(entry.file_name())).expect("our own directory");
        }
    }
}
