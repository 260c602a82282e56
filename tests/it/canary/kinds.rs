//! Every kind of connection, used in a call and in a flow by scripts that put all they see into all they can reach.

use serde_json::{Value, json};
use snaphook_testkit::Upstream;

use super::Canary;
use super::agreed::agree;

/// Connections of every kind and place, until all secrets are used. What goes into a header is in ASCII.
pub(crate) fn connections(upstream: &Upstream, secrets: &[String]) -> Vec<Value> {
    let (mut plain, mut beyond): (Vec<_>, Vec<_>) = secrets.iter().cloned().partition(|secret| secret.is_ascii());
    let oauth = |kind: &str, secret: String| {
        let mut fields = json!({"token_url": upstream.url("/token"), "client_id": "id", "client_secret": secret});
        if kind == "oauth2-authorization-code" {
            fields["authorize_url"] = upstream.url("/authorize").into();
        }
        json!({"kind": kind, "fields": fields})
    };
    let mut made = Vec::new();
    for number in 0.. {
        let Some(one) = (if number % 2 == 0 { beyond.pop() } else { None }).or_else(|| plain.pop()).or_else(|| beyond.pop()) else { break };
        let in_header = one.is_ascii();
        made.push(match (number % 9, plain.pop()) {
            (1, _) if in_header => json!({"kind": "bearer", "fields": {"token": one}}),
            (3, _) if in_header => json!({"kind": "api-key", "fields": {"api_key": one}, "place": {"header": "x-key", "prefix": "Key "}}),
            (5, Some(two)) if in_header => {
                json!({"kind": "api-key-secret", "fields": {"api_key": one, "api_secret": two}, "place": {"header": "x-k", "secret_header": "x-s"}})
            }
            (0 | 4, Some(two)) => json!({"kind": "api-key-secret", "fields": {"api_key": one, "api_secret": two}}),
            (2, two) => {
                plain.extend(two);
                json!({"kind": "api-key", "fields": {"api_key": one}, "place": {"query": "key"}})
            }
            (6, two) => {
                plain.extend(two);
                json!({"kind": "private-key", "fields": {"private_key": one}})
            }
            (7, two) => {
                plain.extend(two);
                oauth("oauth2-client-credentials", one)
            }
            (8, two) => {
                plain.extend(two);
                oauth("oauth2-authorization-code", one)
            }
            (_, two) => {
                plain.extend(two);
                json!({"kind": "basic", "fields": {"username": "ada", "password": one}})
            }
        });
    }
    made
}

/// Puts everything that it sees into everything that it can reach.
const NOSY: &str = "
    const all = (context) => JSON.stringify([context.connection, context.variables, context.meta, context.stepResults]);
    export function preHook(call, context) { context.log.info(all(context)); context.variables.seen = all(context); }
    export function preRequest(request, context) {
        context.log.info(request.url + request.text() + JSON.stringify([...request.headers]));
        request.headers.set('x-seen', encodeURIComponent(all(context)));
        const body = request.json();
        for (const [name, value] of Object.entries(context.connection)) body[name] = [value, btoa(unescape(encodeURIComponent(String(value))))];
        request.body = body;
    }
    export function postRequest(response, context) {
        context.log.warn(response.text() + JSON.stringify([...response.headers]));
        context.variables.echo = response.text();
        context.meta.echo = response.text().slice(0, 2000);
        context.state.tenant.set('echo', response.text());
        if (context.parms.fail) throw new Error(response.text());
    }
    export function postHook(result, context) { return { result: result.payload, seen: all(context) }; }
    export function postFail(failure, context) { context.log.error(failure.message + all(context)); }
    export default (payload, context) => ({ payload, seen: all(context) });
";

/// Stores a connection; where somebody has to agree to it, somebody does.
pub(super) async fn stored(canary: &mut Canary, name: &str, connection: &Value) {
    let answer = canary.tenant.client.put(&format!("/v1/connections/{name}"), connection).await.expect(201);
    canary.said.push(answer.text());
    if connection["kind"] == "oauth2-authorization-code" {
        canary.said.extend(agree(&canary.tenant, name).await);
    }
}

/// Uses each connection twice: once all goes well, and once a script throws what it heard.
pub(super) async fn walk(canary: &mut Canary, secrets: &[String]) {
    canary.tenant.js("nosy", NOSY).await;
    for (number, connection) in connections(&canary.upstream, secrets).iter().enumerate() {
        let name = format!("c{number}");
        stored(canary, &name, connection).await;
        for fail in [false, true] {
            calls(canary, &name, fail).await;
        }
        let shown = canary.tenant.client.get(&format!("/v1/connections/{name}")).await.expect(200);
        canary.said.push(shown.text());
    }
}

async fn calls(canary: &mut Canary, name: &str, fail: bool) {
    let hook = json!([{"script": "nosy", "parms": {"fail": fail}}]);
    let hooks: serde_json::Map<String, Value> =
        ["pre-hook", "pre-request", "post-request", "post-hook", "post-fail"].map(|at| (at.to_owned(), hook.clone())).into_iter().collect();
    let endpoint = json!({"method": "POST", "path": "/echo", "headers": {"x-secret": "{{ secrets.ONE }}"}, "hooks": hooks,
        "data": {"field": "{{ connection.api_secret }}{{ connection.password }}", "named": "{{ secrets.ONE }}"}});
    let connector = json!({"base_url": canary.upstream.url(""), "connection": name, "endpoints": {"x": endpoint}});
    canary.tenant.connector("api", connector).await;
    canary.tenant.flow("f", json!({"steps": [{"call": "api/x"}, {"script": "nosy", "connection": name}]})).await;
    for answer in [canary.tenant.call("api/x", json!({})).await, canary.tenant.run("f", json!({})).await] {
        let answer = answer.expect(if fail { 422 } else { 200 });
        canary.hears(&answer).await;
    }
}
