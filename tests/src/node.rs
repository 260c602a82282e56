//! A node as a process of its own, on a port and a data directory of its own.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use snaphook_testkit::postgres::Cluster;

use crate::client::{Client, Response};
use crate::process::{self, NodeOptions, copy};

/// The operator's token of every test node.
pub const OPERATOR: &str = "operator-token-of-the-tests";

/// A running node.
pub struct NodeProcess {
    child: Option<Child>,
    binary: PathBuf,
    url: String,
    printed: String,
    data_dir: PathBuf,
    options: NodeOptions,
    // Removed when the node is dropped.
    _directory: Option<tempfile::TempDir>,
}

impl NodeProcess {
    /// Starts a node on a data directory of its own.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(binary: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let data_dir = directory.path().join("data");
        let mut node = Self::start_in(binary, &data_dir);
        node._directory = Some(directory);
        node
    }

    /// Starts a node with a warm one's prepared interpreter, which saves compiling it again; where that one is on PostgreSQL, on a database of its
    /// own there.
    #[must_use]
    pub fn start_like(warm: &Self) -> Self {
        let mut options = warm.options.clone();
        options.database = options.database.map(|_| Cluster::shared().database());
        Self::start_with(warm, options)
    }

    /// The same with other options. On a shared database it has the warm one's key of secrets.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start_with(warm: &Self, options: NodeOptions) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let data_dir = directory.path().join("data");
        std::fs::DirBuilder::new().mode(0o700).create(&data_dir).expect("our own directory");
        copy(&warm.data_dir.join("interpreter"), &data_dir.join("interpreter"));
        if options.is_shared() {
            std::fs::copy(warm.data_dir.join("secrets.key"), data_dir.join("secrets.key")).expect("our own directory");
        }
        let mut node = Self {
            child: None,
            binary: warm.binary.clone(),
            url: String::new(),
            printed: String::new(),
            data_dir,
            options,
            _directory: Some(directory),
        };
        node.restart();
        node
    }

    /// Starts a node on a data directory that outlives it.
    #[must_use]
    pub fn start_in(binary: &Path, data_dir: &Path) -> Self {
        Self::start_at(binary, data_dir, NodeOptions::default())
    }

    /// The same with other options.
    #[must_use]
    pub fn start_at(binary: &Path, data_dir: &Path, options: NodeOptions) -> Self {
        let (binary, data_dir) = (binary.to_owned(), data_dir.to_owned());
        let mut node = Self { child: None, binary, url: String::new(), printed: String::new(), data_dir, options, _directory: None };
        node.restart();
        node
    }

    /// Starts the process anew on the same data directory.
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        let started = process::spawn(self.options.command(&self.binary, &self.data_dir));
        self.child = Some(started.child);
        self.url = started.url;
        self.printed = started.printed;
    }

    /// The same with files that cannot grow past so many bytes, as on a full disk.
    pub fn restart_with_file_limit(&mut self, bytes: u64) {
        self.options.file_limit = Some(bytes);
        self.restart();
    }

    /// Gives the process room again.
    ///
    /// # Panics
    /// When the system refuses.
    pub fn lift_file_limit(&mut self) {
        self.options.file_limit = None;
        let lifted = std::process::Command::new("prlimit").args(["--fsize=unlimited:unlimited", "--pid", &self.pid().to_string()]).status();
        assert!(lifted.is_ok_and(|status| status.success()), "the limit stays");
    }

    /// Kills the process where it stands, as `kill -9` does.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process is ours");
            child.wait().expect("the process is ours");
        }
    }

    /// Asks the process to end, and waits until it has: what is under way is finished first.
    ///
    /// # Panics
    /// When it ends as a failure.
    pub async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        process::terminate(&child);
        let ended = tokio::task::spawn_blocking(move || child.wait()).await;
        assert!(ended.expect("nobody cancels it").expect("the process is ours").success(), "the node did not end in order");
    }

    /// What it said until it listened.
    #[must_use]
    pub fn printed(&self) -> &str {
        &self.printed
    }

    /// How it was started.
    #[must_use]
    pub const fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it keeps its data.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// A client with the operator's token.
    #[must_use]
    pub fn operator(&self) -> Client {
        Client::new(&self.url, Some(OPERATOR))
    }

    /// A client without a token.
    #[must_use]
    pub fn anonymous(&self) -> Client {
        Client::new(&self.url, None)
    }

    /// Makes a tenant that nobody else uses, with loopback allowed.
    pub async fn tenant(&self) -> Tenant {
        self.tenant_with(json!({"egress": {"allow_private": ["127.0.0.0/8"]}})).await
    }

    /// Makes a tenant that nobody else uses.
    pub async fn tenant_with(&self, mut document: Value) -> Tenant {
        // Tests that are not about quotas send as fast as they can.
        document.as_object_mut().expect("a document").entry("quota").or_insert(json!({"concurrency": 4096, "rate_per_s": 1_000_000}));
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("tenant-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let operator = self.operator();
        let _ = operator.put(&format!("/v1/tenants/{name}"), &document).await.expect(201);
        let token = operator.post(&format!("/v1/tenants/{name}/tokens"), &json!({"name": "test", "scopes": ["admin"]})).await.expect(201);
        let token = token.json()["token"].as_str().expect("a new token is shown").to_owned();
        Tenant { name, client: Client::new(&self.url, Some(&token)) }
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A tenant with an admin token.
#[derive(Clone)]
pub struct Tenant {
    pub name: String,
    pub client: Client,
}

impl Tenant {
    /// Uploads a script and gives its version.
    pub async fn script(&self, name: &str, language: &str, source: impl Into<bytes::Bytes>) -> u64 {
        let response = self.upload(name, language, source).await;
        assert!(matches!(response.status, 200 | 201), "{}", response.text());
        response.json()["version"].as_u64().expect("a version is a number")
    }

    /// Uploads a script in JavaScript and gives its version.
    pub async fn js(&self, name: &str, source: &str) -> u64 {
        self.script(name, "javascript", source.to_owned()).await
    }

    /// Uploads a script in JavaScript that is written for another product, and gives its version.
    pub async fn brought(&self, name: &str, dialect: &str, source: &str) -> u64 {
        let response = self.upload(&format!("{name}?dialect={dialect}"), "javascript", source.to_owned()).await;
        assert!(matches!(response.status, 200 | 201), "{}", response.text());
        response.json()["version"].as_u64().expect("a version is a number")
    }

    /// Uploads a script and gives the answer. A query may follow the name.
    pub async fn upload(&self, name: &str, language: &str, source: impl Into<bytes::Bytes>) -> Response {
        let content_type = format!("application/{language}");
        self.client.send("PUT", &format!("/v1/scripts/{name}"), &[("content-type", &content_type)], source.into()).await
    }

    /// Stores a connector.
    pub async fn connector(&self, name: &str, document: Value) -> Value {
        let response = self.client.put(&format!("/v1/connectors/{name}"), &document).await;
        assert!(matches!(response.status, 200 | 201), "{}", response.text());
        response.json()
    }

    /// Stores a flow.
    pub async fn flow(&self, name: &str, document: Value) -> Value {
        let response = self.client.put(&format!("/v1/flows/{name}"), &document).await;
        assert!(matches!(response.status, 200 | 201), "{}", response.text());
        response.json()
    }

    /// Calls `connector/endpoint`.
    pub async fn call(&self, endpoint: &str, arguments: Value) -> Response {
        self.client.post(&format!("/v1/call/{endpoint}"), &arguments).await
    }

    /// Starts a flow and waits for its end.
    pub async fn run(&self, flow: &str, payload: Value) -> Response {
        self.client.post(&format!("/v1/flows/{flow}/runs"), &json!({"payload": payload})).await
    }

    /// Starts a flow and waits for its end, also where the run itself waits: half a minute at most.
    pub async fn run_to_end(&self, flow: &str, payload: Value) -> Response {
        let headers = [("content-type", "application/json"), ("prefer", "wait=30")];
        self.client.send("POST", &format!("/v1/flows/{flow}/runs"), &headers, json!({"payload": payload}).to_string().into()).await
    }

    /// Starts a flow and does not wait; gives the run's id.
    pub async fn start(&self, flow: &str, payload: Value) -> String {
        let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
        let path = format!("/v1/flows/{flow}/runs");
        let accepted = self.client.send("POST", &path, &headers, json!({"payload": payload}).to_string().into()).await.expect(202);
        accepted.json()["run"].as_str().expect("an accepted run is named").to_owned()
    }

    /// A run's record.
    pub async fn record_of(&self, run: &str) -> Value {
        self.client.get(&format!("/v1/runs/{run}")).await.expect(200).json()
    }

    /// Calls back with these headers.
    pub async fn call_back(&self, headers: &[(&str, &str)], body: &str) -> Response {
        self.client.send("POST", "/v1/callbacks", headers, body.to_owned().into()).await
    }

    /// The same for a run about a subject: its id, or an object with id and values.
    pub async fn run_about(&self, flow: &str, subject: Value, payload: Value) -> Response {
        self.client.post(&format!("/v1/flows/{flow}/runs"), &json!({"payload": payload, "subject": subject})).await
    }

    /// The record of the run that a response names.
    pub async fn record(&self, response: &Response) -> Value {
        let problem = || serde_json::from_slice::<Value>(&response.body).ok()?["run"].as_str().map(str::to_owned);
        let id = response.header("x-run-id").map(str::to_owned).or_else(problem);
        let id = id.unwrap_or_else(|| panic!("no run in status {}: {}", response.status, response.text()));
        self.client.get(&format!("/v1/runs/{id}")).await.expect(200).json()
    }

    /// Runs one hook of a script's version on sample input.
    pub async fn test(&self, script: &str, version: u64, body: Value) -> Value {
        self.client.post(&format!("/v1/scripts/{script}/versions/{version}/test"), &body).await.expect(200).json()
    }
}
