//! A PostgreSQL cluster of the tests' own, in a temporary directory: made when the first test asks, gone when the process is, however that ends.
//!
//! It is not for data: it never waits for the disk. A shell stands by with the other end of a pipe, and stops the server and removes the directory when
//! the pipe closes, so that a killed test leaves nothing behind either.

use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::link::Link;

/// What to do where there is none.
const INSTALL: &str = "the tests need PostgreSQL 13 or later: apt-get install postgresql";

/// A user whom the server lets in with [`PASSWORD`] only; everybody else comes in without.
pub const PASSWORD_USER: &str = "with_password";

/// The password of [`PASSWORD_USER`].
pub const PASSWORD: &str = "s3cret-of-the-tests";

/// Nothing is kept past the test, so nothing waits for the disk. What was committed survives [`Cluster::halt`] all the same, in the system's memory.
const SETTINGS: &str = "fsync = off\nfull_page_writes = off\nmax_connections = 300\nshared_buffers = 32MB\n\
    listen_addresses = '127.0.0.1'\nlog_min_messages = warning\n";

/// Who comes in how: first match counts.
const ACCESS: &str = "host all with_password 127.0.0.1/32 scram-sha-256\nlocal all all trust\nhost all all 127.0.0.1/32 trust\n";

/// A running cluster. Stopped and removed when it is dropped, or when the process ends.
#[derive(Debug)]
pub struct Cluster {
    binaries: PathBuf,
    directory: PathBuf,
    port: u16,
    run_as: Option<(u32, u32)>,
    databases: AtomicU32,
    guard: Child,
}

impl Cluster {
    /// The cluster that all tests of this process share. Each of them makes a database of its own in it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the command that does it, and when it cannot be started.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A cluster for one test that stops it in between. Takes about two seconds.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    #[must_use]
    pub fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let binaries = binaries();
        let run_as = unprivileged();
        let name = format!("snaphook-postgres-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).expect("the directory of temporary files takes another");
        if let Some((user, group)) = run_as {
            chown(&directory, Some(user), Some(group)).expect("root may give directories away");
        }
        let guard = guard(&binaries, &directory, run_as);
        let cluster = Self { binaries, directory, port: free_port(), run_as, databases: AtomicU32::new(0), guard };
        let data = cluster.data();
        cluster.run("initdb", &["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "-D", &data]);
        append(
            &cluster.directory.join("data/postgresql.conf"),
            &format!("{SETTINGS}unix_socket_directories = '{}'\n", cluster.directory.display()),
        );
        fs::write(cluster.directory.join("data/pg_hba.conf"), ACCESS).expect("the cluster was just made");
        cluster.resume();
        cluster.sql("postgres", &format!("CREATE ROLE {PASSWORD_USER} LOGIN PASSWORD '{PASSWORD}'"));
        cluster
    }

    /// Makes an empty database and gives its URL, for the cluster's superuser and without a password.
    pub fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        self.url("postgres", &name)
    }

    /// The URL of a database for a user, whether there are such or not. The user may be `name:password`.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// The same URL by way of a link to this server.
    #[must_use]
    pub fn through(&self, url: &str, link: &Link) -> String {
        url.replace(&format!("127.0.0.1:{}", self.port), &link.address().to_string())
    }

    /// The same URL by way of the server's socket in the file system.
    #[must_use]
    pub fn over_socket(&self, url: &str) -> String {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        url.replace(&format!("127.0.0.1:{}", self.port), &format!("{directory}:{}", self.port))
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where it listens, on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs a statement in a database, as the superuser, and gives what `psql` prints of it.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let (port, socket) = (self.port.to_string(), self.directory.display().to_string());
        self.run(
            "psql",
            &[
                "-h",
                &socket,
                "-p",
                &port,
                "-U",
                "postgres",
                "-d",
                database,
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-c",
                statement,
            ],
        )
    }

    /// Stops the server as a crash would: connections break, nothing is said to them.
    pub fn halt(&self) {
        self.run("pg_ctl", &["stop", "-D", &self.data(), "-m", "immediate", "-w"]);
    }

    /// Starts it after [`Cluster::halt`], where it was before.
    pub fn resume(&self) {
        let (log, port) = (self.directory.join("log").display().to_string(), format!("-p {}", self.port));
        self.run("pg_ctl", &["start", "-D", &self.data(), "-l", &log, "-o", &port, "-w", "-t", "60", "-s"]);
    }

    fn data(&self) -> String {
        self.directory.join("data").display().to_string()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = command(&self.binaries, program, &self.directory, self.run_as);
        // A server that stays must not hold the pipes that its starter is read through.
        let starts = arguments.first() == Some(&"start");
        let output = if starts {
            let status = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
            status.map(|status| process::Output {
                status,
                stdout: Vec::new(),
                stderr: fs::read(self.directory.join("log")).unwrap_or_default(),
            })
        } else {
            command.args(arguments).stdin(Stdio::null()).output()
        };
        let output = output.unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The guard does the rest.
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// Waits until this process lets go of the pipe, then stops the server and removes the directory. In a group of its own, so that the terminal's
/// Ctrl-C does not end it before its work is done.
fn guard(binaries: &Path, directory: &Path, run_as: Option<(u32, u32)>) -> Child {
    const SCRIPT: &str = "cat > /dev/null; \"$1/pg_ctl\" stop -D \"$2/data\" -m immediate -w > /dev/null 2>&1; rm -rf \"$2\"";
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SCRIPT, "guard"]).arg(binaries).arg(directory).current_dir("/");
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    if let Some((user, group)) = run_as {
        shell.uid(user).gid(group);
    }
    shell.spawn().expect("there is a shell")
}

fn command(binaries: &Path, program: &str, directory: &Path, run_as: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(binaries.join(program));
    command.current_dir(directory).env("LC_ALL", "C").env_remove("PGDATA").env_remove("PGOPTIONS");
    if let Some((user, group)) = run_as {
        command.uid(user).gid(group);
    }
    command
}

/// The folder with the server's programs: of `PATH`, or the newest where Debian puts them.
fn binaries() -> PathBuf {
    let found = Command::new("/bin/sh").args(["-c", "command -v initdb"]).output().expect("there is a shell");
    // A link on the path may stand there alone, without the other programs.
    let program = fs::canonicalize(String::from_utf8_lossy(&found.stdout).trim()).ok();
    let in_path = program.as_deref().and_then(Path::parent).filter(|folder| folder.join("pg_ctl").is_file()).map(Path::to_owned);
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let newest = || {
        let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|entry| entry.path());
        installed.filter(|folder| folder.join("bin/initdb").is_file()).max_by_key(version).map(|folder| folder.join("bin"))
    };
    in_path.or_else(newest).unwrap_or_else(|| panic!("{INSTALL}"))
}

/// The server refuses to run as root. Then, and only then: user and group of somebody else.
fn unprivileged() -> Option<(u32, u32)> {
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let find = |name: &str| {
        let mut fields = users.lines().map(|line| line.split(':')).find(|line| line.clone().next() == Some(name))?.skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("there is a user `postgres` or `nobody`"))
}

fn free_port() -> u16 {
    // Somebody else may take it before the server does; the start then fails and says so.
    TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback has a free port").port()
}

fn append(file: &Path, text: &str) {
    let opened = fs::OpenOptions::new().append(true).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).expect("the cluster was just made");
}
