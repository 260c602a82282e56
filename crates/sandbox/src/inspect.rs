//! Checks a component at deploy: what it imports, which hooks it exports, whether it fits a sandbox. Compiles it on the way.

use snaphook_model::{Hook, HookSet};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Linker, Lower};
use wasmtime::{Engine, Module};

use crate::abi;
use crate::artifact::{self, Parts};
use crate::code::{self, Kind, Loaded};
use crate::data::Data;
use crate::engine::{self, engine_for_compile};
use crate::error::chain;
use crate::host::{self, OFFERED};
use crate::{ComponentError, SandboxError};

/// The custom section with the source map.
const MAP_SECTION: &str = "snaphook:map";
/// wasmtime counts memories in pages.
const PAGE_BYTES: u64 = 64 << 10;

/// The interpreter's compiled code and the name under which scripts import it.
#[derive(Clone)]
pub struct InterpreterCode {
    /// Such as `interpreter-h0123456789abcdef`.
    pub name: String,
    /// What [`precompile_module`] made of it, in this process, in a child of it, or read back through a [`crate::CodeStore`].
    /// Never anything else: it is machine code that will run.
    pub code: std::sync::Arc<[u8]>,
}

impl InterpreterCode {
    /// The interpreter, ready to be instantiated in an engine of this crate.
    ///
    /// # Errors
    /// When the code was made by another release.
    pub fn module(&self, engine: &Engine) -> Result<Module, SandboxError> {
        match code::deserialize(engine, &self.code, Kind::Module) {
            Ok(Loaded::Module(module)) => Ok(module),
            Ok(Loaded::Component(_)) => Err(SandboxError::Interpreter("it is a component".to_owned())),
            Err(error) => Err(SandboxError::Interpreter(chain(&error))),
        }
    }
}

/// A component that may be deployed.
pub struct Checked {
    /// Compiled code with what belongs to it, for [`crate::Sandbox::admit`].
    pub code: Vec<u8>,
    /// What it exports. May be empty.
    pub hooks: HookSet,
}

/// Compiles a core module with the node's settings.
///
/// # Errors
/// A sentence when the bytes are no valid module.
pub fn precompile_module(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let engine = engine_for_compile().map_err(|error| ComponentError::Invalid(error.to_string()))?;
    engine.precompile_module(module).map_err(|error| ComponentError::Invalid(chain(&error)))
}

/// Checks and compiles a component. An uploaded one gets no interpreter.
///
/// # Errors
/// When it imports what is not offered, is not valid, or exports a hook of the wrong type.
pub fn check_component(component: &[u8], interpreter: Option<&InterpreterCode>) -> Result<Checked, ComponentError> {
    let failed = |error: SandboxError| ComponentError::Invalid(error.to_string());
    let engine = engine_for_compile().map_err(failed)?;
    let mut linker = host::linker(&engine).map_err(|error| ComponentError::Invalid(chain(&error)))?;
    if let Some(interpreter) = interpreter {
        let module = interpreter.module(&engine).map_err(failed)?;
        linker.root().module(&interpreter.name, &module).map_err(|error| ComponentError::Invalid(chain(&error)))?;
    }
    let compiled = Component::new(&engine, component).map_err(|error| ComponentError::Invalid(chain(&error)))?;
    let linked = link(&linker, &compiled, interpreter.map(|interpreter| interpreter.name.as_str()))?;
    check_size(&compiled)?;
    let code = compiled.serialize().map_err(|error| ComponentError::Invalid(chain(&error)))?;
    // Scripts are all of one form, which fits.
    if interpreter.is_none() {
        check_instances(&code)?;
    }
    let map = artifact::custom_section(component, MAP_SECTION);
    Ok(Checked { code: artifact::join(&Parts { map, code: &code }), hooks: linked.exports.hooks() })
}

/// Compiles a component with the node's settings, without asking what it imports or exports.
///
/// # Errors
/// A sentence when the bytes are no valid component.
pub fn precompile_component(component: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let engine = engine_for_compile().map_err(|error| ComponentError::Invalid(error.to_string()))?;
    let code = engine.precompile_component(component).map_err(|error| ComponentError::Invalid(chain(&error)))?;
    Ok(artifact::join(&Parts { map: artifact::custom_section(component, MAP_SECTION), code: &code }))
}

/// A component with its imports supplied and its hooks found.
pub(crate) struct Linked {
    pub(crate) pre: InstancePre<Data>,
    pub(crate) exports: Exports,
}

/// Supplies a component's imports and finds its hooks.
pub(crate) fn link(linker: &Linker<Data>, component: &Component, interpreter: Option<&str>) -> Result<Linked, ComponentError> {
    let foreign = not_offered(component, interpreter);
    if !foreign.is_empty() {
        return Err(ComponentError::Imports(foreign));
    }
    // A known interface may still be imported with a function or type that it does not have.
    let pre = linker.instantiate_pre(component).map_err(|error| ComponentError::Imports(vec![chain(&error)]))?;
    let exports = Exports::find(component, &pre)?;
    Ok(Linked { pre, exports })
}

/// The names of the imports that no sandbox has.
fn not_offered(component: &Component, interpreter: Option<&str>) -> Vec<String> {
    let types = component.component_type();
    let engine = component.engine();
    let imports = types.imports(engine).map(|(name, _)| name.to_owned());
    imports.filter(|name| interpreter != Some(name.as_str()) && !OFFERED.iter().any(|offered| offers(offered, name))).collect()
}

/// Whether an interface, `package/name` with the versions it serves, is what an import asks for.
fn offers((interface, version): &(&str, &str), import: &str) -> bool {
    import.split_once('@').is_some_and(|(name, wanted)| name == *interface && wanted.starts_with(version))
}

/// What an instance takes from the pool has an upper end; a component beyond it would be refused at every call.
fn check_size(component: &Component) -> Result<(), ComponentError> {
    // Absent for a script, which imports its only memory with the interpreter.
    let Some(resources) = component.resources_required() else { return Ok(()) };
    let found = [
        ("memories", u64::from(resources.num_memories), u64::from(engine::MAX_MEMORIES)),
        ("bytes of initial memory", resources.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES), engine::MAX_MEMORY_BYTES),
        ("tables", u64::from(resources.num_tables), u64::from(engine::MAX_TABLES)),
        ("elements in a table", resources.max_initial_table_size.unwrap_or(0), u64::from(engine::MAX_TABLE_ELEMENTS)),
    ];
    match found.into_iter().find(|(_, needed, most)| needed > most) {
        Some((what, needed, most)) => {
            Err(ComponentError::Invalid(format!("the component needs {needed} {what}; a sandbox has at most {most}")))
        }
        None => Ok(()),
    }
}

/// What the pool alone can tell: how many core instances there are, with those between components that the compiler adds, and how large all are.
fn check_instances(code: &[u8]) -> Result<(), ComponentError> {
    // Where there is no room even for one, the node's own engine says at deploy what it takes.
    let Ok(engine) = engine::engine_of_one() else { return Ok(()) };
    match code::deserialize(&engine, code, Kind::Component) {
        Ok(_) => Ok(()),
        Err(error) => Err(does_not_fit(&error)),
    }
}

/// The engine's refusal of code that is its own; it names the limit.
pub(crate) fn does_not_fit(error: &wasmtime::Error) -> ComponentError {
    ComponentError::Invalid(format!("the component does not fit in a sandbox: {}", chain(error)))
}

/// Where a component exports its hooks, by [`Hook::ALL`].
#[derive(Default)]
pub(crate) struct Exports([Option<ComponentExportIndex>; Hook::ALL.len()]);

impl Exports {
    pub(crate) fn of(&self, hook: Hook) -> Option<&ComponentExportIndex> {
        self.0.get(hook as usize).and_then(Option::as_ref)
    }

    pub(crate) fn hooks(&self) -> HookSet {
        Hook::ALL.into_iter().filter(|hook| self.of(*hook).is_some()).collect()
    }

    fn find(component: &Component, pre: &InstancePre<Data>) -> Result<Self, ComponentError> {
        let mut exports = Self::default();
        for (place, hook) in exports.0.iter_mut().zip(Hook::ALL) {
            *place = match hook {
                Hook::PreHook => find::<abi::PreHookIn<'_>, abi::Answer<abi::PreHookOut>>(component, pre, hook),
                Hook::PreRequest => find::<abi::PreRequestIn<'_>, abi::Answer<abi::PreRequestOut>>(component, pre, hook),
                Hook::PostRequest => find::<abi::PostRequestIn<'_>, abi::Answer<abi::PostRequestOut>>(component, pre, hook),
                Hook::PostHook => find::<abi::PostHookIn<'_>, abi::Answer<abi::PostHookOut>>(component, pre, hook),
                Hook::PostFail => find::<abi::PostFailIn<'_>, abi::Answer<abi::PostFailOut>>(component, pre, hook),
                Hook::Step => find::<abi::StepIn<'_>, abi::Answer<abi::StepOut>>(component, pre, hook),
                Hook::Trigger => find::<abi::TriggerIn<'_>, abi::Answer<abi::TriggerOut>>(component, pre, hook),
            }?;
        }
        Ok(exports)
    }
}

/// Where a component exports a hook's function. An export under the hook's name that is something else is an error.
fn find<In, Out>(component: &Component, pre: &InstancePre<Data>, hook: Hook) -> Result<Option<ComponentExportIndex>, ComponentError>
where
    In: ComponentNamedList + Lower,
    Out: ComponentNamedList + Lift,
{
    let interface = format!("snaphook:hook/{hook}@0.1.0");
    let Some(instance) = component.get_export_index(None, interface.as_str()) else { return Ok(None) };
    let wrong = |why: String| ComponentError::Invalid(format!("the component exports `{interface}`, but {why}"));
    match component.get_export(Some(&instance), hook.as_str()) {
        Some((ComponentItem::ComponentFunc(function), index)) => match function.typecheck::<In, Out>(&pre.instance_type()) {
            Ok(()) => Ok(Some(index)),
            Err(error) => Err(wrong(format!("its function `{hook}` has another type than there: {}", chain(&error)))),
        },
        Some(_) => Err(wrong(format!("`{hook}` in it is no function"))),
        None => Err(wrong(format!("there is no function `{hook}` in it"))),
    }
}
