//! What is compiled, and what comes of it: the work of the child, in plain values.

use bytes::Bytes;
use snaphook_model::{Code, Dialect, Fault, HookSet, Import, Language, Limits, Name, ScriptKind, Warning};
use snaphook_sandbox::wasm::Engine;
use snaphook_sandbox::{InterpreterCode, Place, SandboxError, Sources, engine_for_compile, precompile_component};

use crate::evaluate::{EvaluateError, Evaluated, Evaluator, Script};
use crate::interpreter::Interpreter;
use crate::library::{self, Ask};
use crate::script::Outline;
use crate::shape::Shape;
use crate::text::excerpt;
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
    /// Versions for imports that name none, when it is not deployed anew. Otherwise those take the latest.
    pub imports: Vec<Import>,
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
    /// Hooks it exports. None: it is there to be imported.
    pub hooks: HookSet,
    /// From source or uploaded whole.
    pub kind: ScriptKind,
    /// Versions of other scripts that it imports itself; sorted.
    pub imports: Vec<Import>,
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

/// Compiles in this process, without the limits of a child and without a library.
///
/// # Errors
/// As [`crate::Compiler::compile`], but for what only a child can run into.
pub fn compile_here(upload: Upload, interpreter: &Interpreter) -> Result<Compiled, CompileError> {
    check_size(&upload)?;
    match upload.language {
        Language::Wasm => compile_wasm(upload),
        Language::JavaScript | Language::TypeScript => {
            Workshop::new(interpreter)?.compile(&upload, &mut |wanted| Ok(vec![None; wanted.len()]))
        }
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
        imports: Vec::new(),
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

    pub(crate) fn compile(&self, upload: &Upload, ask: &mut Ask<'_>) -> Result<Compiled, CompileError> {
        let prepared = script::prepare(&upload.bytes, upload.language, upload.dialect)?;
        let outline = Outline::of(&prepared.text, upload.dialect);
        let extension = if upload.language == Language::TypeScript { "ts" } else { "js" };
        let file_name = format!("{}.{extension}", upload.name);
        let maps = prepared.maps();
        let linked = library::link(upload, &file_name, &outline, &maps, ask)?;
        let sources = Sources { maps, imports: linked.modules.iter().map(library::Module::source).collect() };
        let script = Script {
            source: &prepared.text,
            file_name: &file_name,
            dialect: dialect_number(upload.dialect),
            now_ms: upload.now_ms,
            linked: &linked,
        };
        let evaluated = self.evaluator.evaluate(&script, &self.shape, &upload.limits);
        let Evaluated { image, hooks, warnings } = evaluated.map_err(|error| match error {
            EvaluateError::Fault(fault, stack) => CompileError::Rejected(sources.place(fault.line.zip(fault.column), &stack).of(*fault)),
            EvaluateError::Failed(why) => CompileError::Failed(why),
        })?;
        let mut warnings = placed(warnings, &sources);
        warnings.extend(advice(&outline, hooks, &sources)?);
        let template = Template::new(&self.shape, snaphook_interpreter::WIT, hooks).map_err(CompileError::Failed)?;
        let section = if sources.is_plain() { None } else { Some(to_json(&sources)?) };
        let component = template.component(&self.interpreter, &image, section.as_deref());
        within(component.len(), upload.limits.component_bytes, "component_bytes", "component made of it")?;
        let code = precompile(&component)?;
        Ok(Compiled {
            component: component.into(),
            code: code.into(),
            hooks,
            kind: ScriptKind::Script,
            imports: linked.imports,
            warnings,
            interpreter: Some(self.interpreter.clone()),
        })
    }
}

fn to_json(sources: &Sources) -> Result<String, CompileError> {
    serde_json::to_string(sources).map_err(|error| CompileError::Failed(error.to_string()))
}

/// Warnings of the interpreter with their places in what was uploaded.
fn placed(mut warnings: Vec<Warning>, sources: &Sources) -> Vec<Warning> {
    for warning in &mut warnings {
        let Place { uploaded, origin } = sources.place(warning.line.zip(warning.column), "");
        (warning.line, warning.column) = uploaded.unzip();
        warning.origin = origin;
    }
    warnings
}

/// What a look at the text warns of, or refuses.
fn advice(outline: &Outline, hooks: HookSet, sources: &Sources) -> Result<Vec<Warning>, Fault> {
    let mut warnings = Vec::new();
    if hooks.is_empty() {
        if !outline.exports_anything() {
            return Err(Fault::new(Code::ScriptNoHook, NO_HOOK));
        }
        warnings.push(Warning { message: no_hook(outline), line: None, column: None, origin: None });
    }
    warnings.extend(outline.unknown.iter().map(|unknown| {
        let Place { uploaded, origin } = sources.maps.place(unknown.at);
        let (line, column) = uploaded.unzip();
        Warning { message: excerpt(&unknown.sentence()), line, column, origin }
    }));
    Ok(warnings)
}

const NO_HOOK: &str = "the script exports no hook; export a function named preHook, preRequest, postRequest, postHook, postFail or trigger, or a default function for a step";

/// For a script that exports no hook: it may be meant so, or a name may be mistyped.
fn no_hook(outline: &Outline) -> String {
    let meant = outline.exports.iter().find_map(|export| {
        let same = |hook: &&&str| hook.eq_ignore_ascii_case(&export.replace(['-', '_'], ""));
        EXPORTS.iter().find(same).map(|hook| format!("; is `{}` meant to be `{hook}`?", excerpt(export)))
    });
    format!("the script exports no hook, so it can be imported but not bound{}", meant.unwrap_or_default())
}

/// Names of exports that are hooks.
const EXPORTS: [&str; 7] = ["preHook", "preRequest", "postRequest", "postHook", "postFail", "default", "trigger"];

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
