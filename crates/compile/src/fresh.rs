//! One instance of the interpreter's core module, without a component around it.

use std::fmt;

use snaphook_sandbox::wasm::{
    Engine, Error, ExternType, Global, Instance, Linker, Memory, Module, Result, Store, StoreLimits, StoreLimitsBuilder, Val,
};

use crate::evaluate::Script;
use crate::image::{MEMORY, STACK_POINTER};
use crate::library::Linked;

/// Used once, for one script or one look at a stopped one.
pub(crate) struct Fresh {
    store: Store<StoreLimits>,
    instance: Instance,
    memory: Memory,
    stack: Global,
}

/// Top-level code called a host function that belongs to an invocation.
#[derive(Debug)]
pub(crate) struct AtTopLevel(pub(crate) String);

impl fmt::Display for AtTopLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was called without an invocation", self.0)
    }
}

/// Below the stack pointer, a function that calls no other may use memory without moving it.
const RED_ZONE: i32 = 256;

impl Fresh {
    /// An instance with this much memory and fuel. It runs until the engine's epoch ends.
    pub(crate) fn new(engine: &Engine, module: &Module, memory_bytes: u64, fuel: u64) -> Result<Self> {
        let memory_bytes = usize::try_from(memory_bytes).unwrap_or(usize::MAX);
        let mut store = Store::new(engine, StoreLimitsBuilder::new().memory_size(memory_bytes).build());
        store.limiter(|limits| limits);
        store.set_fuel(fuel)?;
        store.set_epoch_deadline(1);
        let mut linker = Linker::new(engine);
        for import in module.imports() {
            let ExternType::Func(r#type) = import.ty() else { continue };
            let (from, name) = (import.module().to_owned(), import.name().to_owned());
            linker.func_new(import.module(), import.name(), r#type, move |_, _, _| {
                // What is logged at top level has no run to belong to, and is no mistake.
                if from.contains("/log@") { Ok(()) } else { Err(Error::msg(AtTopLevel(format!("{from}#{name}")))) }
            })?;
        }
        let instance = linker.instantiate(&mut store, module)?;
        let missing = || Error::msg("the interpreter lacks its memory or its stack pointer");
        let memory = instance.get_memory(&mut store, MEMORY).ok_or_else(missing)?;
        let stack = instance.get_global(&mut store, STACK_POINTER).ok_or_else(missing)?;
        Ok(Self { store, instance, memory, stack })
    }

    pub(crate) fn memory(&self) -> &[u8] {
        self.memory.data(&self.store)
    }

    pub(crate) fn stack_pointer(&mut self) -> Result<i32> {
        match self.stack.get(&mut self.store) {
            Val::I32(at) => Ok(at),
            _ => Err(Error::msg("the interpreter's stack pointer is no address")),
        }
    }

    /// Evaluates a script's top level, and gives what the interpreter says about it.
    pub(crate) fn load(&mut self, script: &Script<'_>) -> Result<&[u8]> {
        self.hand_over(script.linked)?;
        let source = self.write(script.source)?;
        let name = self.write(script.file_name)?;
        let load = self.instance.get_typed_func::<(u32, u32, u32, u32, u32, u32, u32), u32>(&mut self.store, "snaphook_load")?;
        let (low, high) = (script.now_ms as u32, (script.now_ms >> 32) as u32);
        let answer =
            load.call(&mut self.store, (source, length(script.source), name, length(script.file_name), script.dialect, low, high))?;
        self.text(answer)
    }

    /// Hands over what the script imports.
    fn hand_over(&mut self, linked: &Linked) -> Result<()> {
        let import = self.instance.get_typed_func::<(u32, u32, u32, u32), ()>(&mut self.store, "snaphook_import")?;
        for module in &linked.modules {
            let file = module.file();
            let (name, source) = (self.write(&file)?, self.write(&module.text)?);
            import.call(&mut self.store, (name, length(&file), source, length(&module.text)))?;
        }
        let alias = self.instance.get_typed_func::<(u32, u32, u32, u32, u32, u32), ()>(&mut self.store, "snaphook_alias")?;
        for (base, specifier, name) in &linked.aliases {
            let places = (self.write(base)?, self.write(specifier)?, self.write(name)?);
            alias.call(&mut self.store, (places.0, length(base), places.1, length(specifier), places.2, length(name)))?;
        }
        Ok(())
    }

    /// Says where the script of another instance stood when it was stopped.
    pub(crate) fn whereabouts(&mut self, stopped: &mut Self) -> Result<&[u8]> {
        let top = stopped.stack_pointer()?;
        let pages = stopped.memory.size(&stopped.store).saturating_sub(self.memory.size(&self.store));
        self.memory.grow(&mut self.store, pages)?;
        self.memory.data_mut(&mut self.store).copy_from_slice(stopped.memory());
        // The frames to be read lie above; the new call goes below them.
        self.stack.set(&mut self.store, Val::I32(top.saturating_sub(RED_ZONE) & !15))?;
        let tell = self.instance.get_typed_func::<(), u32>(&mut self.store, "snaphook_where")?;
        let answer = tell.call(&mut self.store, ())?;
        self.text(answer)
    }

    /// Hands a text over, with the zero behind it that the interpreter wants.
    fn write(&mut self, text: &str) -> Result<u32> {
        let realloc = self.instance.get_typed_func::<(u32, u32, u32, u32), u32>(&mut self.store, "cabi_realloc")?;
        let at = realloc.call(&mut self.store, (0, 0, 1, length(text) + 1))?;
        self.memory.write(&mut self.store, at as usize, text.as_bytes())?;
        self.memory.write(&mut self.store, at as usize + text.len(), &[0])?;
        Ok(at)
    }

    /// What a pair of address and length points to.
    fn text(&self, pair: u32) -> Result<&[u8]> {
        let memory = self.memory();
        let word = |at: usize| memory.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes) as usize);
        let text = word(pair as usize).zip(word((pair as usize).saturating_add(4)));
        let text = text.and_then(|(at, length)| memory.get(at..at.checked_add(length)?));
        text.ok_or_else(|| Error::msg("the interpreter points outside its memory"))
    }
}

/// Sources are bounded by a limit far below four gigabytes.
fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX - 1)
}
