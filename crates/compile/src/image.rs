//! What a script changed in the interpreter's memory, as a core module that changes it again.

use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, EntityType, Function, FunctionSection, GlobalType, ImportSection, MemoryType,
    Module, StartSection, TypeSection, ValType,
};

/// Under this name the image imports the interpreter's memory and stack pointer.
pub(crate) const INTERPRETER: &str = "interpreter";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const STACK_POINTER: &str = "__stack_pointer";

/// Memory is compared in pieces of this size. Smaller ones make more segments, each with a price in bytes and at every instantiation;
/// larger ones copy more that did not change.
const GRANULE: usize = 64;
/// Pieces closer to each other than this become one segment: what lies between costs less than another segment.
const GAP: usize = 64;
const PAGE: usize = 1 << 16;

/// The interpreter's state after it was prepared, and after it evaluated a script.
pub(crate) struct States<'m> {
    pub(crate) base: &'m [u8],
    pub(crate) base_stack: i32,
    pub(crate) evaluated: &'m [u8],
    pub(crate) evaluated_stack: i32,
}

impl States<'_> {
    /// The module. Instantiated with the interpreter's memory and stack pointer, it brings them to the state after the script.
    pub(crate) fn module(&self, memory: MemoryType) -> Vec<u8> {
        let segments = self.segments();
        let grown = self.evaluated.len() / PAGE - self.base.len() / PAGE;
        let start = self.start(&segments, grown);
        let mut module = Module::new();
        if start.is_some() {
            let mut types = TypeSection::new();
            types.ty().function([], []);
            module.section(&types);
        }
        let mut imports = ImportSection::new();
        imports.import(INTERPRETER, MEMORY, EntityType::Memory(memory));
        let stack_pointer = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        imports.import(INTERPRETER, STACK_POINTER, EntityType::Global(stack_pointer));
        module.section(&imports);
        if start.is_some() {
            let mut functions = FunctionSection::new();
            functions.function(0);
            module.section(&functions).section(&StartSection { function_index: 0 });
        }
        if grown > 0 {
            module.section(&DataCountSection { count: index(segments.len()) });
        }
        if let Some(start) = start {
            let mut code = CodeSection::new();
            code.function(&start);
            module.section(&code);
        }
        let mut data = DataSection::new();
        for (at, bytes) in segments {
            if grown > 0 {
                data.passive(bytes.iter().copied());
            } else {
                data.active(0, &ConstExpr::i32_const(address(at)), bytes.iter().copied());
            }
        }
        module.section(&data);
        module.finish()
    }

    /// What has to run: nothing, when the memory did not grow and the stack is as it was.
    fn start(&self, segments: &[(usize, &[u8])], grown: usize) -> Option<Function> {
        if grown == 0 && self.base_stack == self.evaluated_stack {
            return None;
        }
        let mut start = Function::new([]);
        let mut code = start.instructions();
        if grown > 0 {
            // Active segments are written before anything runs, and there is no memory for them then.
            code.i32_const(address(grown)).memory_grow(0).i32_const(-1).i32_eq().if_(wasm_encoder::BlockType::Empty).unreachable().end();
            for (i, (at, bytes)) in segments.iter().enumerate() {
                code.i32_const(address(*at)).i32_const(0).i32_const(address(bytes.len())).memory_init(0, index(i)).data_drop(index(i));
            }
        }
        code.i32_const(self.evaluated_stack).global_set(0).end();
        Some(start)
    }

    fn segments(&self) -> Vec<(usize, &[u8])> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let changed = |at: usize, piece: &[u8]| match self.base.get(at..at + piece.len()) {
            Some(before) => before != piece,
            None => piece.iter().any(|byte| *byte != 0),
        };
        for (i, piece) in self.evaluated.chunks(GRANULE).enumerate() {
            let at = i * GRANULE;
            if !changed(at, piece) {
                continue;
            }
            match ranges.last_mut() {
                Some((_, end)) if at - *end < GAP => *end = at + piece.len(),
                _ => ranges.push((at, at + piece.len())),
            }
        }
        ranges.into_iter().map(|(start, end)| (start, &self.evaluated[start..end])).collect()
    }
}

/// A 32-bit memory has no further addresses.
fn address(at: usize) -> i32 {
    u32::try_from(at).unwrap_or(u32::MAX).cast_signed()
}

fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use wasm_encoder::MemoryType;

    use super::{PAGE, States};

    fn states<'m>(base: &'m [u8], evaluated: &'m [u8]) -> States<'m> {
        States { base, base_stack: 8, evaluated, evaluated_stack: 8 }
    }

    fn memory() -> MemoryType {
        MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None }
    }

    #[test]
    fn only_what_changed_is_kept() {
        let base = vec![7; PAGE];
        let mut evaluated = base.clone();
        evaluated[100] = 1;
        evaluated[130] = 2;
        evaluated[5000] = 3;
        let states = states(&base, &evaluated);
        let ranges: Vec<_> = states.segments().into_iter().map(|(at, bytes)| (at, bytes.len())).collect();
        assert_eq!(ranges, [(64, 128), (4992, 64)]);
        let module = states.module(memory());
        wasmparser::Validator::new().validate_all(&module).unwrap();
        assert!(module.len() < 300, "{}", module.len());
    }

    #[test]
    fn grown_memory_is_grown_again() {
        let base = vec![0; PAGE];
        let mut evaluated = vec![0; 3 * PAGE];
        evaluated[2 * PAGE + 9] = 1;
        let mut states = states(&base, &evaluated);
        states.evaluated_stack = 4;
        let module = states.module(memory());
        wasmparser::Validator::new().validate_all(&module).unwrap();
    }
}
