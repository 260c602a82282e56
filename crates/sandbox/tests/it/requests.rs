//! What a guest's own requests take on the host.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use snaphook_model::{Code, Fault, HttpRequest, HttpResponse, Limits};
use snaphook_sandbox::{GuestHttp, HttpFuture, MAX_EXCHANGE_BYTES, Outcome};

use crate::guests::{KEEP, stepper};
use crate::support::{Bench, fault, limits, step};

/// Answers with so many bytes, or not at all.
struct Answering {
    bytes: Option<usize>,
    started: AtomicU32,
}

impl GuestHttp for Answering {
    fn start(&self, _: HttpRequest) -> HttpFuture {
        self.started.fetch_add(1, Ordering::Relaxed);
        let bytes = self.bytes;
        Box::pin(async move {
            let body = bytes.map(|bytes| Bytes::from(vec![b'x'; bytes])).ok_or_else(|| Fault::new(Code::EgressRefused, "no"))?;
            Ok(HttpResponse { status: 200, body, ..HttpResponse::default() })
        })
    }
}

/// Sends so many requests with bodies of this size, one after another, and hears the answer to each.
async fn send(count: u32, bytes: u32, answer: Option<usize>, limits: Limits) -> (Outcome, u32) {
    let items = r#"(import "snaphook:hook/http@0.1.0" "start" (func $start (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
      (import "snaphook:hook/http@0.1.0" "wait" (func $wait (param i32 i32 i32)))
      (data (i32.const 300) "POST") (data (i32.const 310) "c:/x")"#;
    // What the host passes is put at the same place every time.
    let code = format!(
        "(local $i i32) (drop (memory.grow (i32.const 400)))
         (loop $again
           (global.set $heap (i32.const 65536))
           (call $start (i32.const 300) (i32.const 4) (i32.const 310) (i32.const 4) (i32.const 0) (i32.const 0)
             (i32.const 1) (i32.const 16777216) (i32.const {bytes}) (i32.const 400))
           (if (i32.load8_u (i32.const 400)) (then (unreachable)))
           (call $wait (i32.const 404) (i32.const 1) (i32.const 440))
           (local.set $i (i32.add (local.get $i) (i32.const 1)))
           (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))
         {KEEP}"
    );
    let http = Arc::new(Answering { bytes: answer, started: AtomicU32::new(0) });
    let bench = Bench::new();
    let program = bench.program(&stepper(&["import http"], items, &code));
    let mut invocation = step(limits);
    invocation.http = Some(Arc::clone(&http) as _);
    let outcome = bench.sandbox.invoke(&program, invocation).await;
    (outcome, http.started.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_requests_send_is_output() {
    let limits = Limits { output_bytes: 1 << 20, ..limits() };
    let (outcome, started) = send(50, 300_000, Some(1), limits).await;
    // Method, URL and body: 300,008 bytes each time.
    assert_eq!((fault(&outcome).code, fault(&outcome).limit, fault(&outcome).used), (Code::Output, Some(1 << 20), Some(1_200_032)));
    assert!(fault(&outcome).detail.contains("requests"), "{}", fault(&outcome).detail);
    assert_eq!((started, outcome.exchanges.map(|kept| kept.len())), (3, Some(3)));
    assert_eq!(fault(&send(50, 300_000, None, limits).await.0).code, Code::Output, "refused requests count as well");
    assert!(send(3, 300_000, Some(1), limits).await.0.result.is_ok());
}

#[tokio::test]
async fn exchanges_that_no_recording_holds_are_not_kept() {
    let limits = Limits { output_bytes: 100 << 20, ..limits() };
    let mib = 1 << 20;
    for (count, bytes, answer) in [(10, mib, Some(1)), (10, mib, None), (10, 1, Some(1 << 20)), (1, 1, Some(MAX_EXCHANGE_BYTES))] {
        let (outcome, _) = send(count, bytes, answer, limits).await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        assert!(outcome.exchanges.is_none(), "{count} of {bytes} bytes, answered with {answer:?}");
    }
    let (outcome, _) = send(7, mib, Some(1), limits).await;
    let exchanges = outcome.exchanges.expect("few enough");
    assert!(exchanges.len() == 7 && exchanges.iter().all(|exchange| exchange.told.is_some()));
}
