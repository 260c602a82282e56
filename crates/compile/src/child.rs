//! The body of the child process: gives up what it may not use, makes itself ready, does one job, ends.

use std::any::Any;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;

use rlimit::Resource;
use snaphook_aside::{Way, make_way};
use snaphook_model::{Code, Fault, Language};

use crate::frame::{self, Answer, Found, FoundScript, Job, JobKind, Setup};
use crate::interpreter::prepare_interpreter;
use crate::job::{CompileError, Compiled, Upload, Workshop, check_size, compile_wasm, precompile};
use crate::library::{Ask, LibraryScript, Wanted};

/// Syntax trees are walked by recursion. Deep enough for any source that a person or a bundler writes; what is nested deeper ends the child.
const STACK_BYTES: usize = 32 << 20;

/// The hidden subcommand that [`crate::Compiler`] starts. Reads its job from standard input and answers on standard output.
#[must_use]
pub fn child_main() -> ExitCode {
    let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(|| work(&mut io::stdin().lock(), &mut io::stdout().lock()));
    match worker.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        // The parent reads why on standard error, where a panic has written already.
        _ => ExitCode::FAILURE,
    }
}

fn work(from: &mut impl Read, to: &mut impl io::Write) -> io::Result<()> {
    let Some(setup) = frame::read::<Setup>(from)? else { return Ok(()) };
    confine(&setup)?;
    // An idle child has everything at hand when its job comes.
    let ready = prepare_interpreter(&setup.data_dir).map_err(|error| error.to_string());
    let ready = ready.and_then(|interpreter| Workshop::new(&interpreter).map_err(|error| error.to_string()));
    // From here on everything that comes is a tenant's, and nothing of the machine is at hand: no file, no network, no other program.
    snaphook_wall::close(setup.wall).map_err(io::Error::other)?;
    let Some(job) = frame::read::<Job>(from)? else { return Ok(()) };
    let mut bytes = Vec::new();
    from.by_ref().take(job.bytes).read_to_end(&mut bytes)?;
    let is_wasm = matches!(job.kind, JobKind::Compile { language: Language::Wasm, .. });
    let mut ask =
        |scripts: Vec<Wanted>| ask(scripts, from, to).map_err(|error| CompileError::Failed(format!("the parent gives no answer: {error}")));
    let done = catch_unwind(AssertUnwindSafe(|| run(job.kind, bytes, &ready, &mut ask)));
    let (answer, component, code) = match done {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => (failure(error), Vec::new(), Vec::new()),
        Err(panic) => (panicked(is_wasm, &*panic), Vec::new(), Vec::new()),
    };
    frame::write(to, &answer, [&component, &code])
}

/// Asks the parent for scripts of the library.
fn ask(scripts: Vec<Wanted>, from: &mut impl Read, to: &mut impl io::Write) -> io::Result<Vec<Option<LibraryScript>>> {
    frame::write(to, &Answer::Wanted { scripts }, [b"", b""])?;
    let found = frame::read::<Found>(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut read = |script: FoundScript| {
        let mut bytes = Vec::new();
        from.by_ref().take(script.bytes).read_to_end(&mut bytes)?;
        Ok(script.with(bytes))
    };
    found.scripts.into_iter().map(|script| script.map(&mut read).transpose()).collect()
}

/// Resources of the process, given up for good.
fn confine(setup: &Setup) -> io::Result<()> {
    // Whoever is called goes before whoever uploads. Threads that come later are as nice as this one.
    make_way(Way::Half);
    // A dump would hold what other tenants uploaded.
    Resource::CORE.set(0, 0)?;
    Resource::CPU.set(setup.cpu_s, setup.cpu_s + 1)?;
    // Address space would be the wrong measure: the engine reserves gigabytes of it and uses little. This counts private memory that can be written.
    let limit = setup.memory_bytes.saturating_add(private_bytes());
    Resource::DATA.set(limit, limit)
}

/// What the process begins with: allocators keep a stock.
fn private_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

type Done = (Answer, Vec<u8>, Vec<u8>);

fn run(kind: JobKind, bytes: Vec<u8>, ready: &Result<Workshop, String>, ask: &mut Ask<'_>) -> Result<Done, CompileError> {
    let JobKind::Compile { name, language, dialect, limits, imports, now_ms } = kind else {
        let code = precompile(&bytes)?;
        return Ok((Answer::Precompiled { code_bytes: code.len() as u64 }, Vec::new(), code));
    };
    let upload = Upload { name, language, dialect, bytes: bytes.into(), limits, imports, now_ms };
    check_size(&upload)?;
    let compiled = match language {
        Language::Wasm => compile_wasm(upload)?,
        Language::JavaScript | Language::TypeScript => {
            ready.as_ref().map_err(|error| CompileError::Failed(error.clone()))?.compile(&upload, ask)?
        }
    };
    let Compiled { component, code, hooks, kind, imports, warnings, interpreter } = compiled;
    let (component_bytes, code_bytes) = (component.len() as u64, code.len() as u64);
    Ok((Answer::Compiled { hooks, kind, imports, warnings, interpreter, component_bytes, code_bytes }, component.into(), code.into()))
}

fn failure(error: CompileError) -> Answer {
    match error {
        CompileError::Rejected(fault) => Answer::Rejected(fault),
        CompileError::Failed(why) => Answer::Failed(why),
    }
}

/// Tools that read wasm assert what they expect of it; bytes that fail an assertion are no component that anybody could run.
fn panicked(is_wasm: bool, panic: &(dyn Any + Send)) -> Answer {
    if is_wasm {
        return Answer::Rejected(Fault::new(Code::ComponentInvalid, "the upload is WebAssembly of a form that cannot be processed"));
    }
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Answer::Failed(format!("the child panicked: {}", text.unwrap_or("without a message")))
}
