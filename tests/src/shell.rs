//! A reader's terminals: a shell in a folder of its own, whose variables last from one block of a page to the next, and commands beside it that go on.
//!
//! `snaphook` is on its path. Nobody else may have the port that a node takes by default, so the page's node takes another one, and so do all
//! addresses in its blocks.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use tempfile::TempDir;

use crate::pages::shows;
use crate::process::{copy, fixed_address};

/// A command that prints nothing for so long, or does not end, has hung; a node's start on a busy machine takes a part of it.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the pages say for an address of a node.
pub const NODE_IN_PAGES: &str = "127.0.0.1:7070";

/// Runs a block and tells how its first failing command ended, if one failed.
const PROLOGUE: &str = r#"set -E -o pipefail
block() {
  failed=0
  trap 'code=$?; [ $failed -ne 0 ] || failed=$code' ERR
  . "$1" > "$1.out" 2>&1 < /dev/null
  trap - ERR
  echo "ended $failed"
}
"#;

/// The terminals of one page.
pub struct Shell {
    folder: TempDir,
    /// In place of [`NODE_IN_PAGES`].
    address: String,
    shell: Child,
    commands: ChildStdin,
    endings: Receiver<String>,
    /// How many blocks ran.
    blocks: usize,
    /// What goes on in other terminals.
    beside: Vec<Child>,
}

impl Shell {
    /// A shell in an empty folder with this in its environment and nothing else of Snaphook's. A node that is started there finds the interpreter
    /// that the warm data directory has.
    ///
    /// # Panics
    /// When there is no `bash`.
    #[must_use]
    pub fn start(binary: &Path, warm: &Path, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory can be made");
        let port = fixed_address();
        let tools = folder.path().join(".tools");
        std::fs::create_dir(&tools).expect("our own directory");
        std::fs::write(tools.join("prologue"), PROLOGUE).expect("our own directory");
        write_command(&tools, binary, &port.to_string());
        let data = folder.path().join("snaphook-data");
        std::fs::DirBuilder::new().mode(0o700).create(&data).expect("our own directory");
        copy(&warm.join("interpreter"), &data.join("interpreter"));
        let mut command = bash(folder.path(), &port.to_string());
        let mut shell =
            command.args(["--norc", "-s"]).envs(environment.iter().copied()).stdin(Stdio::piped()).spawn().expect("there is bash");
        let commands = shell.stdin.take().expect("it was piped");
        let endings = lines(&mut shell);
        let mut shell = Self { folder, address: port.to_string(), shell, commands, endings, blocks: 0, beside: Vec::new() };
        shell.tell(". .tools/prologue");
        shell
    }

    /// Where the page's files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A page's text with the address that the page's own node has here.
    #[must_use]
    pub fn here(&self, text: &str) -> String {
        text.replace(NODE_IN_PAGES, &self.address)
    }

    /// Runs commands to their end: 0 or how the first that failed ended, and what they printed.
    ///
    /// # Panics
    /// When they do not end.
    pub fn run(&mut self, text: &str) -> (u8, String) {
        self.blocks += 1;
        let file = self.folder.path().join(format!(".tools/block-{}", self.blocks));
        std::fs::write(&file, self.here(text)).expect("our own directory");
        self.tell(&format!("block '{}'", file.display()));
        let printed = || std::fs::read_to_string(format!("{}.out", file.display())).unwrap_or_default();
        let ending =
            self.endings.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("the commands do not end ({error}):\n{text}\n{}", printed()));
        let code = ending.strip_prefix("ended ").and_then(|code| code.parse().ok());
        (code.unwrap_or_else(|| panic!("the shell says `{ending}`")), printed())
    }

    /// Starts a command in a terminal of its own, waits until it has printed this, and gives what it has printed. Variables that it tells the reader
    /// to export are there in the shell from then on.
    ///
    /// # Panics
    /// When it ends, or prints something else.
    pub fn beside(&mut self, text: &str, expected: &str) -> String {
        let mut child = bash(self.folder.path(), &self.address).args(["-c", &format!("exec 2>&1; {text}")]).spawn().expect("there is bash");
        let printing = lines(&mut child);
        self.beside.push(child);
        let (expected, mut printed) = (self.here(expected), String::new());
        while !shows(&expected, &printed) {
            let line = printing
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("{error}; `{text}` has printed\n{printed}\nand not\n{expected}"));
            printed += &line;
            printed.push('\n');
        }
        for export in printed.lines().filter_map(|line| line.find("export ").map(|at| &line[at..])) {
            assert_eq!(self.run(export).0, 0, "{export}");
        }
        printed
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.commands, "{line}").expect("the shell is there");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for child in self.beside.iter_mut().chain([&mut self.shell]) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A shell that ends with the thread that starts it. Of the variables that a node or a command would read, it has none but the address.
fn bash(folder: &Path, address: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "bash"]).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("SNAPHOOK_")) {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.join(".tools").display())).env("NO_COLOR", "1").env("RUST_LOG", "warn");
    command.env("SNAPHOOK_LISTEN", address);
    command
}

/// `snaphook` as a reader has it. `dev` takes its address from a flag alone, and both of them their data from the folder that is warm.
fn write_command(tools: &Path, binary: &Path, address: &str) {
    let exec = format!("exec setpriv --pdeathsig KILL '{}'", binary.display());
    let dev = format!("dev) shift; {exec} dev --listen {address} --data-dir ./snaphook-data \"$@\";;");
    let text = format!("#!/bin/sh\ncase $1 in\n{dev}\n*) {exec} \"$@\";;\nesac\n");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o700)
        .open(tools.join("snaphook"))
        .expect("our own directory");
    file.write_all(text.as_bytes()).expect("our own directory");
}

/// What a process prints, line by line. It is read to the end also when nobody listens, so that the process never waits for that.
fn lines(child: &mut Child) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().expect("it was piped"));
    std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(send.send(line))));
    receive
}
