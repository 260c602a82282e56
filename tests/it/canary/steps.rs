//! A flow with every kind of step, begun by its trigger: a script, a script that sends by itself, a request written out, one that is sent again until it
//! is answered, one whose answer is a file, one that sends the file, a call, and one that ends when it is called back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate};
use snaphook_tests::Client;
use tokio::sync::mpsc;

use super::kinds::stored;
use super::{Canary, Search, echo};
use crate::support::ended;

/// Says what it sees, and keeps a part of it. Results of other steps are left out: they hold those before them, and would grow with every step.
const LISTENING: &str = "
    const all = (context) => JSON.stringify([context.connection, context.variables, context.meta]);
    export function trigger(request, context) {
        context.log.info(request.text() + all(context));
        return { payload: request.json(), response: { status: 200, body: { seen: request.text() } } };
    }
    export function preHook(call, context) { context.log.info(all(context)); }
    export function preRequest(request, context) {
        context.log.info(request.url + request.text() + JSON.stringify([...request.headers]));
        request.headers.set('x-seen', encodeURIComponent(all(context)));
    }
    export function postRequest(response, context) {
        context.log.warn(response.text() + JSON.stringify([...response.headers]));
        context.variables.heard = response.text().slice(0, 4000);
        context.state.flow.set('heard', response.text());
    }
    export default (payload, context) => { context.log.info(JSON.stringify(payload)); return { heard: all(context) }; };
";

const SENDING: &str = "
    export default async function (payload, context) {
        const answer = await fetch('steps:/echo', { method: 'POST', body: JSON.stringify([payload, context.connection]) });
        context.log.info(JSON.stringify([...answer.headers]));
        return { heard: await answer.text() };
    }
";

/// Who is to be called back: a run's correlation, and all that the request had that asked for it.
struct Asked {
    correlation: String,
    echo: Value,
    secret: String,
}

/// Walks the flow with connections whose secrets go wherever a template puts them, into a header, and to whoever was agreed to; each time once called
/// back with good news and once with bad, and with all that was sent. Before the run hears that, the database is searched.
pub(super) async fn walk(canary: &mut Canary, secrets: &[String], search: &Search) {
    canary.tenant.js("listens", LISTENING).await;
    canary.tenant.js("sends", SENDING).await;
    let connections = [
        json!({"kind": "api-key-secret", "fields": {"api_key": secrets[0], "api_secret": secrets[1]}}),
        json!({"kind": "basic", "fields": {"username": "ada", "password": secrets[2]}}),
        json!({"kind": "oauth2-authorization-code", "fields": {"authorize_url": canary.upstream.url("/authorize"), "token_url": canary.upstream.url("/token"),
            "client_id": "id", "client_secret": secrets[3]}}),
    ];
    let answered = Gate::closed();
    let mut asked = answers(canary, &answered);
    for (number, connection) in connections.iter().enumerate() {
        let name = format!("steps-{number}");
        stored(canary, &name, connection).await;
        deploy(canary, &name).await;
        for status in ["Ok", "Failed"] {
            run(canary, &mut asked, status, (&answered, search)).await;
        }
    }
}

/// What the upstream says; gives those whom it is to call back. It takes their requests once the gate is open.
fn answers(canary: &Canary, answered: &Gate) -> mpsc::UnboundedReceiver<Asked> {
    let (asking, asked) = mpsc::unbounded_channel();
    let polls = AtomicUsize::new(0);
    canary.upstream.on_request("/poll", move |request| {
        let mut answer = echo(request);
        answer["state"] = if polls.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "open".into() } else { "done".into() };
        Answer::json(answer)
    });
    // What goes into a file as it comes is not looked through, so nothing is repeated but in a header.
    canary.upstream.on_request("/file", |request| {
        Answer::text("nothing that was sent").header("x-echo", request.header("x-secret").unwrap_or_default())
    });
    let answered = answered.clone();
    canary.upstream.on_request("/ask", move |request| {
        let header = |name: &str| request.header(name).unwrap_or_default().to_owned();
        let _ = asking.send(Asked { correlation: header("x-link-correlation-id"), echo: echo(request), secret: header("x-secret") });
        Answer::json(echo(request)).with_status(202).after(&answered)
    });
    asked
}

async fn deploy(canary: &Canary, name: &str) {
    let listens = json!([{"script": "listens"}]);
    let hooks = json!({"pre-hook": listens, "pre-request": listens, "post-request": listens});
    let headers = json!({"content-type": "application/json", "x-secret": "{{ secrets.ONE }}"});
    let data = json!({"key": "{{ connection.api_key }}", "inside": "<{{ connection.api_secret }}>", "password": "{{ connection.password }}",
        "token": "{{ connection.access_token }}", "named": "{{ secrets.ONE }}"});
    let endpoint = |path: &str| json!({"method": "POST", "path": path, "headers": headers, "data": data, "hooks": hooks});
    let endpoints = json!({"echo": endpoint("/echo"), "ask": endpoint("/ask")});
    canary.tenant.connector("steps", json!({"base_url": canary.upstream.url(""), "connection": name, "endpoints": endpoints})).await;
    let post = |title: &str, path: &str, more: Value| {
        let mut step = json!({"name": title, "url": canary.upstream.url(path), "method": "POST", "connection": name, "headers": headers, "data": data});
        step.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        step
    };
    let until =
        json!({"continue_if": {"response_notation": "state", "value": "done"}, "polling": {"interval": 1, "amount": 5}, "hooks": hooks});
    let heard = json!({"post-request": listens});
    let steps = json!([
        {"name": "Script", "script": "listens", "connection": name},
        {"name": "Sends", "script": "sends", "connection": name},
        post("Written out", "/echo?k={{ secrets.ONE }}", json!({"hooks": hooks})),
        post("Again", "/poll", until),
        {"name": "Saved", "url": canary.upstream.url("/file?k={{ secrets.ONE }}"), "method": "GET", "connection": name, "headers": headers,
            "save_as_file": "f.txt"},
        post("Sent on", "/echo", json!({"files": {"file": "f.txt"}, "headers": {"x-secret": "{{ secrets.ONE }}"}, "hooks": heard})),
        {"name": "Call", "call": "steps/echo"},
        {"name": "Called back", "call": "steps/ask", "async": {"timeout_s": 60}},
        {"name": "Last", "script": "listens", "connection": name},
    ]);
    canary.tenant.flow("every", json!({"trigger": {"auth": "token", "script": "listens"}, "steps": steps})).await;
}

async fn run(canary: &mut Canary, asked: &mut mpsc::UnboundedReceiver<Asked>, status: &str, (answered, search): (&Gate, &Search)) {
    let outside = Client::new(&canary.tenant.client.url, canary.tenant.client.token.as_deref());
    let headers = [("content-type", "application/json"), ("prefer", "respond-async")];
    let begun = outside.send("POST", &format!("/t/{}/every", canary.tenant.name), &headers, "{\"n\": 1}".into()).await;
    let run = begun.header("x-run-id").unwrap_or_else(|| panic!("no run: {}", begun.text())).to_owned();
    canary.said.push(begun.text());
    let Ok(Some(Asked { correlation, echo, secret })) = tokio::time::timeout(Duration::from_secs(60), asked.recv()).await else {
        let record = canary.tenant.record_of(&run).await;
        panic!("nobody was asked to call back: {record:#}");
    };
    let mut headers =
        vec![("x-link-correlation-id", correlation.as_str()), ("x-link-status", status), ("content-type", "application/json")];
    headers.extend([("x-link-error-code", "7"), ("x-link-error-text", secret.as_str())].into_iter().filter(|_| status == "Failed"));
    let repeated = json!({"called": "back", "with": echo}).to_string();
    assert!(search.is_in(&repeated) && search.is_in(&secret), "{repeated}");
    canary.said.push(canary.tenant.call_back(&headers, &repeated).await.expect(200).text());
    // The run cannot hear of it until its request is answered, which waits for this.
    for file in ["snaphook.db", "snaphook.db-wal"] {
        search.assert_clean(&format!("{file}, with a callback that nobody has heard,"), &std::fs::read(canary.data.join(file)).unwrap());
    }
    answered.open();
    let record = ended(&canary.tenant, &run).await;
    let (expected, steps) = if status == "Ok" { ("succeeded", 9) } else { ("failed", 8) };
    assert_eq!((record["status"].as_str(), record["steps"].as_array().map(Vec::len)), (Some(expected), Some(steps)), "{record:#}");
    canary.hears_of(&run).await;
}
