//! What a run leaves behind: bounded bodies, masked headers, warnings near limits.

use bytes::Bytes;
use serde_json::{Map, Value};
use snaphook_model::{
    Attempt, BodyText, DecisionRecord, Fault, Headers, Hook, HttpRequest, HttpResponse, Invocation, Limits, LogEntry, LogLevel,
    RequestRecord, ResponseRecord, RunUsage, StepRecord, StepStatus, Usage,
};
use snaphook_sandbox::Outcome;
use snaphook_store::StoreError;

use crate::prepared::PreparedBinding;

/// Body bytes that a record keeps of a request or response. Enough to see what was said, and a run of the longest flow stays within a few megabytes.
pub const MAX_BODY_BYTES: usize = 64 << 10;

/// What stands in a record in place of a value that proves identity.
const MASK: &str = "[masked]";

/// The record of an invocation; its usage is added to the run's.
pub(crate) fn invocation(binding: &PreparedBinding, hook: Hook, outcome: &mut Outcome, limits: &Limits, sum: &mut RunUsage) -> Invocation {
    let usage = outcome.usage;
    sum.fuel += usage.fuel;
    sum.wall_us += usage.wall_us;
    let mut logs = std::mem::take(&mut outcome.logs);
    if outcome.result.is_ok() {
        logs.extend(warnings(&usage, limits).map(|message| LogEntry { at: outcome.started_at, level: LogLevel::Warn, message }));
    }
    Invocation {
        hook,
        script: binding.script.clone(),
        version: binding.version,
        decision: outcome.result.as_ref().ok().map(DecisionRecord::from),
        fault: outcome.result.as_ref().err().cloned(),
        usage,
        logs,
        started_at: outcome.started_at,
        duration_us: outcome.duration_us,
    }
}

/// One sentence for each limit of which 80 % or more was used: the next input may be a little larger.
fn warnings(usage: &Usage, limits: &Limits) -> impl Iterator<Item = String> {
    let of = [
        ("fuel", usage.fuel, usage.fuel_limit),
        ("memory_bytes", usage.memory_bytes, usage.memory_limit_bytes),
        ("wall_ms", usage.wall_us / 1000, limits.wall_ms),
    ];
    of.into_iter().filter(|(_, used, limit)| u128::from(*used) * 5 >= u128::from(*limit) * 4).map(|(name, used, limit)| {
        format!("used {} % of the limit `{name}`: {used} of {limit}", u128::from(used) * 100 / u128::from(limit.max(1)))
    })
}

/// A step about to begin.
pub(crate) fn step(name: &str) -> StepRecord {
    StepRecord {
        name: name.to_owned(),
        status: StepStatus::Succeeded,
        code: None,
        message: None,
        hooks: Vec::new(),
        attempts: Vec::new(),
        waits: Vec::new(),
    }
}

/// An attempt that is gone on with no more, whatever would have come of it.
pub(crate) fn broken_off(attempt: &mut Attempt, fault: &Fault) {
    if attempt.request.is_some() && attempt.response.is_none() {
        attempt.response = Some(response(None, None));
    }
    attempt.error = Some(fault.clone());
}

/// An attempt about to begin.
pub(crate) fn attempt(started_at: jiff::Timestamp) -> Attempt {
    Attempt { started_at, duration_ms: 0, hooks: Vec::new(), request: None, response: None, error: None }
}

/// A request as it goes out; with files, `shown` stands for its body.
pub(crate) fn request(request: &HttpRequest, shown: Option<Bytes>) -> RequestRecord {
    let body = body(shown.as_ref().unwrap_or(&request.body));
    RequestRecord { method: request.method.clone(), url: cut(&request.url), headers: headers(&request.headers), body }
}

/// A response as it came in; status 0 when none did. Where it was kept as a file, `shown` stands for its body.
pub(crate) fn response(response: Option<&HttpResponse>, shown: Option<Bytes>) -> ResponseRecord {
    let Some(response) = response else { return ResponseRecord { status: 0, headers: Map::new(), body: BodyText::default() } };
    let body = body(shown.as_ref().unwrap_or(&response.body));
    ResponseRecord { status: response.status, headers: headers(&response.headers), body }
}

/// The public half of a store's failure; the log has the rest.
pub(crate) fn store_fault(error: StoreError) -> Fault {
    match error {
        // Somebody deleted it while something of it was under way; nothing is wrong with the store.
        StoreError::UnknownTenant(ref tenant) => tracing::info!(%tenant, "the tenant is gone; what was under way for it is not kept"),
        // The tenant keeps as much as it may; whoever asks is told.
        StoreError::TooManyDocuments { .. } | StoreError::DocumentsSize { .. } => {}
        ref error => tracing::error!(error = error as &dyn std::error::Error, "the store failed"),
    }
    Fault::from(error)
}

/// Longest URL or header value in a record. Servers take less of either.
const MAX_TEXT_BYTES: usize = 8 << 10;

/// Headers in a record; more of them are an attack, not a request.
const MAX_HEADERS: usize = 128;

/// The beginning of a text, with a mark where there was more.
fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT_BYTES {
        return text.to_owned();
    }
    format!("{}… ({} bytes)", &text[..text.floor_char_boundary(MAX_TEXT_BYTES)], text.len())
}

/// Name to text, or to a list of texts for a repeated name.
fn headers(headers: &Headers) -> Map<String, Value> {
    let mut map = Map::with_capacity(headers.0.len().min(MAX_HEADERS));
    for (name, value) in headers.iter().take(MAX_HEADERS) {
        let shown = Value::from(if proves_identity(name) { MASK.to_owned() } else { cut(value) });
        match map.get_mut(name) {
            None => {
                map.insert(name.to_owned(), shown);
            }
            Some(Value::Array(list)) => list.push(shown),
            Some(first) => *first = Value::Array(vec![first.take(), shown]),
        }
    }
    map
}

/// By the name's words, since every API has a header of its own for this.
fn proves_identity(name: &str) -> bool {
    const WORDS: [&[u8]; 8] = [b"authorization", b"cookie", b"token", b"secret", b"api-key", b"apikey", b"password", b"credential"];
    WORDS.iter().any(|word| name.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word)))
}

/// The first part of a body, and a note of how much is missing.
fn body(bytes: &Bytes) -> BodyText {
    if bytes.len() <= MAX_BODY_BYTES {
        return BodyText(bytes.clone());
    }
    // Cut between characters, so that a text stays a text: a character has at most three bytes after its first.
    let cut = (MAX_BODY_BYTES - 3..=MAX_BODY_BYTES).rev().find(|&at| bytes[at] & 0xc0 != 0x80).unwrap_or(MAX_BODY_BYTES);
    let note = format!("… [{} more bytes]", bytes.len() - cut);
    BodyText([&bytes[..cut], note.as_bytes()].concat().into())
}

#[cfg(test)]
mod tests {
    use snaphook_model::Headers;

    use super::*;

    #[test]
    fn what_proves_identity_is_masked_and_repeated_names_become_lists() {
        let all =
            Headers::from_iter([("Authorization", "Bearer x"), ("X-Api-Key", "k"), ("set-cookie", "a"), ("set-cookie", "b"), ("x-a", "1")]);
        let shown = Value::Object(headers(&all));
        let expected = serde_json::json!({"Authorization": MASK, "X-Api-Key": MASK, "set-cookie": [MASK, MASK], "x-a": "1"});
        assert_eq!(shown, expected);
    }

    #[test]
    fn long_bodies_are_cut_between_characters() {
        let long = "é".repeat(MAX_BODY_BYTES / 2 + 10);
        let kept = body(&Bytes::from(format!("x{long}")));
        let text = std::str::from_utf8(&kept.0).unwrap();
        assert!(text.ends_with("é… [22 more bytes]"), "{}", &text[text.len() - 40..]);
        assert_eq!(body(&Bytes::from_static(b"short")).0, "short");
    }

    #[test]
    fn a_limit_nearly_reached_is_a_warning() {
        let limits = Limits { wall_ms: 10, ..Limits::default() };
        let usage = Usage { fuel: 79, fuel_limit: 100, memory_bytes: 80, memory_limit_bytes: 100, wall_us: 9_900 };
        let found: Vec<String> = warnings(&usage, &limits).collect();
        assert_eq!(found, ["used 80 % of the limit `memory_bytes`: 80 of 100", "used 90 % of the limit `wall_ms`: 9 of 10"]);
    }
}
