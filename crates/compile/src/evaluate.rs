//! Runs a script's top-level code in a fresh interpreter, and keeps what it changed.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use snaphook_model::{Code, Fault, HookSet, Limits, Warning};
use snaphook_sandbox::wasm::{Engine, Error, Module, Trap};
use snaphook_sandbox::{InterpreterCode, SandboxError};

use crate::fresh::{AtTopLevel, Fresh};
use crate::image::States;
use crate::library::Linked;
use crate::shape::Shape;
use crate::text::excerpt;

/// What the interpreter is told about the script.
pub(crate) struct Script<'s> {
    pub(crate) source: &'s str,
    /// Shown in stack traces.
    pub(crate) file_name: &'s str,
    pub(crate) dialect: u32,
    /// The frozen clock of top-level code.
    pub(crate) now_ms: u64,
    /// What it imports.
    pub(crate) linked: &'s Linked,
}

/// What came of it. Positions are those of the text that ran.
#[derive(Debug)]
pub(crate) struct Evaluated {
    /// Module for [`crate::world`].
    pub(crate) image: Vec<u8>,
    pub(crate) hooks: HookSet,
    pub(crate) warnings: Vec<Warning>,
}

/// Why there is nothing.
#[derive(Debug)]
pub(crate) enum EvaluateError {
    /// The script's fault. Its place is that of the text that ran, and the stack trace says more.
    Fault(Box<Fault>, String),
    /// Ours: the interpreter does not behave.
    Failed(String),
}

impl From<Error> for EvaluateError {
    fn from(error: Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

/// An interpreter that can evaluate one script after another, each in an instance of its own.
pub(crate) struct Evaluator {
    engine: Engine,
    module: Module,
}

/// Fuel for asking an interpreter where it stood; reading a deep stack takes a few thousand.
const POST_MORTEM_FUEL: u64 = 20_000_000;

/// What the interpreter says about a script.
#[derive(Deserialize)]
struct Loaded {
    hooks: u8,
    warnings: Vec<Warning>,
    error: Option<LoadError>,
}

#[derive(Deserialize)]
struct LoadError {
    kind: LoadErrorKind,
    message: String,
    line: Option<u32>,
    column: Option<u32>,
    stack: String,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum LoadErrorKind {
    Syntax,
    Threw,
    Contract,
    Memory,
    NoHook,
}

impl LoadError {
    fn fault(self, limits: &Limits) -> EvaluateError {
        let fault = match self.kind {
            LoadErrorKind::Syntax => Fault::new(Code::ScriptSyntax, excerpt(&self.message)),
            LoadErrorKind::NoHook => Fault::new(Code::ScriptNoHook, excerpt(&self.message)),
            LoadErrorKind::Threw | LoadErrorKind::Contract => Fault::new(Code::ScriptCompile, excerpt(&self.message)),
            LoadErrorKind::Memory => {
                let detail = format!("top-level code needs more memory than the limit `memory_bytes`, {}", limits.memory_bytes);
                Fault::new(Code::Compile, detail).of_limit(limits.memory_bytes, None)
            }
        };
        EvaluateError::Fault(Box::new(placed(fault, self.line.zip(self.column))), self.stack)
    }
}

fn placed(fault: Fault, place: Option<(u32, u32)>) -> Fault {
    match place {
        Some((line, column)) => fault.at(line, column),
        None => fault,
    }
}

impl Evaluator {
    pub(crate) fn new(engine: Engine, interpreter: &InterpreterCode) -> Result<Self, SandboxError> {
        let module = interpreter.module(&engine)?;
        Ok(Self { engine, module })
    }

    /// Evaluates within the fuel, memory and wall time of an invocation: more would let a script be deployed that cannot run.
    pub(crate) fn evaluate(&self, script: &Script<'_>, shape: &Shape, limits: &Limits) -> Result<Evaluated, EvaluateError> {
        let mut fresh = Fresh::new(&self.engine, &self.module, limits.memory_bytes, limits.fuel)?;
        let base = fresh.memory().to_vec();
        let base_stack = fresh.stack_pointer()?;
        let timer = Timer::start(&self.engine, Duration::from_millis(limits.wall_ms));
        let answer = fresh.load(script);
        drop(timer);
        let loaded: Loaded = match answer {
            Ok(text) => {
                serde_json::from_slice(text).map_err(|error| EvaluateError::Failed(format!("the interpreter's answer: {error}")))?
            }
            Err(error) => {
                let fault = stopped(&error, limits).ok_or_else(|| EvaluateError::from(error))?;
                let (place, stack) = self.place(&mut fresh).unwrap_or_default();
                return Err(EvaluateError::Fault(Box::new(placed(fault, place)), stack));
            }
        };
        if let Some(error) = loaded.error {
            return Err(error.fault(limits));
        }
        let hooks = HookSet::from_bits(loaded.hooks);
        let evaluated_stack = fresh.stack_pointer()?;
        let states = States { base: &base, base_stack, evaluated: fresh.memory(), evaluated_stack };
        Ok(Evaluated { image: states.module(shape.memory), hooks, warnings: loaded.warnings })
    }

    /// Where a stopped script stood: its memory is copied into a fresh interpreter, which reads its own frames out of it.
    fn place(&self, stopped: &mut Fresh) -> Option<(Option<(u32, u32)>, String)> {
        #[derive(Deserialize)]
        struct Place {
            line: Option<u32>,
            column: Option<u32>,
            stack: String,
        }
        let memory_bytes = stopped.memory().len() as u64;
        let mut fresh = Fresh::new(&self.engine, &self.module, memory_bytes, POST_MORTEM_FUEL).ok()?;
        let place: Place = serde_json::from_slice(fresh.whereabouts(stopped).ok()?).ok()?;
        Some((place.line.zip(place.column), place.stack))
    }
}

/// The fault of a script that was stopped; nothing when that was not its own doing.
fn stopped(error: &Error, limits: &Limits) -> Option<Fault> {
    if let Some(AtTopLevel(name)) = error.downcast_ref() {
        return Some(Fault::new(Code::ScriptCompile, format!("top-level code called `{name}`, which only a hook can call")));
    }
    Some(match error.downcast_ref()? {
        Trap::OutOfFuel => {
            let detail = format!("top-level code used more fuel than the limit `fuel`, {}", limits.fuel);
            Fault::new(Code::Compile, detail).of_limit(limits.fuel, None)
        }
        Trap::Interrupt => {
            let detail = format!("top-level code took longer than the limit `wall_ms`, {}", limits.wall_ms);
            Fault::new(Code::Compile, detail).of_limit(limits.wall_ms, None)
        }
        trap => Fault::new(Code::Compile, format!("top-level code stopped the interpreter: {trap}")),
    })
}

/// Ends the engine's epoch after some time, and with it what runs. Dropped, it ends nothing.
struct Timer {
    done: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Timer {
    fn start(engine: &Engine, after: Duration) -> Self {
        let engine = engine.clone();
        let (done, wait) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            if wait.recv_timeout(after) == Err(mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
            }
        });
        Self { done: Some(done), thread: Some(thread) }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.done = None;
        if let Some(thread) = self.thread.take() {
            // It only waits and counts; there is nothing in it that could fail.
            let _ = thread.join();
        }
    }
}
