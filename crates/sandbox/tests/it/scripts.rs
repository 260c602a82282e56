//! Scripts, which share one interpreter: where they stood when they were stopped. A small module stands in for the interpreter.

use std::cell::Cell;

use futures_util::future::join_all;
use snaphook_model::{Code, Limits};
use snaphook_sandbox::{InterpreterCode, Sandbox, check_component, precompile_module};

use crate::support::{Bench, fault, limits, step};

const NAME: &str = "interpreter-h0123456789abcdef";

/// Keeps the line it is at in memory, as an interpreter does with its frames, and says so post mortem.
const INTERPRETER: &str = r#"(module
  (memory (export "memory") 2)
  (global (export "__stack_pointer") (mut i32) (i32.const 60000))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
  (data (i32.const 100) "\6c\00\00\00\20\00\00\00{\"line\":0,\"column\":5,\"stack\":\"\"}")
  (data (i32.const 4096) "\01")
  (func (export "step") (param i32) (result i32)
    (i32.store8 (i32.const 200) (i32.add (i32.load8_u (i32.const 4096)) (i32.const 48)))
    (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 5)) (then (drop (memory.grow (i32.const 700)))))
    (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 6)) (then (drop (memory.grow (i32.const 400)))))
    (if (i32.ge_u (i32.load8_u (i32.const 4096)) (i32.const 3)) (then (unreachable)))
    (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 2)) (then (loop $again (br $again))))
    (i32.const 1024))
  (func (export "snaphook_where") (result i32)
    (local $x f64)
    (if (i32.eq (i32.load8_u (i32.const 4096)) (i32.const 4))
      (then (loop $again (local.set $x ROOTS) (br $again))))
    (i32.store8 (i32.const 116) (i32.load8_u (i32.const 200)))
    (i32.const 100)))"#;

fn interpreter() -> InterpreterCode {
    // A chain of roots takes much time for its fuel, so that a look at it ends by the clock.
    let roots = format!("{}(local.get $x){}", "(f64.sqrt ".repeat(64), ")".repeat(64));
    let module = wat::parse_str(INTERPRETER.replace("ROOTS", &roots)).expect("text");
    InterpreterCode { name: NAME.to_owned(), code: precompile_module(&module).expect("a module").into() }
}

/// A script: the interpreter with one byte of difference, which says what it does.
fn script(name: &str, what: u8) -> Vec<u8> {
    let text = format!(
        r#"(component
  (import "{name}" (core module $interpreter (export "memory" (memory 2)) (export "__stack_pointer" (global (mut i32)))
    (export "cabi_realloc" (func (param i32 i32 i32 i32) (result i32))) (export "step" (func (param i32) (result i32)))))
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
  (core instance $e (instantiate $interpreter))
  (core module $image (import "e" "memory" (memory 2)) (data (i32.const 4096) "\{what:02x}"))
  (core instance (instantiate $image (with "e" (instance $e))))
  (func $step (param "content-type" string) (param "context" $context) (result (result (option $payload) (error $fault)))
    (canon lift (core func $e "step") (memory $e "memory") (realloc (core func $e "cabi_realloc"))))
  (instance $hook (export "step" (func $step)))
  (export "snaphook:hook/step@0.1.0" (instance $hook)))"#
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

fn bench_with(component: &[u8]) -> (Bench, snaphook_sandbox::Program) {
    let interpreter = interpreter();
    let checked = check_component(component, Some(&interpreter)).unwrap_or_else(|error| panic!("{error}"));
    let bench = Bench::with(Some(interpreter));
    let key = Sandbox::key(component);
    bench.sandbox.admit(&key, &checked.code).expect("admitted");
    let program = bench.sandbox.load(&key).expect("loads").expect("is there");
    (bench, program)
}

#[tokio::test]
async fn a_script_runs_in_the_interpreter() {
    let (bench, program) = bench_with(&script(NAME, 1));
    let outcome = bench.sandbox.invoke(&program, step(limits())).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
}

#[tokio::test]
async fn a_trap_a_spent_budget_and_a_deadline_say_where() {
    let endless = Limits { fuel: u64::MAX, wall_ms: 20, ..limits() };
    for (what, limits, code) in [(3, limits(), Code::ScriptTrapped), (2, limits(), Code::Fuel), (2, endless, Code::Deadline)] {
        let (bench, program) = bench_with(&script(NAME, what));
        let outcome = bench.sandbox.invoke(&program, step(limits)).await;
        let fault = fault(&outcome);
        assert_eq!((fault.code, fault.line, fault.column), (code, Some(u32::from(what)), Some(5)));
    }
}

#[tokio::test]
async fn looking_takes_its_memory_from_the_pool() {
    // The pool has some 99 MiB, of which large memories may have three quarters: 25 MiB fit twice, 44 do not.
    for (what, line) in [(6, Some(6)), (5, None)] {
        let (bench, program) = bench_with(&script(NAME, what));
        let outcome = bench.sandbox.invoke(&program, step(limits())).await;
        assert_eq!((fault(&outcome).code, fault(&outcome).line), (Code::ScriptTrapped, line));
        assert_eq!(bench.sandbox.pool_used_bytes(), 0);
    }
}

/// The looking itself runs without end here, and is given up. Until then the pool has its memory, two pages, beside that of the stopped ones.
#[tokio::test(flavor = "current_thread")]
async fn looking_holds_up_nobody_and_few_look_at_once() {
    let (bench, program) = bench_with(&script(NAME, 4));
    let (turns, most) = (Cell::new(0), Cell::new(0));
    let beside = async {
        loop {
            let memories = bench.sandbox.pool_used_bytes() / (128 << 10);
            turns.set(turns.get() + u32::from(memories > 0));
            most.set(most.get().max(memories));
            tokio::task::yield_now().await;
        }
    };
    let outcomes = tokio::select! {
        outcomes = join_all((0..8).map(|_| bench.sandbox.invoke(&program, step(limits())))) => outcomes,
        () = beside => unreachable!("it has no end"),
    };
    let (turns, most) = (turns.get(), most.get());
    for outcome in outcomes {
        assert_eq!((fault(&outcome).code, fault(&outcome).line), (Code::ScriptTrapped, None));
    }
    assert!(turns >= 20, "others had {turns} turns while it was looked for places");
    assert!((9..=10).contains(&most), "{most} memories at once");
}

#[tokio::test]
async fn places_go_through_the_scripts_map() {
    // Generated line 3 is line 11 of the upload.
    let map = br#"{"map":"{\"version\":3,\"sources\":[\"a.ts\"],\"names\":[],\"mappings\":\";;IAUA\"}"}"#;
    let mut component = script(NAME, 3);
    let name = b"snaphook:map";
    let length = u8::try_from(1 + name.len() + map.len()).expect("short");
    // A custom section, as appended at the end of a component.
    component.push(0);
    assert!(length >= 64, "one byte of LEB128 is not enough to write it as is");
    component.extend([length | 0x80, 0]);
    component.push(u8::try_from(name.len()).expect("short"));
    component.extend(name);
    component.extend(map);
    let (bench, program) = bench_with(&component);
    let outcome = bench.sandbox.invoke(&program, step(limits())).await;
    assert_eq!((fault(&outcome).line, fault(&outcome).column), (Some(11), Some(1)));
}

#[test]
fn a_script_of_another_build_of_the_interpreter_is_absent() {
    let component = script("interpreter-hffffffffffffffff", 1);
    let code = snaphook_sandbox::precompile_component(&component).expect("compiles");
    let bench = Bench::with(Some(interpreter()));
    let key = Sandbox::key(&component);
    bench.sandbox.admit(&key, &code).expect("admitted");
    assert!(bench.sandbox.load(&key).expect("no error").is_none());
}
