//! Nothing of one invocation is there in the next, and the same input gives the same, fuel included.

use crate::guests::{JSON, KEEP, give, stepper};
use crate::support::{Bench, limits, returned, step};

/// Counts in memory and in a global, and gives both back as two bytes.
const COUNTER: &str = "(global $count (mut i32) (i32.const 48))\n(data (i32.const 300) \"0\")";

#[tokio::test]
async fn a_thousand_invocations_see_nothing_of_each_other() {
    let count = format!(
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
         (i32.store8 (i32.const 300) (i32.add (i32.load8_u (i32.const 300)) (i32.const 1)))
         (i32.store8 (i32.const 301) (global.get $count))
         (i32.store8 (i32.const 100000) (i32.const 1))
         {}",
        give("(i32.const 300)", "(i32.const 2)")
    );
    let bench = Bench::new();
    let program = bench.program(&stepper(&[], &format!("{COUNTER}\n{JSON}"), &count));
    // The same component under another key: another tenant's copy, in the same slots.
    let other = bench.program(&stepper(&[], &format!("{COUNTER}\n{JSON} (data (i32.const 600) \"other\")"), &count));
    let mut fuel = None;
    for turn in 0..1000 {
        let program = if turn % 3 == 2 { &other } else { &program };
        let outcome = bench.sandbox.invoke(program, step(limits())).await;
        assert_eq!(returned(&outcome), Some(&b"11"[..]), "at invocation {turn}");
        assert_eq!(*fuel.get_or_insert(outcome.usage.fuel), outcome.usage.fuel, "at invocation {turn}");
    }
    assert_eq!(bench.sandbox.pool_used_bytes(), 0);
}

#[tokio::test]
async fn memory_that_was_written_is_zero_again() {
    // Writes to the whole of its memory, and traps when it finds anything there.
    let dirty = format!(
        "(local $at i32) (drop (memory.grow (i32.const 30))) (local.set $at (i32.const 131072))
         (loop $again
           (if (i32.load (local.get $at)) (then (unreachable)))
           (i32.store (local.get $at) (i32.const -1))
           (local.set $at (i32.add (local.get $at) (i32.const 512)))
           (br_if $again (i32.lt_u (local.get $at) (i32.const 2000000))))
         {KEEP}"
    );
    let bench = Bench::new();
    let programs = [bench.program(&stepper(&[], "", &dirty)), bench.program(&stepper(&[], JSON, &dirty))];
    for turn in 0..100 {
        let outcome = bench.sandbox.invoke(&programs[turn % 2], step(limits())).await;
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }
}

#[tokio::test]
async fn chance_follows_from_the_seed() {
    let import = r#"(import "snaphook:hook/crypto@0.1.0" "random" (func $random (param i32 i32)))"#;
    let code =
        format!("(call $random (i32.const 32) (i32.const 256)) {}", give("(i32.load (i32.const 256))", "(i32.load (i32.const 260))"));
    let bench = Bench::new();
    let program = bench.program(&stepper(&["import crypto"], &format!("{import}\n{JSON}"), &code));
    let mut bytes = Vec::new();
    for seed in [1, 1, 2] {
        let mut invocation = step(limits());
        invocation.context.seed = seed;
        let outcome = bench.sandbox.invoke(&program, invocation).await;
        bytes.push(returned(&outcome).expect("bytes").to_vec());
    }
    assert_eq!(bytes[0].len(), 32);
    assert_eq!(bytes[0], bytes[1]);
    assert_ne!(bytes[0], bytes[2]);
}
