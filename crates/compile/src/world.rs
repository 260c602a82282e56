//! The component around an image: the interpreter imported as a core module, the host's functions, the hooks.
//!
//! `wit-component` writes it for a dummy in the interpreter's place, so that every type and every lowering is its own; then the dummy is
//! replaced by an import, and the image is put at the end.

use std::fmt::Write as _;
use std::path::Path;

use snaphook_model::HookSet;
use wasm_encoder::{
    CodeSection, ComponentImportSection, ComponentSection, ComponentTypeRef, CoreTypeSection, CustomSection, EntityType, ExportKind,
    ExportSection, FuncType, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, InstanceSection, MemorySection, Module,
    ModuleArg, ModuleType, RawSection, TypeSection, ValType,
};
use wasmparser::{BinaryReader, Instance, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

use crate::image::{INTERPRETER, MEMORY, STACK_POINTER};
use crate::shape::Shape;

/// Name of the custom section with the source map.
pub(crate) const MAP_SECTION: &str = "snaphook:map";
/// What a component starts with.
const PREAMBLE: usize = 8;
const CUSTOM_SECTION: u8 = 0;
const CORE_MODULE_SECTION: u8 = 1;

/// A component with a set of hooks, without interpreter and image.
pub(crate) struct Template {
    /// Sections before the interpreter: the imports.
    before: Vec<u8>,
    /// Sections after it.
    after: Vec<u8>,
    /// How many core types there are before.
    core_types: u32,
    /// How many core modules and core instances there are in all.
    core_modules: u32,
    core_instances: u32,
    /// The core instance that is the interpreter.
    interpreter: u32,
    /// What the interpreter must be.
    module_type: ModuleType,
}

impl Template {
    /// Writes the component of a world with these hooks.
    pub(crate) fn new(shape: &Shape, wit: &[(&str, &str)], hooks: HookSet) -> Result<Self, String> {
        let exports = Exports::of(shape, hooks);
        let component = encode(shape, &exports, wit, hooks).map_err(|error| format!("no component for {hooks:?}: {error}"))?;
        Self::cut(&component, exports.module_type(shape)).ok_or_else(|| "wit-component writes components of another shape".to_owned())
    }

    /// The component of one script.
    pub(crate) fn component(&self, interpreter: &str, image: &[u8], map: Option<&str>) -> Vec<u8> {
        let mut bytes = wasm_encoder::Component::HEADER.to_vec();
        bytes.extend(&self.before);
        let mut types = CoreTypeSection::new();
        types.ty().module(&self.module_type);
        types.append_to_component(&mut bytes);
        let mut imports = ComponentImportSection::new();
        imports.import(interpreter, ComponentTypeRef::Module(self.core_types));
        imports.append_to_component(&mut bytes);
        bytes.extend(&self.after);
        RawSection { id: CORE_MODULE_SECTION, data: image }.append_to_component(&mut bytes);
        let mut instances = InstanceSection::new();
        instances.instantiate(self.core_modules, [(INTERPRETER, ModuleArg::Instance(self.interpreter))]);
        instances.append_to_component(&mut bytes);
        if let Some(map) = map {
            CustomSection { name: MAP_SECTION.into(), data: map.as_bytes().into() }.append_to_component(&mut bytes);
        }
        bytes
    }

    fn cut(component: &[u8], module_type: ModuleType) -> Option<Self> {
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut dummy_seen = false;
        let mut rest = component.get(PREAMBLE..)?;
        while let Some(&id) = rest.first() {
            let mut reader = BinaryReader::new(&rest[1..], 0);
            let length = reader.read_var_u32().ok()? as usize;
            let end = 1 + reader.current_position() + length;
            let section = rest.get(..end)?;
            rest = &rest[end..];
            match id {
                // Names and producers are of no use, and two kilobytes.
                CUSTOM_SECTION => {}
                CORE_MODULE_SECTION if !dummy_seen => dummy_seen = true,
                _ if dummy_seen => after.extend(section),
                _ => before.extend(section),
            }
        }
        let mut template = Self { before, after, core_types: 0, core_modules: 0, core_instances: 0, interpreter: u32::MAX, module_type };
        template.count(component)?;
        (dummy_seen && template.interpreter != u32::MAX).then_some(template)
    }

    fn count(&mut self, component: &[u8]) -> Option<()> {
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            match payload.ok()? {
                Payload::ModuleSection { .. } => {
                    self.core_modules += u32::from(depth == 0);
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CoreTypeSection(section) if depth == 0 && self.core_modules == 0 => self.core_types += section.count(),
                Payload::InstanceSection(section) if depth == 0 => {
                    for instance in section {
                        if matches!(instance.ok()?, Instance::Instantiate { module_index: 0, .. }) {
                            self.interpreter = self.core_instances;
                        }
                        self.core_instances += 1;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }
}

/// Functions of the interpreter that a component with some of the hooks needs.
struct Exports<'s>(Vec<(&'s str, &'s FuncType)>);

impl<'s> Exports<'s> {
    fn of(shape: &'s Shape, hooks: HookSet) -> Self {
        let wanted = |name: &str| {
            // `snaphook:hook/pre-hook@0.1.0#pre-hook`, or the same after `cabi_post_`.
            let interface = name.split_once('#').map(|(interface, _)| interface.strip_prefix("cabi_post_").unwrap_or(interface));
            let hook = interface.and_then(|interface| interface.split_once('/')?.1.split_once('@')).map(|(hook, _)| hook);
            name == "cabi_realloc" || hook.is_some_and(|name| hooks.iter().any(|hook| hook.as_str() == name))
        };
        Self(shape.functions.iter().filter(|(name, _)| wanted(name)).map(|(name, r#type)| (name.as_str(), r#type)).collect())
    }

    fn module_type(&self, shape: &Shape) -> ModuleType {
        let mut module = ModuleType::new();
        let function = |module: &mut ModuleType, r#type: &FuncType| {
            let index = module.type_count();
            module.ty().function(r#type.params().iter().copied(), r#type.results().iter().copied());
            EntityType::Function(index)
        };
        for (from, name, r#type) in &shape.imports {
            let function = function(&mut module, r#type);
            module.import(from, name, function);
        }
        module.export(MEMORY, EntityType::Memory(shape.memory));
        module.export(STACK_POINTER, EntityType::Global(stack_pointer()));
        for (name, r#type) in &self.0 {
            let function = function(&mut module, r#type);
            module.export(name, function);
        }
        module
    }

    /// A module of the interpreter's type that does nothing.
    fn dummy(&self, shape: &Shape) -> Vec<u8> {
        let (mut types, mut imports, mut functions) = (TypeSection::new(), ImportSection::new(), FunctionSection::new());
        let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
        for (from, name, r#type) in &shape.imports {
            imports.import(from, name, EntityType::Function(types.len()));
            types.ty().func_type(r#type);
        }
        for (i, (name, r#type)) in (imports.len()..).zip(&self.0) {
            exports.export(name, ExportKind::Func, i);
            functions.function(types.len());
            types.ty().func_type(r#type);
            let mut body = Function::new([]);
            body.instructions().unreachable().end();
            code.function(&body);
        }
        exports.export(MEMORY, ExportKind::Memory, 0);
        exports.export(STACK_POINTER, ExportKind::Global, 0);
        let (mut memories, mut globals) = (MemorySection::new(), GlobalSection::new());
        memories.memory(shape.memory);
        globals.global(stack_pointer(), &wasm_encoder::ConstExpr::i32_const(0));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&memories).section(&globals).section(&exports);
        module.section(&code);
        module.finish()
    }
}

const fn stack_pointer() -> GlobalType {
    GlobalType { val_type: ValType::I32, mutable: true, shared: false }
}

fn encode(
    shape: &Shape,
    exports: &Exports<'_>,
    wit: &[(&str, &str)],
    hooks: HookSet,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut sources = SourceMap::new();
    for (name, text) in wit {
        sources.push(Path::new(name), *text);
    }
    let mut world = "package snaphook:hook@0.1.0;\nworld script {\n  include host;\n".to_owned();
    for hook in hooks.iter() {
        let _ = writeln!(world, "  export {hook};");
    }
    sources.push(Path::new("script.wit"), world + "}\n");
    let mut resolve = Resolve::default();
    let package = resolve.push_group(sources.parse().map_err(|(_, error)| error)?)?;
    let world = resolve.select_world(&[package], Some("script"))?;
    let mut module = exports.dummy(shape);
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(ComponentEncoder::default().module(&module)?.encode()?)
}
