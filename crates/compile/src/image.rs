//! What a script changed in the interpreter's memory, as a core module that changes it again.
//!
//! Active data segments would do, but each becomes machine code of its own: a hundred of them take longer to compile than all the rest of a
//! component. So there is one passive segment with all the bytes, one with a table of where they belong, and a loop.

use wasm_encoder::{
    BlockType, CodeSection, DataCountSection, DataSection, EntityType, Function, FunctionSection, GlobalType, ImportSection,
    InstructionSink, MemArg, MemoryType, Module, StartSection, TypeSection, ValType,
};

/// Under this name the image imports the interpreter's memory and stack pointer.
pub(crate) const INTERPRETER: &str = "interpreter";
pub(crate) const MEMORY: &str = "memory";
pub(crate) const STACK_POINTER: &str = "__stack_pointer";

/// Memory is compared in pieces of this size: a cache line, below which copying costs the same.
const GRANULE: usize = 64;
/// Ranges closer to each other than this become one: each has a price at every instantiation, of about as many bytes copied.
const GAP: usize = 128;
/// Beyond this, ranges are joined over larger gaps, so that the table stays small beside what it describes.
const MAX_RANGES: usize = 2048;
/// Bytes of the table for each range: its address and its length.
const ENTRY: usize = 8;
const PAGE: usize = 1 << 16;

/// Data segments and locals of the image.
const BYTES: u32 = 0;
const TABLE: u32 = 1;
const ENTRY_AT: u32 = 0;
const BYTES_DONE: u32 = 1;

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
        let ranges = self.ranges();
        let mut types = TypeSection::new();
        types.ty().function([], []);
        let mut imports = ImportSection::new();
        imports.import(INTERPRETER, MEMORY, EntityType::Memory(memory));
        let stack_pointer = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        imports.import(INTERPRETER, STACK_POINTER, EntityType::Global(stack_pointer));
        let mut functions = FunctionSection::new();
        functions.function(0);
        let mut code = CodeSection::new();
        code.function(&self.start(&ranges));
        let table: Vec<u8> = ranges.iter().flat_map(|(at, end)| [address(*at), address(end - at)]).flat_map(i32::to_le_bytes).collect();
        let bytes: Vec<u8> = ranges.iter().flat_map(|(at, end)| &self.evaluated[*at..*end]).copied().collect();
        let mut data = DataSection::new();
        data.passive(bytes).passive(table);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&StartSection { function_index: 0 });
        module.section(&DataCountSection { count: data.len() }).section(&code).section(&data);
        module.finish()
    }

    /// Grows the memory, copies every range, sets the stack pointer.
    fn start(&self, ranges: &[(usize, usize)]) -> Function {
        let mut start = Function::new([(2, ValType::I32)]);
        let mut code = start.instructions();
        let grown = (self.evaluated.len() - self.base.len()) / PAGE;
        if grown > 0 {
            code.i32_const(address(grown)).memory_grow(0).i32_const(-1).i32_eq().if_(BlockType::Empty).unreachable().end();
        }
        if let Some((table_at, _)) = ranges.last() {
            copy(&mut code, address(*table_at), address(ranges.len() * ENTRY));
        }
        if self.base_stack != self.evaluated_stack {
            code.i32_const(self.evaluated_stack).global_set(0);
        }
        code.end();
        start
    }

    /// Where the states differ, the largest range last.
    fn ranges(&self) -> Vec<(usize, usize)> {
        let mut ranges = Vec::new();
        let changed = |at: usize, piece: &[u8]| match self.base.get(at..at + piece.len()) {
            Some(before) => before != piece,
            None => piece.iter().any(|byte| *byte != 0),
        };
        for (i, piece) in self.evaluated.chunks(GRANULE).enumerate() {
            let at = i * GRANULE;
            if changed(at, piece) {
                ranges.push((at, at + piece.len()));
            }
        }
        let mut gap = GAP;
        loop {
            ranges.dedup_by(|next, range| {
                let close = next.0 - range.1 < gap;
                if close {
                    range.1 = next.1;
                }
                close
            });
            if ranges.len() <= MAX_RANGES {
                break;
            }
            gap *= 2;
        }
        self.make_room(&mut ranges);
        ranges
    }

    /// Puts the largest range last, and makes it as large as the table.
    fn make_room(&self, ranges: &mut Vec<(usize, usize)>) {
        let table = ranges.len() * ENTRY;
        let Some(mut room) = ranges.iter().copied().max_by_key(|(at, end)| end - at) else { return };
        room.1 = room.1.max(room.0 + table).min(self.evaluated.len());
        room.0 = room.0.min(room.1 - table);
        ranges.retain(|(at, end)| {
            let apart = *end <= room.0 || *at >= room.1;
            if !apart {
                room = (room.0.min(*at), room.1.max(*end));
            }
            apart
        });
        ranges.push(room);
    }
}

/// Copies every range. The table lies where the last range goes, and is overwritten when it has been read.
fn copy(code: &mut InstructionSink<'_>, table_at: i32, table: i32) {
    let field = |offset: u64| MemArg { offset, align: 2, memory_index: 0 };
    code.i32_const(table_at).i32_const(0).i32_const(table).memory_init(0, TABLE);
    code.i32_const(table_at).local_set(ENTRY_AT).loop_(BlockType::Empty);
    // One range: to its address, from where the last one ended, its length.
    code.local_get(ENTRY_AT).i32_load(field(0)).local_get(BYTES_DONE).local_get(ENTRY_AT).i32_load(field(4)).memory_init(0, BYTES);
    code.local_get(BYTES_DONE).local_get(ENTRY_AT).i32_load(field(4)).i32_add().local_set(BYTES_DONE);
    code.local_get(ENTRY_AT).i32_const(address(ENTRY)).i32_add().local_tee(ENTRY_AT);
    code.i32_const(table_at + table).i32_lt_u().br_if(0).end();
}

/// A 32-bit memory has no further addresses.
fn address(at: usize) -> i32 {
    u32::try_from(at).unwrap_or(u32::MAX).cast_signed()
}

#[cfg(test)]
mod tests {
    use snaphook_sandbox::engine_for_compile;
    use snaphook_sandbox::wasm::{Global, Instance, Memory, Module, Store, Val};

    use super::{GRANULE, MAX_RANGES, PAGE, States};

    /// Instantiates the image over the base; gives memory and stack pointer as it leaves them.
    fn applied(states: &States<'_>) -> (Vec<u8>, i32, usize) {
        let minimum = (states.base.len() / PAGE) as u64;
        let image =
            states.module(wasm_encoder::MemoryType { minimum, maximum: None, memory64: false, shared: false, page_size_log2: None });
        let engine = engine_for_compile().unwrap();
        let module = Module::new(&engine, &image).unwrap();
        let mut store = Store::new(&engine, ());
        store.set_fuel(10_000_000).unwrap();
        store.set_epoch_deadline(1);
        let r#type = module.imports().find_map(|import| import.ty().memory().cloned()).unwrap();
        let memory = Memory::new(&mut store, r#type).unwrap();
        memory.data_mut(&mut store).copy_from_slice(states.base);
        let r#type = module.imports().find_map(|import| import.ty().global().cloned()).unwrap();
        let stack = Global::new(&mut store, r#type, Val::I32(states.base_stack)).unwrap();
        Instance::new(&mut store, &module, &[memory.into(), stack.into()]).unwrap();
        (memory.data(&store).to_vec(), stack.get(&mut store).unwrap_i32(), image.len())
    }

    #[track_caller]
    fn check(base: &[u8], evaluated: &[u8]) -> usize {
        let states = States { base, base_stack: 60_000, evaluated, evaluated_stack: 59_984 };
        let (memory, stack, size) = applied(&states);
        assert_eq!(memory.len(), evaluated.len());
        assert!(memory == evaluated);
        assert_eq!(stack, 59_984);
        size
    }

    fn filled(pages: usize) -> Vec<u8> {
        (0..pages * PAGE).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn only_what_changed_is_kept() {
        let base = filled(2);
        let mut evaluated = base.clone();
        for at in [0, 70_000, 70_100, 90_000, 2 * PAGE - 1] {
            evaluated[at] ^= 1;
        }
        let size = check(&base, &evaluated);
        assert!(size < 700, "{size}");
        check(&base, &base);
    }

    #[test]
    fn the_table_finds_room_beside_other_ranges() {
        let base = filled(1);
        for step in [192, 200, 256, 1024] {
            for last in [PAGE, PAGE - 64, PAGE - 4000] {
                let mut evaluated = base.clone();
                for at in (0..last).step_by(step) {
                    evaluated[at] ^= 1;
                }
                check(&base, &evaluated);
            }
        }
    }

    #[test]
    fn grown_memory_is_grown_again() {
        let base = filled(1);
        let mut evaluated = filled(3);
        evaluated[2 * PAGE..].fill(0);
        evaluated[2 * PAGE + 9] = 1;
        check(&base, &evaluated);
    }

    #[test]
    fn many_ranges_are_joined() {
        let base = filled(40);
        let mut evaluated = base.clone();
        for at in (PAGE..base.len()).step_by(5 * GRANULE) {
            evaluated[at] ^= 1;
        }
        let states = States { base: &base, base_stack: 60_000, evaluated: &evaluated, evaluated_stack: 60_000 };
        assert!(states.ranges().len() <= MAX_RANGES);
        check(&base, &evaluated);
    }
}
