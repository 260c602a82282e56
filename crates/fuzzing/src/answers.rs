//! What a guest answers: the host reads it out of the guest's memory, pointers and all.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use snaphook_model::{
    Blame, Context, Headers, Hook, HookInput, HttpRequest, Limits, Payload, RunId, TenantName, TriggerRequest, Variables, Weight,
};
use snaphook_sandbox::{Invocation, Program, Sandbox, SandboxConfig, check_component};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Where the answer of each hook lies in the guest's memory, and most of what it is made of; behind it is zero.
const ANSWER: &str = "2048";
const MOST: &str = "16384";

const HOOKS: [Hook; 7] = [Hook::PreHook, Hook::PreRequest, Hook::PostRequest, Hook::PostHook, Hook::PostFail, Hook::Step, Hook::Trigger];

/// The first byte chooses a hook; the others are what lies where its answer is expected. A decision comes of it, or a fault that blames the guest.
pub fn answers(bytes: &[u8]) {
    let Some((&first, answer)) = bytes.split_first() else { return };
    let hook = HOOKS[usize::from(first) % HOOKS.len()];
    let guest = &*GUEST;
    let outcome = guest.runtime.block_on(guest.sandbox.invoke(&guest.program, invocation(hook, answer.to_vec().into())));
    if let Err(fault) = outcome.result {
        assert!(fault.blame() == Blame::Guest && !fault.detail.is_empty(), "{fault:?}");
    }
}

struct Guest {
    runtime: Runtime,
    sandbox: Sandbox,
    program: Program,
    _directory: TempDir,
}

static GUEST: LazyLock<Guest> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let directory = TempDir::new().expect("a temporary directory");
    let code_dir = directory.path().to_owned();
    let config = SandboxConfig { memory_budget_bytes: 64 << 20, code_dir, interpreter: None, max_concurrent: Some(4) };
    let sandbox = Sandbox::new(config).expect("a sandbox");
    let component = component();
    let checked = check_component(&component, None).expect("our own guest");
    let key = Sandbox::key(&component);
    sandbox.admit(&key, &checked.code).expect("our own directory");
    let program = sandbox.load(&key).expect("it was just put there").expect("it was just put there");
    Guest { runtime, sandbox, program, _directory: directory }
});

/// A component whose hooks all answer with what they were given.
fn component() -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../guest-sdk/wit")).expect("the WIT of the guest SDK");
    let exports: String = HOOKS.iter().map(|hook| format!("export snaphook:hook/{hook}@0.1.0;\n")).collect();
    let world = format!("package test:guest;\nworld guest {{\nimport snaphook:hook/input@0.1.0;\n{exports}}}");
    let package = resolve.push_str("guest.wit", &world).expect("a world");
    let world = resolve.select_world(&[package], Some("guest")).expect("the world");
    let mut module = wat::parse_str(module()).expect("a module");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).expect("a module");
    encoder.encode().expect("a component")
}

fn module() -> String {
    let hooks: String = HOOKS
        .iter()
        .map(|hook| {
            // These are given arguments and no body, as a `post-hook` is both.
            let given = if matches!(hook, Hook::PreHook | Hook::PostFail) { "arguments" } else { "body" };
            format!(r#"(func (export "snaphook:hook/{hook}@0.1.0#{hook}") (param i32) (result i32) (call ${given} (i32.const 16)) (call $answer))"#)
        })
        .collect();
    format!(
        r#"(module
  (import "snaphook:hook/input@0.1.0" "body" (func $body (param i32)))
  (import "snaphook:hook/input@0.1.0" "arguments" (func $arguments (param i32)))
  (memory (export "memory") 2)
  (global $heap (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get 3)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (drop (memory.grow (i32.add (i32.div_u (local.get 3) (i32.const 65536)) (i32.const 1)))))
    (local.get $at))
  (func $answer (result i32)
    (local $length i32)
    (local.set $length (i32.load (i32.const 20)))
    (if (i32.gt_u (local.get $length) (i32.const {MOST})) (then (local.set $length (i32.const {MOST}))))
    (memory.copy (i32.const {ANSWER}) (i32.load (i32.const 16)) (local.get $length))
    (i32.const {ANSWER}))
  {hooks})"#
    )
}

fn invocation(hook: Hook, bytes: Bytes) -> Invocation {
    let (connector, endpoint) = (Arc::from("c"), Arc::from("e"));
    let input = match hook {
        Hook::PreHook => HookInput::PreHook { connector, endpoint, arguments: bytes },
        Hook::PreRequest => HookInput::PreRequest { request: request(bytes) },
        Hook::PostRequest => HookInput::PostRequest {
            method: "POST".to_owned(),
            url: "https://a.example/".to_owned(),
            status: 200,
            headers: Headers::default(),
            payload: bytes,
            payload_type: None,
        },
        Hook::PostHook => HookInput::PostHook {
            connector,
            endpoint,
            status: 200,
            headers: Headers::default(),
            payload: bytes,
            payload_type: None,
            arguments: Bytes::new(),
        },
        Hook::PostFail => {
            HookInput::PostFail { connector, endpoint, status: 500, code: "status".to_owned(), message: String::new(), arguments: bytes }
        }
        Hook::Step => HookInput::Step { payload: Payload { bytes, content_type: "application/octet-stream".to_owned() } },
        Hook::Trigger => HookInput::Trigger { request: trigger(bytes) },
    };
    Invocation {
        input,
        context: context(),
        weight: Weight::default(),
        limits: Limits { fuel: 10_000_000, ..Limits::default() },
        deadline: None,
        variables: Arc::new(Variables::default()),
        state: None,
        http: None,
        keys: None,
    }
}

fn request(body: Bytes) -> HttpRequest {
    HttpRequest { method: "POST".to_owned(), url: "https://a.example/".to_owned(), headers: Headers::default(), body }
}

fn trigger(body: Bytes) -> TriggerRequest {
    let (method, url, path) = ("POST".to_owned(), "https://a.example/t/a/f".to_owned(), String::new());
    TriggerRequest { method, url, path, headers: Headers::default(), body }
}

fn context() -> Context {
    Context {
        tenant: TenantName::new("acme").expect("a name"),
        flow: None,
        step: None,
        run: RunId(uuid::Uuid::from_u128(7)),
        attempt: 1,
        started_at_ms: 0,
        now_ms: 0,
        seed: 1,
        parms: "{}".into(),
        test_run: false,
    }
}
