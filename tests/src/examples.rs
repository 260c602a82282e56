//! Walks `examples`: each folder is deployed as it stands, called as its `example.json` says, and compared with what that expects.
//!
//! `example.json`: `title`, `story`, `origin` (the documents' upstream, which the runner plays), and `calls`, each with `title`, `call`, `flow` or
//! `trigger`, `input`, `upstream` (requests in order, each with its answer) and `expect` (`status`, `headers`, `body`, `run`). Bodies must be
//! equal; elsewhere an object stands for one that has at least its keys. `examples/README.md` has the whole of it.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use serde_json::{Value, json};
use snaphook_testkit::{Answer, Recorded, Upstream};

use crate::client::Response;
use crate::node::Tenant;

/// One folder of `examples`.
pub struct Example {
    /// The folder's name.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Its `example.json`.
    pub document: Value,
}

/// All of them, in the order of their names.
///
/// # Panics
/// When one has no `example.json` or that is no JSON.
#[must_use]
pub fn all(root: &Path) -> Vec<Example> {
    let folders = std::fs::read_dir(root.join("examples")).expect("the examples are there").flatten().map(|entry| entry.path());
    let mut examples: Vec<_> = folders
        .filter(|folder| folder.is_dir())
        .map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(folder.join("example.json"))
                .unwrap_or_else(|error| panic!("examples/{name}/example.json: {error}"));
            let document = serde_json::from_str(&text).unwrap_or_else(|error| panic!("examples/{name}/example.json: {error}"));
            Example { name, folder, document }
        })
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    examples
}

/// A built Rust guest.
///
/// # Errors
/// Which file is missing and what makes it.
pub fn guest(root: &Path, name: &str) -> Result<Bytes, String> {
    let file = root.join("target/guests").join(format!("{name}.wasm"));
    let read = std::fs::read(&file).map_err(|error| format!("{}: {error}; `cargo xtask test` builds the guests", file.display()))?;
    Ok(read.into())
}

impl Example {
    /// The calls that the example makes.
    #[must_use]
    pub fn calls(&self) -> Vec<Value> {
        self.document["calls"].as_array().cloned().unwrap_or_default()
    }

    /// Whether the example has a guest in Rust, which must have been built.
    #[must_use]
    pub fn has_guest(&self) -> bool {
        self.folder.join("guest/Cargo.toml").is_file()
    }

    /// An upstream on loopback that plays what the example's calls say.
    pub async fn upstream(&self) -> (Upstream, Script) {
        let upstream = Upstream::start().await;
        let script = Script::default();
        for exchange in self.calls().iter().flat_map(|call| call["upstream"].as_array().cloned().unwrap_or_default()) {
            let path = path_of(&exchange);
            let script = script.clone();
            upstream.on_request(&path.clone(), move |_| script.next(&path));
        }
        (upstream, script)
    }

    /// Uploads everything with the example's origin replaced by the upstream's.
    ///
    /// # Panics
    /// When something is refused.
    pub async fn deploy(&self, tenant: &Tenant, upstream: &Upstream, guest: Option<Bytes>) {
        // The guest's script has the example's name.
        if let Some(wasm) = guest {
            let _ = tenant.upload(&self.name, "wasm", wasm).await.expect(201);
        }
        let origin = self.document["origin"].as_str().expect("an example has an origin");
        for (folder, content_type) in [("scripts", None), ("connectors", Some("application/json")), ("flows", Some("application/json"))] {
            for file in files(&self.folder.join(folder)) {
                let text = std::fs::read_to_string(&file).expect("an example's file is text").replace(origin, &upstream.url(""));
                let extension = file.extension().unwrap_or_default().to_string_lossy().into_owned();
                let language = if extension == "ts" { "application/typescript" } else { "application/javascript" };
                let path = format!("/v1/{folder}/{}", in_dialect(&file.file_stem().unwrap_or_default().to_string_lossy()));
                let headers = [("content-type", content_type.unwrap_or(language))];
                let _ = tenant.client.send("PUT", &path, &headers, text.into()).await.expect(201);
            }
        }
    }
}

/// The name of a script's file, as `snaphook deploy` reads it: `NAME.DIALECT` is a script in that dialect.
fn in_dialect(stem: &str) -> String {
    match stem.rsplit_once('.') {
        Some((name, dialect @ ("patchworks" | "braincloud" | "prismatic"))) => format!("{name}?dialect={dialect}"),
        _ => stem.to_owned(),
    }
}

/// Makes one call of an example.
pub async fn make(tenant: &Tenant, call: &Value) -> Response {
    match (call["call"].as_str(), call["flow"].as_str(), call["trigger"].as_str()) {
        (Some(endpoint), None, None) => tenant.call(endpoint, call["input"].clone()).await,
        (None, Some(flow), None) => tenant.client.post(&format!("/v1/flows/{flow}/runs"), &call["input"]).await,
        (None, None, Some(address)) => tenant.client.post(&format!("/t/{}/{address}", tenant.name), &call["input"]).await,
        _ => panic!("a call names `call`, `flow` or `trigger`: {call}"),
    }
}

/// What differs between what happened and what the call's `expect` and `upstream` say; empty when nothing does.
#[must_use]
pub fn differences(call: &Value, response: &Response, run: &Value, requests: &[Recorded]) -> Vec<String> {
    let expect = &call["expect"];
    let mut found = Vec::new();
    let headers: serde_json::Map<String, Value> =
        response.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into())).collect();
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_else(|_| response.text().into());
    // Problems hold a request id and a run's; every other body is compared whole.
    let is_problem = response.header("content-type") == Some("application/problem+json");
    let mut patterns = expect.clone();
    if let Some(expected) = patterns.as_object_mut().filter(|_| !is_problem).and_then(|patterns| patterns.remove("body"))
        && expected != body
    {
        found.push(format!("body: expected {expected}, got {body}"));
    }
    let actual = json!({"status": response.status, "headers": headers, "body": body, "run": run});
    compare("", &patterns, &actual, &mut found);
    let exchanges = call["upstream"].as_array().cloned().unwrap_or_default();
    if exchanges.len() != requests.len() {
        found.push(format!("upstream: expected {} requests, received {}", exchanges.len(), requests.len()));
    }
    for (i, (exchange, request)) in exchanges.iter().zip(requests).enumerate() {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_else(|_| request.text().into());
        let actual = json!({"method": request.method, "path": request.path, "headers": headers, "body": body});
        let mut expected = exchange["request"].clone();
        // A body is compared whole: what a hook left in is as wrong as what it left out. None foreseen means that none is sent.
        let body = expected.as_object_mut().and_then(|expected| expected.remove("body")).unwrap_or_else(|| "".into());
        if body != actual["body"] {
            found.push(format!("upstream[{i}].body: expected {body}, received {}", actual["body"]));
        }
        compare(&format!("upstream[{i}]"), &expected, &actual, &mut found);
    }
    found
}

fn compare(path: &str, expected: &Value, actual: &Value, found: &mut Vec<String>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, value) in expected {
                compare(&format!("{path}.{key}"), value, actual.get(key).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (i, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(&format!("{path}[{i}]"), expected, actual, found);
            }
        }
        _ if expected == actual => {}
        _ => found.push(format!("{path}: expected {expected}, got {actual}")),
    }
}

/// Answers that an upstream gives, in order, whatever the path.
#[derive(Clone, Default)]
pub struct Script(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    /// One for each request that a call makes.
    foreseen: VecDeque<Answer>,
    /// By path, for requests that nobody foresaw.
    standing: HashMap<String, Value>,
}

impl Script {
    /// From now on, requests that no call foresees get what the example's first request to their path got.
    ///
    /// # Panics
    /// Never: the lock's holders do not panic.
    pub fn stand(&self, example: &Example) {
        let mut answers = self.0.lock().expect("no holder panics");
        answers.foreseen.clear();
        for exchange in example.calls().iter().flat_map(|call| call["upstream"].as_array().cloned().unwrap_or_default()) {
            answers.standing.entry(path_of(&exchange)).or_insert_with(|| exchange["answer"].clone());
        }
    }

    /// Sets the answers for one call.
    ///
    /// # Panics
    /// Never: the lock's holders do not panic.
    pub fn play(&self, call: &Value) {
        let exchanges = call["upstream"].as_array().cloned().unwrap_or_default();
        self.0.lock().expect("no holder panics").foreseen = exchanges.iter().map(|exchange| answer(&exchange["answer"])).collect();
    }

    fn next(&self, path: &str) -> Answer {
        let mut answers = self.0.lock().expect("no holder panics");
        let next = answers.foreseen.pop_front().or_else(|| answers.standing.get(path).map(answer));
        next.unwrap_or_else(|| Answer::text("the example foresees no further request").with_status(500))
    }
}

/// The path of a request that an example foresees, without its query.
fn path_of(exchange: &Value) -> String {
    exchange["request"]["path"].as_str().unwrap_or_default().split('?').next().unwrap_or_default().to_owned()
}

fn answer(document: &Value) -> Answer {
    let status = document["status"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(200);
    let mut answer = match &document["body"] {
        Value::Null => Answer::status(status),
        Value::String(text) => Answer::text(text).with_status(status),
        body => Answer::json(body.clone()).with_status(status),
    };
    for (name, value) in document["headers"].as_object().into_iter().flatten() {
        answer = answer.header(name, value.as_str().unwrap_or_default());
    }
    answer
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}
