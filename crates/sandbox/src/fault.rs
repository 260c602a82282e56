//! From the engine's errors and the guest's own reports to faults. Everything is told by type; no message is looked into.

use std::time::Duration;

use snaphook_model::{Code, Fault, Limits, VariableScope};
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::abi::{FaultKindOut, FaultOut};
use crate::check::excerpt;
use crate::data::{Data, Stop};
use crate::error::chain;
use crate::meter::Refused;
use crate::program::Program;

/// A message of the guest's own is cut here: it goes into run records and answers.
const MAX_MESSAGE: usize = 8 << 10;

/// How far an invocation had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Making the instance, start functions included.
    Instantiating,
    /// In the hook.
    Calling,
}

/// The fault for an error of the engine.
pub(crate) fn of_error(error: &wasmtime::Error, phase: Phase, data: &Data, limits: &Limits, spent: Duration) -> Fault {
    if let Some(stop) = error.downcast_ref::<Stop>() {
        return of_stop(stop, data, limits, spent);
    }
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::OutOfFuel) {
        let detail = format!("the invocation used all of its {} units of fuel", limits.fuel);
        return Fault::new(Code::Fuel, detail).of_limit(limits.fuel, Some(limits.fuel));
    }
    if let Some(fault) = data.meter.lacking().and_then(|refused| of_refusal(refused, limits)) {
        return fault;
    }
    if let Some(trap) = trap {
        return of_trap(*trap, error);
    }
    if let Some(I32Exit(status)) = error.downcast_ref() {
        return Fault::new(Code::ScriptTrapped, format!("the script ended itself with status {status}"));
    }
    if error.is::<PoolConcurrencyLimitError>() {
        return overloaded();
    }
    if phase == Phase::Instantiating || error.is::<wasmtime::WasmtimeBug>() {
        tracing::error!(error = chain(error), ?phase, "an invocation failed on our side");
        return Fault::new(Code::Internal, "the sandbox could not be made");
    }
    // What is left are values that do not decode: pointers out of range, text that is no UTF-8, cases that do not exist.
    let detail = format!("the script passed a value that does not decode: {}", excerpt(&error.root_cause().to_string()));
    Fault::new(Code::ScriptContract, detail)
}

/// The node has no room for the invocation.
pub(crate) fn overloaded() -> Fault {
    Fault::new(Code::Overloaded, "the node runs as many invocations as it has room for")
}

/// The deadline has passed.
pub(crate) fn deadline(limits: &Limits, spent: Duration) -> Fault {
    let used = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
    // The caller's own deadline may come before the limit; naming the limit then would be wrong.
    if used < limits.wall_ms {
        return Fault::new(Code::Deadline, format!("the call's deadline passed {used} ms after the invocation began"));
    }
    let detail = format!("the invocation took longer than {} ms", limits.wall_ms);
    Fault::new(Code::Deadline, detail).of_limit(limits.wall_ms, Some(used))
}

fn of_stop(stop: &Stop, data: &Data, limits: &Limits, spent: Duration) -> Fault {
    match stop {
        Stop::Deadline => deadline(limits, spent),
        Stop::NoMemoryLeft => Fault::new(Code::Overloaded, "the node has no memory left for invocations"),
        Stop::NoMemoryForTenant => {
            Fault::new(Code::Overloaded, "the tenant's invocations have all the memory that this node gives to one tenant")
        }
        Stop::HostCalls => {
            let limit = u64::from(limits.host_calls);
            let detail = format!("the invocation made more than {limit} HTTP requests");
            Fault::new(Code::HostCalls, detail).of_limit(limit, Some(u64::from(data.requests.started()) + 1))
        }
        Stop::Output { sent } => {
            let limit = limits.output_bytes;
            let detail = format!("the invocation's own HTTP requests took {sent} bytes together; the limit `output_bytes` is {limit}");
            Fault::new(Code::Output, detail).of_limit(limit, Some(*sent))
        }
        Stop::StateSize { used } => {
            let limit = limits.state_bytes;
            let detail = format!("the run writes {used} bytes into state; all state of the tenant may take {limit}");
            Fault::new(Code::StateSize, detail).of_limit(limit, Some(*used))
        }
        Stop::Ours(fault) => fault.clone(),
        Stop::NoHook(hook) => Fault::new(Code::ScriptNoHook, format!("the script does not export the hook `{hook}`")),
        Stop::Diverged(detail) => Fault::new(Code::EgressRefused, detail.clone()),
        Stop::Contract(detail) => Fault::new(Code::ScriptContract, detail.clone()),
    }
}

/// A guest that was refused memory may handle it; when it fails afterwards, that is why.
fn of_refusal(refused: Refused, limits: &Limits) -> Option<Fault> {
    match refused {
        Refused::Limit { wanted } => {
            let detail = format!("the invocation needed {wanted} bytes of memory; the limit is {}", limits.memory_bytes);
            Some(Fault::new(Code::Memory, detail).of_limit(limits.memory_bytes, Some(wanted)))
        }
        Refused::Table => None,
    }
}

fn of_trap(trap: Trap, error: &wasmtime::Error) -> Fault {
    let frames = error.downcast_ref::<WasmBacktrace>().map_or(&[][..], WasmBacktrace::frames);
    let function = frames.iter().find_map(|frame| frame.func_name());
    let place = function.map(|name| format!(" in `{}`", excerpt(name))).unwrap_or_default();
    Fault::new(Code::ScriptTrapped, format!("the script trapped{place}: {trap}"))
}

/// The fault that a guest reported itself.
pub(crate) fn reported(report: FaultOut, program: &Program, store: &Store<Data>, limits: &Limits, spent: Duration) -> Fault {
    let data = store.data();
    let stack = if program.reads_stacks() { report.stack.to_str(store).unwrap_or_default() } else { "".into() };
    let refused = match report.kind {
        FaultKindOut::Threw => data.meter.lacking(),
        // The little that telling it takes may have been granted since.
        FaultKindOut::Memory => data.meter.refused(),
        FaultKindOut::Contract | FaultKindOut::NeverSettles | FaultKindOut::Deadline => None,
    };
    let fault = match (report.kind, refused.and_then(|refused| of_refusal(refused, limits))) {
        (_, Some(fault)) => fault,
        (FaultKindOut::Memory, None) => {
            let used = data.meter.used();
            Fault::new(Code::Memory, "an allocation inside the script failed").of_limit(limits.memory_bytes, Some(used))
        }
        (FaultKindOut::Deadline, None) => {
            let used = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX);
            let detail = format!("the script waits, in its own time, beyond the limit of {} ms", limits.wall_ms);
            Fault::new(Code::Deadline, detail).of_limit(limits.wall_ms, Some(used))
        }
        (FaultKindOut::Threw, None) => threw(report.message, data),
        (FaultKindOut::Contract, None) => Fault::new(Code::ScriptContract, message(report.message)),
        (FaultKindOut::NeverSettles, None) => Fault::new(Code::NeverSettles, message(report.message)),
    };
    program.place(report.location.map(|location| (location.line, location.column)), &stack).of(fault)
}

/// A guest whose write into `meta` was refused may handle it; when it fails afterwards, that is why.
fn threw(text: String, data: &Data) -> Fault {
    let Some(bytes) = data.variables.meta_refused() else { return Fault::new(Code::ScriptThrew, message(text)) };
    let limit = VariableScope::META_BYTES as u64;
    let detail = format!("`meta` would take {bytes} bytes; at most {limit}");
    Fault::new(Code::MetaSize, detail).of_limit(limit, Some(bytes as u64))
}

fn message(mut text: String) -> String {
    if text.len() > MAX_MESSAGE {
        text.truncate(text.floor_char_boundary(MAX_MESSAGE));
        text.push('…');
    }
    if text.is_empty() { "the script failed without a message".to_owned() } else { text }
}
