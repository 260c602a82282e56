//! Everything that a request may end with but an answer, of an upstream that says first what it was sent.

use serde_json::{Value, json};
use snaphook_testkit::{Answer, Gate, Upstream};

use super::kinds::stored;
use super::{Canary, echo};
use crate::support::problem;

/// Decides by its parameter, and says with its decision what it heard.
const DECIDING: &str = "
    import { fail, reauthenticate, retry } from 'snaphook';
    export function postRequest(response, context) {
        context.log.info(response.text());
        const said = response.text().slice(0, 4000);
        switch (context.parms.how) {
            case 'fail': return fail(said, 7);
            case 'retry': return retry(said);
            case 'renew': return reauthenticate(said);
        }
    }
    export function postFail(failure, context) { context.log.error(failure.message + JSON.stringify(context.connection)); }
";

/// A path of the upstream, what differs in the endpoint, and the code that its calls end with.
fn failures() -> Vec<(&'static str, Value, &'static str)> {
    let deciding = |how: &str| json!({"hooks": {"post-request": [{"script": "decides", "parms": {"how": how}}]}});
    let mut retried = deciding("retry");
    retried["retry"] = json!({"attempts": 1, "delay_s": 0});
    vec![
        ("/slow", json!({"timeout_s": 1}), "timeout"),
        ("/refuses", json!({}), "status"),
        ("/endless", json!({}), "response-size"),
        ("/resets", json!({}), "reset"),
        ("/breaks", json!({}), "reset"),
        ("/elsewhere", json!({"method": "GET", "query": {"next": "{{ secrets.ONE }}"}}), "redirects"),
        ("/echo", deciding("fail"), "script-failed"),
        ("/echo", retried, "retries-used"),
    ]
}

fn answers(upstream: &Upstream) {
    let never = Gate::closed();
    upstream.on_request("/slow", move |request| Answer::json(echo(request)).after(&never));
    upstream.on_request("/refuses", |request| Answer::json(echo(request)).with_status(409));
    upstream.on_request("/endless", |request| Answer::endless(echo(request).to_string()));
    upstream.on_request("/resets", |request| {
        Answer::raw(format!("HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n{}", echo(request))).then_reset()
    });
    upstream.on_request("/breaks", |request| Answer::bytes(echo(request).to_string()).body_breaks());
    // Another host by its name, which is no host of the connection.
    let caught = upstream.url_at("localhost", "/caught");
    upstream.on_request("/elsewhere", move |request| {
        let next = request.path.split("next=").nth(1).unwrap_or_default();
        Answer::redirect(format!("{caught}?k={next}"))
    });
}

/// Ends calls and runs in each of these ways, with a secret that a template puts in, one in a header, and a token that is fetched.
pub(super) async fn walk(canary: &mut Canary, secrets: &[String]) {
    canary.tenant.js("decides", DECIDING).await;
    answers(&canary.upstream);
    let oauth = |kind: &str, token_url: &str, secret: &str| {
        let fields = json!({"token_url": canary.upstream.url(token_url), "client_id": "id", "client_secret": secret});
        json!({"kind": kind, "fields": fields})
    };
    let connections = [
        json!({"kind": "api-key-secret", "fields": {"api_key": secrets[0], "api_secret": secrets[1]}}),
        json!({"kind": "basic", "fields": {"username": "ada", "password": secrets[2]}}),
        oauth("oauth2-client-credentials", "/token", &secrets[3]),
    ];
    let mut refused = oauth("oauth2-authorization-code", "/token-once", &secrets[1]);
    refused["fields"]["authorize_url"] = canary.upstream.url("/authorize").into();
    for (number, connection) in connections.iter().enumerate() {
        let name = format!("failing-{number}");
        stored(canary, &name, connection).await;
        for (path, differs, code) in failures() {
            end(canary, &name, (path, &differs), code).await;
        }
    }
    let renewing = json!({"hooks": {"post-request": [{"script": "decides", "parms": {"how": "renew"}}]}});
    end(canary, "failing-2", ("/echo", &renewing), "reauthenticate-failed").await;
    // Its only token is over when it comes, and another one is refused with all that was sent for it.
    stored(canary, "refused", &refused).await;
    end(canary, "refused", ("/echo", &json!({})), "token-refused").await;
    let shown = canary.tenant.client.get("/v1/connections/refused").await.expect(200);
    assert_eq!(shown.json()["status"], "broken", "{}", shown.text());
    canary.said.push(shown.text());
    assert_eq!(canary.upstream.requests().iter().filter(|request| request.path.starts_with("/caught")).count(), 0);
}

/// A call and a run with a connection, both of which must end so.
async fn end(canary: &mut Canary, connection: &str, (path, differs): (&str, &Value), code: &str) {
    let deciding = json!([{"script": "decides"}]);
    let mut endpoint = json!({"method": "POST", "path": path, "headers": {"x-secret": "{{ secrets.ONE }}"}});
    endpoint.as_object_mut().unwrap().extend(differs.as_object().unwrap().clone());
    if endpoint["method"] == "POST" {
        endpoint["data"] = json!({"field": "{{ connection.api_secret }}{{ connection.password }}", "named": "{{ secrets.ONE }}"});
    }
    let mut hooks = json!({"post-request": deciding, "post-fail": deciding});
    if let Some(own) = differs["hooks"].as_object() {
        hooks.as_object_mut().unwrap().extend(own.clone());
    }
    endpoint["hooks"] = hooks;
    let connector = json!({"base_url": canary.upstream.url(""), "connection": connection, "endpoints": {"x": endpoint}});
    canary.tenant.connector("failing", connector).await;
    canary.tenant.flow("failing", json!({"steps": [{"call": "failing/x"}]})).await;
    let direct = canary.tenant.call("failing/x", json!({})).await;
    // A connection that is broken by then is not asked again.
    let in_a_flow = if code == "token-refused" { "connection-broken" } else { code };
    let run = canary.tenant.run("failing", json!({})).await;
    for (answer, code) in [(direct, code), (run, in_a_flow)] {
        assert_eq!(problem(&answer).0, code, "{connection} at {path}: {}", answer.text());
        canary.hears(&answer).await;
    }
}
