//! What is compiled, and what comes of it: the work of the child, in plain values.

use bytes::Bytes;
use snaphook_model::{Code, Dialect, Fault, HookSet, Language, Limits, Name, ScriptKind, Warning};
use snaphook_sandbox::wasm::Engine;
use snaphook_sandbox::{InterpreterCode, SandboxError, engine_for_compile, precompile_component};

use crate::evaluate::{EvaluateError, Evaluated, Evaluator, Script};
use crate::interpreter::Interpreter;
use crate::shape::Shape;
use crate::world::Template;
use crate::{script, upload};

/// What a tenant uploads.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The script's name; it stands in stack traces.
    pub name: Name,
    /// Source in a language, or wasm.
    pub language: Language,
    /// Of source text.
    pub dialect: Dialect,
    /// The upload itself.
    pub bytes: Bytes,
    /// The tenant's. Top-level code has the fuel, memory and wall time of an invocation.
    pub limits: Limits,
    /// Top-level code's frozen clock, in milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// A checked component.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The component. The same upload and clock give the same bytes.
    pub component: Bytes,
    /// Its compiled code, for [`snaphook_sandbox::Sandbox::admit`].
    pub code: Bytes,
    /// Hooks it exports; at least one.
    pub hooks: HookSet,
    /// From source or uploaded whole.
    pub kind: ScriptKind,
    /// What works but is likely not meant; positions are those of the upload.
    pub warnings: Vec<Warning>,
    /// Import name of the interpreter it belongs to. Absent for uploaded wasm.
    pub interpreter: Option<String>,
}

/// There is no component.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Said to whoever uploaded: the upload's fault, or (`overloaded`) too many uploads at once.
    #[error("{0}")]
    Rejected(Fault),
    /// Ours, for the log.
    #[error("the compiler failed: {0}")]
    Failed(String),
}

impl From<Fault> for CompileError {
    fn from(fault: Fault) -> Self {
        Self::Rejected(fault)
    }
}

impl From<SandboxError> for CompileError {
    fn from(error: SandboxError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EvaluateError> for CompileError {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Fault(fault) => Self::Rejected(fault),
            EvaluateError::Failed(why) => Self::Failed(why),
        }
    }
}

/// Compiles in this process, without the limits of a child.
///
/// # Errors
/// As [`crate::Compiler::compile`], but for what only a child can run into.
pub fn compile_here(upload: Upload, interpreter: &Interpreter) -> Result<Compiled, CompileError> {
    check_size(&upload)?;
    match upload.language {
        Language::Wasm => compile_wasm(upload),
        Language::JavaScript | Language::TypeScript => Workshop::new(interpreter)?.compile(&upload),
    }
}

/// Refuses an upload above its limit.
pub(crate) fn check_size(upload: &Upload) -> Result<(), Fault> {
    let (limit, name) = match upload.language {
        Language::Wasm => (upload.limits.component_bytes, "component_bytes"),
        Language::JavaScript | Language::TypeScript => (upload.limits.source_bytes, "source_bytes"),
    };
    within(upload.bytes.len(), limit, name, "upload")
}

fn within(size: usize, limit: u64, name: &str, what: &str) -> Result<(), Fault> {
    let size = size as u64;
    if size <= limit {
        return Ok(());
    }
    let detail = format!("the {what} has {size} bytes; the limit `{name}` is {limit}");
    Err(Fault::new(Code::SourceSize, detail).of_limit(limit, Some(size)))
}

/// Checks uploaded wasm and makes a component of it where it is none yet.
pub(crate) fn compile_wasm(upload: Upload) -> Result<Compiled, CompileError> {
    let accepted = upload::accept(upload.bytes.into())?;
    within(accepted.component.len(), upload.limits.component_bytes, "component_bytes", "component")?;
    Ok(Compiled {
        component: accepted.component.into(),
        code: accepted.checked.code.into(),
        hooks: accepted.checked.hooks,
        kind: ScriptKind::Component,
        warnings: Vec::new(),
        interpreter: None,
    })
}

/// Everything that scripts need and that is the same for all of them.
pub(crate) struct Workshop {
    interpreter: String,
    shape: Shape,
    evaluator: Evaluator,
}

impl Workshop {
    pub(crate) fn new(interpreter: &Interpreter) -> Result<Self, CompileError> {
        let shape = Shape::of(&interpreter.wasm).map_err(CompileError::Failed)?;
        let engine: Engine = engine_for_compile()?;
        let code = InterpreterCode { name: interpreter.name.clone(), code: interpreter.code.clone() };
        let evaluator = Evaluator::new(engine, &code)?;
        Ok(Self { interpreter: interpreter.name.clone(), shape, evaluator })
    }

    pub(crate) fn compile(&self, upload: &Upload) -> Result<Compiled, CompileError> {
        let prepared = script::prepare(&upload.bytes, upload.language, upload.dialect)?;
        let extension = if upload.language == Language::TypeScript { "ts" } else { "js" };
        let script = Script {
            source: &prepared.text,
            file_name: &format!("{}.{extension}", upload.name),
            dialect: dialect_number(upload.dialect),
            now_ms: upload.now_ms,
        };
        let uploaded = |line: Option<u32>, column: Option<u32>| {
            let mapped = prepared.map.as_ref().zip(line.zip(column)).and_then(|(map, (line, column))| script::uploaded(map, line, column));
            mapped.map_or((line, column), |(line, column)| (Some(line), Some(column)))
        };
        let evaluated = self.evaluator.evaluate(&script, &self.shape, &upload.limits);
        let Evaluated { image, hooks, mut warnings } = evaluated.map_err(|error| match error {
            EvaluateError::Fault(mut fault) => {
                (fault.line, fault.column) = uploaded(fault.line, fault.column);
                EvaluateError::Fault(fault)
            }
            failed => failed,
        })?;
        for warning in &mut warnings {
            (warning.line, warning.column) = uploaded(warning.line, warning.column);
        }
        let template = Template::new(&self.shape, snaphook_interpreter::WIT, hooks).map_err(CompileError::Failed)?;
        let map = prepared.map.as_ref().map(oxc_sourcemap::SourceMap::to_json_string);
        let component = template.component(&self.interpreter, &image, map.as_deref());
        within(component.len(), upload.limits.component_bytes, "component_bytes", "component made of it")?;
        let code = precompile(&component)?;
        Ok(Compiled {
            component: component.into(),
            code: code.into(),
            hooks,
            kind: ScriptKind::Script,
            warnings,
            interpreter: Some(self.interpreter.clone()),
        })
    }
}

/// Compiles a component that was accepted before.
pub(crate) fn precompile(component: &[u8]) -> Result<Vec<u8>, CompileError> {
    precompile_component(component).map_err(|error| CompileError::Failed(error.to_string()))
}

/// The number by which the interpreter knows a dialect: its place in [`Dialect::ALL`], which is the order of the build's preludes too.
const fn dialect_number(dialect: Dialect) -> u32 {
    match dialect {
        Dialect::Native => 0,
        Dialect::Patchworks => 1,
        Dialect::BrainCloud => 2,
        Dialect::Prismatic => 3,
    }
}
