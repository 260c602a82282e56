//! The JavaScript interpreter that runs users' scripts, as the bytes of a core WebAssembly module, and the WIT world it implements.
//! How it is built stands in `build/`, what it is made of in `guest-sdk/interpreter`. It runs nothing itself.

/// The interpreter's core module. It imports the host interfaces of [`WIT`] and nothing else, and exports every hook of the world `hooks`
/// in the names of the canonical ABI, besides `wizer-initialize`, `snaphook_load` and `snaphook_where`.
pub const WASM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/interpreter.wasm"));

/// The WIT package `snaphook:hook`: file names and their texts.
pub const WIT: &[(&str, &str)] = &[
    ("types.wit", include_str!("../../../guest-sdk/wit/types.wit")),
    ("host.wit", include_str!("../../../guest-sdk/wit/host.wit")),
    ("hooks.wit", include_str!("../../../guest-sdk/wit/hooks.wit")),
];

/// Prefixes of the stack traces' file names that belong to the interpreter itself and not to a script.
pub const INTERNAL_NAMES: &str = "snaphook:";
