//! The engine's types that evaluating a script at deploy needs. `compile` gets them from here and knows no engine of its own.

pub use wasmtime::{
    AsContext, AsContextMut, Caller, Engine, Extern, ExternType, Func, FuncType, Global, GlobalType, Instance, Linker, Memory, Module,
    ResourceLimiter, Store, StoreContext, StoreContextMut, StoreLimits, StoreLimitsBuilder, Trap, TypedFunc, UpdateDeadline, Val, ValType,
    component, error,
};
/// The engine's error.
pub use wasmtime::{Error, Result};
