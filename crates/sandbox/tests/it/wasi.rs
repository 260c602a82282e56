//! WASI 0.2 has nothing behind it but a frozen clock, seeded chance, and the run's log.

use std::time::Duration;

use snaphook_model::{Code, Limits, LogLevel};

use crate::support::{Bench, code, limits, within};

/// A component that calls WASI from its step. Written whole, because the world of the SDK does not know WASI.
fn component(imports: &str, code: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
  {imports}
  (type $context' (record (field "tenant" string) (field "flow" (option string)) (field "step" (option string)) (field "run-id" string)
    (field "attempt" u32) (field "started-at-ms" u64) (field "now-ms" u64) (field "seed" u64) (field "deadline-ms" u32) (field "parms" string) (field "test-run" bool)))
  (import "snaphook:hook/types@0.1.0" (instance $types
    (type $c (record (field "tenant" string) (field "flow" (option string)) (field "step" (option string)) (field "run-id" string)
      (field "attempt" u32) (field "started-at-ms" u64) (field "now-ms" u64) (field "seed" u64) (field "deadline-ms" u32) (field "parms" string) (field "test-run" bool)))
    (export "context" (type (eq $c)))
    (type $p (record (field "bytes" (list u8)) (field "content-type" string)))
    (export "payload" (type (eq $p)))
    (type $k (enum "threw" "contract" "never-settles" "memory" "deadline"))
    (export "fault-kind" (type $kind (eq $k)))
    (type $l (record (field "line" u32) (field "column" u32)))
    (export "location" (type $location (eq $l)))
    (type $f (record (field "kind" $kind) (field "message" string) (field "location" (option $location)) (field "stack" string)))
    (export "fault" (type (eq $f)))))
  (alias export $types "context" (type $context))
  (alias export $types "payload" (type $payload))
  (alias export $types "fault" (type $fault))
  {code}
  (func $step (param "content-type" string) (param "context" $context) (result (result (option $payload) (error $fault)))
    (canon lift (core func $core "step") (memory $memory "memory") (realloc (core func $memory "realloc"))))
  (instance $hook (export "step" (func $step)))
  (export "snaphook:hook/step@0.1.0" (instance $hook)))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// Memory of its own, so that host functions can be lowered before the code that calls them exists.
const MEMORY: &str = r#"(core module $m (memory (export "memory") 2)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
    (data (i32.const 300) "one\ntwo"))
  (core instance $memory (instantiate $m))"#;

#[tokio::test]
async fn what_is_printed_goes_to_the_log() {
    let imports = r#"
  (import "wasi:io/error@0.2.0" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $io-error))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $io-error (type $e))
    (export "output-stream" (type $o (sub resource)))
    (type $se (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $stream-error (eq $se)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $o)) (param "contents" (list u8)) (result (result (error $stream-error)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stderr@0.2.0" (instance $stderr (alias outer 1 $stream (type $s)) (export "output-stream" (type $o (eq $s)))
    (export "get-stderr" (func (result (own $o))))))"#;
    let code = format!(
        r#"{MEMORY}
  (core func $get (canon lower (func $stderr "get-stderr")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory "memory")))
  (core module $code (import "h" "memory" (memory 1)) (import "h" "get" (func $get (result i32))) (import "h" "write" (func $write (param i32 i32 i32 i32)))
    (func (export "step") (param i32) (result i32)
      (call $write (call $get) (i32.const 300) (i32.const 7) (i32.const 400)) (i32.const 1024)))
  (core instance $core (instantiate $code (with "h" (instance (export "memory" (memory $memory "memory")) (export "get" (func $get)) (export "write" (func $write))))))"#
    );
    let outcome = Bench::new().step(&component(imports, &code), limits()).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    let lines: Vec<_> = outcome.logs.iter().map(|entry| (entry.level, entry.message.as_str())).collect();
    assert_eq!(lines, [(LogLevel::Error, "one"), (LogLevel::Error, "two")]);
}

#[tokio::test]
async fn the_clock_stands_still() {
    let imports = r#"(import "wasi:clocks/wall-clock@0.2.0" (instance $clock
    (type $d (record (field "seconds" u64) (field "nanoseconds" u32))) (export "datetime" (type $datetime (eq $d)))
    (export "now" (func (result $datetime)))))"#;
    // Traps unless the clock says when the invocation began.
    let code = format!(
        r#"{MEMORY}
  (core func $now (canon lower (func $clock "now") (memory $memory "memory")))
  (core module $code (import "h" "memory" (memory 1)) (import "h" "now" (func $now (param i32)))
    (func (export "step") (param i32) (result i32)
      (call $now (i32.const 400))
      (if (i64.ne (i64.load (i32.const 400)) (i64.const 1700000000)) (then (unreachable)))
      (i32.const 1024)))
  (core instance $core (instantiate $code (with "h" (instance (export "memory" (memory $memory "memory")) (export "now" (func $now))))))"#
    );
    let outcome = Bench::new().step(&component(imports, &code), limits()).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[tokio::test]
async fn sleeping_counts_against_the_deadline() {
    let imports = r#"
  (import "wasi:io/poll@0.2.0" (instance $poll (export "pollable" (type $p (sub resource)))
    (export "[method]pollable.block" (func (param "self" (borrow $p))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock (alias outer 1 $pollable (type $s)) (export "pollable" (type $p (eq $s)))
    (export "subscribe-duration" (func (param "when" u64) (result (own $p))))))"#;
    let code = format!(
        r#"{MEMORY}
  (core func $after (canon lower (func $clock "subscribe-duration")))
  (core func $block (canon lower (func $poll "[method]pollable.block")))
  (core module $code (import "h" "after" (func $after (param i64) (result i32))) (import "h" "block" (func $block (param i32)))
    (func (export "step") (param i32) (result i32) (call $block (call $after (i64.const 3600000000000))) (i32.const 1024)))
  (core instance $core (instantiate $code (with "h" (instance (export "after" (func $after)) (export "block" (func $block))))))"#
    );
    let bench = Bench::new();
    let guest = component(imports, &code);
    let outcome = within(Duration::from_secs(5), bench.step(&guest, Limits { wall_ms: 40, ..limits() })).await;
    assert_eq!(self::code(&outcome), Code::Deadline);
}
