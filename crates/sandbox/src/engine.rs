//! The engine's settings: one set for the node and for the compile child, so that code made by one loads in the other.

use std::num::NonZeroUsize;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::SandboxError;

/// Largest linear memory of a guest; a tenant's limit may go up to here.
pub(crate) const MAX_MEMORY_BYTES: u64 = 1 << 30;
/// Memories of one component. Composed components have one per part; more parts than this is a program for another place.
pub(crate) const MAX_MEMORIES: u32 = 4;
/// Tables of one component: a handful of core instances with one or two each.
pub(crate) const MAX_TABLES: u32 = 8;
/// Elements of one table. Large programs with many function pointers stay below 20,000.
pub(crate) const MAX_TABLE_ELEMENTS: u32 = 20_000;
/// Core instances of one component: a Rust guest has three, a composed one a few more.
pub(crate) const MAX_CORE_INSTANCES: u32 = 24;

/// Address space of a linear memory. With 4 GiB and a guard behind them, every 32-bit address is either inside or faults, so
/// compiled code needs no bounds checks. It is address space only: a thousand slots take 4 of the 128 TiB that a process has.
const RESERVATION_BYTES: u64 = 4 << 30;
const GUARD_BYTES: u64 = 32 << 20;
/// The interpreter counts its own stack in linear memory, where its frames are several times smaller than here; its limit must be met first.
const WASM_STACK_BYTES: usize = 2 << 20;
/// The guest's stack and half a megabyte for the host functions it calls, which run on the same stack.
const ASYNC_STACK_BYTES: usize = (2 << 20) + (512 << 10);
/// Memory that a slot may keep between two invocations. The interpreter's memory fits in whole, so that a reset is a few copied pages.
pub(crate) const KEEP_RESIDENT_BYTES: u64 = 1 << 20;

/// Loaded programs never take more, however large the budget: each has two mappings, of which Linux gives a process 65,530, and one with
/// a memory of its own also an open file. Programs of the least size would be some 9,000.
const MAX_PROGRAM_BYTES: u64 = 512 << 20;

/// What decides about the code that Cranelift writes, and so must be the same wherever that code is used.
fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        // Each invocation has one task; the machinery for several costs time in every store.
        .concurrency_support(false)
        .memory_reservation(RESERVATION_BYTES)
        .memory_guard_size(GUARD_BYTES)
        // Pool slots cannot move, and compiled code that knows it keeps the base in a register.
        .memory_may_move(false)
        // Same input, same output, whatever the machine has.
        .relaxed_simd_deterministic(true)
        // Neither native unwinding nor offsets in backtraces are used; both would be a good part of a small script's code.
        .native_unwind_info(false)
        .generate_address_map(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(8))
        // The memory of a trapped interpreter tells where in the script it stood.
        .coredump_on_trap(true)
        .wasm_memory64(false)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES);
    config
}

/// An engine for work at deploy: it allocates on demand, and its code loads in the node's engine.
///
/// # Errors
/// When the machine has no place for it.
pub fn engine_for_compile() -> Result<Engine, SandboxError> {
    Engine::new(&config()).map_err(SandboxError::engine)
}

/// How the pool is laid out, for printing at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// What the operator gave.
    pub memory_budget_bytes: u64,
    /// Invocations at the same time.
    pub slots: u32,
    /// Largest linear memory that a limit may allow.
    pub max_memory_bytes: u64,
    /// Linear memory of all invocations together; beyond it they get `overloaded`.
    pub pool_bytes: u64,
    /// Stacks of all invocations together, if every guest recurses as deep as it may. A stack that was used stays in memory.
    pub stack_bytes: u64,
    /// Loaded programs; beyond it those not used for the longest time are dropped.
    pub program_bytes: u64,
    /// Whether the kernel tells which pages an invocation wrote.
    pub pagemap_scan: bool,
}

impl Settings {
    /// A quarter of the budget for loaded programs, the rest for running guests: of that a third for their stacks, which decides how many
    /// may run at once, and what the stacks leave for their memories.
    pub(crate) fn new(memory_budget_bytes: u64, max_concurrent: Option<u32>) -> Self {
        let program_bytes = memory_budget_bytes / 4;
        let running_bytes = memory_budget_bytes - program_bytes;
        // An idle slot keeps much less of its memory than a stack takes, so the slots alone cannot outgrow the memories' share.
        const { assert!(KEEP_RESIDENT_BYTES < ASYNC_STACK_BYTES as u64) };
        let fitting = u32::try_from(running_bytes / 3 / ASYNC_STACK_BYTES as u64).unwrap_or(u32::MAX);
        let mut settings = Self {
            memory_budget_bytes,
            slots: max_concurrent.unwrap_or(fitting).clamp(8, 4096),
            max_memory_bytes: MAX_MEMORY_BYTES,
            pool_bytes: 0,
            stack_bytes: 0,
            program_bytes: program_bytes.min(MAX_PROGRAM_BYTES),
            pagemap_scan: PoolingAllocationConfig::is_pagemap_scan_available(),
        };
        settings.share_out();
        settings
    }

    /// Gives the stacks what they take, and the memories the rest.
    fn share_out(&mut self) {
        let running_bytes = self.memory_budget_bytes - self.memory_budget_bytes / 4;
        self.stack_bytes = u64::from(self.instances()) * ASYNC_STACK_BYTES as u64;
        // Only a budget too small for the least number of slots comes to this; then the memories have a third of it all the same.
        self.pool_bytes = running_bytes.saturating_sub(self.stack_bytes).max(running_bytes / 3);
    }

    /// One more component than there are permits, since a post mortem looks at a trapped instance with a second one.
    const fn instances(&self) -> u32 {
        self.slots + self.slots / 8 + 1
    }
}

/// The node's engine, whose instances live in a pool.
pub(crate) fn pooling_engine(settings: &mut Settings) -> Result<Engine, SandboxError> {
    loop {
        let mut config = config();
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(settings.slots, settings.instances())));
        match Engine::new(&config) {
            Ok(engine) => return Ok(engine),
            // Some machines have less address space, or a limit on it: fewer slots then.
            Err(_) if settings.slots > 8 => {
                settings.slots /= 2;
                settings.share_out();
            }
            Err(error) => return Err(SandboxError::engine(error)),
        }
    }
}

/// An engine that refuses what the node's engine would, with a pool for one instance.
///
/// # Errors
/// When the machine has no place for it.
pub(crate) fn engine_of_one() -> Result<Engine, SandboxError> {
    let mut pool = pool(1, 1);
    // Asked of the kernel in a file, which a compile child may not open.
    pool.pagemap_scan(Enabled::No);
    let mut config = config();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(SandboxError::engine)
}

fn pool(slots: u32, instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(MAX_CORE_INSTANCES))
        .total_memories(instances.saturating_mul(MAX_MEMORIES))
        .total_tables(instances.saturating_mul(MAX_TABLES))
        .total_stacks(instances)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_tables_per_module(MAX_TABLES)
        .table_elements(MAX_TABLE_ELEMENTS as usize)
        .max_memory_size(usize::try_from(MAX_MEMORY_BYTES).unwrap_or(usize::MAX))
        .linear_memory_keep_resident(usize::try_from(KEEP_RESIDENT_BYTES).unwrap_or(usize::MAX))
        .table_keep_resident(MAX_TABLE_ELEMENTS as usize * size_of::<usize>())
        // A slot that was warm once is taken before a cold one: the number of touched slots follows the load.
        .max_unused_warm_slots(slots / 4)
        .pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::{ASYNC_STACK_BYTES, Settings};

    #[test]
    fn stacks_memories_and_programs_stay_within_the_budget() {
        for gib in [1_u64, 2, 8, 64, 512] {
            for max_concurrent in [None, Some(8), Some(100)] {
                let settings = Settings::new(gib << 30, max_concurrent);
                let Settings { pool_bytes, stack_bytes, program_bytes, slots, .. } = settings;
                assert!(pool_bytes + stack_bytes + program_bytes <= gib << 30, "{settings:?}");
                assert!(stack_bytes > u64::from(slots) * ASYNC_STACK_BYTES as u64, "a post mortem has a stack too");
                assert!(pool_bytes >= (gib << 30) * 3 / 4 * 3 / 5, "the memories have the larger part: {settings:?}");
            }
        }
        assert_eq!(Settings::new(2 << 30, None).slots, 204);
        assert_eq!(Settings::new(32 << 20, None).slots, 8, "too small for more");
    }
}
