//! Every page of the dashboard in a browser, with something to show: in both themes, at the width of a desk and of a phone. Nothing goes to the
//! console, nothing elsewhere, nothing is wider than the window, and axe-core finds nothing that keeps people out. `dashboard_story.rs` walks through
//! it as somebody with a task does.

use std::io::Write as _;
use std::sync::LazyLock;

use serde_json::{Value, json};
use snaphook_tests::{Browser, OPERATOR, Tenant};

use crate::support::{ended, endpoint, node, ok, tenant};

/// Pages of a tenant's administrator.
pub(crate) const PAGES: [&str; 9] = ["overview", "runs", "scripts", "connectors", "flows", "connections", "tokens", "usage", "audit"];

const SOURCE: &str =
    "export function preHook(call) {\n  console.log(\"asked\");\n  call.arguments.twice = call.arguments.n.toFixed(0) * 2;\n}\n";

/// A tenant with a script, a connector, a flow, and runs that went well and badly. Gives a run that failed in its script, and one that did not.
async fn lived_in() -> (Tenant, snaphook_testkit::Upstream, String, String) {
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", SOURCE).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    tenant.flow("f", json!({"steps": [{"name": "Ask", "call": "api/x"}]})).await;
    let good = tenant.call("api/x", json!({"n": 4})).await.expect(200).header("x-run-id").unwrap().to_owned();
    let bad = tenant.call("api/x", json!({})).await.expect(422).json()["run"].as_str().unwrap().to_owned();
    let _ = tenant.run("f", json!({"n": 1})).await.expect(200);
    for run in [&good, &bad] {
        ended(&tenant, run).await;
    }
    (tenant, upstream, good, bad)
}

pub(crate) async fn sign_in(browser: &Browser, token: &str) {
    sign_in_at(browser, node().url(), token).await;
}

/// The same on a node of the test's own.
pub(crate) async fn sign_in_at(browser: &Browser, url: &str, token: &str) {
    browser.open(&format!("{url}/")).await;
    browser.fill("Token", token).await;
    browser.click("Sign in").await;
    browser.wait_until("document.querySelector('#who .name')").await;
}

/// Goes to a page and waits until it is shown.
pub(crate) async fn visit(browser: &Browser, page: &str) {
    browser
        .run(
            "document.querySelector('#main').replaceChildren(); location.hash = '#/runs/none'; location.hash = arguments[0];",
            vec![page.into()],
        )
        .await;
    browser.wait_until("document.querySelector('#main h1') && !document.querySelector('#main .loading')").await;
}

/// Looks at a page in both themes and at both widths.
pub(crate) async fn look(browser: &Browser, page: &str) {
    for (width, height) in [(1280, 900), (390, 844)] {
        browser.resize(width, height).await;
        for theme in ["light", "dark"] {
            visit(browser, page).await;
            browser.choose_theme(theme).await;
            let wider = browser.run("return document.documentElement.scrollWidth - document.documentElement.clientWidth", Vec::new()).await;
            assert_eq!(wider, 0, "{page} is wider than a window of {width}");
            if let Some(axe) = axe() {
                assert_eq!(browser.barriers(axe).await, [""; 0], "{page}, {theme}, {width}");
            }
            assert_eq!(browser.complaints(node().url()).await, [""; 0], "{page}, {theme}, {width}");
        }
    }
    browser.resize(1280, 900).await;
}

/// Whether there is a browser; said where there is none.
pub(crate) fn browser_is_here() -> bool {
    let here = snaphook_tests::browser::is_installed();
    if !here {
        println!("left out: there is no chromium with chromedriver; `cargo xtask setup` installs them");
    }
    assert!(here || std::env::var_os("CI").is_none(), "everything must be tested here");
    here
}

/// The source of axe-core; none where the node was built without npm. That is said once, past what keeps the output of tests that pass.
pub(crate) fn axe() -> Option<&'static str> {
    static AXE: LazyLock<Option<String>> = LazyLock::new(|| {
        let path = snaphook_dashboard::AXE;
        if path.is_none() {
            let text = "LEFT OUT: without npm there is no axe-core, so no page of the dashboard was looked at for barriers, nor its editor tried. \
                        Install npm, `touch crates/dashboard/build/main.rs` and test again.\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
        }
        path.map(|path| std::fs::read_to_string(path).unwrap())
    });
    AXE.as_deref()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_of_a_tenant_can_be_used() {
    if !browser_is_here() {
        return;
    }
    let (tenant, _upstream, good, bad) = lived_in().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    for page in PAGES.map(|page| format!("#/{page}")).into_iter().chain([format!("#/runs/{good}"), format!("#/runs/{bad}")]) {
        look(&browser, &page).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_shows_the_line_of_its_source() {
    if !browser_is_here() {
        return;
    }
    let (tenant, _upstream, good, bad) = lived_in().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    visit(&browser, "#/runs").await;
    browser.click_on(&format!("//a[@href='#/runs/{bad}']")).await;
    // The hook that failed is open, its source at the line that threw.
    browser.wait_until("document.querySelector('.source .marked')?.innerText.includes('toFixed')").await;
    browser.wait_for_text("TypeError").await;
    browser.wait_for_text("asked").await;
    // Another version, with which nothing throws: the replay says what it would have done, and calls nobody.
    tenant.js("s", "export function preHook(call) { call.arguments.twice = 0; }").await;
    browser.click("Replay…").await;
    browser.choose("s", "version 2").await;
    browser.click("Replay").await;
    browser.wait_for_text("1 of 1 invocations differ").await;
    // What a hook did to what it was given, as a difference; its bar is opened with Enter.
    visit(&browser, &format!("#/runs/{good}")).await;
    browser.press("//button[starts-with(normalize-space(), 'pre-hook s v1')]", "\u{e007}").await;
    browser.wait_until("[...document.querySelectorAll('.diff .added')].some((line) => line.innerText.includes('\"twice\": 8'))").await;
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_runs_keeps_itself_up_to_date_and_goes_on() {
    if !browser_is_here() {
        return;
    }
    let (tenant, upstream) = tenant().await;
    upstream.on("/x", ok());
    tenant.js("s", SOURCE).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    let browser = Browser::start().await;
    // A phone's navigation is behind a button.
    browser.resize(390, 844).await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    browser.click("Menu").await;
    browser.click("Runs").await;
    browser.wait_for_text("No run fits").await;
    let _ = tenant.call("api/x", json!({"n": 1})).await.expect(200);
    browser.wait_until("document.querySelector('tbody .badge')?.innerText === 'succeeded'").await;
    browser.choose("Status", "failed").await;
    browser.wait_for_text("No run fits").await;
    // More than a page of them: who scrolls gets the next one.
    for _ in 0..60 {
        let _ = tenant.call("api/x", json!({})).await.expect(422);
    }
    browser.wait_until("document.querySelectorAll('tbody tr').length >= 50").await;
    browser.wait_until("scrollTo(0, document.body.scrollHeight) ?? document.querySelectorAll('tbody tr').length === 60").await;
    browser.wait_for_text("60 shown, that is all").await;
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_made_shown_once_and_deleted() {
    if !browser_is_here() {
        return;
    }
    let (tenant, _upstream) = tenant().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    visit(&browser, "#/tokens").await;
    browser.fill("Name", "ci").await;
    browser.click("Make the token").await;
    browser.wait_for_text("shown this once").await;
    let text = browser.run("return document.querySelector('.once code').innerText", Vec::new()).await;
    let made = snaphook_tests::Client::new(node().url(), text.as_str());
    let _ = made.get("/v1/runs").await.expect(200);
    browser.click_on("//button[@aria-label='Delete ci']").await;
    browser.click("Delete the token").await;
    browser.wait_for_text("is deleted").await;
    let _ = made.get("/v1/runs").await.expect(401);
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_saved_is_left_only_on_purpose_and_nothing_is_replaced_as_new() {
    if !browser_is_here() {
        return;
    }
    let (tenant, _upstream, ..) = lived_in().await;
    let browser = Browser::start().await;
    sign_in(&browser, tenant.client.token.as_deref().unwrap()).await;
    visit(&browser, "#/connectors/+new").await;
    browser.fill("Name", "api").await;
    browser.write_in_editor("Document of the connector", "{\"base_url\": \"https://other.example.com\", \"endpoints\": {}}").await;
    browser.click("Save").await;
    browser.wait_for_text("There is a connector “api” already").await;
    browser.click("Runs").await;
    browser.click("Stay here").await;
    browser.wait_until("location.hash === '#/connectors/+new' && document.querySelector('.page-connectors .problems')").await;
    browser.click("Runs").await;
    browser.click("Leave it").await;
    browser.wait_until("document.querySelector('.page-runs')").await;
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_tenants_and_nothing_inside_them() {
    if !browser_is_here() {
        return;
    }
    let egress = json!({"allow": [], "ports": [443], "allow_private": ["127.0.0.0/8"]});
    let document = json!({"egress": egress, "document_statuses": ["Awaiting Legal"]});
    let tenant = node().tenant_with(document).await;
    let browser = Browser::start().await;
    sign_in(&browser, OPERATOR).await;
    browser.wait_for_text(&tenant.name).await;
    let links = browser.run("return [...document.querySelectorAll('nav a')].map((link) => link.innerText)", Vec::new()).await;
    assert_eq!(links, json!(["Tenants"]));
    let page = format!("#/tenants/{}", tenant.name);
    look(&browser, &page).await;
    look(&browser, "#/tenants").await;
    visit(&browser, &page).await;
    browser.fill("Requests a second", "77").await;
    browser.click("Save").await;
    browser.wait_for_text("It holds from the next request on").await;
    let document = node().operator().get(&format!("/v1/tenants/{}", tenant.name)).await.expect(200).json();
    assert_eq!((&document["quota"]["concurrency"], &document["quota"]["rate_per_s"]), (&json!(4096), &json!(77)));
    assert_eq!(document["quota"]["history_bytes"], 10_u64 << 30);
    assert_eq!(document["egress"], egress, "what was not touched stays: no host is not every host");
    assert_eq!(document["document_statuses"], json!(["Awaiting Legal"]), "what the form does not show stays as well");
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_in_words() {
    if !browser_is_here() {
        return;
    }
    let browser = Browser::start().await;
    look_at_sign_in(&browser).await;
    browser.fill("Token", "snap_none").await;
    browser.click("Sign in").await;
    browser.wait_for_text("does not know that token").await;
    let kept = browser.run("return sessionStorage.length", Vec::new()).await;
    assert_eq!(kept, Value::from(0), "a token that is no good is not kept");
}

async fn look_at_sign_in(browser: &Browser) {
    browser.open(&format!("{}/", node().url())).await;
    browser.wait_until("document.querySelector('#main h1')").await;
    for theme in ["light", "dark"] {
        browser.choose_theme(theme).await;
        if let Some(axe) = axe() {
            assert_eq!(browser.barriers(axe).await, [""; 0], "{theme}");
        }
    }
    assert_eq!(browser.complaints(node().url()).await, [""; 0]);
}
