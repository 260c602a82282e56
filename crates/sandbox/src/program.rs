//! A component that is compiled, checked and linked: ready to be instantiated.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use snaphook_model::{Hook, HookSet};
use wasmtime::component::{ComponentExportIndex, InstancePre};

use crate::data::Data;
use crate::inspect::{Exports, Linked};
use crate::positions::{Place, Positions};

/// A program: a script version that can be invoked. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    inner: Arc<Inner>,
}

struct Inner {
    pre: InstancePre<Data>,
    exports: Exports,
    /// Where the upload's text is not the text that runs.
    positions: Option<Positions>,
    /// Whether it runs in the interpreter, which can say where it stood when it was stopped.
    is_script: bool,
    /// Memory that it takes, about.
    bytes: usize,
    /// Fuel that its latest invocations took, each counting an eighth less than the one after it.
    usual_fuel: AtomicU64,
}

/// Fuel of about a millisecond. A program that usually takes more begins among the long ones at once.
const LONG_FUEL: u64 = 1_000_000;

impl Program {
    pub(crate) fn new(linked: Linked, map: &[u8], is_script: bool, code_bytes: usize) -> Self {
        // A map in an uploaded component is its author's text, which nobody asked for.
        let positions = if is_script { Positions::new(map) } else { None };
        let bytes = code_bytes + positions.as_ref().map_or(0, Positions::bytes);
        Self {
            inner: Arc::new(Inner { pre: linked.pre, exports: linked.exports, positions, is_script, bytes, usual_fuel: AtomicU64::new(0) }),
        }
    }

    /// The hooks that may be invoked.
    #[must_use]
    pub fn hooks(&self) -> HookSet {
        self.inner.exports.hooks()
    }

    /// Memory that the loaded program takes, about.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.inner.bytes
    }

    pub(crate) fn pre(&self) -> &InstancePre<Data> {
        &self.inner.pre
    }

    pub(crate) fn export(&self, hook: Hook) -> Option<&ComponentExportIndex> {
        self.inner.exports.of(hook)
    }

    /// Whether its invocations usually take more than a short one's time.
    pub(crate) fn is_long(&self) -> bool {
        self.inner.usual_fuel.load(Ordering::Relaxed) > LONG_FUEL
    }

    /// After an invocation that took so much fuel; `moved` says that it also took more than a short one's time.
    pub(crate) fn took(&self, fuel: u64, moved: bool) {
        // No more than tells long from short: one who has the same program and uses it up must not count for all of the others' next ones.
        let fuel = if moved { 2 * LONG_FUEL } else { fuel.min(2 * LONG_FUEL) };
        let usual = self.inner.usual_fuel.load(Ordering::Relaxed);
        // Two at once may lose one of their changes, which changes little.
        self.inner.usual_fuel.store(usual - usual / 8 + fuel / 8, Ordering::Relaxed);
    }

    pub(crate) fn is_script(&self) -> bool {
        self.inner.is_script
    }

    /// Whether a stack trace says more about a place than line and column do.
    pub(crate) fn reads_stacks(&self) -> bool {
        self.inner.positions.is_some()
    }

    /// The place, in what was uploaded, of a place in what runs.
    pub(crate) fn place(&self, at: Option<(u32, u32)>, stack: &str) -> Place {
        match &self.inner.positions {
            Some(positions) => positions.place(at, stack),
            None => Place { uploaded: at, origin: None },
        }
    }
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("hooks", &self.hooks()).field("is_script", &self.is_script()).finish_non_exhaustive()
    }
}
