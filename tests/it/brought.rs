//! Scripts of other products that mean harm, or that leave things lying about: each dialect keeps its invocations apart.

use serde_json::{Value, json};
use snaphook_testkit::Upstream;
use snaphook_tests::Tenant;

use crate::support::{endpoint, neighbour_is_answered, node, ok, problem};

/// Marks what sloppy code can reach, and collects in `found` what it finds marked.
const MARKING: &str = "
    var found = [];
    if (typeof mark !== 'undefined' || globalThis.mark) found.push('global');
    if (({}).marked || [].marked || (function () {}).marked) found.push('prototype');
    if (JSON.marked || Math.marked || Promise.prototype.marked || Headers.prototype.marked) found.push('platform');
    mark = 1; var other = 2; (function () { this.mark = 3; })();
    Object.prototype.marked = Array.prototype.marked = Function.prototype.marked = 1;
    JSON.marked = Math.marked = Promise.prototype.marked = Headers.prototype.marked = 1;
    JSON.stringify = JSON.parse = Object.keys = function () { throw new Error('hijacked'); };
    Array.prototype.push = String.prototype.toLowerCase = function () { throw new Error('hijacked'); };";

async fn step_tenant(dialect: &str, source: &str) -> Tenant {
    let document = json!({"limits": {"fuel": 200_000_000, "wall_ms": 5000, "memory_bytes": 16 << 20}});
    let tenant = node().tenant_with(document).await;
    tenant.brought("s", dialect, source).await;
    tenant.flow("f", json!({"steps": [{"script": "s"}]})).await;
    tenant
}

#[tokio::test]
async fn sloppy_globals_and_prototypes_do_not_outlive_an_invocation() {
    let patchworks = format!(
        "var kept = 0; function handle(data) {{ {MARKING} if (kept++ || data.kept) found[found.length] = 'kept'; data.kept = 1; data.flow.variables.x = 1; return {{ payload: found.join() + 'clean' }}; }}"
    );
    let prismatic = format!(
        "let kept = 0; module.exports = async (context, stepResults) => {{ {MARKING} if (kept++ || stepResults.own) found[found.length] = 'kept'; stepResults.own = 1; return {{ data: found.join() + 'clean' }}; }};"
    );
    for (dialect, source) in [("patchworks", patchworks), ("prismatic", prismatic)] {
        let tenant = step_tenant(dialect, &source).await;
        for _ in 0..50 {
            assert_eq!(tenant.run("f", json!({"a": 1})).await.expect(200).text(), "clean", "{dialect}");
        }
    }
    let tenant = node().tenant().await;
    let upstream = Upstream::start().await;
    upstream.on("/x", ok());
    let source = format!(
        "{MARKING} if (data.kept || 'kept' in bridge) found[found.length] = 'kept'; data.kept = bridge.kept = 1;
        ({{ status: 200, messageOverride: {{ found: found.join() }} }})"
    );
    tenant.brought("s", "braincloud", &source).await;
    endpoint(&tenant, &upstream, json!({"pre-hook": [{"script": "s"}]}), json!({})).await;
    for _ in 0..50 {
        let _ = tenant.call("api/x", json!({})).await.expect(200);
        assert_eq!(upstream.last().json(), json!({"found": ""}));
    }
}

#[tokio::test]
async fn loops_recursion_and_bombs_meet_their_limits_in_every_dialect() {
    let bodies = [
        ("for (;;) {}", ["fuel", "deadline"]),
        ("(function deeper() { return deeper() + 1; })();", ["script-threw", "script-threw"]),
        ("var all = []; for (;;) all.push(new Uint8Array(1 << 20));", ["memory", "memory"]),
        ("throw { toString: function () { for (;;) {} } };", ["script-threw", "fuel"]),
        (
            "Object.defineProperty(Object.prototype, 'then', { get: function () { throw 1; }, configurable: true });",
            ["script-threw", "script-contract"],
        ),
    ];
    for (body, codes) in bodies {
        for (dialect, source) in [
            ("patchworks", format!("function handle(data) {{ {body} }}")),
            ("prismatic", format!("module.exports = async () => {{ {body} return 5; }};")),
        ] {
            let tenant = step_tenant(dialect, &source).await;
            let (answer, ()) = tokio::join!(tenant.run("f", json!({})), neighbour_is_answered());
            assert!(codes.contains(&problem(&answer).0.as_str()), "{dialect} {body}: {}", answer.text());
        }
        let tenant = node().tenant_with(json!({"limits": {"fuel": 200_000_000, "wall_ms": 5000, "memory_bytes": 16 << 20}})).await;
        // The whole source runs in each invocation, so a loop at its top level is no matter of the deploy.
        let version = tenant.brought("s", "braincloud", &format!("\n{body}\n5;")).await;
        let result = tenant.test("s", version, json!({"hook": "pre-hook"})).await;
        assert!(codes.contains(&result["fault"]["code"].as_str().unwrap_or_default()), "braincloud {body}: {result}");
        if body.starts_with("for") {
            assert_eq!(result["fault"]["line"], 2, "{result}");
        }
    }
}

#[tokio::test]
async fn a_loop_at_top_level_is_refused_at_deploy_where_it_runs_there() {
    let tenant = node().tenant().await;
    for dialect in ["patchworks", "prismatic"] {
        let source = "module.exports = (data) => data;\n\nwhile (true) {}";
        let refused = tenant.upload(&format!("s?dialect={dialect}"), "javascript", source).await.expect(422);
        assert_eq!((problem(&refused).0.as_str(), refused.json()["line"].as_u64()), ("compile", Some(3)), "{}", refused.text());
        let source = "const born = Date.now();\nmodule.exports = () => ({ payload: String(born) });";
        let warned = tenant.upload(&format!("s?dialect={dialect}"), "javascript", source).await.expect(201).json();
        assert_eq!(warned["warnings"][0]["line"], 1, "{warned}");
        assert_eq!(warned["dialect"], dialect);
    }
    let warned = tenant.upload("b?dialect=braincloud", "javascript", "var now = Date.now(); true;").await.expect(201).json();
    assert_eq!((&warned["warnings"], &warned["hooks"]), (&json!([]), &json!(["pre-hook", "post-hook", "post-fail"])));
    let hooks = |answer: Value| answer["hooks"].clone();
    let patchworks = tenant.upload("p?dialect=patchworks", "javascript", "function handle(data) { return data; }").await.expect(201).json();
    assert_eq!(hooks(patchworks), json!(["pre-request", "post-request", "step"]));
}
