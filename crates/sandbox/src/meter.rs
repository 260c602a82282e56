//! Memory that a guest may take: its own limit, and its part of what all guests together may have.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use wasmtime::ResourceLimiter;

use crate::data::Stop;
use crate::engine::{KEEP_RESIDENT_BYTES, MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_TABLE_ELEMENTS, MAX_TABLES};
use crate::parts::Part;

/// Linear memory of all invocations together.
pub(crate) struct MemoryPool {
    limit: u64,
    used: AtomicU64,
}

impl MemoryPool {
    pub(crate) const fn new(limit: u64) -> Self {
        Self { limit, used: AtomicU64::new(0) }
    }

    /// Bytes in use.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that are not.
    fn free(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    /// Takes memory for a guest that will then have `whole`. The last quarter of the pool is for guests that stay small, so that a few
    /// large ones never keep the many others from running.
    fn take(&self, bytes: u64, whole: u64) -> bool {
        let limit = if whole > KEEP_RESIDENT_BYTES { self.limit / 4 * 3 } else { self.limit };
        // Counting is all that happens here; no memory is read on the strength of it.
        let before = self.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|after| after <= limit);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Who said no to more memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The invocation's own limit.
    Limit {
        /// Bytes that it would have had.
        wanted: u64,
    },
    /// A table would have outgrown its fixed size.
    Table,
}

/// What one invocation has taken.
pub(crate) struct Meter {
    pool: Arc<MemoryPool>,
    /// The tenant's; none where the host itself looks at something.
    part: Option<Arc<Part>>,
    limit: u64,
    used: u64,
    refused: Option<Refused>,
    /// Whether memory was granted after the last refusal.
    made_good: bool,
}

impl Meter {
    pub(crate) const fn new(pool: Arc<MemoryPool>, part: Option<Arc<Part>>, limit: u64) -> Self {
        Self { pool, part, limit, used: 0, refused: None, made_good: false }
    }

    /// Bytes of linear memory. A memory never shrinks, so this is also the most there ever was.
    pub(crate) const fn used(&self) -> u64 {
        self.used
    }

    /// The last refusal, if there was any.
    pub(crate) const fn refused(&self) -> Option<Refused> {
        self.refused
    }

    /// The last refusal, unless memory was granted since: allocators ask for more than they need first, and then for less.
    pub(crate) fn lacking(&self) -> Option<Refused> {
        self.refused.filter(|_| !self.made_good)
    }

    fn give_back_part(&self, bytes: u64) {
        if let Some(part) = &self.part {
            part.give_back(bytes);
        }
    }

    const fn refuse(&mut self, why: Refused) {
        self.refused = Some(why);
        self.made_good = false;
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let wanted = self.used.saturating_add(more);
        if wanted > self.limit {
            self.refuse(Refused::Limit { wanted });
            return Ok(false);
        }
        // What the node has left is no affair of the guest's: a script that saw it could answer differently under load.
        if self.part.as_ref().is_some_and(|part| !part.take(more, self.pool.free())) {
            return Err(Stop::NoMemoryForTenant.into());
        }
        if !self.pool.take(more, wanted) {
            self.give_back_part(more);
            return Err(Stop::NoMemoryLeft.into());
        }
        self.used = wanted;
        self.made_good = true;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let fits = desired <= MAX_TABLE_ELEMENTS as usize;
        if !fits {
            self.refuse(Refused::Table);
        }
        Ok(fits)
    }

    fn instances(&self) -> usize {
        MAX_CORE_INSTANCES as usize
    }

    fn tables(&self) -> usize {
        MAX_TABLES as usize
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES as usize
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.pool.give_back(self.used);
        self.give_back_part(self.used);
    }
}
