//! Starting nodes on PostgreSQL: what they agree on, what they refuse, and what `doctor` says.

use std::path::Path;
use std::process::Command;

use snaphook_testkit::postgres::{Cluster, PASSWORD, PASSWORD_USER};
use snaphook_tests::{Client, NodeOptions, NodeProcess};

use crate::support::{binary, node};

/// Starts a node that is to refuse; gives what it says.
fn refusal(options: &NodeOptions, data_dir: &Path) -> String {
    let output = options.command(binary(), data_dir).stderr(std::process::Stdio::piped()).output().unwrap();
    assert!(!output.status.success());
    one_line(&String::from_utf8_lossy(&output.stderr))
}

/// Without the frame and the line breaks that a terminal is shown.
fn one_line(text: &str) -> String {
    text.replace(['│', '×', '╰', '─', '▶', '├'], " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A data directory with the prepared interpreter and nothing else.
fn data_dir() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let interpreter = directory.path().join("interpreter");
    std::fs::create_dir(&interpreter).unwrap();
    for entry in std::fs::read_dir(node().data_dir().join("interpreter")).unwrap().flatten() {
        std::fs::copy(entry.path(), interpreter.join(entry.file_name())).unwrap();
    }
    directory
}

/// The URL with the user who has a password, who may do everything in this database.
fn with_password(url: &str) -> (String, String) {
    let database = url.rsplit('/').next().unwrap().to_owned();
    Cluster::shared().sql(&database, &format!("GRANT ALL ON SCHEMA public TO {PASSWORD_USER}"));
    (Cluster::shared().url(&format!("{PASSWORD_USER}:{PASSWORD}"), &database), database)
}

#[tokio::test]
async fn a_node_says_where_its_database_is_and_no_password() {
    let (url, database) = with_password(&Cluster::shared().database());
    let own = NodeProcess::start_with(node(), NodeOptions::on(&url));
    let line = own.printed().lines().find(|line| line.starts_with("database")).unwrap().to_owned();
    assert!(line.contains(&format!("postgres://{PASSWORD_USER}@127.0.0.1:{}/{database}", Cluster::shared().port())), "{line}");
    assert!(!own.printed().contains(PASSWORD), "{}", own.printed());
    assert!(!own.data_dir().join("snaphook.db").exists());
    let _ = Client::new(own.url(), None).get("/readyz").await.expect(200);
    assert!(node().printed().lines().any(|line| line.starts_with("database") && line.contains("SQLite")));
    // The environment says it as well as the flag.
    let environment = vec![("SNAPHOOK_DATABASE_URL".to_owned(), url)];
    let other = NodeProcess::start_with(node(), NodeOptions { environment, ..NodeOptions::default() });
    assert!(other.printed().contains(&format!("/{database} ")), "{}", other.printed());
}

#[tokio::test]
async fn a_data_directory_is_one_nodes_own() {
    let url = Cluster::shared().database();
    let own = NodeProcess::start_with(node(), NodeOptions::on(&url));
    let said = refusal(&NodeOptions::on(&url), own.data_dir());
    assert!(said.contains("in use by another node"), "{said}");
}

#[tokio::test]
async fn a_node_with_another_key_does_not_start_and_says_what_to_do() {
    let url = Cluster::shared().database();
    let own = NodeProcess::start_with(node(), NodeOptions::on(&url));
    let key = std::fs::read_to_string(own.data_dir().join("secrets.key")).unwrap();

    // None at all.
    let directory = data_dir();
    let said = refusal(&NodeOptions::on(&url), directory.path());
    let here = directory.path().join("secrets.key");
    for part in [format!("{} is missing", here.display()), "copy `secrets.key`".to_owned(), "SNAPHOOK_SECRETS_KEY".to_owned()] {
        assert!(said.contains(&part), "{said}");
    }
    assert!(!here.exists(), "none is made that could be taken for the right one");

    // Another one.
    let other = "ab".repeat(32);
    std::fs::write(&here, &other).unwrap();
    let said = refusal(&NodeOptions::on(&url), directory.path());
    assert!(said.contains("is another key than the database's secrets were sealed under") && said.contains("copy `secrets.key`"), "{said}");
    assert!(!said.contains(&other) && !said.contains(key.trim()), "{said}");
    let given = |key: &str| vec![("SNAPHOOK_SECRETS_KEY".to_owned(), key.to_owned())];
    let said = refusal(&NodeOptions { environment: given(&other), ..NodeOptions::on(&url) }, directory.path());
    assert!(said.contains("SNAPHOOK_SECRETS_KEY is another key"), "{said}");
    let said = refusal(&NodeOptions { environment: given("no key"), ..NodeOptions::on(&url) }, directory.path());
    assert!(said.contains("64 hexadecimal digits"), "{said}");

    // The right one, given.
    let mut options = NodeOptions { environment: given(key.trim()), ..NodeOptions::on(&url) };
    drop(NodeProcess::start_at(binary(), directory.path(), options.clone()));
    options.environment.clear();
    let options = options.with("--secrets-key-file", &own.data_dir().join("secrets.key").display().to_string());
    drop(NodeProcess::start_at(binary(), directory.path(), options));
}

#[tokio::test]
async fn nodes_that_start_at_once_agree_on_the_operators_token() {
    let url = Cluster::shared().database();
    let nodes: Vec<_> = (0..3)
        .map(|_| {
            let mut options = NodeOptions::on(&url);
            options.operator = None;
            std::thread::spawn(|| NodeProcess::start_with(node(), options))
        })
        .collect();
    let nodes: Vec<_> = nodes.into_iter().map(|node| node.join().unwrap()).collect();
    let shown: Vec<_> = nodes.iter().flat_map(|node| node.printed().lines()).filter_map(|line| line.strip_prefix("operator")).collect();
    assert_eq!(shown.len(), 1, "one of them has made it: {shown:?}");
    let token = shown[0].split_whitespace().next().unwrap();
    for node in &nodes {
        let _ = Client::new(node.url(), Some(token)).get("/v1/tenants").await.expect(200);
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_refused_in_one_sentence() {
    let directory = data_dir();
    for (url, says) in [
        ("mysql://here/x", "it does not begin with postgres://"),
        ("postgres://u:hidden@127.0.0.1:1/x", "cannot be reached"),
        (&Cluster::shared().url("postgres", "none"), "has no database `none`"),
        (&Cluster::shared().url(&format!("{PASSWORD_USER}:wrong"), "postgres"), "refuses user"),
        // The tests' server has no certificate.
        (&format!("{}?sslmode=require", Cluster::shared().database()), "cannot be reached"),
    ] {
        let said = refusal(&NodeOptions::on(url), directory.path());
        assert!(said.contains(says) && !said.contains("hidden"), "{url}: {said}");
    }
}

#[tokio::test]
async fn doctor_looks_at_the_database_as_well() {
    let (url, _) = with_password(&Cluster::shared().database());
    let (directory, environment) = (data_dir(), ("SNAPHOOK_DATABASE_URL", url.as_str()));
    let run = |data_dir: &Path| {
        let output =
            Command::new(binary()).args(["doctor", "--data-dir"]).arg(data_dir).env(environment.0, environment.1).output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(PASSWORD), "{said}");
        (output.status.success(), said)
    };
    let (_, said) = run(directory.path());
    assert!(said.contains("migrations have not run") && said.contains("no node has started on this database yet"), "{said}");

    let own = NodeProcess::start_with(node(), NodeOptions::on(&url));
    let (good, said) = run(own.data_dir());
    assert!(good, "{said}");
    for line in ["PostgreSQL", "version, rights and clock", "up to date with this release", "is the key of the database's secrets"] {
        assert!(said.lines().any(|said| said.starts_with("ok") && said.contains(line)), "{line}: {said}");
    }
    let (good, said) = run(directory.path());
    assert!(!good && said.contains("secrets.key is missing"), "{said}");
}
