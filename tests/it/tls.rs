//! A node with TLS: it speaks HTTPS, takes new certificates while it runs, and says what is wrong with one.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use snaphook_testkit::Certificate;
use snaphook_tests::{NodeOptions, OPERATOR, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{binary, node};

const NAME: &str = "localhost";

/// A node under a certificate, whose log can be read.
struct Secured {
    child: Child,
    address: SocketAddr,
    directory: tempfile::TempDir,
}

impl Secured {
    fn start(shown: &Certificate) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path().join("data");
        // What a first start compiles is taken from the node that all tests share.
        fs::create_dir_all(data_dir.join("interpreter")).unwrap();
        for kept in fs::read_dir(node().data_dir().join("interpreter")).unwrap().flatten() {
            fs::copy(kept.path(), data_dir.join("interpreter").join(kept.file_name())).unwrap();
        }
        write(directory.path(), shown);
        let [certificate, key] = files(directory.path()).map(|file| file.to_str().unwrap().to_owned());
        let environment = vec![("SNAPHOOK_TLS_CERT".to_owned(), certificate), ("SNAPHOOK_TLS_KEY".to_owned(), key)];
        let options = NodeOptions { environment, ..NodeOptions::default() };
        let mut command = options.command(binary(), &data_dir);
        command.env("RUST_LOG", "info").stderr(File::create(directory.path().join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("listening on https://").map(str::to_owned));
        let address = address.expect("it listens with TLS").parse().unwrap();
        Self { child, address, directory }
    }

    fn write(&self, shown: &Certificate) {
        write(self.directory.path(), shown);
    }

    fn hang_up(&self) {
        assert!(Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits until the node's log has such a line.
    async fn logs(&self, text: &str) {
        for _ in 0..400 {
            if fs::read_to_string(self.directory.path().join("log")).unwrap().contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the log does not say {text:?}: {}", fs::read_to_string(self.directory.path().join("log")).unwrap());
    }

    /// A connection of a client that trusts this certificate alone.
    async fn connect(&self, trusted: &Certificate) -> std::io::Result<SendRequest<Full<Bytes>>> {
        let stream = trusted.connect(self.address, NAME, &["http/1.1"]).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Drop for Secured {
    fn drop(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }
}

fn files(directory: &Path) -> [PathBuf; 2] {
    ["cert.pem", "key.pem"].map(|name| directory.join(name))
}

fn write(directory: &Path, shown: &Certificate) {
    let [certificate, key] = files(directory);
    fs::write(certificate, &shown.certificate).unwrap();
    fs::write(key, &shown.key).unwrap();
}

fn with_files(directory: &Path) -> NodeOptions {
    let [certificate, key] = files(directory).map(|file| file.to_str().unwrap().to_owned());
    NodeOptions::default().with("--tls-cert", &certificate).with("--tls-key", &key)
}

async fn ask(open: &mut SendRequest<Full<Bytes>>, path: &str) -> Response {
    let request = Request::get(path).header("host", NAME).header("authorization", format!("Bearer {OPERATOR}"));
    let (head, body) = open.send_request(request.body(Full::default()).unwrap()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    open.ready().await.unwrap();
    Response { status: head.status.as_u16(), headers: head.headers, body }
}

#[tokio::test]
async fn certificates_are_reloaded_while_connections_are_open() {
    let [first, second, third, broken] = std::array::from_fn(|_| Certificate::of(&[NAME]));
    let secured = Secured::start(&first);
    let mut open = secured.connect(&first).await.unwrap();
    assert_eq!(ask(&mut open, "/v1/tenants").await.expect(200).json()["items"], Value::Array(Vec::new()));

    // By itself, some seconds after the files have changed.
    secured.write(&second);
    secured.logs("new connections get the new certificate").await;
    let mut newer = secured.connect(&second).await.unwrap();
    assert!(secured.connect(&first).await.is_err(), "the earlier certificate is still shown");
    let _ = ask(&mut newer, "/readyz").await.expect(200);

    // What cannot be used is said, and changes nothing.
    secured.write(&Certificate { key: third.key.clone(), ..broken.clone() });
    secured.hang_up();
    secured.logs("cannot be used, and the earlier one stays").await;
    secured.logs("the key is not the certificate's").await;
    let _ = ask(&mut secured.connect(&second).await.unwrap(), "/readyz").await.expect(200);

    // At once, when somebody asks.
    secured.write(&third);
    secured.hang_up();
    let mut shown = secured.connect(&third).await;
    for _ in 0..100 {
        if shown.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        shown = secured.connect(&third).await;
    }
    let _ = ask(&mut shown.unwrap(), "/readyz").await.expect(200);
    // The connection of the beginning has been open all the time.
    let _ = ask(&mut open, "/readyz").await.expect(200);
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_so_and_who_stalls_holds_up_nobody() {
    let shown = Certificate::of(&[NAME]);
    let secured = Secured::start(&shown);
    // Half of a handshake's first record, and then nothing.
    let mut stalled = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(secured.address).await.unwrap();
        stream.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        stalled.push(stream);
    }
    let mut plain = TcpStream::connect(secured.address).await.unwrap();
    plain.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(30), plain.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request") && answer.contains("this address speaks TLS"), "{answer}");
    let _ = ask(&mut secured.connect(&shown).await.unwrap(), "/readyz").await.expect(200);
    // The node gives up on them by itself.
    for stream in &mut stalled {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a handshake that does not go on holds its connection");
    }
}

#[test]
fn a_node_does_not_start_under_what_is_no_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let start = |options: &NodeOptions| {
        let output = options.command(binary(), &directory.path().join("data")).stderr(Stdio::piped()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).replace("\n  │ ", " "))
    };
    let (code, said) = start(&with_files(directory.path()));
    assert!(code == Some(1) && said.contains("cannot be read"), "{code:?} {said}");
    let key = Certificate::of(&["other.example"]).key;
    write(directory.path(), &Certificate { key, ..Certificate::of(&[NAME]) });
    let (code, said) = start(&with_files(directory.path()));
    assert!(code == Some(1) && said.contains("the key is not the certificate's"), "{code:?} {said}");
    let [certificate, _] = files(directory.path());
    let (code, said) = start(&NodeOptions::default().with("--tls-cert", certificate.to_str().unwrap()));
    assert!(code == Some(2) && said.contains("TLS needs both"), "{code:?} {said}");
}

#[test]
fn the_doctor_looks_at_the_certificate() {
    let directory = tempfile::tempdir().unwrap();
    let [certificate, key] = files(directory.path());
    let said = || {
        let mut doctor = Command::new(binary());
        doctor.arg("doctor").arg("--data-dir").arg(directory.path().join("data"));
        let output = doctor.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(&key).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    write(directory.path(), &Certificate::of(&[NAME]));
    let (sound, text) = said();
    assert!(sound && text.contains("the key is its own") && text.contains("more days"), "{text}");
    write(directory.path(), &Certificate::until(&[NAME], 2020));
    let (sound, text) = said();
    assert!(!sound && text.contains("the certificate expired at 2020-12-31"), "{text}");
    write(directory.path(), &Certificate { key: Certificate::of(&[NAME]).key, ..Certificate::of(&[NAME]) });
    let (sound, text) = said();
    assert!(!sound && text.contains("the key is not the certificate's"), "{text}");
    fs::remove_file(&key).unwrap();
    let (sound, text) = said();
    assert!(!sound && text.contains("key.pem cannot be read"), "{text}");
}
