//! What a core module looks like from outside: imports and exports with their types.

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{FuncType, MemoryType};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

/// The interpreter from outside.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Module, name and type of every imported function, in order.
    pub(crate) imports: Vec<(String, String, FuncType)>,
    /// Name and type of every exported function, in order.
    pub(crate) functions: Vec<(String, FuncType)>,
    /// Its only memory.
    pub(crate) memory: MemoryType,
}

impl Shape {
    /// Reads a module that wasmtime has accepted.
    pub(crate) fn of(module: &[u8]) -> Result<Self, String> {
        read(module).map_err(|error| format!("the interpreter's module is not as expected: {error}"))
    }
}

fn read(module: &[u8]) -> Result<Shape, Box<dyn std::error::Error>> {
    let mut types = Vec::new();
    let mut imports = Vec::new();
    let mut defined = Vec::new();
    let mut functions = Vec::new();
    let mut memory = None;
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for r#type in section.into_iter_err_on_gc_types() {
                    types.push(RoundtripReencoder.func_type(r#type?)?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    let TypeRef::Func(index) = import.ty else { return Err("it imports what is no function".into()) };
                    imports.push((import.module.to_owned(), import.name.to_owned(), index));
                }
            }
            Payload::FunctionSection(section) => defined = section.into_iter().collect::<Result<Vec<u32>, _>>()?,
            Payload::MemorySection(section) => {
                memory = section.into_iter().next().transpose()?.map(|memory| RoundtripReencoder.memory_type(memory)).transpose()?;
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        functions.push((export.name.to_owned(), export.index));
                    }
                }
            }
            // Everything wanted stands before the code.
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    let type_of = |index: u32| types.get(index as usize).cloned().ok_or("a type is missing");
    let function_type = |index: u32| match (index as usize).checked_sub(imports.len()) {
        None => type_of(imports[index as usize].2),
        Some(own) => type_of(*defined.get(own).ok_or("a function is missing")?),
    };
    let functions = functions.into_iter().map(|(name, index)| Ok((name, function_type(index)?)));
    let functions = functions.collect::<Result<_, &str>>()?;
    let imports = imports.into_iter().map(|(module, name, index)| Ok((module, name, type_of(index)?)));
    let imports = imports.collect::<Result<_, &str>>()?;
    Ok(Shape { imports, functions, memory: memory.ok_or("it has no memory")? })
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    /// A table of more is more than one page, and the kernel is then asked after every invocation which of its pages were written: a microsecond.
    const ENTRIES_OF_A_PAGE: u64 = 512;

    #[test]
    fn the_table_of_the_interpreter_is_one_page() {
        let tables = Parser::new(0).parse_all(snaphook_interpreter::WASM).find_map(|payload| match payload.unwrap() {
            Payload::TableSection(section) => Some(section),
            _ => None,
        });
        let sizes: Vec<u64> = tables.unwrap().into_iter().map(|table| table.unwrap().ty.initial).collect();
        assert!(matches!(sizes[..], [size] if size <= ENTRIES_OF_A_PAGE), "{sizes:?}");
    }
}
