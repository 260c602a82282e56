//! What crosses the border: inputs, faults that a guest reports, variables, requests, digests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use snaphook_model::{Code, Fault, HttpRequest, HttpResponse, Limits, VariableScope, VariableWrite, Variables};
use snaphook_sandbox::{GuestHttp, HttpFuture};
use tokio::sync::Barrier;

use crate::guests::{JSON, KEEP, give, stepper};
use crate::support::{Bench, code, fault, limits, returned, step, within};

#[tokio::test]
async fn the_body_is_given_when_asked_for() {
    let import = r#"(import "snaphook:hook/input@0.1.0" "body" (func $body (param i32)))"#;
    let echo = format!("(call $body (i32.const 256)) {}", give("(i32.load (i32.const 256))", "(i32.load (i32.const 260))"));
    let outcome = Bench::new().step(&stepper(&["import input"], &format!("{import}\n{JSON}"), &echo), limits()).await;
    assert_eq!(returned(&outcome), Some(&b"{\"a\":1}"[..]));
    assert!(outcome.usage.fuel > 0 && outcome.usage.memory_bytes == 128 << 10, "{:?}", outcome.usage);
}

#[tokio::test]
async fn arguments_arrive_in_place() {
    // The content type comes first, the context behind it: when the run began is an u64 at 56, the clock one at 64.
    let first = give("(i32.load (local.get 0))", "(i32.load (i32.add (local.get 0) (i32.const 4)))");
    let bench = Bench::new();
    assert_eq!(returned(&bench.step(&stepper(&[], JSON, &first), limits()).await), Some(&b"application/json"[..]));
    for (at, expected) in [(56, 1_600_000_000_000u64), (64, 1_700_000_000_000)] {
        let time = format!(
            "(i64.store (i32.const 300) (i64.load (i32.add (local.get 0) (i32.const {at})))) {}",
            give("(i32.const 300)", "(i32.const 8)")
        );
        let outcome = bench.step(&stepper(&[], JSON, &time), limits()).await;
        assert_eq!(returned(&outcome), Some(&expected.to_le_bytes()[..]));
    }
}

/// Code that reports a fault of this kind, with a message at 300 and a place.
fn report(kind: u32) -> String {
    format!(
        "(i32.store8 (i32.const 1024) (i32.const 1)) (i32.store8 (i32.const 1028) (i32.const {kind}))
         (i32.store (i32.const 1032) (i32.const 300)) (i32.store (i32.const 1036) (i32.const 5))
         (i32.store8 (i32.const 1040) (i32.const 1)) (i32.store (i32.const 1044) (i32.const 3)) (i32.store (i32.const 1048) (i32.const 9))
         (i32.const 1024)"
    )
}

#[tokio::test]
async fn faults_that_a_guest_reports_keep_message_and_place() {
    let bench = Bench::new();
    let text = "(data (i32.const 300) \"oops!\")";
    let kinds = [Code::ScriptThrew, Code::ScriptContract, Code::NeverSettles, Code::Memory, Code::Deadline];
    for (kind, expected) in (0..).zip(kinds) {
        let outcome = bench.step(&stepper(&[], text, &report(kind)), limits()).await;
        let fault = fault(&outcome);
        assert_eq!((fault.code, fault.line, fault.column), (expected, Some(3), Some(9)));
        assert!(kind > 2 || fault.detail == "oops!", "{}", fault.detail);
    }
}

#[tokio::test]
async fn an_exception_after_a_refused_allocation_is_a_memory_fault() {
    let code = format!("(drop (memory.grow (i32.const 2000))) {}", report(0));
    let outcome = Bench::new().step(&stepper(&[], "", &code), limits()).await;
    assert_eq!((fault(&outcome).code, fault(&outcome).limit), (Code::Memory, Some(64 << 20)));
}

#[tokio::test]
async fn a_payload_needs_a_content_type() {
    let outcome = Bench::new().step(&stepper(&[], "", &give("(i32.const 0)", "(i32.const 0)")), limits()).await;
    assert_eq!(code(&outcome), Code::ScriptContract);
    assert!(fault(&outcome).detail.contains("content type"), "{}", fault(&outcome).detail);
}

#[tokio::test]
async fn variables_are_read_written_and_reported() {
    // Takes `k` of the run's variables, writes `"new"` over it, reads it again, and gives that back.
    let items = format!(
        r#"(import "snaphook:hook/variables@0.1.0" "get" (func $get (param i32 i32 i32 i32)))
           (import "snaphook:hook/variables@0.1.0" "set" (func $set (param i32 i32 i32 i32 i32 i32 i32)))
           (data (i32.const 300) "k") (data (i32.const 310) "\"new\"")
           {JSON}"#
    );
    let code = format!(
        "(call $get (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 320))
         (if (i32.ne (i32.load8_u (i32.load (i32.const 324))) (i32.const 55)) (then (unreachable)))
         (call $set (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 1) (i32.const 310) (i32.const 5) (i32.const 340))
         (if (i32.load8_u (i32.const 340)) (then (unreachable)))
         (call $set (i32.const 2) (i32.const 300) (i32.const 1) (i32.const 1) (i32.const 310) (i32.const 5) (i32.const 340))
         (if (i32.eqz (i32.load8_u (i32.const 340))) (then (unreachable)))
         (call $get (i32.const 0) (i32.const 300) (i32.const 1) (i32.const 320))
         {}",
        give("(i32.load (i32.const 324))", "(i32.load (i32.const 328))")
    );
    let bench = Bench::new();
    let program = bench.program(&stepper(&["import variables"], &items, &code));
    let mut invocation = step(limits());
    let mut variables = Variables::default();
    variables.variables.insert("k".to_owned(), "7".to_owned());
    invocation.variables = Arc::new(variables);
    let outcome = bench.sandbox.invoke(&program, invocation).await;
    assert_eq!(returned(&outcome), Some(&b"\"new\""[..]));
    let write = VariableWrite { scope: VariableScope::Variables, key: "k".to_owned(), value: Some("\"new\"".to_owned()) };
    assert_eq!(outcome.writes, [write]);
}

#[tokio::test]
async fn digests_are_the_usual_ones() {
    let import = r#"(import "snaphook:hook/crypto@0.1.0" "digest" (func $digest (param i32 i32 i32 i32)))"#;
    let code = format!(
        "(call $digest (i32.const 1) (i32.const 300) (i32.const 3) (i32.const 256)) {}",
        give("(i32.load (i32.const 256))", "(i32.load (i32.const 260))")
    );
    let guest = stepper(&["import crypto"], &format!("{import}\n{JSON}\n(data (i32.const 300) \"abc\")"), &code);
    let outcome = Bench::new().step(&guest, limits()).await;
    let digest = returned(&outcome).expect("bytes").iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

#[tokio::test]
async fn hashing_costs_fuel() {
    let import = r#"(import "snaphook:hook/crypto@0.1.0" "digest" (func $digest (param i32 i32 i32 i32)))"#;
    let code = format!(
        "(drop (memory.grow (i32.const 100))) (call $digest (i32.const 3) (i32.const 0) (i32.const 6000000) (i32.const 256)) {KEEP}"
    );
    let guest = stepper(&["import crypto"], import, &code);
    let bench = Bench::new();
    let outcome = bench.step(&guest, limits()).await;
    assert!(outcome.result.is_ok() && outcome.usage.fuel > 24_000_000, "{outcome:?}");
    assert_eq!(self::code(&bench.step(&guest, Limits { fuel: 20_000_000, ..limits() }).await), Code::Fuel);
}

/// Answers requests once as many of them are on their way as it was told.
struct Meeting {
    barrier: Arc<Barrier>,
    started: AtomicU32,
}

impl Meeting {
    fn of(requests: usize) -> Arc<Self> {
        Arc::new(Self { barrier: Arc::new(Barrier::new(requests)), started: AtomicU32::new(0) })
    }
}

impl GuestHttp for Meeting {
    fn start(&self, request: HttpRequest) -> HttpFuture {
        self.started.fetch_add(1, Ordering::Relaxed);
        let barrier = Arc::clone(&self.barrier);
        Box::pin(async move {
            barrier.wait().await;
            match request.url.as_str() {
                "c:/x" => Ok(HttpResponse { status: 200, body: "answer".into(), ..HttpResponse::default() }),
                other => Err(Fault::new(Code::Dns, other)),
            }
        })
    }
}

const HTTP: &str = r#"(import "snaphook:hook/http@0.1.0" "start" (func $start (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
   (import "snaphook:hook/http@0.1.0" "wait" (func $wait (param i32 i32 i32)))
   (data (i32.const 300) "GET") (data (i32.const 310) "c:/x")
   (data (i32.const 512) "application/json")"#;

/// Starts `GET c:/x` and leaves what came of it at this place.
fn start(place: u32) -> String {
    format!(
        "(call $start (i32.const 300) (i32.const 3) (i32.const 310) (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const {place}))"
    )
}

async fn with_http(code: &str, http: Option<Arc<dyn GuestHttp>>, limits: Limits) -> snaphook_sandbox::Outcome {
    let bench = Bench::new();
    let program = bench.program(&stepper(&["import http"], HTTP, code));
    let mut invocation = step(limits);
    invocation.http = http;
    within(Duration::from_secs(10), bench.sandbox.invoke(&program, invocation)).await
}

#[tokio::test]
async fn requests_that_were_not_granted_are_refused_with_a_reason() {
    let code = format!("{} {}", start(400), give("(i32.load (i32.const 404))", "(i32.load (i32.const 408))"));
    assert_eq!(returned(&with_http(&code, None, limits()).await), Some(&b"egress-refused"[..]));
}

#[tokio::test]
async fn started_requests_overlap() {
    // Neither answers before both are on their way. The second ticket is waited for first.
    let code = format!(
        "{} {}
         (i32.store (i32.const 500) (i32.load (i32.const 424)))
         (call $wait (i32.const 500) (i32.const 1) (i32.const 440))
         (if (i32.ne (i32.load (i32.const 440)) (i32.const 2)) (then (unreachable)))
         (if (i32.load8_u (i32.const 444)) (then (unreachable)))
         (i32.store (i32.const 500) (i32.load (i32.const 404)))
         (call $wait (i32.const 500) (i32.const 1) (i32.const 440))
         (if (i32.ne (i32.load (i32.const 440)) (i32.const 1)) (then (unreachable)))
         {}",
        start(400),
        start(420),
        give("(i32.load (i32.const 460))", "(i32.load (i32.const 464))")
    );
    let outcome = with_http(&code, Some(Meeting::of(2)), limits()).await;
    assert_eq!(returned(&outcome), Some(&b"answer"[..]));
}

#[tokio::test]
async fn requests_beyond_the_limit_end_the_invocation() {
    let meeting = Meeting::of(1);
    let code = format!("(loop $again {} (br $again)) (unreachable)", start(400));
    let outcome = with_http(&code, Some(Arc::clone(&meeting) as _), Limits { host_calls: 5, ..limits() }).await;
    assert_eq!((code_of(&outcome), fault(&outcome).limit, fault(&outcome).used), (Code::HostCalls, Some(5), Some(6)));
    assert_eq!(meeting.started.load(Ordering::Relaxed), 5);
}

fn code_of(outcome: &snaphook_sandbox::Outcome) -> Code {
    code(outcome)
}

#[tokio::test]
async fn waiting_counts_against_the_deadline() {
    let wait = format!(
        "{} (i32.store (i32.const 500) (i32.const 1)) (call $wait (i32.const 500) (i32.const 1) (i32.const 440)) {KEEP}",
        start(400)
    );
    let outcome = with_http(&wait, Some(Meeting::of(2)), Limits { wall_ms: 30, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Deadline);
}

#[tokio::test]
async fn tickets_that_are_none_are_refused() {
    for count in [0, 1] {
        let wait =
            format!("(i32.store (i32.const 500) (i32.const 9)) (call $wait (i32.const 500) (i32.const {count}) (i32.const 440)) {KEEP}");
        assert_eq!(code(&with_http(&wait, Some(Meeting::of(1)), limits()).await), Code::ScriptContract);
    }
}
