//! What holds is tried out by processes of their own, since nothing of it can be taken back: such a test starts
//! its own binary again, for itself alone.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Allowed, InForce, Mode, close, confine, offered};

/// Says to a process that it is the one that is tried out. As the name of tests to leave out, it means nothing else.
const ALONE: &str = "in-a-process-of-its-own";

/// Whether this is the process that is tried out. Where it is not, the test of this name is run in one of its own, in which it must not fail.
fn alone(name: &str) -> bool {
    if std::env::args().any(|argument| argument == ALONE) {
        return true;
    }
    if complete() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", &format!("tests::{name}"), "--nocapture", "--test-threads=1", "--skip", ALONE]);
        let output = again.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }
    false
}

/// Whether this kernel has everything; where it has not, there is less to try out, and the test says so.
fn complete() -> bool {
    let offered = offered();
    if !offered.missing.is_empty() {
        eprintln!("skipped: this kernel lacks {}", offered.missing.join("; "));
    }
    offered.missing.is_empty()
}

/// Whether the kernel said no, and not that there is no such thing.
fn refused<T>(outcome: std::io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

fn allowed(data: &Path) -> Allowed {
    let own = std::env::current_exe().unwrap();
    let run = ["/lib", "/lib64", "/usr/lib"].map(PathBuf::from).into_iter().chain([own]).collect();
    Allowed {
        read: vec!["/etc/hosts".into(), "/proc".into()],
        write: vec![data.to_owned(), "/dev/null".into()],
        run,
        listen: vec![0],
        local_servers: false,
    }
}

#[test]
fn a_node_reaches_what_is_its_own_and_nothing_else() {
    if !alone("a_node_reaches_what_is_its_own_and_nothing_else") {
        return;
    }
    let data = tempfile::tempdir().unwrap().keep();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(fs::read("/etc/passwd").is_ok());
    let before_rights = fs::metadata("/etc/hosts").unwrap().permissions();
    let socket = data.join("socket");
    let _server = UnixListener::bind(&socket).unwrap();
    let in_force = confine(Mode::Require, &allowed(&data)).unwrap();
    assert_eq!(in_force.missing, Vec::<String>::new());
    assert_eq!(in_force.stands.len(), 5, "{in_force}");
    // Its own.
    fs::create_dir(data.join("below")).unwrap();
    fs::write(data.join("below/a"), "a").unwrap();
    fs::rename(data.join("below/a"), data.join("b")).unwrap();
    assert_eq!(fs::read_to_string(data.join("b")).unwrap(), "a");
    fs::remove_file(data.join("b")).unwrap();
    assert!(fs::read("/etc/hosts").is_ok());
    assert!(TcpListener::bind("127.0.0.1:0").is_ok());
    assert!(TcpStream::connect(elsewhere.local_addr().unwrap()).is_ok());
    assert!(UdpSocket::bind("127.0.0.1:0").is_ok());
    std::thread::spawn(|| ()).join().unwrap();
    let itself = Command::new("/proc/self/exe").arg("--list").output().unwrap();
    assert!(itself.status.success());
    // Not its own, be it of its user or not.
    for path in ["/etc/passwd", "/etc/shadow", "/root/.bashrc", "/etc/ssl/private/key.pem"] {
        assert!(File::open(path).is_err(), "{path} can be read");
    }
    assert!(fs::write("/tmp/snaphook-wall-test", "").is_err());
    assert!(fs::write("/etc/hosts", "").is_err());
    assert!(fs::read_dir("/").is_err());
    assert!(Command::new("/bin/sh").args(["-c", "true"]).status().is_err());
    assert!(refused(fs::set_permissions("/etc/hosts", before_rights)));
    assert!(refused(UnixStream::connect(&socket)) && UnixStream::pair().is_ok());
    assert!(refused(TcpListener::bind(elsewhere.local_addr().unwrap())));
    fs::remove_dir_all(&data).unwrap_or_default();
    for (what, call) in [("a namespace", ["unshare", "-U", "true"]), ("another root", ["chroot", "/", "true"])] {
        assert!(Command::new(call[0]).args(&call[1..]).status().is_err(), "{what}");
    }
}

#[test]
fn a_closed_process_reaches_nothing() {
    if !alone("a_closed_process_reaches_nothing") {
        return;
    }
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = elsewhere.local_addr().unwrap();
    // Under a node's wall, as the child of a node is.
    confine(Mode::Require, &Allowed { read: vec!["/".into()], ..allowed(Path::new("/tmp")) }).unwrap();
    assert!(File::open("/etc/passwd").is_ok());
    let in_force = close(Mode::Require).unwrap();
    assert_eq!(in_force.missing, Vec::<String>::new());
    for path in ["/etc/passwd", "/etc/hosts", "/proc/self/status", "/dev/null"] {
        assert!(File::open(path).is_err(), "{path} can be opened");
    }
    assert!(File::create("/tmp/snaphook-wall-test").is_err());
    assert!(fs::metadata("/etc/passwd").is_err());
    assert!(fs::read_dir("/tmp").is_err());
    assert!(TcpStream::connect(address).is_err());
    assert!(TcpListener::bind("127.0.0.1:0").is_err());
    assert!(UdpSocket::bind("127.0.0.1:0").is_err());
    assert!(UnixStream::pair().is_err());
    assert!(Command::new("/proc/self/exe").arg("--list").status().is_err());
    assert!(UnixStream::connect("/run/nobody").is_err());
    // What it was closed for.
    assert_eq!(std::thread::spawn(|| vec![1_u8; 1 << 20].len()).join().unwrap(), 1 << 20);
}

#[test]
fn a_thread_that_is_there_already_is_closed_as_well() {
    if !alone("a_thread_that_is_there_already_is_closed_as_well") {
        return;
    }
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let earlier = std::thread::spawn(move || {
        asked.recv().unwrap();
        File::open("/etc/passwd").is_err() && UdpSocket::bind("127.0.0.1:0").is_err()
    });
    close(Mode::Require).unwrap();
    ask.send(()).unwrap();
    assert!(earlier.join().unwrap(), "a thread from before the wall reaches beyond it");
}

#[test]
fn what_is_switched_off_is_said_and_changes_nothing() {
    let off = InForce { stands: Vec::new(), missing: vec!["it is switched off".to_owned()] };
    assert_eq!(confine(Mode::Off, &Allowed::default()).unwrap(), off);
    assert_eq!(close(Mode::Off).unwrap(), off);
    assert_eq!(off.to_string(), "none (missing: it is switched off)");
    assert!(File::open("/etc/passwd").is_ok());
}

#[test]
fn asking_what_there_is_takes_nothing_away() {
    let offered = offered();
    assert!(!offered.stands.is_empty() || !offered.missing.is_empty());
    assert!(File::open("/etc/passwd").is_ok());
    assert!(Command::new("/bin/sh").args(["-c", "true"]).status().unwrap().success());
}
