//! Each attack gets the fault it must get, and the sandbox goes on.

use std::time::{Duration, Instant};

use snaphook_model::{Code, Limits, LogLevel};

use crate::guests::{JSON, KEEP, component, give, module, stepper};
use crate::support::{Bench, code, fault, limits, within};

const SPIN: &str = "(loop $again (br $again)) (unreachable)";

#[tokio::test]
async fn an_endless_loop_spends_its_fuel() {
    let outcome = Bench::new().step(&stepper(&[], "", SPIN), limits()).await;
    assert_eq!(code(&outcome), Code::Fuel);
    assert_eq!((fault(&outcome).limit, outcome.usage.fuel), (Some(50_000_000), 50_000_000));
}

#[tokio::test]
async fn an_endless_loop_ends_at_its_deadline() {
    let outcome = Bench::new().step(&stepper(&[], "", SPIN), Limits { fuel: u64::MAX, wall_ms: 30, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Deadline);
    assert_eq!(fault(&outcome).limit, Some(30));
    assert!((30_000..1_000_000).contains(&outcome.usage.wall_us), "{}", outcome.usage.wall_us);
}

#[tokio::test]
async fn the_callers_deadline_holds_too() {
    let bench = Bench::new();
    let program = bench.program(&stepper(&[], "", SPIN));
    let mut invocation = crate::support::step(Limits { fuel: u64::MAX, ..limits() });
    invocation.deadline = Some(Instant::now() + Duration::from_millis(20));
    let outcome = within(Duration::from_secs(5), bench.sandbox.invoke(&program, invocation)).await;
    assert_eq!((code(&outcome), fault(&outcome).limit), (Code::Deadline, None));
}

#[tokio::test]
async fn a_start_function_has_the_same_limits() {
    let looping = module("(func $slow (loop $again (br $again))) (start $slow)", KEEP);
    let guest = component(&["export step"], &looping);
    let bench = Bench::new();
    assert_eq!(code(&bench.step(&guest, limits()).await), Code::Fuel);
    assert_eq!(code(&bench.step(&guest, Limits { fuel: u64::MAX, wall_ms: 20, ..limits() }).await), Code::Deadline);
}

#[tokio::test]
async fn deep_recursion_traps() {
    let guest = stepper(
        &[],
        "(func $deeper (param i32) (result i32) (i32.add (call $deeper (local.get 0)) (i32.const 1)))",
        "(call $deeper (i32.const 0))",
    );
    let outcome = Bench::new().step(&guest, Limits { fuel: u64::MAX, ..limits() }).await;
    assert_eq!(code(&outcome), Code::ScriptTrapped);
    assert!(fault(&outcome).detail.contains("call stack exhausted"), "{}", fault(&outcome).detail);
}

#[tokio::test]
async fn a_memory_bomb_meets_the_limit() {
    let bomb = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let outcome = Bench::new().step(&stepper(&[], "", bomb), Limits { memory_bytes: 8 << 20, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Memory);
    assert_eq!(fault(&outcome).limit, Some(8 << 20));
    assert!(outcome.usage.memory_bytes <= 8 << 20 && outcome.usage.memory_bytes > 6 << 20, "{}", outcome.usage.memory_bytes);
}

#[tokio::test]
async fn more_initial_memory_than_allowed_is_a_memory_fault() {
    let large = module("", KEEP).replace("\"memory\") 2)", "\"memory\") 100)");
    let outcome = Bench::new().step(&component(&["export step"], &large), Limits { memory_bytes: 1 << 20, ..limits() }).await;
    assert_eq!((code(&outcome), fault(&outcome).used), (Code::Memory, Some(100 << 16)));
}

#[tokio::test]
async fn a_guest_may_live_with_a_refusal() {
    let polite = format!("(drop (memory.grow (i32.const 60000))) {KEEP}");
    assert!(Bench::new().step(&stepper(&[], "", &polite), limits()).await.result.is_ok());
}

#[tokio::test]
async fn a_refusal_that_was_made_good_explains_nothing() {
    // Asks for more than it needs first, as allocators do.
    let trap = "(drop (memory.grow (i32.const 60000))) (drop (memory.grow (i32.const 1))) (unreachable)";
    assert_eq!(code(&Bench::new().step(&stepper(&[], "", trap), limits()).await), Code::ScriptTrapped);
}

#[tokio::test]
async fn all_guests_together_stay_inside_the_budget() {
    // The bench has 256 MiB, three quarters of them for guests: this one alone may have more, and is told whose fault it is not.
    let bomb = "(loop $again (br_if $again (i32.ne (memory.grow (i32.const 160)) (i32.const -1)))) (unreachable)";
    let bench = Bench::new();
    let outcome = bench.step(&stepper(&[], "", bomb), Limits { memory_bytes: 1 << 30, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Overloaded);
    assert_eq!(bench.sandbox.pool_used_bytes(), 0);
}

#[tokio::test]
async fn what_the_node_has_left_is_not_seen_by_a_guest() {
    // It would go on with less, which its own limit lets it do; a node that is full ends it instead, so that the same input never gives another output.
    let polite = format!("(drop (memory.grow (i32.const 8000))) {KEEP}");
    let outcome = Bench::new().step(&stepper(&[], "", &polite), Limits { memory_bytes: 1 << 30, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Overloaded);
}

#[tokio::test]
async fn a_table_cannot_grow_without_end() {
    let table = "(table $t 1 funcref)";
    let grow = "(loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) (unreachable)";
    let outcome = Bench::new().step(&stepper(&[], table, grow), limits()).await;
    assert_eq!(code(&outcome), Code::ScriptTrapped);
}

#[tokio::test]
async fn a_log_flood_is_cut_and_counted() {
    let import = r#"(import "snaphook:hook/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let flood = format!(
        "(local $i i32) (loop $again (call $log (i32.const 3) (i32.const 0) (i32.const 100))
           (local.set $i (i32.add (local.get $i) (i32.const 1))) (br_if $again (i32.lt_u (local.get $i) (i32.const 10000)))) {KEEP}"
    );
    let text = format!("(data (i32.const 0) \"{}\")", "x".repeat(100));
    let guest = stepper(&["import log"], &format!("{import}\n{text}"), &flood);
    let outcome = Bench::new().step(&guest, Limits { log_bytes: 1000, ..limits() }).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    assert_eq!(outcome.logs.len(), 11);
    let last = &outcome.logs[10];
    assert_eq!(last.level, LogLevel::Warn);
    assert!(last.message.starts_with("999000 bytes"), "{}", last.message);
}

#[tokio::test]
async fn what_the_host_reads_costs_fuel() {
    // Half a megabyte of text, over and over: a few instructions of the guest's, and much work of ours.
    let import = r#"(import "snaphook:hook/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let storm = "(drop (memory.grow (i32.const 16))) (loop $again (call $log (i32.const 3) (i32.const 131072) (i32.const 524288)) (br $again)) (unreachable)";
    let outcome = Bench::new().step(&stepper(&["import log"], import, storm), Limits { fuel: 3_300_000, ..limits() }).await;
    assert_eq!(code(&outcome), Code::Fuel);
    // A hundred times at 16 bytes for a unit, and the little that the guest does itself.
    let text = outcome.logs.last().expect("what was dropped is counted").message.clone();
    let dropped: u64 = text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    assert!((90 * 524_288..101 * 524_288).contains(&dropped), "{text}");
}

#[tokio::test]
async fn output_beyond_the_limit_is_refused() {
    let guest = stepper(&[], JSON, &format!("(drop (memory.grow (i32.const 40))) {}", give("(i32.const 0)", "(i32.const 2000000)")));
    let outcome = Bench::new().step(&guest, Limits { output_bytes: 1 << 20, ..limits() }).await;
    assert_eq!((code(&outcome), fault(&outcome).used), (Code::Output, Some(2_000_016)));
}

#[tokio::test]
async fn a_storm_of_host_calls_meets_fuel_or_deadline() {
    let import = r#"(import "snaphook:hook/variables@0.1.0" "keys" (func $keys (param i32 i32)))"#;
    let storm = "(loop $again (call $keys (i32.const 0) (i32.const 4096)) (br $again)) (unreachable)";
    let guest = stepper(&["import variables"], import, storm);
    let bench = Bench::new();
    assert_eq!(code(&bench.step(&guest, Limits { fuel: 1_000_000, ..limits() }).await), Code::Fuel);
    assert_eq!(code(&bench.step(&guest, Limits { fuel: u64::MAX, wall_ms: 30, ..limits() }).await), Code::Deadline);
}

#[tokio::test]
async fn forged_pointers_in_an_answer_are_refused() {
    let bench = Bench::new();
    let answers = [
        // The answer itself lies outside of memory, or is not aligned.
        "(i32.const -4)".to_owned(),
        "(i32.const 1026)".to_owned(),
        // Its bytes do, or their length wraps around.
        give("(i32.const 2000000000)", "(i32.const 8)"),
        give("(i32.const 100)", "(i32.const -1)"),
        // A case that does not exist.
        "(i32.store8 (i32.const 1024) (i32.const 9)) (i32.const 1024)".to_owned(),
        // Text that is no UTF-8.
        "(i32.store8 (i32.const 512) (i32.const 255)) ".to_owned() + &give("(i32.const 0)", "(i32.const 0)"),
    ];
    for answer in answers {
        let outcome = bench.step(&stepper(&[], JSON, &answer), limits()).await;
        assert_eq!(code(&outcome), Code::ScriptContract, "{answer}: {:?}", outcome.result);
    }
}

#[tokio::test]
async fn forged_pointers_in_a_host_call_are_refused() {
    let import = r#"(import "snaphook:hook/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    let bench = Bench::new();
    for arguments in ["(i32.const 3) (i32.const -10) (i32.const 100)", "(i32.const 77) (i32.const 0) (i32.const 0)"] {
        let guest = stepper(&["import log"], import, &format!("(call $log {arguments}) {KEEP}"));
        let outcome = bench.step(&guest, limits()).await;
        assert_eq!(code(&outcome), Code::ScriptContract, "{:?}", outcome.result);
    }
}

#[tokio::test]
async fn a_lying_allocator_hurts_only_itself() {
    let liar = module("", KEEP).replace("(local.get $at))\n", "(i32.const -16))\n");
    let outcome = Bench::new().step(&component(&["export step"], &liar), limits()).await;
    assert_eq!(code(&outcome), Code::ScriptContract);
}

#[tokio::test]
async fn lists_that_overlap_cannot_fill_the_hosts_memory() {
    // 60,000 headers, each of them the same 60 KiB: 3.6 GiB if anybody copied them all.
    let fill = r#"(local $i i32)
      (loop $again
        (i32.store (i32.add (i32.const 131072) (i32.mul (local.get $i) (i32.const 16))) (i32.const 0))
        (i32.store (i32.add (i32.const 131076) (i32.mul (local.get $i) (i32.const 16))) (i32.const 60000))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const 60000))))
      (i32.store8 (i32.const 2048) (i32.const 0)) (i32.store8 (i32.const 2056) (i32.const 2))
      (i32.store16 (i32.const 2060) (i32.const 200))
      (i32.store (i32.const 2064) (i32.const 131072)) (i32.store (i32.const 2068) (i32.const 60000))
      (i32.const 2048)"#;
    let core = module("", KEEP)
        .replace("step@0.1.0#step", "pre-hook@0.1.0#pre-hook")
        .replace(KEEP, fill)
        .replace("\"memory\") 2)", "\"memory\") 20)");
    let bench = Bench::new();
    let program = bench.program(&component(&["export pre-hook"], &core));
    let input = snaphook_model::HookInput::PreHook { connector: "c".into(), endpoint: "e".into(), arguments: "{}".into() };
    let outcome = bench.sandbox.invoke(&program, crate::support::with_input(input, limits())).await;
    assert_eq!(code(&outcome), Code::ScriptContract, "{:?}", outcome.result);
}

#[test]
fn wasm_that_is_none_is_refused() {
    let good = stepper(&[], "", KEEP);
    let bad = [&b""[..], b"\0asm", b"no wasm at all", &good[..good.len() / 2], &good[..good.len() - 1]];
    for bytes in bad {
        assert!(snaphook_sandbox::check_component(bytes, None).is_err());
        assert!(snaphook_sandbox::precompile_component(bytes).is_err());
    }
    for flipped in 0..good.len() {
        let mut bytes = good.clone();
        bytes[flipped] ^= 0x55;
        // Whatever it says, it says it without panicking.
        let _ = wit_component::decode(&bytes);
        if flipped % 97 == 0 {
            let _ = snaphook_sandbox::check_component(&bytes, None);
        }
    }
}

#[test]
fn a_component_larger_than_a_sandbox_is_refused_at_deploy() {
    let large = module("", KEEP).replace("\"memory\") 2)", "\"memory\") 20000)");
    let error = snaphook_sandbox::check_component(&component(&["export step"], &large), None).err().expect("too large");
    assert!(error.to_string().contains("1310720000 bytes of initial memory"), "{error}");
}
