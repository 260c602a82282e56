//! From a manifest of requests to a flow. Pure: a document in, a document and a finding for every key out.
//!
//! A key is found under its path in the manifest. What stands below a key that was taken or left out as a whole goes with it; where single keys
//! below can be understood or not, each has a finding of its own.

use serde_json::{Map, Value, json};
use snaphook_model::{Encode, Invalid};

use super::places;
use super::read::MAX_BYTES;

/// A flow and how it came about.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) flow: Value,
    /// In the order of the manifest.
    pub(super) findings: Vec<Finding>,
}

/// What became of one key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) path: String,
    pub(super) outcome: Outcome,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It stands in the flow as it is, and means the same.
    Taken,
    /// It stands there in another way.
    Changed(String),
    /// It does not stand there, or does not mean the same: why, and what to do.
    Left(String),
}

/// Characters of a generated value, as the manifests have it.
const GENERATED: u32 = 10;

/// Keys of a manifest that are no part of a flow: why, and what to do instead.
const NOT_OURS: [(&str, &str); 14] = [
    (
        "form",
        "nobody is asked before a run: ask in your own place and start the run with `subject: {id, values}`, whose values templates name as here",
    ),
    (
        "exists",
        "a flow does, it does not look: make a second flow of this request, with `status_code` or a post-request script for `expected`",
    ),
    ("revoke", "a flow has one list of steps: make a second flow of these requests, with a post-request script for `expected`"),
    (
        "oauth",
        "this release has no connections that renew tokens: bring the token along in the subject's values, under a name that the templates use",
    ),
    ("extra_user_info", "nobody is asked before a run: put these values to the subject (`PUT /v1/subjects/{id}`) before the first run"),
    ("post_execute_notification", "a flow sends requests only: add a last step that asks your mail or message service"),
    ("data_structure", "a flow hands the response on as it is: shape it in a script step"),
    ("data_from", "a flow hands the response on as it is: pick the part in a script step, or with an endpoint's `payload_path`"),
    ("action", "a flow makes and changes no people: do it with what the run answers, or in a further step"),
    ("next_page", "a step asks once: fetch pages in a script step with `fetch`"),
    ("next_page_from", "a step asks once: fetch pages in a script step with `fetch`"),
    ("next_page_token_from", "a step asks once: fetch pages in a script step with `fetch`"),
    ("amount_pages_to_fetch", "a step asks once: fetch pages in a script step with `fetch`"),
    ("schedule", "a flow starts when it is asked to: let your scheduler start it (`POST /v1/flows/{name}/runs`)"),
];

/// Makes a flow of a manifest, or of a bare list of its requests.
///
/// # Errors
/// When it is none: no list of requests, or a request that is no object.
pub(super) fn import(manifest: &Value) -> Result<Import, Invalid> {
    let mut findings = Findings(Vec::new());
    let mut flow = Map::new();
    match manifest {
        Value::Array(requests) => {
            flow.insert("steps".to_owned(), steps("", requests, &mut findings)?);
        }
        Value::Object(manifest) => {
            for (key, value) in manifest {
                top_level(key, value, &mut flow, &mut findings)?;
            }
            if !flow.contains_key("steps") {
                return Err(Invalid::new("execute", "is missing; a manifest has a list of requests under this key"));
            }
        }
        _ => return Err(Invalid::new("", "a manifest is an object with `execute`, or the list of requests itself")),
    }
    Ok(Import { flow: flow.into(), findings: findings.0 })
}

impl Import {
    /// How many keys were left out.
    pub(super) fn left(&self) -> usize {
        self.findings.iter().filter(|finding| matches!(finding.outcome, Outcome::Left(_))).count()
    }

    /// Says how the file was read.
    pub(super) fn note_reading(&mut self, note: String) {
        self.findings.insert(0, Finding { path: "(file)".to_owned(), outcome: Outcome::Changed(note) });
    }

    /// Says of a key that the flow is refused for it, unless that was said already.
    pub(super) fn not_valid(&mut self, invalid: Invalid) {
        let Invalid { path, detail } = self.in_manifest(invalid);
        if self.findings.iter().any(|finding| finding.path == path && matches!(finding.outcome, Outcome::Left(_))) {
            return;
        }
        self.findings.retain(|finding| finding.path != path);
        let why = format!("is not valid here, and the flow is refused at deploy until it is: {detail}");
        self.findings.push(Finding { path, outcome: Outcome::Left(why) });
    }

    /// Says of the whole that a node would not take a flow of so many bytes. Written out, it can be larger than the manifest.
    pub(super) fn check_size(&mut self, bytes: usize) {
        if bytes > MAX_BYTES {
            let why = format!("makes a flow of {bytes} bytes, and a document has at most {MAX_BYTES}: make several flows of it");
            self.findings.insert(0, Finding { path: "(file)".to_owned(), outcome: Outcome::Left(why) });
        }
    }

    /// A complaint about the flow, as one about the manifest.
    pub(super) fn in_manifest(&self, invalid: Invalid) -> Invalid {
        if let Some(rest) = invalid.path.strip_prefix("generate") {
            return Invalid::new(format!("initial_data_form{rest}"), invalid.detail);
        }
        let bare = self.findings.iter().any(|finding| finding.path.starts_with('['));
        match invalid.path.strip_prefix("steps") {
            Some(rest) => Invalid::new(format!("{}{rest}", if bare { "" } else { "execute" }), invalid.detail),
            None => invalid,
        }
    }
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, path: impl Into<String>, outcome: Outcome) {
        self.0.push(Finding { path: path.into(), outcome });
    }

    fn left(&mut self, path: impl Into<String>, why: impl Into<String>) {
        self.add(path, Outcome::Left(why.into()));
    }

    /// Takes a value as it is, and says where templates in it mean something else.
    fn taken(&mut self, path: String, value: &Value) {
        self.taken_as(path, value, Outcome::Taken);
    }

    fn taken_as(&mut self, path: String, value: &Value, outcome: Outcome) {
        let troubles = places::troubles(&path, value);
        // A text that is in trouble itself has one finding, not two that say the opposite.
        if !troubles.iter().any(|(place, _)| *place == path) {
            self.add(path, outcome);
        }
        for (place, trouble) in troubles {
            self.left(place, trouble);
        }
    }
}

fn top_level(key: &str, value: &Value, flow: &mut Map<String, Value>, findings: &mut Findings) -> Result<(), Invalid> {
    match key {
        "execute" => {
            let Value::Array(requests) = value else {
                return Err(Invalid::new("execute", "must be a list of requests"));
            };
            findings.add("execute", Outcome::Changed("is called `steps`".to_owned()));
            let steps = steps("execute", requests, findings)?;
            flow.insert("steps".to_owned(), steps);
        }
        "headers" => {
            findings.taken("headers".to_owned(), value);
            flow.insert("headers".to_owned(), value.clone());
        }
        "initial_data_form" => initial_data_form(value, flow, findings),
        _ => match NOT_OURS.iter().find(|(name, _)| *name == key) {
            Some(_) if is_empty(value) => findings.add(key, Outcome::Changed("is empty, so nothing is missing".to_owned())),
            Some((_, why)) => findings.left(key, *why),
            None => findings.left(key, "is no key of a manifest; see what it is for and add it by hand"),
        },
    }
    Ok(())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Values that were asked for once: generated ones are a flow's own, others somebody has to give.
fn initial_data_form(value: &Value, flow: &mut Map<String, Value>, findings: &mut Findings) {
    let path = "initial_data_form";
    let Some(items) = value.as_array() else {
        return findings.left(path, "must be a list to be understood");
    };
    let mut generate = Map::new();
    for (i, item) in items.iter().enumerate() {
        let path = format!("{path}[{i}]");
        match (item["id"].as_str(), item["name"].as_str()) {
            (Some(id), Some("generate")) => {
                generate.insert(id.to_owned(), GENERATED.into());
                findings.add(path, Outcome::Changed(format!("is `generate.{id}`: {GENERATED} characters, anew for each run")));
            }
            (Some(id), _) => findings.left(
                path,
                format!("nobody is asked for `{id}`: put it into the flow's `config` if it is no secret, or bring it along in the subject's values"),
            ),
            (None, _) => findings.left(path, "has no `id`, so nothing can name its value"),
        }
    }
    if items.is_empty() {
        findings.add(path, Outcome::Changed("is empty, so nothing is missing".to_owned()));
    }
    if !generate.is_empty() {
        flow.insert("generate".to_owned(), generate.into());
    }
}

fn steps(path: &str, requests: &[Value], findings: &mut Findings) -> Result<Value, Invalid> {
    let mut steps = Vec::with_capacity(requests.len());
    for (i, request) in requests.iter().enumerate() {
        let path = format!("{path}[{i}]");
        let Value::Object(request) = request else {
            return Err(Invalid::new(path, "must be an object with `url` and `method`"));
        };
        if !request.contains_key("url") {
            return Err(Invalid::new(format!("{path}.url"), "is missing; every request has one"));
        }
        let mut step = Map::new();
        for (key, value) in request {
            field(&path, key, value, request, &mut step, findings);
        }
        // There a request without a method is a POST, here it would be a GET where there is no data.
        step.entry("method").or_insert_with(|| "POST".into());
        steps.push(Value::from(step));
    }
    Ok(steps.into())
}

/// One key of a request.
fn field(path: &str, key: &str, value: &Value, request: &Map<String, Value>, step: &mut Map<String, Value>, findings: &mut Findings) {
    let place = format!("{path}.{key}");
    match key {
        "url" | "method" | "headers" | "store_data" | "save_as_file" | "files" | "status_code" | "name" => {
            findings.taken(place, value);
            step.insert(key.to_owned(), value.clone());
        }
        "data" => data(place, value, request, step, findings),
        "cast_data_to_json" => cast(place, value, request, findings),
        "continue_if" => continue_if(&place, value, step, findings),
        "polling" if request.get("continue_if").is_some_and(|condition| !is_empty(condition)) => {
            findings.taken(place, value);
            step.insert(key.to_owned(), value.clone());
        }
        "polling" => findings.left(place, "polls for nothing without `continue_if`: say in it what the response must hold"),
        "extra_headers" => findings.left(place, "signatures are made by a pre-request script, which has HMAC: bind one to this step"),
        "expected" => findings.left(place, "a response's text is checked by a post-request script: bind one to this step"),
        _ => findings.left(place, "is no key of a request; see what it is for and add it by hand"),
    }
}

/// How data goes out is said by `encode` here.
fn data(place: String, value: &Value, request: &Map<String, Value>, step: &mut Map<String, Value>, findings: &mut Findings) {
    if value.is_null() {
        return findings.taken_as(place, value, Outcome::Changed("is nothing, and left out".to_owned()));
    }
    step.insert("data".to_owned(), value.clone());
    let files = request.get("files").is_some_and(|files| !is_empty(files));
    let cast = request.get("cast_data_to_json").and_then(Value::as_bool);
    let encode = if files { Encode::Multipart } else { Encode::of_execute(cast, value) };
    step.insert("encode".to_owned(), json!(encode));
    let how = match (encode, request.contains_key("cast_data_to_json")) {
        (Encode::Multipart, _) => "is sent as text fields beside the files".to_owned(),
        (_, true) => return findings.taken(place, value),
        (Encode::Form, false) => {
            "is sent as a form, as it is there without `cast_data_to_json`: `encode: form`; for JSON write `encode: json`".to_owned()
        }
        (encode, false) => format!("is sent with `encode: {}`", json!(encode).as_str().unwrap_or_default()),
    };
    findings.taken_as(place, value, Outcome::Changed(how));
}

fn cast(place: String, value: &Value, request: &Map<String, Value>, findings: &mut Findings) {
    let how = match value {
        Value::Bool(_) if !request.contains_key("data") => "says how `data` is sent, and there is none".to_owned(),
        Value::Bool(_) if request.get("files").is_some_and(|files| !is_empty(files)) => {
            "has no say beside `files`: `encode: multipart`".to_owned()
        }
        Value::Bool(true) => "is `encode: form`, which is what it does there".to_owned(),
        Value::Bool(false) => "is `encode: json`, which is what it does there".to_owned(),
        _ => return findings.left(place, "must be true or false to be understood"),
    };
    findings.add(place, Outcome::Changed(how));
}

fn continue_if(place: &str, value: &Value, step: &mut Map<String, Value>, findings: &mut Findings) {
    let Value::Object(condition) = value else {
        return findings.left(place, "must be an object with `response_notation` and `value` to be understood");
    };
    let mut taken = Map::new();
    for (key, value) in condition {
        let place = format!("{place}.{key}");
        match key.as_str() {
            "value" if *value == json!("") => {
                findings.add(place, Outcome::Changed("a path that is missing is no match here, and was one there".to_owned()));
                taken.insert(key.clone(), value.clone());
            }
            "response_notation" | "value" => {
                findings.taken(place, value);
                taken.insert(key.clone(), value.clone());
            }
            _ => findings.left(place, "is no key of a condition; see what it is for and add it by hand"),
        }
    }
    step.insert("continue_if".to_owned(), taken.into());
}

#[cfg(test)]
mod tests;
