//! What a guest may call. One linker holds it all; a component gets what it imports of it.

pub(crate) mod crypto;
pub(crate) mod http;
pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod log;
pub(crate) mod state;
pub(crate) mod variables;
pub(crate) mod wasi;

use wasmtime::component::Linker;
use wasmtime::{Engine, StoreContextMut, Trap};

use crate::data::Data;

/// Interfaces that a component may import, with the versions that are served.
pub(crate) const OFFERED: &[(&str, &str)] = &[
    ("snaphook:hook/types", "0.1."),
    ("snaphook:hook/input", "0.1."),
    ("snaphook:hook/log", "0.1."),
    ("snaphook:hook/variables", "0.1."),
    ("snaphook:hook/connection", "0.1."),
    ("snaphook:hook/http", "0.1."),
    ("snaphook:hook/crypto", "0.1."),
    ("wasi:cli/environment", "0.2."),
    ("wasi:cli/exit", "0.2."),
    ("wasi:cli/stdin", "0.2."),
    ("wasi:cli/stdout", "0.2."),
    ("wasi:cli/stderr", "0.2."),
    ("wasi:cli/terminal-input", "0.2."),
    ("wasi:cli/terminal-output", "0.2."),
    ("wasi:cli/terminal-stdin", "0.2."),
    ("wasi:cli/terminal-stdout", "0.2."),
    ("wasi:cli/terminal-stderr", "0.2."),
    ("wasi:clocks/monotonic-clock", "0.2."),
    ("wasi:clocks/wall-clock", "0.2."),
    ("wasi:filesystem/preopens", "0.2."),
    ("wasi:filesystem/types", "0.2."),
    ("wasi:io/error", "0.2."),
    ("wasi:io/poll", "0.2."),
    ("wasi:io/streams", "0.2."),
    ("wasi:random/insecure", "0.2."),
    ("wasi:random/insecure-seed", "0.2."),
    ("wasi:random/random", "0.2."),
];

/// Bytes that the host reads or copies for one unit of fuel, which is about what the guest's own code would get done with it.
const BYTES_PER_FUEL: usize = 16;

/// Takes fuel for work of the host's: what a guest has done for it is no cheaper than what it does itself.
pub(crate) fn spend(store: &mut StoreContextMut<'_, Data>, fuel: u64) -> wasmtime::Result<()> {
    let left = store.get_fuel()?.checked_sub(fuel).ok_or(Trap::OutOfFuel)?;
    store.set_fuel(left)
}

/// The same for bytes that go through the host's hands.
pub(crate) fn spend_on(store: &mut StoreContextMut<'_, Data>, bytes: usize) -> wasmtime::Result<()> {
    match bytes / BYTES_PER_FUEL {
        0 => Ok(()),
        fuel => spend(store, fuel as u64),
    }
}

/// A linker with everything that is offered.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Data>> {
    let mut linker = Linker::new(engine);
    input::add(&mut linker)?;
    log::add(&mut linker)?;
    variables::add(&mut linker)?;
    http::add(&mut linker)?;
    crypto::add(&mut linker)?;
    wasi::add(&mut linker)?;
    Ok(linker)
}
