//! Fresh-sandbox invocations in one process: the rows of `cargo xtask bench` that need no node. Prints one JSON object a line.
//!
//! usage: invocations COUNT [RUST-GUEST.wasm]. The guest is the contract tests' one, whose `pre-hook` changes its arguments.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde_json::json;
use snaphook_compile::{Interpreter, Upload, compile_here, prepare_interpreter};
use snaphook_model::{
    Context, Dialect, Headers, HookInput, HttpRequest, Language, Limits, Name, Payload, RunId, TenantName, Variables, Weight,
};
use snaphook_sandbox::{InterpreterCode, Invocation, Program, Sandbox, SandboxConfig};

/// The node's, whose work is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count: usize = arguments.next().and_then(|text| text.parse().ok()).expect("usage: invocations COUNT [RUST-GUEST.wasm]");
    let rust_guest = arguments.next();
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let interpreter = prepare_interpreter(directory.path()).expect("the interpreter can be prepared");
    let config = SandboxConfig {
        memory_budget_bytes: 1 << 30,
        code_dir: directory.path().join("code"),
        interpreter: Some(InterpreterCode { name: interpreter.name.clone(), code: Arc::clone(&interpreter.code) }),
        max_concurrent: None,
    };
    let sandbox = Sandbox::new(config).expect("the machine has room for a sandbox");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    let bench = Bench { sandbox, interpreter, runtime, count, variables: Arc::new(variables()), parms: Cell::new(CHANGE) };

    let constant = bench.js("export function preHook() { return { answer: 42 }; }");
    bench.measure("JavaScript, constant", Some(15.0), &constant, &pre_hook(json!({})));
    let headers = bench.js("export function preRequest(request) { request.headers.set('x-signed', request.headers.get('x-one') + '!'); }");
    bench.measure("JavaScript, headers only", Some(15.0), &headers, &pre_request());
    let change = bench.js("export function preHook(call) { call.arguments.stamp = true; }");
    bench.measure("JavaScript, 1 KB JSON changed", Some(40.0), &change, &pre_hook(items(8)));
    bench.measure("JavaScript, 100 KB JSON changed", Some(2500.0), &change, &pre_hook(items(1000)));
    bench.dialects();
    if let Some(file) = rust_guest {
        let wasm = std::fs::read(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let rust = bench.program(Language::Wasm, Dialect::Native, wasm.into());
        bench.measure("Rust, constant", None, &rust, &pre_hook(json!({})));
        bench.parms.set("{\"act\":\"headers\"}");
        bench.measure("Rust, headers only", None, &rust, &pre_request());
        bench.parms.set(CHANGE);
        bench.measure("Rust, 1 KB JSON changed", None, &rust, &pre_hook(items(8)));
        bench.measure("Rust, 100 KB JSON changed", None, &rust, &pre_hook(items(1000)));
    }
}

struct Bench {
    sandbox: Sandbox,
    interpreter: Interpreter,
    runtime: tokio::runtime::Runtime,
    count: usize,
    variables: Arc<Variables>,
    /// What the guest in Rust is to do.
    parms: Cell<&'static str>,
}

const CHANGE: &str = "{\"act\":\"change\"}";

impl Bench {
    fn js(&self, source: &'static str) -> Program {
        self.program(Language::JavaScript, Dialect::Native, Bytes::from_static(source.as_bytes()))
    }

    fn program(&self, language: Language, dialect: Dialect, bytes: Bytes) -> Program {
        let name = Name::new("bench").expect("the name is one");
        let upload = Upload { name, language, dialect, bytes, limits: Limits::default(), imports: Vec::new(), now_ms: 0 };
        let compiled = compile_here(upload, &self.interpreter).expect("the script compiles");
        let key = Sandbox::key(&compiled.component);
        self.sandbox.admit(&key, &compiled.code).expect("the code directory takes it");
        self.sandbox.load(&key).expect("the code loads").expect("it was admitted")
    }

    /// The whole of one invocation as a flow sees it: store, instance, call, decision, drop.
    fn measure(&self, what: &str, promise_us: Option<f64>, program: &Program, input: &HookInput) {
        let large = matches!(input, HookInput::PreHook { arguments, .. } if arguments.len() > 50_000);
        let count = if large { self.count / 20 + 1 } else { self.count };
        let mut times: Vec<f64> = (0..count + count / 10).map(|_| self.once(program, input)).skip(count / 10).collect();
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        println!("{}", json!({"what": what, "p50_us": at(50), "p99_us": at(99), "promise_us": promise_us}));
    }

    /// The same small hooks in each dialect and in the native one.
    fn dialects(&self) {
        let change = [
            "export function preHook(call) { call.arguments.stamp = true; }",
            "data.message.stamp = true; var result = { status: 200, messageOverride: data.message }; result;",
        ];
        self.beside(Dialect::BrainCloud, change, &pre_hook(items(8)));
        let decide = [
            "import { fail } from 'snaphook'; export function postRequest(response) { if (response.text().includes('Invalid session')) return fail('Invalid session'); }",
            "function handle(data) { if (data.response.body.includes('Invalid session')) { data.response_code = 3; data.message = 'Invalid session'; } return data; }",
        ];
        self.beside(Dialect::Patchworks, decide, &post_request(items(8)));
        let shape = [
            "export default function (payload, context) { return { ...context.stepResults.trigger, stamp: context.config.Stamp }; }",
            "module.exports = async ({ configVars }, stepResults) => ({ data: { ...stepResults.trigger.results, stamp: configVars.Stamp } });",
        ];
        self.beside(Dialect::Prismatic, shape, &HookInput::Step { payload: Payload::default() });
    }

    /// Both in turn, so that what else goes on on the machine meets both. Prints what the dialect costs over the native one.
    fn beside(&self, dialect: Dialect, [native, brought]: [&'static str; 2], input: &HookInput) {
        let native = self.js(native);
        let brought = self.program(Language::JavaScript, dialect, Bytes::from_static(brought.as_bytes()));
        let mut times = [Vec::new(), Vec::new()];
        for i in 0..self.count + self.count / 10 {
            for (times, program) in times.iter_mut().zip([&native, &brought]) {
                let spent = self.once(program, input);
                if i >= self.count / 10 {
                    times.push(spent);
                }
            }
        }
        let [native, brought] = times.map(|mut times| {
            times.sort_by(f64::total_cmp);
            [50, 99].map(|percent| times[(times.len() * percent / 100).min(times.len() - 1)])
        });
        let row = |what: String, [p50, p99]: [f64; 2], promise: Option<f64>| {
            println!("{}", json!({"what": what, "p50_us": p50, "p99_us": p99, "promise_us": promise}));
        };
        row(format!("a small hook of 1 KB in `{dialect}`"), brought, None);
        row(format!("`{dialect}` over the same hook in `native`"), [brought[0] - native[0], brought[1] - native[1]], Some(10.0));
    }

    fn once(&self, program: &Program, input: &HookInput) -> f64 {
        let invocation = Invocation {
            input: input.clone(),
            context: context(self.parms.get()),
            weight: Weight::default(),
            limits: Limits::default(),
            deadline: None,
            variables: Arc::clone(&self.variables),
            state: None,
            http: None,
            keys: None,
        };
        let begun = Instant::now();
        let outcome = self.runtime.block_on(self.sandbox.invoke(program, invocation));
        let spent = begun.elapsed();
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        spent.as_secs_f64() * 1e6
    }
}

fn context(parms: &str) -> Context {
    Context {
        tenant: TenantName::new("bench").expect("the name is one"),
        flow: None,
        step: None,
        run: RunId("0190b6d5-6f2b-7c3a-8d2e-0123456789ab".parse().expect("the id is one")),
        attempt: 1,
        started_at_ms: 1_700_000_000_000,
        now_ms: 1_700_000_000_000,
        seed: 7,
        parms: parms.into(),
        test_run: false,
    }
}

/// An order with so many items: 8 make about a kilobyte, 1,000 about a hundred.
fn items(count: usize) -> serde_json::Value {
    let items: Vec<_> = (0..count)
        .map(|i| json!({"sku": format!("SKU-{i:05}"), "quantity": i + 1, "price": 19.95, "note": "ships within two days", "stock": true}))
        .collect();
    json!({"id": 48151623, "customer": {"name": "Ada Lovelace", "email": "ada@example.com", "country": "GB"}, "currency": "EUR", "items": items})
}

fn pre_hook(arguments: serde_json::Value) -> HookInput {
    HookInput::PreHook { connector: "shop".into(), endpoint: "order".into(), arguments: arguments.to_string().into() }
}

fn post_request(body: serde_json::Value) -> HookInput {
    let headers: Headers = [("content-type", "application/json"), ("server", "bench")].into_iter().collect();
    let (method, url) = ("POST".to_owned(), "http://127.0.0.1:9000/x".to_owned());
    HookInput::PostRequest { method, url, status: 200, headers, payload: body.to_string().into(), payload_type: None }
}

/// What a step in the middle of a flow finds.
fn variables() -> Variables {
    let mut variables = Variables::default();
    variables.step_results.insert("trigger".to_owned(), items(8).to_string());
    variables.config.insert("Stamp".to_owned(), "true".to_owned());
    variables
}

fn pre_request() -> HookInput {
    let headers: Headers = [("accept", "application/json"), ("x-one", "1"), ("content-type", "application/json")].into_iter().collect();
    let request = HttpRequest { method: "POST".to_owned(), url: "http://127.0.0.1:9000/x".to_owned(), headers, body: "{}".into() };
    HookInput::PreRequest { request }
}
