//! The dashboard as somebody with a task walks through it, from an empty tenant to a hook that is mended and promoted; and every page of those on
//! which something is built, looked at as `dashboard_pages.rs` looks at the others.

use serde_json::json;
use snaphook_testkit::Upstream;
use snaphook_tests::{Browser, Tenant};

use crate::dashboard_pages::{axe, browser_is_here, look, sign_in, visit};
use crate::support::{node, ok, tenant};

/// TypeScript that does not compile, in its third line.
const BROKEN: &str = "import { reject } from \"snaphook\";\n\
                      type Given = { text: string; words?: number };\n\
                      export function preHook(call: { arguments: Given }) { call.arguments.words = ; }";
/// The same with a value; it throws where there is no text.
const FIRST: &str = "import { reject } from \"snaphook\";\n\
                     type Given = { text: string; words?: number };\n\
                     export function preHook(call: { arguments: Given }) { call.arguments.words = call.arguments.text.split(\" \").length; }";
/// The same, with an answer to who gives no text.
const SECOND: &str = "import { reject } from \"snaphook\";\n\
                      type Given = { text: string; words?: number };\n\
                      export function preHook(call: { arguments: Given }) { if (!call.arguments.text) return reject(400, \"text is missing\"); call.arguments.words = call.arguments.text.split(\" \").length; }";

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_written_mended_bound_replayed_and_promoted() {
    if !browser_is_here() {
        return;
    }
    let (tenant, upstream) = tenant().await;
    upstream.on("/orders", ok());
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    create_a_connector(&browser, &upstream).await;
    write_a_script(&browser).await;
    test_it(&browser).await;
    bind_it(&browser, &tenant).await;
    call_it(&browser, &upstream).await;
    find_what_failed(&browser).await;
    mend_it_and_replay(&browser).await;
    promote_it(&browser, &tenant).await;
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

async fn create_a_connector(browser: &Browser, upstream: &Upstream) {
    browser.click("Connectors").await;
    browser.click("New connector").await;
    browser.fill("Name", "shop").await;
    // A document that is no connector is refused with the place that is wrong.
    browser.write_in_editor("Document of the connector", "{\"base_url\": 1, \"endpoints\": {}}").await;
    browser.click("Save").await;
    browser.wait_until("document.querySelector('.problems .error')?.innerText.includes('base_url')").await;
    let endpoint = json!({"create-order": {"method": "POST", "path": "/orders"}});
    browser.write_in_editor("Document of the connector", &json!({"base_url": upstream.url(""), "endpoints": endpoint}).to_string()).await;
    browser.click("Save").await;
    browser.wait_for_text("shop is saved").await;
    browser.wait_until("document.querySelector('.page-connectors .way .request')?.innerText.includes('POST')").await;
}

async fn write_a_script(browser: &Browser) {
    browser.click("Scripts").await;
    browser.click("New script").await;
    browser.fill("Name", "count").await;
    browser.write_in_editor("Source", BROKEN).await;
    // The error is there without anything being asked for, and leads to its line.
    browser.wait_until("document.querySelector('.problems .error')?.innerText.includes('in line 3')").await;
    browser.write_in_editor("Source", FIRST).await;
    browser.wait_until("document.querySelector('.problems .fine')?.innerText.includes('pre-hook')").await;
    browser.click("Deploy").await;
    browser.wait_for_text("Version 1 of count is deployed").await;
    browser.wait_until("document.querySelector('.source')?.innerText.includes('type Given')").await;
}

async fn test_it(browser: &Browser) {
    browser.click("Test").await;
    browser.write_in_editor("Sample input", "{\"arguments\": {\"text\": \"four words in here\"}}").await;
    browser.click("Run the test").await;
    browser.wait_until("[...document.querySelectorAll('.diff .added')].some((line) => line.innerText.includes('\"words\": 4'))").await;
    // A sample that makes it fail, in the author's own source.
    browser.write_in_editor("Sample input", "{\"arguments\": {}}").await;
    browser.click("Run the test").await;
    browser.wait_until("document.querySelector('.source .marked')?.innerText.includes('export function preHook')").await;
}

async fn bind_it(browser: &Browser, tenant: &Tenant) {
    browser.click("Connectors").await;
    browser.click("shop").await;
    browser.click_on("//button[@aria-label='Add a script to pre-hook of shop/create-order']").await;
    browser.choose("Script", "count").await;
    // Its code is shown beside it.
    browser.wait_until("document.querySelector('.binding .source')?.innerText.includes('type Given')").await;
    browser.click("Save").await;
    browser.wait_for_text("shop is saved").await;
    browser.wait_until("document.querySelector('.way .chip')?.innerText.includes('v1')").await;
    assert_eq!(bound(tenant).await, json!([{"script": "count", "version": 1}]));
}

/// What is bound before the endpoint's calls.
async fn bound(tenant: &Tenant) -> serde_json::Value {
    tenant.client.get("/v1/connectors/shop").await.expect(200).json()["endpoints"]["create-order"]["hooks"]["pre-hook"].take()
}

async fn call_it(browser: &Browser, upstream: &Upstream) {
    browser.click("Call").await;
    browser.write_in_editor("Arguments", "{\"text\": \"a b c\"}").await;
    browser.click("Call it").await;
    browser.wait_until("document.querySelector('.badge.good')?.innerText === '200'").await;
    assert_eq!(upstream.last().json(), json!({"text": "a b c", "words": 3}));
    browser.write_in_editor("Arguments", "{}").await;
    browser.click("Call it").await;
    browser.wait_until("document.querySelector('.badge.bad')?.innerText === '422'").await;
}

async fn find_what_failed(browser: &Browser) {
    browser.click("Runs").await;
    browser.wait_until("document.querySelector('.page-runs .badge.bad')").await;
    browser.click_on("//tr[.//*[contains(@class, 'badge')][normalize-space()='failed']]//a[starts-with(@href, '#/runs/')]").await;
    // The hook that failed is open, its source at the line that threw.
    browser.wait_until("document.querySelector('.source .marked')?.innerText.includes('call.arguments.text.split')").await;
}

async fn mend_it_and_replay(browser: &Browser) {
    let run = browser.run("return location.hash", Vec::new()).await;
    browser.click("Scripts").await;
    browser.click("count").await;
    browser.click("Edit").await;
    browser.write_in_editor("Source", SECOND).await;
    browser.wait_until("document.querySelector('.problems .fine')?.innerText.includes('pre-hook')").await;
    browser.click("Deploy").await;
    browser.wait_for_text("Version 2 of count is deployed").await;
    visit(browser, run.as_str().unwrap()).await;
    browser.click("Replay…").await;
    browser.choose("count", "version 2").await;
    browser.click("Replay").await;
    browser.wait_for_text("1 of 1 invocations differ").await;
}

async fn promote_it(browser: &Browser, tenant: &Tenant) {
    browser.click("Scripts").await;
    browser.click("count").await;
    browser.click("Promote").await;
    browser.wait_for_text("version 1 at").await;
    // Nothing is promoted before the replay has been shown.
    browser.wait_until("[...document.querySelectorAll('button:disabled')].some((one) => one.innerText === 'Promote version 2')").await;
    browser.click("Replay").await;
    // Of the two calls one had text; it is counted as before.
    browser.wait_until("document.querySelector('#replay-summary')?.innerText.includes('1 of 2')").await;
    browser.click("Promote version 2").await;
    browser.wait_for_text("is bound at 1 place").await;
    assert_eq!(bound(tenant).await, json!([{"script": "count", "version": 2}]));
    let refused = tenant.call("shop/create-order", json!({})).await.expect(400).json();
    assert_eq!(refused["status_message"], "text is missing");
}

/// A tenant that has one of everything that can be built.
async fn furnished() -> (Tenant, Upstream) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    for n in [1, 2] {
        let source = format!(
            "export function preHook(call) {{ call.arguments.n = {n}; }}\nexport default function (payload) {{ return payload; }}\n"
        );
        tenant.js("s", &source).await;
    }
    let hooks = json!({"pre-hook": [{"script": "s", "version": 1, "parms": {"a": 1}}]});
    let endpoint = json!({"method": "POST", "path": "/x", "hooks": hooks, "retry": {"attempts": 1}});
    tenant.connector("api", json!({"base_url": upstream.url(""), "endpoints": {"x": endpoint}})).await;
    let ignored = json!({"policy": "retry", "attempts": 1, "delay_s": 1, "ignore_final": true});
    let done = json!({"response_notation": "ok", "value": true});
    let steps = json!([
        {"name": "Shape", "script": "s", "on_error": ignored},
        {"name": "Ask", "call": "api/x", "store_data": {"OK": "ok"}},
        {"name": "Look", "url": upstream.url("/x"), "method": "GET", "continue_if": done, "polling": {"interval": 1, "amount": 3}},
    ]);
    tenant.flow("f", json!({"trigger": {"auth": "none"}, "retry": {"attempts": 1, "delay_s": 60}, "steps": steps})).await;
    let _ = tenant.call("api/x", json!({})).await.expect(200);
    let put = async |path: &str, document| tenant.client.put(path, &document).await.expect(201);
    let place = json!({"header": "x-api-key"});
    let _ =
        put("/v1/connections/key", json!({"kind": "api-key", "fields": {"api_key": "k"}, "place": place, "hosts": ["api.example.com"]}))
            .await;
    let client = json!({"authorize_url": "https://id.example.com/a", "token_url": "https://id.example.com/t", "client_id": "c", "client_secret": "s"});
    let _ = put("/v1/connections/code", json!({"kind": "oauth2-authorization-code", "fields": client})).await;
    let _ = tenant.client.send("PUT", "/v1/secrets/KEY", &[("content-type", "text/plain")], "v".into()).await.expect(201);
    let _ = put("/v1/subjects/p-1", json!({"values": {"name": "Ada"}})).await;
    (tenant, upstream)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_on_which_something_is_built_can_be_used() {
    if !browser_is_here() {
        return;
    }
    let (tenant, _upstream) = furnished().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    for page in [
        "scripts/+new",
        "scripts/s",
        "scripts/s/edit",
        "scripts/s/test",
        "scripts/s/promote",
        "connectors/+new",
        "connectors/api",
        "connectors/api/call",
        "connectors/api/document",
        "flows/+new",
        "flows/f",
        "flows/f/start",
        "flows/f/document",
        "connections/+new",
        "connections/key",
        "connections/code",
    ] {
        look(&browser, &format!("#/{page}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_editor_completes_from_the_types_of_the_sdk() {
    // Packages of npm's are there together or not at all: axe-core, and the editor.
    if !browser_is_here() || axe().is_none() {
        return;
    }
    let (tenant, _upstream) = tenant().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    visit(&browser, "#/scripts/+new").await;
    // Members of what the hook is given, by whatever name; with what the types say about them.
    browser.write_in_editor("Source", "export function preRequest(outgoing) { outgoing.hea").await;
    let shown = "document.querySelector('.editor').shadowRoot.querySelector('.cm-tooltip-autocomplete')?.innerText ?? ''";
    browser.wait_until(&format!("({shown}).includes('headers')")).await;
    let info = "document.querySelector('.editor').shadowRoot.querySelector('.cm-completionInfo')?.innerText ?? ''";
    browser.wait_until(&format!("({info}).includes('hop-by-hop')")).await;
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}
