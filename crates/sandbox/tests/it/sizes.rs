//! How large a component may be: what is exactly as much as a sandbox takes runs, and one more is refused before it is anybody's version.

use snaphook_model::{Code, Fault};
use snaphook_sandbox::{Sandbox, check_component, precompile_component};
use wasmparser::{Instance, Parser, Payload};

use crate::guests::{KEEP, stepper};
use crate::support::{Bench, limits};

/// As many as the pool has for one component.
const MOST: usize = 24;

/// A guest with a step, and with further instances of an empty module, so that there are so many core instances in all.
fn with_core_instances(count: usize) -> Vec<u8> {
    let mut component = stepper(&[], "", KEEP);
    let (mut modules, mut instances) = (0_u8, 0_usize);
    for payload in Parser::new(0).parse_all(&component) {
        match payload.expect("a component") {
            Payload::ModuleSection { .. } => modules += 1,
            Payload::InstanceSection(section) => {
                instances += section.into_iter().filter(|instance| matches!(instance, Ok(Instance::Instantiate { .. }))).count();
            }
            _ => {}
        }
    }
    // A section of one core module, which is no more than its head, and one of core instances: each of that module, with no arguments.
    component.extend(b"\x01\x08\0asm\x01\0\0\0");
    let more = u8::try_from(count - instances).expect("few");
    component.extend([2_u8, 1 + 3 * more, more]);
    component.extend([0_u8, modules, 0].repeat(more.into()));
    component
}

#[tokio::test]
async fn core_instances_have_an_upper_end() {
    let bench = Bench::new();
    let outcome = bench.step(&with_core_instances(MOST), limits()).await;
    assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    let error = check_component(&with_core_instances(MOST + 1), None).err().expect("refused");
    let told = error.to_string();
    assert!(told.contains(&format!("contains {} core", MOST + 1)) && told.contains(&format!("maximum of {MOST}")), "{told}");
    assert_eq!(Fault::from(error).code, Code::ComponentInvalid);
}

#[test]
fn instances_have_an_upper_end_together() {
    // A hundred thousand globals of a module take more than the megabyte that the instances of a component have.
    let globals = "(global (mut i64) (i64.const 0))".repeat(100_000);
    let text = format!("(component (core module $m {globals}) (core instance (instantiate $m)))");
    let error = check_component(&wat::parse_str(text).expect("text"), None).err().expect("refused");
    assert!(error.to_string().contains("does not fit in a sandbox"), "{error}");
}

/// A component that an earlier release accepted.
#[test]
fn what_does_not_fit_is_told_when_it_is_loaded_and_not_kept() {
    let bench = Bench::new();
    let component = with_core_instances(MOST + 1);
    let key = Sandbox::key(&component);
    bench.sandbox.admit(&key, &precompile_component(&component).expect("valid")).expect("admitted");
    let error = bench.sandbox.load_new(&key).expect_err("refused");
    assert!(error.to_string().contains(&format!("maximum of {MOST}")), "{error}");
    assert!(bench.sandbox.load(&key).expect("no error").is_none());
    assert!(bench.sandbox.kept().expect("the directory").is_empty());
}
