//! Asks a stopped script where it stood. Its memory is copied into a fresh interpreter, which reads its own frames out of it.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasmtime::{Engine, Global, InstancePre, Linker, Memory, Module, Store, StoreContextMut, UpdateDeadline, Val, WasmCoreDump};

use crate::data::Data;
use crate::meter::{MemoryPool, Meter};

/// The interpreter's export that describes the innermost frame of the script.
const WHERE: &str = "snaphook_where";
/// Reading the frames of a deep recursion takes some thousand units; this is far more, and still over in a few milliseconds.
const FUEL: u64 = 20_000_000;
/// And never for more than this many turns, each a tick of the epoch long.
const TURNS: u32 = 50;
/// Larger memories are not copied: where the script stood is not worth that much of the node's time.
const MAX_BYTES: usize = 128 << 20;
/// Copied before others may run.
const CHUNK: usize = 1 << 20;
/// What the interpreter says fits in here, or is not read.
const MAX_ANSWER: usize = 256 << 10;
/// Below the stack pointer, a function that calls no other may use memory without moving it. It is skipped.
const RED_ZONE: i32 = 256;
/// Stopped scripts that are looked at, at the same time.
const AT_ONCE: usize = 2;
/// So long a stopped script waits for its turn; many at a time are a sign that places matter less than what comes next.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where a script stood.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Stood {
    /// In the script's own file, from 1.
    pub(crate) line: Option<u32>,
    pub(crate) column: Option<u32>,
    /// Frames of the script and of what it imports, the innermost first.
    pub(crate) stack: String,
}

/// The interpreter, ready to look at what another one left behind.
pub(crate) struct PostMortem {
    pre: InstancePre<Looking>,
    pool: Arc<MemoryPool>,
    places: Semaphore,
}

/// What looking takes.
struct Looking {
    meter: Meter,
    turns: u32,
}

impl PostMortem {
    pub(crate) fn new(engine: &Engine, module: &Module, pool: Arc<MemoryPool>) -> wasmtime::Result<Self> {
        let mut linker = Linker::new(engine);
        // It has nobody to call. Should it try, that ends it.
        linker.define_unknown_imports_as_traps(module)?;
        Ok(Self { pre: linker.instantiate_pre(module)?, pool, places: Semaphore::new(AT_ONCE) })
    }

    /// Where the script of a stopped invocation stood, when that can be told.
    pub(crate) async fn place(&self, dump: &WasmCoreDump, stopped: &mut Store<Data>) -> Option<Stood> {
        let dead = dump.instances().iter().find(|instance| instance.get_export(&mut *stopped, WHERE).is_some())?;
        let memory = dead.get_memory(&mut *stopped, "memory")?;
        let stack = dead.get_global(&mut *stopped, "__stack_pointer")?;
        let _permit = timeout(PATIENCE, self.places.acquire()).await.ok()?.ok()?;
        self.ask(memory, stack, stopped).await.ok().flatten()
    }

    async fn ask(&self, memory: Memory, stack: Global, stopped: &mut Store<Data>) -> wasmtime::Result<Option<Stood>> {
        let size = memory.data_size(&*stopped);
        if size > MAX_BYTES {
            return Ok(None);
        }
        let mut store = self.store(stopped.engine())?;
        let instance = self.pre.instantiate_async(&mut store).await?;
        let (Some(fresh), Some(pointer)) = (instance.get_memory(&mut store, "memory"), instance.get_global(&mut store, "__stack_pointer"))
        else {
            return Ok(None);
        };
        let missing = size.saturating_sub(fresh.data_size(&store));
        let pages = (missing as u64).div_ceil(fresh.page_size(&store));
        fresh.grow(&mut store, pages)?;
        copy(memory, stopped, fresh, &mut store).await;
        if let Val::I32(top) = stack.get(&mut *stopped) {
            // The frames to be read lie above; the new call goes below them.
            pointer.set(&mut store, Val::I32(top.saturating_sub(RED_ZONE) & !15))?;
        }
        let place = instance.get_typed_func::<(), u32>(&mut store, WHERE)?;
        let answer = place.call_async(&mut store, ()).await?;
        Ok(read(fresh.data(&store), answer))
    }

    /// Its memory comes from the pool of all guests. Where that has none left, nothing is said of the place.
    fn store(&self, engine: &Engine) -> wasmtime::Result<Store<Looking>> {
        let meter = Meter::new(Arc::clone(&self.pool), None, MAX_BYTES as u64);
        let mut store = Store::new(engine, Looking { meter, turns: TURNS });
        store.limiter(|looking| &mut looking.meter);
        store.set_fuel(FUEL)?;
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(turn);
        Ok(store)
    }
}

/// At every tick: others' turn, or the end.
fn turn(mut store: StoreContextMut<'_, Looking>) -> wasmtime::Result<UpdateDeadline> {
    let looking = store.data_mut();
    looking.turns = looking.turns.saturating_sub(1);
    Ok(if looking.turns == 0 { UpdateDeadline::Interrupt } else { UpdateDeadline::Yield(1) })
}

/// Copies the pages in which two memories differ.
async fn copy(from: Memory, stopped: &mut Store<Data>, to: Memory, store: &mut Store<Looking>) {
    let size = from.data_size(&*stopped).min(to.data_size(&*store));
    let mut start = 0;
    while start < size {
        let end = size.min(start + CHUNK);
        let (source, target) = (&from.data(&*stopped)[start..end], &mut to.data_mut(&mut *store)[start..end]);
        for (source, target) in source.chunks(4096).zip(target.chunks_mut(4096)) {
            if source != target {
                target.copy_from_slice(source);
            }
        }
        start = end;
        if start < size {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads pointer and length, and behind them the answer. What is there was made by an interpreter whose memory a script may have
/// spoiled, so nothing about it is trusted.
fn read(memory: &[u8], answer: u32) -> Option<Stood> {
    let word = |at: usize| -> Option<usize> {
        let bytes = memory.get(at..)?.first_chunk::<4>()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let at = usize::try_from(answer).ok()?;
    let (start, length) = (word(at)?, word(at.checked_add(4)?)?);
    if length > MAX_ANSWER {
        return None;
    }
    serde_json::from_slice(memory.get(start..start.checked_add(length)?)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Stood, read};

    #[test]
    fn answers_are_read_and_never_trusted() {
        let text = br#"{"line":3,"column":7,"function":"f","stack":""}"#;
        let mut memory = vec![0; 16];
        memory.extend(text);
        memory[8..12].copy_from_slice(&16u32.to_le_bytes());
        memory[12..16].copy_from_slice(&u32::try_from(text.len()).expect("short").to_le_bytes());
        assert_eq!(read(&memory, 8), Some(Stood { line: Some(3), column: Some(7), stack: String::new() }));
        for wrong in [0, 14, 15, u32::MAX, u32::MAX - 3] {
            assert_eq!(read(&memory, wrong), None);
        }
        memory[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(read(&memory, 8), None);
    }
}
